//! `GET /metrics`

use parlor_bench::fake::FakeUpstream;
use serde_json::json;

use crate::kit::send;
use crate::support::Setup;

#[tokio::test]
async fn what_has_happened_is_measured_and_nothing_that_was_said() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let token = server.sign_up("user@example.com").await;
    for path in ["/chat", "/api/chat", "/api/chat/stream"] {
        let request = server.post(path, &json!({"message": "xyzzy plugh", "user_id": "anna-the-guest"}));
        assert_eq!(send(request.bearer_auth(&token)).await.status, 200);
    }
    send(server.post("/chat", &json!({"message": "xyzzy", "user_id": "anna-the-guest"}))).await.expect(200);
    send(server.get("/secret-path-of-nobody")).await.expect(404);
    let answer = send(server.get("/metrics")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain"));
    for name in [
        "parlor_http_requests_total{",
        "parlor_http_request_duration_seconds_bucket{",
        "parlor_turns_total{state=\"complete\"} 4",
        "parlor_turns_running 0",
        "parlor_tokens_total{",
        "parlor_time_to_first_token_seconds_count{",
        "parlor_provider_requests_total{provider=\"openai\",model=\"*\"} 4",
        "parlor_queue_depth{queue=\"database_writes\"}",
        "parlor_database_commit_group_count",
        "# TYPE parlor_http_requests_total counter",
        "route=\"/api/chat/stream\"",
        "route=\"unknown\"",
    ] {
        assert!(answer.body.contains(name), "no {name} in\n{}", answer.body);
    }
    for secret in ["xyzzy", "plugh", "anna-the-guest", "user@example.com", "secret-path", &token, "sk-test"] {
        assert!(!answer.body.contains(secret), "{secret} in\n{}", answer.body);
    }
}

#[tokio::test]
async fn failures_are_measured_by_what_went_wrong() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "err500").env("PROVIDERS__MAX_RETRIES", "0").start();
    send(server.post("/chat", &json!({"message": "Hi"}))).await.expect(200);
    let text = send(server.get("/metrics")).await.body;
    assert!(text.contains("parlor_turns_total{state=\"failed\"} 1"), "{text}");
    assert!(text.contains("code=\"provider_unavailable\""), "{text}");
}

#[tokio::test]
async fn without_a_token_set_only_this_machine_sees_them() {
    let server = Setup::new().start();
    assert_eq!(send(server.get("/metrics")).await.status, 200);
    for header in ["x-forwarded-for", "forwarded"] {
        assert_eq!(send(server.get("/metrics").header(header, "127.0.0.1")).await.status, 404, "{header}");
    }
}

#[tokio::test]
async fn with_a_token_set_only_its_holder_sees_them() {
    let secret = "scrape-0123456789abcdef0123456789";
    let server = Setup::new().env("METRICS_TOKEN", secret).start();
    assert_eq!(send(server.get("/metrics")).await.status, 404);
    assert_eq!(send(server.get("/metrics").bearer_auth("another")).await.status, 404);
    assert_eq!(send(server.get("/metrics").bearer_auth(secret)).await.status, 200);
    let token = server.sign_up("user@example.com").await;
    assert_eq!(send(server.get("/metrics").bearer_auth(token)).await.status, 404);
}
