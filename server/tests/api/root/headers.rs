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
