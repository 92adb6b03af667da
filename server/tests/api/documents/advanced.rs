//! The commands of `advanced`'s document, section by section.

use serde_json::{Value, json};

use super::shell::printed;
use crate::kit::socket::{Socket, said};
use crate::kit::{assert_fields, assert_text_id, assert_time};
use crate::support::{SECRET, Setup, TestServer, events, text_of};

const REGISTER: &str = r#"curl -sS -X POST "http://127.0.0.1:8000/api/auth/register" \
  -H "Content-Type: application/json" \
  -d '{"email":"user@example.com","password":"SuperSecret123!"}'"#;

const LOGIN: &str = r#"curl -sS -X POST "http://127.0.0.1:8000/api/auth/login" \
  -H "Content-Type: application/x-www-form-urlencoded" \
  -d "username=user@example.com&password=SuperSecret123!""#;

const CHAT: &str = r#"curl -sS -X POST "http://127.0.0.1:8000/api/chat" \
   -H "Content-Type: application/json" \
   -H "Authorization: Bearer <ACCESS_TOKEN>" \
   -d '{"message":"Hello, how are you?","session_id":null}'"#;

const STREAM: &str = r#"curl -N -sS -H "Accept: text/event-stream" \
   -H "Authorization: Bearer <ACCESS_TOKEN>" \
   -X POST "http://127.0.0.1:8000/api/chat/stream" \
   -H "Content-Type: application/json" \
   -d '{"message":"Stream me a poem about autumn","session_id":null}'"#;

const SOCKET: &str = "/api/chat/ws?token=<ACCESS_TOKEN>";
const SOCKET_MESSAGE: &str = r#"{"message":"Tell me a short story about a curious fox","session_id":null}"#;

const HISTORY: &str = r#"curl -sS -X GET "http://127.0.0.1:8000/api/history?page=1&per_page=20" \
   -H "Authorization: Bearer <ACCESS_TOKEN>""#;

const ME: &str = r#"curl -sS -X GET "http://127.0.0.1:8000/api/users/me" \
   -H "Authorization: Bearer <ACCESS_TOKEN>""#;

/// The variables that it names, with its examples as values.
const ENV: &str = "\
DATABASE_URL=sqlite:///./chatbot.db
MONGO_URI=mongodb://localhost:27017
ALGORITHM=HS256
SECURITY__BCRYPT_ROUNDS=12
EMAIL__GMAIL_FROM_EMAIL=someone@gmail.com
EMAIL__GMAIL_APP_PASSWORD=abcdefghijklmnop
AI_SERVICES__OPEN_ROUTER_API_KEY_1=sk-1
AI_SERVICES__OPEN_ROUTER_API_KEY_2=sk-2
AI_SERVICES__GROQ_API_KEY=sk-3
AI_SERVICES__GEMINI_API_KEY=sk-4
";

#[test]
fn its_settings_are_read_and_without_a_secret_it_refuses_to_start() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().without("SECRET_KEY").without("SECURITY__BCRYPT_ROUNDS");
    for lifetime in ["ACCESS_TOKEN_EXPIRE_MINUTES=30", "SECURITY__JWT_EXPIRES_IN=1800"] {
        for secret in ["SECRET_KEY", "SECURITY__JWT_SECRET"] {
            let env = format!("{ENV}{lifetime}\n{secret}={SECRET}\n");
            std::fs::write(data.path().join(".env"), &env).unwrap();
            let shown = setup.command(data.path(), &["config", "show"]).output().unwrap();
            let text = String::from_utf8(shown.stdout).unwrap();
            assert!(shown.status.success() && !text.contains(SECRET), "{text}");
            // The numbered keys are one setting, from the first of them.
            let names = env.lines().map(|line| line.split('=').next().unwrap());
            for name in names.filter(|name| !name.ends_with("KEY_2")) {
                assert!(text.contains(&format!(".env {name}")), "no {name} in\n{text}");
            }
            assert!(text.contains("[redacted], [redacted]"), "{text}");
        }
    }
    std::fs::write(data.path().join(".env"), ENV).unwrap();
    assert_eq!(setup.command(data.path(), &["serve"]).output().unwrap().status.code(), Some(2));
}

struct Reader {
    server: TestServer,
    token: String,
}

impl Reader {
    /// Follows the document up to the login.
    fn signed_in() -> Self {
        let mut reader = Self { server: Setup::new().start(), token: String::new() };
        reader.json(REGISTER);
        let login = reader.json(LOGIN);
        reader.token = login["access_token"].as_str().unwrap().to_owned();
        reader
    }

