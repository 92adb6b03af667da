//! The commands, settings and models of `classic`'s document, as they stand.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use super::shell::{bash, printed};
use crate::kit::{assert_fields, assert_number_id, assert_time, send};
use crate::support::{SECRET, Setup, TestServer};

const ADDRESS: &str = "http://localhost:8000";

/// Its `.env`.
const ENV: &str = "\
# OpenAI API Key for chat completions
OPENAI_API_KEY=your_openai_api_key_here

# JWT Secret Key for authentication
JWT_SECRET_KEY=your_secure_random_string_here

# Database configuration
DATABASE_URL=sqlite:///chatbot.db
";

fn with_address(server: &TestServer, command: &str) -> String {
    command.replace(ADDRESS, &server.url(""))
}

#[tokio::test]
async fn the_health_check_answers_as_documented() {
    let server = Setup::new().start();
    let answer: Value =
        serde_json::from_str(&printed(&with_address(&server, "curl http://localhost:8000/health"))).unwrap();
    assert_eq!((&answer["status"], &answer["database"]), (&"healthy".into(), &"connected".into()));
    assert_time(&answer["timestamp"]);
}

#[tokio::test]
async fn the_api_status_answers_as_documented() {
    let server = Setup::new().start();
    let answer: Value =
        serde_json::from_str(&printed(&with_address(&server, "curl http://localhost:8000/api"))).unwrap();
    assert_fields(&answer, &["message", "version"]);
    assert_eq!(answer["message"], "API is running");
}

#[tokio::test]
async fn the_containers_health_check_succeeds_while_the_server_is_there() {
    let mut server = Setup::new().start();
    let command = with_address(&server, "curl -f http://localhost:8000/health || exit 1");
    assert!(bash(&command).status.success());
    server.kill();
    assert_eq!(bash(&command).status.code(), Some(1));
}

#[test]
fn its_settings_are_read_as_they_stand_once_the_secret_is_one() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().without("SECRET_KEY");
    let show = |env: &str| {
        std::fs::write(data.path().join(".env"), env).unwrap();
        let shown = setup.command(data.path(), &["config", "show"]).output().unwrap();
        (shown.status.success(), String::from_utf8(shown.stdout).unwrap() + &String::from_utf8(shown.stderr).unwrap())
    };
    let (accepted, told) = show(ENV);
    assert!(!accepted && told.contains(".env JWT_SECRET_KEY"), "{told}");
    for env in [ENV.to_owned(), ENV.replace("sqlite:///chatbot.db", "chatbot.db")] {
        let (accepted, told) = show(&env.replace("your_secure_random_string_here", SECRET));
        assert!(accepted && told.contains(".env OPENAI_API_KEY") && told.contains(".env DATABASE_URL"), "{told}");
    }
}

#[tokio::test]
async fn its_request_and_response_models_are_taken_and_given() {
    let server = Setup::new().start();
    // `ConversationCreate` and `ConversationResponse`.
    let made = send(server.post("/conversations", &json!({"user_id": "default_user"}))).await.expect(200);
    assert_fields(&made, &["id", "user_id"]);
    assert_number_id(&made["id"]);
    // `ChatRequest`, with what is optional left out, null and set, and `ChatResponse`.
    for request in [
        json!({"message": "Hello"}),
        json!({"message": "Hello", "conversation_id": null}),
        json!({"message": "Hello", "conversation_id": made["id"], "user_id": "default_user"}),
    ] {
        let said = send(server.post("/chat", &request)).await.expect(200);
        assert_fields(&said, &["response", "conversation_id"]);
        assert_number_id(&said["conversation_id"]);
    }
}

#[tokio::test]
async fn messages_reach_the_provider_in_the_documented_form() {
    let upstream = FakeUpstream::start().await;
    let server = Setup::new().upstream(&upstream, "echo").start();
    let first = send(server.post("/chat", &json!({"message": "Hello"}))).await.expect(200);
    let next = json!({"message": "And?", "conversation_id": first["conversation_id"]});
    send(server.post("/chat", &next)).await.expect(200);
    let formatted = json!([
        {"role": "system", "content": "You are a helpful assistant chatbot."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": first["response"]},
        {"role": "user", "content": "And?"},
    ]);
    assert_eq!(upstream.requests().pop().unwrap()["messages"], formatted);
}

#[tokio::test]
async fn its_documentation_is_where_it_says() {
    let server = Setup::new().start();
    for command in ["curl http://localhost:8000/docs", "curl http://localhost:8000/redoc"] {
        assert!(printed(&with_address(&server, command)).contains("<html"), "{command}");
    }
    let schema: Value =
        serde_json::from_str(&printed(&with_address(&server, "curl http://localhost:8000/openapi.json"))).unwrap();
    assert!(schema["paths"]["/chat"]["post"].is_object());
}
