//! How Redis is reached: TLS, users and passwords, databases by number; and what else it keeps.

use std::time::Duration;

use bytes::Bytes;
use parlor_engine::config::SharedSettings;
use parlor_engine::domain::Clock;
use parlor_engine::shared::{BusEvent, Limit, LinkState, Shared, Subject};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::kit::{PATIENCE, RedisProcess, SECRET, settings, shared, shared_at, unique, until};
use crate::redis::{certificates, redis_with_tls, redis_with_user};

fn share(settings: &SharedSettings) -> Shared {
    Shared::from_settings(settings, &SecretString::from(SECRET)).unwrap()
}

mod redis {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn tls_with_a_user_and_a_password_works_and_all_three_are_checked() {
        let folder = TempDir::new().unwrap();
        certificates(folder.path());
        let process = redis_with_tls(folder.path(), "ann", "a-p@ss");
        let at = |login: &str, ca: Option<&str>| {
            let ca = ca.map(|name| folder.path().join(name));
            SharedSettings { redis_ssl_ca: ca, ..settings(&format!("rediss://{login}@127.0.0.1:{}", process.port)) }
        };
        let (one, two) = (share(&at("ann:a-p%40ss", Some("ca.pem"))), share(&at("ann:a-p%40ss", Some("ca.pem"))));
        assert_eq!(one.state().await, LinkState::Up);
        let mut reader = two.bus.subscribe("topic").await;
        assert!(one.bus.publish("topic", Bytes::from_static(b"over TLS")).await);
        let heard = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap();
        assert_eq!(heard, BusEvent::Message(Bytes::from_static(b"over TLS")));

