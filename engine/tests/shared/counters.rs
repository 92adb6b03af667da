//! Counters of several processes: the rule of one process, an outage, and what is lost in it.

use std::time::Duration;

use parlor_engine::domain::{Clock, Timestamp};
use parlor_engine::shared::{Counted, Counters, Limit, Refused, Subject};
use proptest::prelude::*;

use crate::kit::{RedisProcess, shared, shared_at, unique, until};

const MINUTE: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

fn limit<'a>(policy: &'a str, key: &'a str, limit: u32) -> Limit<'a> {
    Limit { subject: Subject { policy, key }, limit, window: MINUTE }
}

async fn count(counters: &Counters, key: &str, most: u32, clock: &Clock) -> Result<Counted, Refused> {
    counters.count(&[limit("test", key, most)], clock).await.map(|counted| counted[0])
}

/// What happens to the counters.
#[derive(Debug, Clone)]
enum Step {
    Count,
    CountForGood,
    Uncount,
    Clear,
    Wait(Duration),
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    let step = prop_oneof![
        8 => Just(Step::Count),
        4 => Just(Step::CountForGood),
        1 => Just(Step::Uncount),
        1 => Just(Step::Clear),
        3 => (0..90_000_000_u64).prop_map(|micros| Step::Wait(Duration::from_micros(micros))),
        1 => Just(Step::Wait(MINUTE)),
        1 => Just(Step::Wait(MINUTE * 2)),
    ];
    prop::collection::vec((0..2_u8, step), 1..60)
}

/// Does one step to `counters`; two limits share each count, one of them the smaller.
async fn take(counters: &Counters, step: &Step, key: &str, clock: &Clock) -> Option<Result<Vec<Counted>, Refused>> {
    let limits = [limit("wide", key, 9), Limit { window: Duration::from_secs(7), ..limit("narrow", key, 4) }];
    match step {
        Step::Count => Some(counters.count(&limits, clock).await),
        Step::CountForGood => Some(counters.count_for_good(&limits, clock).await),
        Step::Uncount => {
            counters.uncount(limits[0].subject).await;
            None
        }
        Step::Clear => {
            counters.clear(limits[1].subject, limits[1].window, clock).await;
            None
        }
        Step::Wait(_) => None,
    }
}

mod redis {
    use super::*;

    #[test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    fn two_processes_with_one_redis_count_as_one_process_does() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let processes = {
            let _guard = runtime.enter();
            [shared(), shared()]
        };
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let outcome = runner.run(&steps(), |steps| {
            let (memory, key, clock) = (Counters::memory(), unique("key"), Clock::manual(START));
            runtime.block_on(async {
                for (number, (process, step)) in steps.iter().enumerate() {
                    if let Step::Wait(time) = step {
                        clock.advance(*time);
                    }
                    // What another process has taken back, this one learns with its next question; only counting for good trusts memory.
                    let takes_back = steps.iter().any(|(_, step)| matches!(step, Step::Uncount | Step::Clear));
                    let step = if takes_back && matches!(step, Step::CountForGood) { &Step::Count } else { step };
                    let expected = take(&memory, step, &key, &clock).await;
                    let found = take(&processes[usize::from(*process)].counters, step, &key, &clock).await;
                    prop_assert_eq!(found, expected, "step {}", number);
                }
                Ok(())
            })
        });
        outcome.unwrap();
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_many_count_at_once_in_two_processes_never_exceeds_the_limit() {
        let (one, two, key, clock) = (shared(), shared(), unique("key"), Clock::System);
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let (counters, key, clock) =
                    (if number % 2 == 0 { &one } else { &two }.counters.clone(), key.clone(), clock.clone());
                tokio::spawn(async move { count(&counters, &key, 50, &clock).await.is_ok() })
            })
            .collect();
        let mut allowed = 0;
        for task in tasks {
            allowed += u32::from(task.await.unwrap());
        }
        assert_eq!(allowed, 50);
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn an_outage_begins_from_what_was_seen_and_ends_with_what_was_counted_in_it() {
        let mut process = RedisProcess::start();
        let (one, two, clock) = (shared_at(&process.url()), shared_at(&process.url()), Clock::manual(START));
        for _ in 0..3 {
            assert!(count(&two.counters, "a", 5, &clock).await.is_ok());
        }
        // The first process sees with its own event what the other one counted.
        assert_eq!(count(&one.counters, "a", 5, &clock).await.unwrap().remaining, 1);
        process.stop();
        assert!(count(&one.counters, "a", 5, &clock).await.is_ok());
        assert!(count(&one.counters, "a", 5, &clock).await.is_err(), "it goes on from four");

        // What comes back is empty.
        process.go_on();
        for shared in [&one, &two] {
            until("Redis is back", || async { shared.state().await == parlor_engine::shared::LinkState::Up }).await;
        }
        assert!(count(&one.counters, "a", 5, &clock).await.is_err(), "nothing opens");
        assert!(count(&two.counters, "a", 5, &clock).await.is_err(), "nor elsewhere, once one has asked");
        clock.advance(MINUTE * 2);
        assert!(count(&two.counters, "a", 5, &clock).await.is_ok());
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_is_cleared_in_one_process_stays_cleared_where_it_was_counted() {
        let (one, two, key, clock) = (shared(), shared(), unique("key"), Clock::System);
        let subject = Subject { policy: "test", key: &key };
        assert!(count(&one.counters, &key, 1, &clock).await.is_ok());
        assert!(count(&one.counters, &key, 1, &clock).await.is_err());
        two.counters.clear(subject, MINUTE, &clock).await;
        assert!(count(&one.counters, &key, 1, &clock).await.is_ok());
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn redis_is_told_no_names() {
        let (process, clock) = (RedisProcess::start(), Clock::System);
        let shared = shared_at(&process.url());
        assert!(count(&shared.counters, "ann@example.org", 1, &clock).await.is_ok());
        let client = ::redis::Client::open(process.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        assert_eq!(keys.len(), 1);
        assert!(keys[0].starts_with("parlor:count:") && !keys[0].contains("ann"), "{keys:?}");
        let left: i64 = ::redis::cmd("PTTL").arg(&keys[0]).query_async(&mut connection).await.unwrap();
        assert!(left > 60_000, "it goes by itself: {left}");
    }
}
