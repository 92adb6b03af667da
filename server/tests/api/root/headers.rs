//! What every response carries.

use serde_json::json;

use crate::kit::send;
use crate::support::Setup;

#[tokio::test]
async fn a_sane_request_id_comes_back_and_stands_in_the_log() {
    let server = Setup::new().start();
    for (number, id) in
        ["8e03978e-40d5-43dd-bc93-6894a57f9324", "a", "req_1.2:3/4+5=", &"x".repeat(128)].iter().enumerate()
    {
        for path in ["/health", "/nothing", "/chat"] {
            let answer = send(server.get(path).header("x-request-id", *id)).await;
            assert_eq!(answer.header("x-request-id"), *id, "{number} {path}");
        }
        server.wait_for_log(&format!("\"request_id\":\"{id}\""));
    }
}

#[tokio::test]
async fn a_request_id_that_could_spoil_a_log_is_replaced() {
    let server = Setup::new().start();
    let mut seen = std::collections::HashSet::new();
    for id in ["", "a b", "a\"b", "<script>", &"x".repeat(129), "a;b"] {
        let answer = send(server.get("/health").header("x-request-id", id)).await;
        let given = answer.header("x-request-id").to_owned();
        assert!(given.len() == 32 && given.bytes().all(|b| b.is_ascii_hexdigit()), "{given}");
        assert!(seen.insert(given));
    }
}

#[tokio::test]
async fn a_trace_stands_in_the_log() {
    let server = Setup::new().start();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    send(server.get("/health").header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))).await.expect(200);
    server.wait_for_log(&format!("\"trace\":\"{trace}\""));
}

#[tokio::test]
async fn nothing_is_sniffed() {
    let server = Setup::new().start();
    for path in ["/", "/health", "/docs", "/nothing", "/openapi.json"] {
        assert_eq!(send(server.get(path)).await.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let server = Setup::new().start();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let response = client.post(server.url("/chat")).json(&json!({"message": "Hi"})).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2));
}

#[tokio::test]
async fn every_request_leaves_one_line() {
    let server = Setup::new().start();
    let before = server.log().len(); // No request has been made yet.
    send(server.post("/chat", &json!({"message": "Hi"})).header("x-request-id", "one")).await.expect(200);
    server.wait_for_log("\"request_id\":\"one\"");
    let log = server.log();
    assert_eq!(log.len(), before + 1, "{log:#?}");
    let line: serde_json::Value = serde_json::from_str(&log[before]).unwrap();
    assert_eq!((&line["method"], &line["route"], &line["status"]), (&json!("POST"), &json!("/chat"), &json!(200)));
}

#[tokio::test]
async fn no_page_of_another_site_frames_us_or_learns_where_its_visitors_were() {
    let server = Setup::new().start();
    for path in ["/", "/health", "/docs", "/redoc", "/nothing", "/openapi.json", "/api/users/me"] {
        let answer = send(server.get(path).header("accept", "text/html")).await;
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert!(answer.header("permissions-policy").contains("camera=()"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), "", "{path}");
    }
}

#[tokio::test]
async fn browsers_are_bound_to_tls_where_there_is_tls() {
    let server = Setup::new().env("TRUSTED_PROXIES", "127.0.0.1").start();
    let ask = |proto: &str| send(server.get("/").header("x-forwarded-proto", proto));
    assert_eq!(ask("https").await.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(ask("http").await.header("strict-transport-security"), "");
    let direct = Setup::new().start();
    let answer = send(direct.get("/").header("x-forwarded-proto", "https")).await;
    assert_eq!(answer.header("strict-transport-security"), "", "nobody but a trusted proxy says so");
}

#[tokio::test]
async fn what_is_somebodys_own_is_kept_in_no_cache() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    for path in ["/api/users/me", "/api/history", "/conversations/1/messages", "/api/v1/chat/messages/1/stream"] {
        let answer = send(server.get(path).bearer_auth(&token)).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}
