//! The bus between processes.

use bytes::Bytes;
use parlor_engine::shared::{BusEvent, LinkState, Subscription};

use crate::kit::{PATIENCE, RedisProcess, shared, shared_at, unique, until};

fn message(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn next(subscription: &mut Subscription) -> BusEvent {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("nothing was heard")
}

mod redis {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_one_process_sends_every_process_hears_once_and_in_order() {
        let (one, two, topic) = (shared(), shared(), unique("topic"));
        let (mut own, mut others) = (one.bus.subscribe(&topic).await, two.bus.subscribe(&topic).await);
        for number in 0..100 {
            assert!(one.bus.publish(&topic, message(&number.to_string())).await);
        }
        for subscription in [&mut own, &mut others] {
            for number in 0..100 {
                assert_eq!(next(subscription).await, BusEvent::Message(message(&number.to_string())));
            }
        }
        assert!(two.bus.publish(&topic, message("back")).await);
        assert_eq!(next(&mut own).await, BusEvent::Message(message("back")));
        assert_eq!(next(&mut others).await, BusEvent::Message(message("back")));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn bytes_arrive_as_they_were_sent_and_nobody_hears_other_topics() {
        let (one, two, topic) = (shared(), shared(), unique("topic"));
        let mut other = two.bus.subscribe(&unique("other")).await;
        let mut reader = two.bus.subscribe(&topic).await;
        let long: Bytes = (0..=u8::MAX).cycle().take(300_000).collect();
        for sent in [Bytes::new(), Bytes::from_static(b"\r\n\0\xff"), long] {
            assert!(one.bus.publish(&topic, sent.clone()).await);
            assert_eq!(next(&mut reader).await, BusEvent::Message(sent));
        }
        drop(reader);
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(50), other.next()).await;
        assert!(nothing.is_err());
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn who_has_left_a_topic_and_comes_back_hears_what_is_sent_from_then_on() {
        let (one, two, topic) = (shared(), shared(), unique("topic"));
        for round in 0..50 {
            let mut reader = two.bus.subscribe(&topic).await;
            assert!(one.bus.publish(&topic, message(&round.to_string())).await);
            assert_eq!(next(&mut reader).await, BusEvent::Message(message(&round.to_string())));
        }
        until("nobody listens any more", || async { two.bus.topics() == 0 }).await;
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_thousand_topics_share_one_connection() {
        let (one, two, base) = (shared(), shared(), unique("topic"));
        let mut readers = Vec::new();
        for number in 0..1000 {
            readers.push(two.bus.subscribe(&format!("{base}/{number}")).await);
        }
        for number in 0..1000 {
            assert!(one.bus.publish(&format!("{base}/{number}"), message(&number.to_string())).await);
        }
        for (number, reader) in readers.iter_mut().enumerate() {
            assert_eq!(next(reader).await, BusEvent::Message(message(&number.to_string())));
        }
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn an_outage_is_a_gap_and_the_bus_works_again_after_it() {
        let mut process = RedisProcess::start();
        let (one, two) = (shared_at(&process.url()), shared_at(&process.url()));
        let mut reader = two.bus.subscribe("topic").await;
        assert!(one.bus.publish("topic", message("before")).await);
        assert_eq!(next(&mut reader).await, BusEvent::Message(message("before")));

        process.stop();
        assert_eq!(next(&mut reader).await, BusEvent::Gap, "it is told at once");
        assert!(!one.bus.publish("topic", message("lost")).await);
        assert_eq!(one.state().await, LinkState::Down);
        assert!(!two.bus.publish("topic", message("here alone")).await);
        assert_eq!(next(&mut reader).await, BusEvent::Message(message("here alone")));

        process.go_on();
        assert_eq!(next(&mut reader).await, BusEvent::Gap, "and when others are heard again");
        until("Redis is back", || async { one.state().await == LinkState::Up }).await;
        assert!(one.bus.publish("topic", message("after")).await);
        assert_eq!(next(&mut reader).await, BusEvent::Message(message("after")));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_redis_that_is_away_at_the_start_is_found_when_it_comes() {
        let mut process = RedisProcess::start();
        process.stop();
        let (one, two) = (shared_at(&process.url()), shared_at(&process.url()));
        let mut reader = two.bus.subscribe("topic").await;
        assert!(!one.bus.publish("topic", message("lost")).await);
        process.go_on();
        assert_eq!(next(&mut reader).await, BusEvent::Gap, "what was sent before it could listen is missed");
        until("Redis is back", || async { one.bus.publish("topic", message("after")).await }).await;
        assert_eq!(next(&mut reader).await, BusEvent::Message(message("after")));
    }
}
