//! What recurs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parlor_engine::domain::{Clock, JobState, Schedule, Timestamp};
use parlor_engine::store::ListJobs;

use crate::kit::{Does, Fixture, Told, until};

const HOUR: Duration = Duration::from_secs(3_600);

/// Half past twelve, and one schedule alone: at each full hour.
async fn hourly() -> Fixture {
    let clock = Clock::manual(Timestamp::from_rfc3339("2026-01-31T12:30:00Z").unwrap());
    let schedule = Schedule::parse("0 * * * *").unwrap();
    Fixture::at(clock, |settings| settings.jobs.schedules = vec![("told", schedule)]).await
}

async fn times(fixture: &Fixture) -> Option<(Option<String>, Option<String>)> {
    let schedule = fixture.app.db().list_schedules().await.unwrap().pop()?;
    Some((schedule.last_at.map(Timestamp::rfc3339), schedule.next_at.map(Timestamp::rfc3339)))
}

#[tokio::test]
async fn it_is_done_at_its_time_once_though_two_workers_see_to_it() {
    let fixture = hourly().await;
    let told = Told::to(Does::Nothing);
    let workers = [fixture.worker(vec![told.clone()]), fixture.worker(vec![told.clone()])];
    let at = |time: &str| Some(format!("2026-01-31T{time}:00.000000Z"));
    until(async || times(&fixture).await.filter(|times| *times == (None, at("13:00")))).await;
    for hour in [13, 14] {
        fixture.clock.advance(if hour == 13 { HOUR / 2 } else { HOUR });
        let (last, next) = (at(&format!("{hour}:00")), at(&format!("{}:00", hour + 1)));
        until(async || times(&fixture).await.filter(|times| *times == (last.clone(), next.clone()))).await;
        until(async || (told.done.load(Ordering::SeqCst) == hour - 12).then_some(())).await;
    }
    for worker in workers {
        worker.drain(HOUR).await;
    }
    assert_eq!(told.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_was_missed_while_nobody_worked_is_done_once() {
    let fixture = hourly().await;
    let told = Told::to(Does::Nothing);
    let worker = fixture.worker(vec![told.clone()]);
    until(async || times(&fixture).await).await;
    worker.drain(HOUR).await;
    fixture.clock.advance(HOUR * 50);
    let worker = fixture.worker(vec![told.clone()]);
    let next = "2026-02-02T15:00:00.000000Z";
    until(async || times(&fixture).await.filter(|(_, at)| at.as_deref() == Some(next))).await;
    until(async || (told.done.load(Ordering::SeqCst) == 1).then_some(())).await;
    worker.drain(HOUR).await;
    let jobs = fixture.app.db().list_jobs(ListJobs { limit: 9, ..ListJobs::default() }).await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].state, jobs[0].kind.as_str()), (JobState::Done, "told"));
}
