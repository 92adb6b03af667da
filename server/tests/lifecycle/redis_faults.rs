//! A Redis that is wrong from the start: it is told at once, once and why, and the server serves.

mod redis {
    use std::time::Duration;

    use serde_json::Value;
    use tempfile::TempDir;

    use crate::redis::{RedisProcess, certificates, free_port, redis_with_tls, redis_with_user};
    use crate::support::{Setup, TestServer};

    const PASSWORD: &str = "s3cret-word";

    async fn redis_of(server: &TestServer) -> Value {
        let health: Value = server.get("/health").send().await.unwrap().json().await.unwrap();
        assert_eq!(health["status"], "healthy");
        health["checks"]["redis"].clone()
    }

    /// The warnings about Redis.
    fn warnings(server: &TestServer) -> Vec<Value> {
        let lines = server.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        lines.filter(|line| line["level"] == "WARN" && line["message"].as_str().unwrap().contains("Redis")).collect()
    }

    /// Starts a server, which nobody asks for anything before it has told of Redis; returns the reason.
    async fn reason(setup: Setup) -> String {
        let server = setup.start();
        server.wait_for_log("Redis fails");
        let metrics = server.get("/metrics").send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("parlor_redis_up 0"), "{metrics}");
        for _ in 0..3 {
            assert_eq!(redis_of(&server).await, "down");
        }
        let warnings = warnings(&server);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(!server.log().join("\n").contains(PASSWORD));
        warnings[0]["reason"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_is_wrong_with_the_address_or_the_login_is_told_at_the_start_and_once() {
        let process = redis_with_user("ann", PASSWORD, &["~*", "&*", "+@all"]);
        let at = |login: &str, host: &str| format!("redis://{login}@{host}:{}", process.port);
        let ann = format!("ann:{PASSWORD}");
        for (url, expected) in [
            (at(&format!("bob:{PASSWORD}"), "127.0.0.1"), "it refuses the user or the password"),
            (format!("{}/99", at(&ann, "127.0.0.1")), "it has no database of this number"),
            (at(&ann, "no-such-host.invalid"), "no such host is known"),
            (format!("redis://{ann}@127.0.0.1:{}", free_port()), "nobody listens there"),
            (at(&ann, "127.0.0.1").replace("redis:", "rediss:"), "it speaks no TLS there"),
        ] {
            let reason = reason(Setup::new().env("REDIS_URL", &url)).await;
            assert!(reason.starts_with(expected), "{expected}: {reason}");
        }
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn what_is_wrong_with_tls_is_told_at_the_start_and_once() {
        let (folder, others) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        certificates(folder.path());
        certificates(others.path());
        let process = redis_with_tls(folder.path(), "ann", PASSWORD);
        let file = |folder: &TempDir| folder.path().join("ca.pem").to_str().unwrap().to_owned();
        for (scheme, host, ca, expected) in [
            ("redis", "127.0.0.1", &folder, "it wants TLS"),
            ("rediss", "127.0.0.1", &others, "its certificate is not accepted: it was signed by nobody whom we know"),
            ("rediss", "localhost", &folder, "its certificate is not accepted: it is not made out for the host"),
        ] {
            let url = format!("{scheme}://ann:{PASSWORD}@{host}:{}", process.port);
            let reason = reason(Setup::new().env("REDIS_URL", &url).env("REDIS_SSL_CA", &file(ca))).await;
            assert!(reason.starts_with(expected), "{expected}: {reason}");
        }
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_user_without_rights_to_channels_is_told_once_and_is_heard_when_it_has_them() {
        let process = redis_with_user("parlor", PASSWORD, &["~*", "+@all"]);
        let server = Setup::new().env("REDIS_URL", &process.url()).start();
        server.wait_for_log("other replicas are not heard over Redis");
        assert_eq!(redis_of(&server).await, "down");
        process.command(&["ACL", "SETUSER", "parlor", "&parlor:*"]);
        server.wait_for_log("Redis does what it did not do before");
        let warnings = warnings(&server);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0]["reason"], "its user lacks the right to do this (ACL)");
        assert_eq!(redis_of(&server).await, "up");
        assert!(!server.log().join("\n").contains(PASSWORD));
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn a_redis_that_comes_late_is_found_by_a_server_that_has_begun_without_it() {
        let mut process = RedisProcess::start();
        process.stop();
        let server = Setup::new().env("REDIS_URL", &process.url()).start();
        server.wait_for_log("nobody listens there");
        process.go_on();
        server.wait_for_log("Redis is back");
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_REDIS_URL"]
    async fn an_outage_is_told_once_though_nobody_asks_for_anything() {
        let mut process = RedisProcess::start();
        let server = Setup::new().env("REDIS_URL", &process.url()).start();
        while redis_of(&server).await != "up" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process.stop();
        server.wait_for_log("nobody listens there");
        // It is tried a few times meanwhile.
        tokio::time::sleep(Duration::from_secs(3)).await;
        process.go_on();
        server.wait_for_log("Redis is back");
        let warnings = warnings(&server);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let ended = server.log().iter().filter(|line| line.contains("Redis does what it did not do before")).count();
        assert_eq!(ended, 0, "it was not told that it does not");
    }
}
