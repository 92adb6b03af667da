//! The queue: claimed once, for as long as a lease lasts, until it is done or dead.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use parlor_engine::domain::JobState;
use parlor_engine::store::{
    Claim, ClaimedJob, Due, JobEnd, JobRecord, ListJobs, NewJob, NewSchedule, QueueState, StoreError, enqueue_job,
};

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    a_job_is_claimed_when_its_time_has_come_and_by_one_alone,
    a_hundred_jobs_claimed_by_eight_at_once_are_claimed_once_each,
    a_job_that_failed_waits_and_is_dead_after_its_last_attempt,
    a_job_that_was_put_back_has_lost_no_attempt,
    an_abandoned_job_is_released_and_no_longer_its_workers,
    a_renewed_lease_is_not_over,
    a_unique_key_is_taken_for_as_long_as_its_job_is_there,
    one_of_many_enqueues_under_a_unique_key,
    a_job_is_enqueued_with_its_transaction_or_not_at_all,
    a_dead_job_is_tried_again_and_a_running_one_is_not,
    a_cancelled_job_is_its_workers_no_longer,
    jobs_are_listed_newest_first_by_state_and_kind,
    old_jobs_go_when_they_have_ended,
    a_schedule_fires_once_however_often_it_was_missed_and_by_one_alone,
    a_schedule_that_did_not_change_keeps_its_time,
);

fn new_job(kind: &'static str, run_at: i64) -> NewJob {
    NewJob { kind, payload: "{\"id\":7}".to_owned(), max_attempts: 2, run_at: at(run_at), unique_key: None, now: at(1) }
}

async fn enqueue(fixture: &Fixture, kind: &'static str, run_at: i64) -> i64 {
    fixture.db.enqueue_job(new_job(kind, run_at)).await.unwrap().unwrap()
}

/// Claims what is due, for a minute.
async fn claim(fixture: &Fixture, worker: &str, now: i64, limit: i64) -> Vec<ClaimedJob> {
    fixture.db.claim_jobs(worker.to_owned(), at(now), at(now + 60), limit).await.unwrap()
}

fn by(worker: &str, job: &ClaimedJob) -> Claim {
    Claim { id: job.id, worker: worker.to_owned(), attempts: job.attempts }
}

async fn job(fixture: &Fixture, id: i64) -> JobRecord {
    fixture.db.job(id).await.unwrap().unwrap()
}

fn ids(jobs: &[ClaimedJob]) -> Vec<i64> {
    jobs.iter().map(|job| job.id).collect()
}

async fn a_job_is_claimed_when_its_time_has_come_and_by_one_alone(fixture: Fixture) {
    let later = enqueue(&fixture, "mail", 20).await;
    let first = enqueue(&fixture, "mail", 10).await;
    assert_eq!(fixture.db.due(at(9)).await.unwrap(), Due::default());
    assert_eq!(claim(&fixture, "a", 9, 9).await, []);
    assert!(fixture.db.due(at(10)).await.unwrap().jobs);
    let claimed = claim(&fixture, "a", 30, 1).await;
    assert_eq!(ids(&claimed), [first], "what waits longest comes first");
    assert_eq!((claimed[0].payload.as_str(), claimed[0].attempts), ("{\"id\":7}", 1));
    assert_eq!(ids(&claim(&fixture, "b", 30, 9).await), [later]);
    let record = job(&fixture, first).await;
    assert_eq!((record.state, record.started_at), (JobState::Running, Some(at(30))));
    assert!(!fixture.db.end_job(by("b", &claimed[0]), JobEnd::Done, at(31)).await.unwrap(), "it is another's");
    assert!(fixture.db.end_job(by("a", &claimed[0]), JobEnd::Done, at(31)).await.unwrap());
    assert!(!fixture.db.end_job(by("a", &claimed[0]), JobEnd::Done, at(31)).await.unwrap(), "it has ended");
    let record = job(&fixture, first).await;
    assert_eq!((record.state, record.ended_at, record.last_error), (JobState::Done, Some(at(31)), None));
    let state = QueueState { running: 1, ..QueueState::default() };
    assert_eq!(fixture.db.queue_state(at(31)).await.unwrap(), state);
}

