//! Which web pages may call.

use reqwest::Method;
use serde_json::json;

use crate::kit::{Answer, send};
use crate::support::{Setup, TestServer};

async fn preflight(server: &TestServer, origin: &str) -> Answer {
    let request = server.request(Method::OPTIONS, "/api/chat").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    send(request.header("access-control-request-headers", "authorization,content-type,idempotency-key")).await
}

#[tokio::test]
async fn the_usual_origin_may_call_with_credentials() {
    let server = Setup::new().start();
    let origin = "http://localhost:3000";
    let answer = preflight(&server, origin).await;
    assert!(answer.status.is_success());
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type,idempotency-key");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(answer.header("access-control-allow-methods").contains(method), "{method}");
    }
    let answer = send(server.post("/chat", &json!({"message": "Hi"})).header("origin", origin)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    assert!(answer.header("vary").to_lowercase().contains("origin"));
}

#[tokio::test]
async fn an_error_can_be_read_by_the_page_too() {
    let server = Setup::new().start();
    for (path, status) in [("/api/users/me", 401), ("/nothing", 404), ("/chat", 405)] {
        let answer = send(server.get(path).header("origin", "http://localhost:3000")).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:3000", "{path}");
    }
}

#[tokio::test]
async fn a_foreign_origin_is_not_allowed() {
    let server = Setup::new().start();
    for origin in ["https://evil.example", "http://localhost:3001", "https://localhost:3000", "null"] {
        assert_eq!(preflight(&server, origin).await.header("access-control-allow-origin"), "", "{origin}");
        let answer = send(server.get("/health").header("origin", origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
}

#[tokio::test]
async fn the_settings_origins_replace_the_usual_one() {
    let server = Setup::new().env("CORS_ORIGINS", "https://a.example,https://b.example").start();
    for origin in ["https://a.example", "https://b.example"] {
        assert_eq!(preflight(&server, origin).await.header("access-control-allow-origin"), origin);
    }
    assert_eq!(preflight(&server, "http://localhost:3000").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn who_is_no_page_is_told_nothing_of_origins_but_that_answers_depend_on_them() {
    let server = Setup::new().start();
    let told = |answer: &Answer| {
        let names = answer.headers.keys().map(|name| name.as_str());
        names.filter(|name| name.starts_with("access-control-")).count()
    };
    let plain = send(server.get("/health")).await;
    assert_eq!((plain.status.as_u16(), told(&plain)), (200, 0));
    assert!(plain.header("vary").contains("origin"));
    let page = send(server.get("/health").header("origin", "http://localhost:3000")).await;
    assert_eq!(page.header("access-control-allow-origin"), "http://localhost:3000");
    assert!(page.header("vary").contains("origin"));
}
