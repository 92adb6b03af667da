//! How Redis is reached: TLS, users and passwords, databases by number; and what else it keeps.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use parlor_engine::config::SharedSettings;
use parlor_engine::domain::Clock;
use parlor_engine::shared::{BusEvent, LinkState, Shared};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::kit::{PATIENCE, RedisProcess, SECRET, redis_with_tls, settings, shared, unique};

/// A CA and a certificate for 127.0.0.1 that it has signed.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
        let done = done.expect("openssl is not installed: see scripts/services");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=redis"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
}

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