async fn a_hundred_jobs_claimed_by_eight_at_once_are_claimed_once_each(fixture: Fixture) {
    for _ in 0..100 {
        enqueue(&fixture, "mail", 1).await;
    }
    let state = fixture.db.queue_state(at(2)).await.unwrap();
    assert_eq!(state, QueueState { due: 100, oldest_due: Some(at(1)), ..QueueState::default() });
    let work = async |worker: String| {
        let mut mine = Vec::new();
        // What another is claiming is passed over, so that an empty hand does not mean an empty queue.
        while fixture.db.due(at(2)).await.unwrap().jobs {
            mine.extend(ids(&claim(&fixture, &worker, 2, 5).await));
        }
        mine
    };
    let claimed = join_all((0..8).map(|n| work(format!("worker {n}")))).await.concat();
    assert_eq!(claimed.len(), 100);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 100);
}

async fn a_job_that_failed_waits_and_is_dead_after_its_last_attempt(fixture: Fixture) {
    let id = enqueue(&fixture, "mail", 1).await;
    let claimed = claim(&fixture, "a", 2, 1).await.remove(0);
    let long = "ä".repeat(400);
    fixture.db.end_job(by("a", &claimed), JobEnd::Retry(at(50), long), at(3)).await.unwrap();
    let record = job(&fixture, id).await;
    assert_eq!((record.state, record.run_at, record.ended_at), (JobState::Queued, at(50), None));
    assert_eq!(record.last_error.unwrap().len(), 500, "an error is cut where it grows too long");
    assert_eq!(claim(&fixture, "a", 49, 1).await, []);
    let claimed = claim(&fixture, "a", 50, 1).await.remove(0);
    assert_eq!((claimed.attempts, claimed.max_attempts), (2, 2));
    fixture.db.end_job(by("a", &claimed), JobEnd::Dead("it broke".to_owned()), at(51)).await.unwrap();
    let record = job(&fixture, id).await;
    assert_eq!((record.state, record.ended_at), (JobState::Dead, Some(at(51))));
    assert_eq!(record.last_error.as_deref(), Some("it broke"));
    assert_eq!(fixture.db.queue_state(at(51)).await.unwrap().dead, 1);
    assert_eq!(claim(&fixture, "a", 1_000, 1).await, []);
}

async fn a_job_that_was_put_back_has_lost_no_attempt(fixture: Fixture) {
    let id = enqueue(&fixture, "mail", 1).await;
    let claimed = claim(&fixture, "a", 2, 1).await.remove(0);
    fixture.db.end_job(by("a", &claimed), JobEnd::PutBack(at(9)), at(3)).await.unwrap();
    let record = job(&fixture, id).await;
    assert_eq!((record.state, record.attempts, record.run_at), (JobState::Queued, 0, at(9)));
    assert_eq!(claim(&fixture, "b", 9, 1).await[0].attempts, 1);
}

async fn an_abandoned_job_is_released_and_no_longer_its_workers(fixture: Fixture) {
    let id = enqueue(&fixture, "mail", 1).await;
    let first = claim(&fixture, "a", 2, 1).await.remove(0);
    assert!(!fixture.db.due(at(61)).await.unwrap().abandoned);
    assert_eq!(fixture.db.release_abandoned_jobs(at(61), 9).await.unwrap(), 0);
    assert!(fixture.db.due(at(62)).await.unwrap().abandoned);
    assert_eq!(fixture.db.release_abandoned_jobs(at(62), 9).await.unwrap(), 1);
    // The same worker may have got it again: its first attempt is over all the same.
    let second = claim(&fixture, "a", 62, 1).await.remove(0);
    assert!(!fixture.db.renew_job(by("a", &first), at(200)).await.unwrap());
    assert!(!fixture.db.end_job(by("a", &first), JobEnd::Done, at(63)).await.unwrap());
    assert!(fixture.db.renew_job(by("a", &second), at(100)).await.unwrap());
    // That was its last attempt.
    assert_eq!(fixture.db.release_abandoned_jobs(at(100), 9).await.unwrap(), 1);
    let record = job(&fixture, id).await;
    assert_eq!((record.state, record.last_error.as_deref()), (JobState::Dead, Some("its worker went away")));
}

async fn a_renewed_lease_is_not_over(fixture: Fixture) {
    enqueue(&fixture, "mail", 1).await;
    let claimed = claim(&fixture, "a", 2, 1).await.remove(0);
    assert!(fixture.db.renew_job(by("a", &claimed), at(120)).await.unwrap());
    assert_eq!(fixture.db.release_abandoned_jobs(at(119), 9).await.unwrap(), 0);
    assert!(!fixture.db.renew_job(by("b", &claimed), at(300)).await.unwrap());
    assert_eq!(fixture.db.release_abandoned_jobs(at(120), 9).await.unwrap(), 1);
}

