//! `GET /health` and `GET /api`

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::{assert_fields, assert_time, send};
use crate::support::Setup;

#[tokio::test]
async fn a_healthy_server_says_so_part_by_part() {
    let server = Setup::new().start();
    let health = send(server.get("/health")).await.expect(200);
    assert_fields(&health, &["status", "timestamp", "database", "checks"]);
    assert_eq!((&health["status"], &health["database"]), (&json!("healthy"), &json!("connected")));
    assert_time(&health["timestamp"]);
    let checks = &health["checks"];
    assert_fields(checks, &["database", "redis", "mongo", "provider", "providers", "server", "version", "uptime"]);
    assert_eq!((&checks["database"], &checks["redis"]), (&json!("up"), &json!("off")));
    assert_eq!((&checks["provider"], &checks["server"]), (&json!("mock"), &json!("up")));
    assert_eq!(checks["version"], env!("CARGO_PKG_VERSION"));
    assert!(checks["uptime"].is_u64());
}

#[tokio::test]
async fn a_real_provider_is_told_from_the_mock() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "2tok").start();
    let checks = &send(server.get("/health")).await.expect(200)["checks"];
    assert_eq!(checks["provider"], "up");
    assert_eq!(
        checks["providers"],
        json!([{"name": "openai", "model": null, "breaker": "closed", "last_error": null}])
    );
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_told_and_the_server_stays_healthy() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0");
    let server = setup.env("PROVIDERS__BREAKER_FAILURES", "1").start();
    send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    let health = send(server.get("/health")).await.expect(200);
    assert_eq!((&health["status"], &health["checks"]["provider"]), (&json!("healthy"), &json!("down")));
    assert_eq!(health["checks"]["providers"][0]["last_error"], "provider_unavailable");
    send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    assert_eq!(upstream.chat_calls(), 1, "it is left alone for a while");
}

#[tokio::test]
async fn a_redis_that_is_away_is_told_and_the_server_works_without_it() {
    // Nobody listens there: the port was free a moment ago, and what listened is closed.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("redis://:hidden-secret@127.0.0.1:{port}");
    let server = Setup::new().env("REDIS_URL", &url).env("RATE_LIMIT__PER_MINUTE", "2").start();
    let health = send(server.get("/health")).await.expect(200);
    assert_eq!((&health["status"], &health["checks"]["redis"]), (&json!("healthy"), &json!("down")));
    for expected in [200, 200, 429] {
        send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(expected);
    }
    let metrics = send(server.get("/metrics")).await.body;
    assert!(metrics.contains("parlor_redis_up 0"), "{metrics}");
    assert!(!server.log().join("\n").contains("hidden-secret"));
}

#[tokio::test]
async fn the_other_dialects_health_is_one_word() {
    let server = Setup::new().env("HEALTH_DIALECT", "full_chatbot").start();
    assert_eq!(send(server.get("/health")).await.expect(200), json!({"status": "Healthy"}));
}

#[tokio::test]
async fn the_api_says_that_it_is_running() {
    let server = Setup::new().start();
    let api = send(server.get("/api")).await.expect(200);
    assert_eq!(api, json!({"message": "API is running", "version": env!("CARGO_PKG_VERSION")}));
}

#[tokio::test]
async fn a_server_whose_database_is_gone_is_unhealthy() {
    for dialect in ["classic", "full_chatbot"] {
        let server = Setup::new().env("HEALTH_DIALECT", dialect).start();
        send(server.get("/health")).await.expect(200);
        let aside = server.data.path().join("aside.db");
        std::fs::rename(server.database_path(), &aside).unwrap();
        let health = send(server.get("/health")).await.expect(503);
        if dialect == "classic" {
            assert_eq!((&health["status"], &health["database"]), (&json!("unhealthy"), &json!("disconnected")));
            assert_eq!(health["checks"]["database"], "down");
        } else {
            assert_eq!(health, json!({"status": "Unhealthy"}));
        }
        std::fs::rename(&aside, server.database_path()).unwrap();
        send(server.get("/health")).await.expect(200);
    }
}