    fn run(&self, command: &str) -> String {
        let command = command.replace("http://127.0.0.1:8000", &self.server.url(""));
        printed(&command.replace("<ACCESS_TOKEN>", &self.token))
    }

    fn json(&self, command: &str) -> Value {
        let text = self.run(command);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

#[tokio::test]
async fn section_1_registers() {
    let reader = Reader { server: Setup::new().start(), token: String::new() };
    let made = reader.json(REGISTER);
    assert_fields(&made, &["id", "email", "created_at"]);
    assert_eq!((&made["id"], &made["email"]), (&json!(1), &json!("user@example.com")));
    assert_time(&made["created_at"]);
}

#[tokio::test]
async fn section_2_signs_in() {
    let reader = Reader { server: Setup::new().start(), token: String::new() };
    reader.json(REGISTER);
    let login = reader.json(LOGIN);
    assert_fields(&login, &["access_token", "token_type", "expires_in"]);
    assert!(login["access_token"].as_str().unwrap().starts_with("eyJ"));
    assert_eq!((&login["token_type"], &login["expires_in"]), (&json!("bearer"), &json!(1800)));
}

#[tokio::test]
async fn section_3_chats() {
    let reader = Reader::signed_in();
    let answer = reader.json(CHAT);
    for field in ["message_id", "reply", "model", "usage", "created_at"] {
        assert!(!answer[field].is_null(), "{field} in {answer}");
    }
    assert!(answer["reply"].as_str().unwrap().contains("Hello, how are you?"));
    assert!(answer["usage"]["tokens"].as_u64().unwrap() > 0);
    assert_time(&answer["created_at"]);
}

#[tokio::test]
async fn section_4_streams_over_a_websocket() {
    let reader = Reader::signed_in();
    let path = SOCKET.replace("<ACCESS_TOKEN>", &reader.token);
    let mut socket = Socket::open(&reader.server, &path, &[]).await.unwrap();
    socket.send(&serde_json::from_str(SOCKET_MESSAGE).unwrap()).await;
    let frames = socket.answer().await;
    assert!(frames.len() > 10 && said(&frames).contains("a curious fox"));
    assert_eq!(frames.last().unwrap()["type"], "done");
}

#[tokio::test]
async fn section_4_streams_server_sent_events() {
    let reader = Reader::signed_in();
    let events = events(&reader.run(STREAM));
    assert!(events.len() > 10 && text_of(&events).contains("a poem about autumn"));
    assert_eq!((events[0].name.as_str(), events.last().unwrap().name.as_str()), ("start", "done"));
}

#[tokio::test]
async fn section_5_lists_the_history() {
    let reader = Reader::signed_in();
    let session = reader.json(CHAT)["session_id"].clone();
    let page = reader.json(HISTORY);
    assert_fields(&page, &["items", "page", "per_page", "total"]);
    assert_eq!((&page["page"], &page["per_page"], &page["total"]), (&json!(1), &json!(20), &json!(1)));
    assert_fields(&page["items"][0], &["session_id", "last_message", "updated_at"]);
    assert_text_id(&page["items"][0]["session_id"]);
    assert_eq!(page["items"][0]["session_id"], session);
    assert_time(&page["items"][0]["updated_at"]);
}

#[tokio::test]
async fn section_6_shows_oneself() {
    let reader = Reader::signed_in();
    assert_eq!(reader.json(ME), json!({"id": 1, "email": "user@example.com", "is_active": true}));
}

#[tokio::test]
async fn section_7_has_one_shape_for_errors() {
    let reader = Reader { server: Setup::new().start(), token: "eyJhbGciOi...".to_owned() };
    for command in [CHAT, STREAM, HISTORY, ME] {
        let refused = reader.json(command);
        assert_fields(&refused, &["detail"]);
        assert!(refused["detail"].is_string());
    }
    let refused = reader.json(LOGIN);
    assert_eq!(refused, json!({"detail": "Incorrect email or password"}));
}

#[tokio::test]
async fn section_8_sends_what_postman_would() {
    let server = Setup::new().start();
    let body = json!({"email": "user@example.com", "password": "SuperSecret123!"});
    let made = crate::kit::send(server.post("/api/auth/register", &body)).await;
    assert_eq!(made.status, 201);
    let login = crate::kit::send(server.post("/api/auth/login", &body)).await.expect(200);
    let token = login["access_token"].as_str().unwrap();
    crate::kit::send(server.get("/api/users/me").bearer_auth(token)).await.expect(200);
}
