//! One worker, several, and none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parlor_engine::domain::JobState;
use parlor_engine::jobs::Bounds;
use parlor_engine::store::{Claim, JobEnd, NewJob};

use crate::kit::{Does, Fixture, LEASE, Told, until};

#[tokio::test]
async fn what_is_enqueued_is_done_once() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Nothing);
    let id = fixture.enqueue(told.as_ref()).await;
    let worker = fixture.worker(vec![told.clone()]);
    let job = fixture.until_job(id, JobState::Done).await;
    assert_eq!((job.attempts, job.last_error), (1, None));
    let id = fixture.enqueue(told.as_ref()).await;
    fixture.until_job(id, JobState::Done).await;
    worker.drain(Duration::ZERO).await;
    assert_eq!(told.done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_fails_is_tried_as_often_as_it_may_be_and_is_dead_then() {
    let fixture = Fixture::new().await;
    for (does, attempts, why) in [
        (Does::Fails, 3, "it was told to"),
        (Does::Panics, 3, "it panicked"),
        (Does::Misreads, 1, "the payload does not hold what this kind of job needs"),
    ] {
        let told = Told::to(does);
        let id = fixture.enqueue(told.as_ref()).await;
        let worker = fixture.worker(vec![told.clone()]);
        let job = fixture.until_job(id, JobState::Dead).await;
        worker.drain(Duration::ZERO).await;
        assert_eq!((job.attempts, job.last_error.as_deref()), (attempts, Some(why)));
        assert_eq!(i64::try_from(told.begun.load(Ordering::SeqCst)).unwrap(), attempts);
    }
}

#[tokio::test]
async fn what_takes_too_long_has_failed() {
    let fixture = Fixture::new().await;
    let bounds = Bounds { max_attempts: 2, first_wait: Duration::ZERO, timeout: Duration::from_millis(50) };
    let told = Told::within(Does::Waits, bounds);
    let id = fixture.enqueue(told.as_ref()).await;
    let worker = fixture.worker(vec![told.clone()]);
    let job = fixture.until_job(id, JobState::Dead).await;
    assert_eq!((job.attempts, told.running()), (2, 0));
    assert!(job.last_error.unwrap().starts_with("it took longer than"));
    worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn no_more_are_done_at_once_than_the_settings_say() {
    let fixture = Fixture::new().await;
    let at_once = fixture.app.settings().jobs.concurrency;
    let told = Told::to(Does::Waits);
    let mut ids = Vec::new();
    for _ in 0..at_once * 3 {
        ids.push(fixture.enqueue(told.as_ref()).await);
    }
    let worker = fixture.worker(vec![told.clone()]);
    for begun in at_once..=ids.len() {
        told.until_begun(begun).await;
        told.go(1);
    }
    told.go(at_once);
    for id in ids {
        fixture.until_job(id, JobState::Done).await;
    }
    assert_eq!(told.most_at_once.load(Ordering::SeqCst), at_once);
    worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn two_workers_do_each_job_once() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Nothing);
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(fixture.enqueue(told.as_ref()).await);
    }
    let workers = [fixture.worker(vec![told.clone()]), fixture.worker(vec![told.clone()])];
    for id in ids {
        fixture.until_job(id, JobState::Done).await;
    }
    for worker in workers {
        worker.drain(Duration::ZERO).await;
    }
    assert_eq!(told.begun.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn a_job_outlives_the_worker_that_went_away_with_it() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Nothing);
    let id = fixture.enqueue(told.as_ref()).await;
    // A worker that was killed in the middle of it.
    let now = fixture.clock.now();
    let claimed = fixture.app.db().claim_jobs("dead".to_owned(), now, now.plus(LEASE), 1).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let worker = fixture.worker(vec![told.clone()]);
    let job = fixture.until_job(id, JobState::Done).await;
    assert_eq!((job.attempts, job.last_error.as_deref()), (2, Some("its worker went away")));
    assert!(job.started_at.unwrap() >= now.plus(LEASE), "not before its lease was over");
    let late = Claim { id, worker: "dead".to_owned(), attempts: 1 };
    assert!(!fixture.app.db().end_job(late, JobEnd::Dead(String::new()), now).await.unwrap());
    worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_job_that_takes_longer_than_a_lease_stays_its_workers() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Waits);
    let id = fixture.enqueue(told.as_ref()).await;
    let began = fixture.clock.now();
    let workers = [fixture.worker(vec![told.clone()]), fixture.worker(vec![told.clone()])];
    until(async || (fixture.clock.now() > began.plus(LEASE * 2)).then_some(())).await;
    told.go(1);
    assert_eq!(fixture.until_job(id, JobState::Done).await.attempts, 1);
    assert_eq!(told.begun.load(Ordering::SeqCst), 1);
    for worker in workers {
        worker.drain(Duration::ZERO).await;
    }
}

#[tokio::test]
async fn a_job_that_is_called_off_while_it_runs_is_stopped() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Waits);
    let id = fixture.enqueue(told.as_ref()).await;
    let worker = fixture.worker(vec![told.clone()]);
    told.until_begun(1).await;
    assert!(fixture.app.db().cancel_job(id, fixture.clock.now()).await.unwrap().unwrap().0);
    until(async || (told.running() == 0).then_some(())).await;
    worker.drain(Duration::ZERO).await;
    assert_eq!(fixture.job(id).await.state, JobState::Cancelled);
    assert_eq!(told.done.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_worker_that_stops_lets_jobs_finish() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Waits);
    let (first, second) = (fixture.enqueue(told.as_ref()).await, fixture.enqueue(told.as_ref()).await);
    let worker = fixture.worker(vec![told.clone()]);
    told.until_begun(2).await;
    let draining = tokio::spawn(worker.drain(Duration::from_secs(600)));
    told.go(2);
    draining.await.unwrap();
    assert_eq!(fixture.job(first).await.state, JobState::Done);
    assert_eq!(fixture.job(second).await.state, JobState::Done);
    let left = fixture.enqueue(told.as_ref()).await;
    assert_eq!(fixture.job(left).await.state, JobState::Queued);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_put_back_and_loses_no_attempt() {
    let fixture = Fixture::new().await;
    let told = Told::to(Does::Waits);
    let id = fixture.enqueue(told.as_ref()).await;
    let worker = fixture.worker(vec![told.clone()]);
    told.until_begun(1).await;
    worker.drain(Duration::from_millis(50)).await;
    let job = fixture.job(id).await;
    assert_eq!((job.state, job.attempts, told.running()), (JobState::Queued, 0, 0));
    told.go(1);
    let worker = fixture.worker(vec![told.clone()]);
    assert_eq!(fixture.until_job(id, JobState::Done).await.attempts, 1);
    worker.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_kind_that_this_version_does_not_know_waits_for_one_that_does() {
    let fixture = Fixture::new().await;
    let now = fixture.clock.now();
    let told = Told::to(Does::Nothing);
    let known = fixture.enqueue(told.as_ref()).await;
    let unknown = NewJob {
        kind: "from_the_future",
        payload: "{}".to_owned(),
        max_attempts: 1,
        run_at: now,
        unique_key: None,
        now,
    };
    let id = fixture.app.db().enqueue_job(unknown).await.unwrap().unwrap();
    let worker = fixture.worker(vec![told]);
    fixture.until_job(known, JobState::Done).await;
    let job = until(async || Some(fixture.job(id).await).filter(|job| job.run_at > now)).await;
    assert_eq!((job.state, job.attempts), (JobState::Queued, 0));
    worker.drain(Duration::ZERO).await;
}
