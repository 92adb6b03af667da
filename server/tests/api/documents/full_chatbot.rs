//! `full_chatbot`'s document: its commands as they stand.

use serde_json::{Value, json};

use super::shell::printed;
use crate::kit::{assert_fields, assert_text_id};
use crate::support::{Setup, TestServer};

/// Its `.env`; the port has to be one.
const ENV: &str = "\
# Database Configuration
DB_USER=your_mysql_username
DB_PASSWORD=your_mysql_password
DB_HOST=your_mysql_host
DB_PORT=your_mysql_port
DB_NAME=your_database_name
DB_SSL_CA=path/to/ssl/certificate  # Optional

# OpenAI Configuration (for chatbot integration)
OPENAI_API_KEY=your_openai_api_key
";

const STATUS: &str = "curl http://localhost:8000/";
const HEALTH: &str = "curl http://localhost:8000/health";
const CHAT: &str = r#"curl -X POST "http://localhost:8000/chat-message" \
  -H "Content-Type: application/json" \
  -d '{
    "message": "Hello!",
    "user_id": 1,
    "message_id": "test-msg-001",
    "message_count": 1,
    "conversation_id": ""
  }'"#;

fn run(server: &TestServer, command: &str) -> Value {
    serde_json::from_str(&printed(&command.replace("http://localhost:8000", &server.url("")))).unwrap()
}

#[tokio::test]
async fn the_installation_is_verified_as_documented() {
    let server = Setup::new().env("HEALTH_DIALECT", "full_chatbot").start();
    assert_eq!(run(&server, STATUS), json!({"status": "Working"}));
    assert_eq!(run(&server, HEALTH), json!({"status": "Healthy"}));
    let answer = run(&server, CHAT);
    assert_fields(&answer, &["message", "conversation_id"]);
    assert!(answer["message"].as_str().unwrap().contains("Hello!"));
    let id = assert_text_id(&answer["conversation_id"]);
    let history = run(&server, &format!("curl http://localhost:8000/get-conversation-history/{id}"));
    assert_fields(&history, &["conversation_id", "message_count", "messages"]);
    assert_eq!(history["messages"][0], json!({"role": "user", "message": "Hello!"}));
    assert_eq!(history["messages"][1], json!({"role": "assistant", "message": answer["message"]}));
}

#[tokio::test]
async fn the_documents_tables_are_made_before_the_server_starts() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().env("OPENAI_API_KEY", "your_openai_api_key");
    let made = setup.command(data.path(), &["db", "setup"]).output().unwrap();
    let shown = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success() && shown.contains("conversation_store (0 rows)"), "{shown}");
    assert!(shown.contains("message_store (0 rows)"), "{shown}");
}

#[test]
fn its_settings_make_a_mysql_address() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join(".env"), ENV.replace("your_mysql_port", "3306")).unwrap();
    let shown = Setup::new().command(data.path(), &["config", "show"]).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && text.contains("path/to/ssl/certificate"), "{text}");
    for name in ["DB_USER", "DB_PASSWORD", "DB_HOST", "DB_PORT", "DB_NAME", "DB_SSL_CA", "OPENAI_API_KEY"] {
        assert!(text.contains(&format!(".env {name}")), "no {name} in\n{text}");
    }
    assert!(!text.contains("your_mysql_password") && !text.contains("# Optional"), "{text}");
}
