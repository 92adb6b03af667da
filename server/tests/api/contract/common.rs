//! The lines of the common rules: ids, errors, idempotency, CORS.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::{Client, EMAIL, NOBODYS, with_provider};
use crate::kit::{Answer, assert_fields, assert_number_id, assert_text_id, assert_time, send};
use crate::support::{PASSWORD, Setup, events};

/// Where each surface takes a message, the field with the conversation, and that with the answer.
const SURFACES: [(&str, &str, &str); 4] = [
    ("/chat", "conversation_id", "/response"),
    ("/api/v1/chat/send", "conversation_id", "/response"),
    ("/chat/send", "conversation_id", "/message/content"),
    ("/api/chat", "session_id", "/reply"),
];

#[tokio::test]
async fn an_account_made_in_one_dialect_works_in_all_and_a_conversation_goes_on_in_any() {
    let (upstream, client) = with_provider("echo").await;
    let mut conversation = Value::Null;
    for (number, (path, field, answer)) in SURFACES.into_iter().enumerate() {
        let said = client.post(path, json!({"message": "Hello", field: conversation})).await.expect(200);
        assert_eq!(said.pointer(answer).unwrap(), "Hello", "{path}");
        conversation = said[field].clone();
        let asked = upstream.requests().pop().unwrap()["messages"].as_array().unwrap().len();
        assert_eq!(asked, 2 + 2 * number, "{path}");
    }
    assert_eq!(client.server.count("SELECT COUNT(*) FROM conversations"), 1);
}

#[tokio::test]
async fn classic_shows_an_id_as_a_number_and_the_others_the_same_as_a_decimal_string() {
    let client = Client::start().await;
    let number = client.post("/chat", json!({"message": "Hello"})).await.expect(200)["conversation_id"].clone();
    let number = assert_number_id(&number);
    for (path, field, _) in &SURFACES[1..] {
        let said = client.post(path, json!({"message": "Hello", *field: number})).await.expect(200);
        assert_eq!(assert_text_id(&said[field]), number.to_string(), "{path}");
    }
}

#[tokio::test]
async fn an_accounts_id_is_a_number_in_every_dialect() {
    let client = Client::start().await;
    for path in ["/api/users/me", "/users/me", "/api/v1/users/me"] {
        assert_number_id(&client.get(path).await.expect(200)["id"]);
    }
}