        for (what, settings) in [
            ("a wrong password", at("ann:wrong", Some("ca.pem"))),
            ("no user", at(":a-p%40ss", Some("ca.pem"))),
            ("an unknown CA", at("ann:a-p%40ss", None)),
            ("no TLS", super::settings(&format!("redis://ann:a-p%40ss@127.0.0.1:{}", process.port))),
        ] {
            assert_eq!(share(&settings).state().await, LinkState::Down, "{what}");
        }
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_redis_that_is_tried_at_the_start_is_known_before_anybody_needs_it() {
        let process = RedisProcess::start();
        let (right, wrong) = (shared_at(&process.url()), shared_at(&format!("{}/99", process.url())));
        assert_eq!((right.works(), wrong.works()), (Some(false), Some(false)), "nothing is known yet");
        right.try_redis();
        wrong.try_redis();
        until("it is known to work", || async { right.works() == Some(true) }).await;
        assert_eq!(wrong.state().await, LinkState::Down);
        assert_eq!((wrong.works(), Shared::memory().works()), (Some(false), None));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_user_with_the_rights_that_the_documentation_names_can_do_all() {
        let operations = include_str!("../../../docs/operations.md");
        let line = operations.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER parlor on ")).unwrap();
        let rights: Vec<&str> = line.split_whitespace().map(|right| right.trim_matches('\'')).collect();
        let process = redis_with_user("parlor", "password", rights.get(1..).unwrap());
        let url = format!("{}/1", process.url());
        let (one, two, clock) = (shared_at(&url), shared_at(&url), Clock::System);
        let mut reader = two.bus.subscribe("topic").await;
        assert!(one.bus.publish("topic", Bytes::from_static(b"heard")).await);
        let heard = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap();
        assert_eq!(heard, BusEvent::Message(Bytes::from_static(b"heard")));
        let _left = two.bus.subscribe("other").await;
        let subject = Subject { policy: "policy", key: "key" };
        let limit = Limit { subject, limit: 3, window: PATIENCE };
        assert_eq!(one.counters.count(&[limit], &clock).await.unwrap()[0].remaining, 2);
        assert_eq!(two.counters.count(&[limit], &clock).await.unwrap()[0].remaining, 1);
        one.counters.uncount(subject).await;
        one.counters.clear(subject, PATIENCE, &clock).await;
        assert_eq!(two.counters.count(&[limit], &clock).await.unwrap()[0].remaining, 2);
        one.cache.put("space", "key", "value", PATIENCE, &clock).await;
        assert_eq!(two.cache.get("space", "key", &clock).await.as_deref(), Some("value"));
        two.cache.invalidate("space", "key").await;
        assert_eq!(one.cache.get("space", "key", &clock).await, None);
        assert_eq!((one.state().await, two.state().await), (LinkState::Up, LinkState::Up));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_user_without_rights_to_channels_is_down_until_it_has_them_and_counts_all_the_while() {
        let process = redis_with_user("parlor", "password", &["~*", "+@all"]);
        let (one, two, clock) = (shared_at(&process.url()), shared_at(&process.url()), Clock::System);
        let mut reader = two.bus.subscribe("topic").await;
        until("it is known that nothing is heard", || async { two.state().await == LinkState::Down }).await;
        assert_eq!(two.works(), Some(false));
        assert_eq!(one.state().await, LinkState::Up, "who has asked for no channel yet");
        assert!(!one.bus.publish("topic", Bytes::from_static(b"lost")).await);
        assert_eq!(one.state().await, LinkState::Down);
        let limit = Limit { subject: Subject { policy: "policy", key: "key" }, limit: 3, window: PATIENCE };
        assert_eq!(one.counters.count(&[limit], &clock).await.unwrap()[0].remaining, 2);
        assert_eq!(two.counters.count(&[limit], &clock).await.unwrap()[0].remaining, 1, "they count together");

        process.command(&["ACL", "SETUSER", "parlor", "&parlor:*"]);
        assert_eq!(tokio::time::timeout(PATIENCE, reader.next()).await.unwrap(), BusEvent::Gap);
        until("all is well", || async { two.state().await == LinkState::Up }).await;
        assert!(one.bus.publish("topic", Bytes::from_static(b"heard")).await);
        let heard = tokio::time::timeout(PATIENCE, reader.next()).await.unwrap();
        assert_eq!(heard, BusEvent::Message(Bytes::from_static(b"heard")));
        assert_eq!(one.state().await, LinkState::Up);
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_command_that_is_refused_takes_nothing_else_away() {
        let process = redis_with_user("parlor", "password", &["~*", "&*", "+@all", "-@scripting"]);
        let (shared, clock) = (shared_at(&process.url()), Clock::System);
        let limit = Limit { subject: Subject { policy: "policy", key: "key" }, limit: 1, window: PATIENCE };
        assert_eq!(shared.counters.count(&[limit], &clock).await.unwrap()[0].remaining, 0);
        assert!(shared.counters.count(&[limit], &clock).await.is_err(), "it counts alone");
        assert_eq!(shared.state().await, LinkState::Down);
        shared.cache.put("space", "key", "value", PATIENCE, &clock).await;
        assert_eq!(shared.cache.get("space", "key", &clock).await.as_deref(), Some("value"));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_is_read_does_not_hide_that_nothing_is_written() {
        let process = redis_with_user("parlor", "password", &["~*", "&*", "+@all", "-set"]);
        let (shared, clock) = (shared_at(&process.url()), Clock::System);
        for _ in 0..3 {
            shared.cache.put("space", "key", "value", PATIENCE, &clock).await;
            assert_eq!(shared.cache.get("space", "key", &clock).await, None);
            assert_eq!(shared.state().await, LinkState::Down);
        }
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn installations_with_databases_of_their_own_share_nothing() {
        let (process, clock) = (RedisProcess::start(), Clock::System);
        let at = |url: String, number| share(&SharedSettings { redis_db: number, ..settings(&url) });
        let (first, second) = (at(process.url(), 0), at(process.url(), 3));
        let by_path = at(format!("{}/3", process.url()), 0);
        let (mut others, mut own) = (first.bus.subscribe("topic").await, by_path.bus.subscribe("topic").await);
        assert!(second.bus.publish("topic", Bytes::from_static(b"ours")).await);
        assert_eq!(
            tokio::time::timeout(PATIENCE, own.next()).await.unwrap(),
            BusEvent::Message(Bytes::from_static(b"ours"))
        );
        assert!(tokio::time::timeout(Duration::from_millis(50), others.next()).await.is_err());
        second.cache.put("space", "key", "value", PATIENCE, &clock).await;
        assert_eq!(first.cache.get("space", "key", &clock).await, None);
        assert_eq!(by_path.cache.get("space", "key", &clock).await.as_deref(), Some("value"));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_one_process_caches_the_others_find_until_it_ends() {
        let (one, two, key, clock) = (shared(), shared(), unique("key"), Clock::System);
        one.cache.put("space", &key, "value", PATIENCE, &clock).await;
        assert_eq!(two.cache.get("space", &key, &clock).await.as_deref(), Some("value"));
        assert_eq!(two.cache.get("other", &key, &clock).await, None);
        two.cache.invalidate("space", &key).await;
        assert_eq!(one.cache.get("space", &key, &clock).await, None);
        one.cache.put("space", &key, "short", Duration::from_millis(1), &clock).await;
        crate::kit::until("its time is over", || async { one.cache.get("space", &key, &clock).await.is_none() }).await;
    }
}
