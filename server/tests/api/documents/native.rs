//! The commands and the settings of `native`'s document, as they stand.

use serde_json::{Value, json};

use super::shell::printed;
use crate::kit::{assert_text_id, send};
use crate::support::{SECRET, Setup, TestServer};

const REGISTER: &str = r#"curl -X POST "http://localhost:8000/api/v1/auth/register" \
  -H "Content-Type: application/json" \
  -d '{
    "email": "user@example.com",
    "username": "testuser",
    "password": "securepassword123",
    "first_name": "John",
    "last_name": "Doe"
  }'"#;

const SEND: &str = r#"curl -X POST "http://localhost:8000/api/v1/chat/send" \
  -H "Authorization: Bearer YOUR_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "message": "Hello, how can you help me?",
    "language": "en"
  }'"#;

/// Its database's and its cache's configuration, and the variables of its table.
const ENV: &str = "\
DATABASE_URL=postgresql://user:password@localhost/chatbot_db
DATABASE_POOL_SIZE=20
DATABASE_MAX_OVERFLOW=30
REDIS_URL=redis://localhost:6379
REDIS_DB=0
OPENAI_API_KEY=sk-1
DEBUG=false
";

fn run(server: &TestServer, command: &str) -> String {
    printed(&command.replace("http://localhost:8000", &server.url("")))
}

#[tokio::test]
async fn a_user_registers_with_a_first_and_a_last_name() {
    let server = Setup::new().start();
    let account: Value = serde_json::from_str(&run(&server, REGISTER)).unwrap();
    for (field, value) in [
        ("email", "user@example.com"),
        ("username", "testuser"),
        ("first_name", "John"),
        ("last_name", "Doe"),
        ("role", "user"),
    ] {
        assert_eq!(account[field], value);
    }
}

#[tokio::test]
async fn a_chat_message_is_sent() {
    let server = Setup::new().start();
    run(&server, REGISTER);
    let body = json!({"email": "user@example.com", "password": "securepassword123"});
    let login = send(server.post("/api/v1/auth/login", &body)).await.expect(200);
    let command = SEND.replace("YOUR_TOKEN", login["access_token"].as_str().unwrap());
    let said: Value = serde_json::from_str(&run(&server, &command)).unwrap();
    assert_text_id(&said["conversation_id"]);
    assert!(said["response"].as_str().unwrap().contains("Hello, how can you help me?"), "{said}");
    let refused: Value = serde_json::from_str(&run(&server, SEND)).unwrap();
    assert_eq!(refused["status"], 401, "YOUR_TOKEN is none");
}

#[test]
fn its_settings_are_read_as_they_stand() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join(".env"), format!("{ENV}SECRET_KEY={SECRET}\n")).unwrap();
    let shown = Setup::new().without("SECRET_KEY").command(data.path(), &["config", "show"]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{text}");
    for name in ENV.lines().chain(["SECRET_KEY="]).map(|line| line.split('=').next().unwrap()) {
        assert!(text.contains(&format!(".env {name}")), "no {name} in\n{text}");
    }
    assert!(!text.contains("user:password@") && !text.contains(SECRET), "{text}");
}

#[tokio::test]
async fn its_documentation_is_where_it_says() {
    let server = Setup::new().start();
    for command in ["curl http://localhost:8000/docs", "curl http://localhost:8000/redoc"] {
        assert!(run(&server, command).contains("<html"), "{command}");
    }
}