#[tokio::test]
async fn what_lacks_a_field_or_has_a_wrong_type_or_does_not_parse_is_422_with_fastapis_list() {
    let client = Client::start().await;
    for path in ["/chat", "/chat/send", "/api/chat"] {
        for body in [json!({}), json!({"message": 5})] {
            let refused = client.post(path, body).await.expect(422);
            assert_fields(&refused, &["detail"]);
            assert_eq!(refused["detail"][0]["loc"], json!(["body", "message"]), "{path}");
            assert!(refused["detail"][0]["msg"].is_string() && refused["detail"][0]["type"].is_string());
        }
        let request = client.server.request(reqwest::Method::POST, path).bearer_auth(&client.token);
        let refused = send(request.header("content-type", "application/json").body("{")).await.expect(422);
        assert!(refused["detail"].is_array(), "{path}");
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_400_with_a_sentence() {
    let client = Client::start().await;
    for (email, password) in [("none", PASSWORD), ("a@example.com", "1234567"), ("a@example.com", &"x".repeat(129))] {
        let body = json!({"email": email, "password": password});
        assert!(!client.post("/api/auth/register", body).await.expect(400)["detail"].as_str().unwrap().is_empty());
    }
    for (path, ..) in SURFACES {
        for message in ["", " ", &"x".repeat(32_001)] {
            assert_eq!(client.post(path, json!({"message": message})).await.status, 400, "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_401_carries_www_authenticate_bearer() {
    let server = Setup::new().start();
    for path in ["/users/me", "/api/users/me", "/api/v1/users/me"] {
        let refused = send(server.get(path)).await;
        assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (401, "Bearer"), "{path}");
    }
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_404_byte_for_byte_as_what_does_not_exist() {
    let client = Client::start().await;
    let theirs = client.say("Hello").await["conversation_id"].as_str().unwrap().to_owned();
    let other = client.server.sign_up("other@example.com").await;
    for path in ["/conversations/{}/full", "/conversations/{}/messages", "/chat/history/{}", "/api/v1/conversations/{}"]
    {
        let read = |id: &str| send(client.server.get(&path.replace("{}", id)).bearer_auth(&other));
        let (theirs, none) = (read(&theirs).await, read(NOBODYS).await);
        assert_eq!(theirs.status, 404, "{path}");
        assert_eq!(theirs.comparable(), none.comparable());
    }
}

#[tokio::test]
async fn what_the_role_may_not_is_403_and_a_taken_email_or_username_409() {
    let client = Client::start().await;
    client.get("/api/v1/admin/users").await.expect(403);
    client.post("/api/auth/register", json!({"email": EMAIL, "password": PASSWORD})).await.expect(409);
    for status in [201, 409] {
        client.post("/auth/signup", json!({"username": "ada", "password": PASSWORD})).await.expect(status);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let client = Client::of(Setup::new().env("SERVER__MAX_BODY_BYTES", "2048")).await;
    for (path, ..) in SURFACES {
        assert_eq!(client.post(path, json!({"message": "x".repeat(4096)})).await.status, 413, "{path}");
    }
}

#[tokio::test]
async fn what_is_429_carries_retry_after_ratelimit_and_ratelimit_policy() {
    let client = Client::of(Setup::new().env("RATE_LIMIT__PER_HOUR", "2")).await;
    for _ in 0..2 {
        client.get("/api/users/me").await.expect(200);
    }
    let refused = client.get("/api/users/me").await;
    assert_eq!(refused.status, 429);
    for field in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(!refused.header(field).is_empty(), "{field}");
    }
}

#[tokio::test]
async fn native_errors_are_problems_whose_detail_is_a_string_with_the_list_in_errors() {
    let client = Client::start().await;
    for (path, body, status) in [
        ("/api/v1/chat/send", json!({}), 422),
        ("/api/v1/chat/send", json!({"message": " "}), 400),
        ("/api/v1/auth/login", json!({"email": EMAIL, "password": "wrong-password"}), 401),
    ] {
        let refused = client.post(path, body).await;
        assert_eq!(refused.header("content-type"), "application/problem+json");
        let problem = refused.expect(status);
        assert!(problem["detail"].is_string() && problem["status"] == status, "{problem}");
        assert_eq!(problem["errors"].is_array(), status == 422, "{problem}");
    }
}

#[tokio::test]
async fn every_response_carries_x_request_id_the_callers_when_sane() {
    let server = Setup::new().start();
    for path in ["/health", "/nothing", "/v1/models", "/api/v1/users/me"] {
        assert!(!send(server.get(path)).await.header("x-request-id").is_empty(), "{path}");
        let own = send(server.get(path).header("x-request-id", "mine-1")).await;
        assert_eq!(own.header("x-request-id"), "mine-1", "{path}");
    }
}

#[tokio::test]
async fn the_same_idempotency_key_is_answered_once_and_with_another_body_is_422() {
    let (upstream, client) = with_provider("echo").await;
    for (calls, (path, ..)) in (1..).zip(SURFACES) {
        let keyed = |message: &str| {
            let request = client.server.post(path, &json!({"message": message})).bearer_auth(&client.token);
            send(request.header("idempotency-key", path))
        };
        let (first, again): (Answer, Answer) = tokio::join!(keyed("Hello"), keyed("Hello"));
        assert_eq!((first.expect(200), upstream.chat_calls()), (again.expect(200), calls), "{path}");
        assert_eq!(keyed("Something else").await.status, 422, "{path}");
    }
}

#[tokio::test]
async fn w3c_traceparent_is_honoured() {
    let server = Setup::new().start();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    send(server.get("/health").header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))).await.expect(200);
    server.wait_for_log(trace);
}

#[tokio::test]
async fn no_error_shows_sql_a_path_a_key_or_a_providers_raw_body() {
    let upstream = FakeUpstream::start().await;
    let setup = Setup::new().upstream(&upstream, "err401").env("PROVIDERS__MAX_RETRIES", "0");
    let client = Client::of(setup).await;
    for (path, ..) in &SURFACES[1..] {
        let refused = client.post(path, json!({"message": "Hello"})).await;
        assert!(refused.status.is_server_error(), "{refused:?}");
        let data = client.server.data.path().to_str().unwrap();
        for secret in ["sk-test", "SELECT", "INSERT", data, &upstream.base_url(), "Incorrect API key"] {
            assert!(!refused.body.contains(secret), "{path}: {}", refused.body);
        }
    }
}

#[tokio::test]
async fn the_first_answer_is_returned_for_its_key_after_a_restart_too() {
    let (upstream, mut client) = with_provider("echo").await;
    let body = json!({"message": "Hello"});
    let keyed = |client: &Client| {
        let request = client.server.post("/api/v1/chat/send", &body).bearer_auth(&client.token);
        send(request.header("idempotency-key", "k"))
    };
    let first = keyed(&client).await.expect(200);
    client.server.restart();
    assert_eq!(keyed(&client).await.expect(200), first);
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn idempotency_keys_live_24_hours() {
    let client = Client::start().await;
    let request = client.server.post("/api/v1/chat/send", &json!({"message": "Hello"})).bearer_auth(&client.token);
    send(request.header("idempotency-key", "k")).await.expect(200);
    let lives = "SELECT expires_at - (SELECT started_at FROM turns) FROM idempotency_keys";
    assert_eq!(client.server.count(lives), 24 * 3600 * 1_000_000, "microseconds");
}

#[tokio::test]
async fn times_are_rfc_3339_in_utc_with_z() {
    let client = Client::start().await;
    assert_time(&client.say("Hello").await["created_at"]);
    assert_time(&client.get("/users/me").await.expect(200)["created_at"]);
    assert_time(&client.get("/api/history").await.expect(200)["items"][0]["updated_at"]);
    assert_time(&send(client.server.get("/health")).await.expect(200)["timestamp"]);
}

#[tokio::test]
async fn the_same_idempotency_key_on_a_stream_attaches_to_it() {
    let (upstream, client) = with_provider("3tok").await;
    let keyed = || {
        let request = client.server.post("/api/v1/chat/stream", &json!({"message": "Hello"}));
        send(request.bearer_auth(&client.token).header("idempotency-key", "k"))
    };
    let (first, again) = (keyed().await, keyed().await);
    assert_eq!(events(&first.body), events(&again.body));
    assert_eq!(upstream.chat_calls(), 1);
}

#[tokio::test]
async fn the_origins_of_cors_origins_may_call_with_credentials_by_default_localhost_3000() {
    let server = Setup::new().start();
    for (origin, allowed) in [("http://localhost:3000", "http://localhost:3000"), ("https://other.example", "")] {
        let answer = send(server.get("/health").header("origin", origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
    let answer = send(server.get("/health").header("origin", "http://localhost:3000")).await;
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
}

#[tokio::test]
async fn lists_are_paged_with_at_most_100_items_on_a_page() {
    let client = Client::start().await;
    for (path, status) in [
        ("/api/history?per_page=100", 200),
        ("/api/history?per_page=101", 400),
        ("/api/v1/conversations?limit=100", 200),
        ("/api/v1/conversations?limit=101", 400),
    ] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
}