async fn a_unique_key_is_taken_for_as_long_as_its_job_is_there(fixture: Fixture) {
    let keyed = || NewJob { unique_key: Some("once".to_owned()), ..new_job("mail", 1) };
    assert!(fixture.db.enqueue_job(keyed()).await.unwrap().is_some());
    assert_eq!(fixture.db.enqueue_job(keyed()).await.unwrap(), None);
    let claimed = claim(&fixture, "a", 2, 1).await.remove(0);
    fixture.db.end_job(by("a", &claimed), JobEnd::Done, at(3)).await.unwrap();
    assert_eq!(fixture.db.enqueue_job(keyed()).await.unwrap(), None);
    assert_eq!(fixture.db.delete_ended_jobs(at(3), 9).await.unwrap(), 1);
    assert!(fixture.db.enqueue_job(keyed()).await.unwrap().is_some());
}

async fn one_of_many_enqueues_under_a_unique_key(fixture: Fixture) {
    let keyed = || NewJob { unique_key: Some("once".to_owned()), ..new_job("mail", 1) };
    let enqueued = join_all((0..20).map(|_| fixture.db.enqueue_job(keyed()))).await;
    assert_eq!(enqueued.into_iter().filter(|id| id.as_ref().unwrap().is_some()).count(), 1);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM jobs").await, 1);
}

async fn a_job_is_enqueued_with_its_transaction_or_not_at_all(fixture: Fixture) {
    let undone = fixture.db.write::<(), _>(|tx| {
        Box::pin(async move {
            enqueue_job(tx, &new_job("mail", 1)).await?;
            Err(StoreError::Overloaded)
        })
    });
    assert!(undone.await.is_err());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM jobs").await, 0);
    let kept = fixture.db.write(|tx| Box::pin(async move { enqueue_job(tx, &new_job("mail", 1)).await }));
    assert!(kept.await.unwrap().is_some());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM jobs").await, 1);
}

async fn a_dead_job_is_tried_again_and_a_running_one_is_not(fixture: Fixture) {
    let id = enqueue(&fixture, "mail", 1).await;
    let claimed = claim(&fixture, "a", 2, 1).await.remove(0);
    let (changed, record) = fixture.db.retry_job(id, at(3)).await.unwrap().unwrap();
    assert_eq!((changed, record.state), (false, JobState::Running));
    fixture.db.end_job(by("a", &claimed), JobEnd::Dead("no".to_owned()), at(4)).await.unwrap();
    let (changed, record) = fixture.db.retry_job(id, at(5)).await.unwrap().unwrap();
    assert_eq!((changed, record.state, record.attempts), (true, JobState::Queued, 0));
    assert_eq!((record.run_at, record.ended_at), (at(5), None));
    let claimed = claim(&fixture, "a", 5, 1).await.remove(0);
    fixture.db.end_job(by("a", &claimed), JobEnd::Done, at(6)).await.unwrap();
    assert!(!fixture.db.retry_job(id, at(7)).await.unwrap().unwrap().0, "what is done stays done");
    assert_eq!(fixture.db.retry_job(999, at(7)).await.unwrap(), None);
}

async fn a_cancelled_job_is_its_workers_no_longer(fixture: Fixture) {
    let id = enqueue(&fixture, "mail", 1).await;
    let claimed = claim(&fixture, "a", 2, 1).await.remove(0);
    let (changed, record) = fixture.db.cancel_job(id, at(3)).await.unwrap().unwrap();
    assert_eq!((changed, record.state, record.ended_at), (true, JobState::Cancelled, Some(at(3))));
    assert!(!fixture.db.renew_job(by("a", &claimed), at(100)).await.unwrap());
    assert!(!fixture.db.end_job(by("a", &claimed), JobEnd::Done, at(4)).await.unwrap());
    assert!(!fixture.db.cancel_job(id, at(5)).await.unwrap().unwrap().0);
    assert_eq!(job(&fixture, id).await.state, JobState::Cancelled);
    assert!(fixture.db.retry_job(id, at(6)).await.unwrap().unwrap().0);
    assert_eq!(fixture.db.cancel_job(999, at(7)).await.unwrap(), None);
}

async fn jobs_are_listed_newest_first_by_state_and_kind(fixture: Fixture) {
    let mut all = Vec::new();
    for kind in ["mail", "mail", "sweep", "mail"] {
        all.push(enqueue(&fixture, kind, 1).await);
    }
    fixture.db.cancel_job(all[1], at(2)).await.unwrap();
    let list = async |state, kind: Option<&str>, before, limit| {
        let list = ListJobs { state, kind: kind.map(str::to_owned), before, limit };
        fixture.db.list_jobs(list).await.unwrap().into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, None, 2).await, [all[3], all[2]]);
    assert_eq!(list(None, None, Some(all[2]), 9).await, [all[1], all[0]]);
    assert_eq!(list(Some(JobState::Queued), None, None, 9).await, [all[3], all[2], all[0]]);
    assert_eq!(list(None, Some("mail"), None, 9).await, [all[3], all[1], all[0]]);
    assert_eq!(list(Some(JobState::Queued), Some("mail"), Some(all[3]), 9).await, [all[0]]);
    assert_eq!(list(Some(JobState::Dead), None, None, 9).await, Vec::<i64>::new());
    assert_eq!(list(None, Some("MAIL"), None, 9).await, Vec::<i64>::new());
}

async fn old_jobs_go_when_they_have_ended(fixture: Fixture) {
    let ended = enqueue(&fixture, "mail", 1).await;
    let open = enqueue(&fixture, "mail", 1).await;
    fixture.db.cancel_job(ended, at(2)).await.unwrap();
    assert_eq!(fixture.db.delete_ended_jobs(at(1), 9).await.unwrap(), 0);
    assert_eq!(fixture.db.delete_ended_jobs(at(2), 9).await.unwrap(), 1);
    assert_eq!(fixture.db.job(ended).await.unwrap(), None);
    assert!(fixture.db.job(open).await.unwrap().is_some());
}

fn schedule(expression: &str, next_at: Option<i64>) -> NewSchedule {
    NewSchedule { name: "sweep", expression: expression.to_owned(), next_at: next_at.map(at) }
}

async fn a_schedule_fires_once_however_often_it_was_missed_and_by_one_alone(fixture: Fixture) {
    fixture.db.set_schedules(vec![schedule("* * * * *", Some(60))]).await.unwrap();
    assert_eq!(fixture.db.due(at(59)).await.unwrap().schedules, Vec::<String>::new());
    // Nobody worked for ten minutes; then ten workers come at once.
    let now = 660;
    assert_eq!(fixture.db.due(at(now)).await.unwrap().schedules, ["sweep"]);
    let fire = || {
        let job = NewJob { now: at(now), run_at: at(now), ..new_job("sweep", now) };
        fixture.db.fire_schedule("sweep", Some(at(720)), job)
    };
    let fired = join_all((0..10).map(|_| fire())).await;
    assert_eq!(fired.into_iter().filter(|fired| *fired.as_ref().unwrap()).count(), 1);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM jobs").await, 1);
    let listed = fixture.db.list_schedules().await.unwrap().remove(0);
    assert_eq!((listed.last_at, listed.next_at), (Some(at(now)), Some(at(720))));
    assert!(fixture.db.due(at(719)).await.unwrap().schedules.is_empty());
    // A clock that goes back makes no second job of a tick.
    fixture.db.set_schedules(vec![schedule("*/2 * * * *", Some(60))]).await.unwrap();
    assert!(!fire().await.unwrap());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM jobs").await, 1);
}

async fn a_schedule_that_did_not_change_keeps_its_time(fixture: Fixture) {
    let next = async || fixture.db.list_schedules().await.unwrap().remove(0).next_at;
    fixture.db.set_schedules(vec![schedule("* * * * *", Some(60))]).await.unwrap();
    fixture.db.set_schedules(vec![schedule("* * * * *", Some(600))]).await.unwrap();
    assert_eq!(next().await, Some(at(60)), "what was missed is made up for");
    fixture.db.set_schedules(vec![schedule("0 * * * *", Some(3_600))]).await.unwrap();
    assert_eq!(next().await, Some(at(3_600)));
    fixture.db.set_schedules(vec![schedule("off", None)]).await.unwrap();
    assert_eq!(next().await, None);
    assert_eq!(fixture.db.run_schedule("none".to_owned(), at(9)).await.unwrap(), None);
    assert_eq!(fixture.db.run_schedule("sweep".to_owned(), at(9)).await.unwrap().unwrap().next_at, Some(at(9)));
    fixture.db.set_schedules(vec![schedule("* * * * *", None)]).await.unwrap();
    assert!(fixture.db.due(at(9_999)).await.unwrap().schedules.is_empty());
}
