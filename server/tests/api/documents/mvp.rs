//! `mvp`'s document: its settings and its schemas as they stand. It gives no commands of its own.

use serde_json::{Value, json};

use super::shell::printed;
use crate::kit::{assert_fields, send};
use crate::support::{SECRET, Setup};

/// Its `.env`.
const ENV: &str = "\
DATABASE_URL=postgresql+asyncpg://user:password@localhost/chatbot
JWT_SECRET=your_secret_key
JWT_ALGORITHM=HS256
AI_MODEL_ENDPOINT=http://localhost:8001/generate  # or OpenAI API
";

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
    assert!(!accepted && told.contains(".env JWT_SECRET") && !told.contains("your_secret_key"), "{told}");
    let (accepted, told) = show(&ENV.replace("your_secret_key", SECRET));
    assert!(accepted && told.contains("http://localhost:8001/generate"), "{told}");
    assert!(!told.contains(SECRET) && !told.contains(":password@"), "{told}");
}

#[tokio::test]
async fn its_schemas_are_taken_and_given() {
    let server = Setup::new().without("SECRET_KEY").env("JWT_SECRET", SECRET).start();
    // `UserCreate`, with and without what is optional.
    let user = json!({"username": "ada", "password": "securepassword123", "email": null});
    let made = send(server.post("/auth/signup", &user)).await.expect(201);
    assert_eq!((&made["username"], &made["email"]), (&json!("ada"), &Value::Null));
    send(server.post("/auth/signup", &json!({"username": "bob", "password": "securepassword123"}))).await.expect(201);
    let login = send(server.post("/auth/login", &user)).await.expect(200);
    let token = login["access_token"].as_str().unwrap();
    // `Message`, as it is sent and as it comes back.
    let message = json!({"role": "user", "content": "Hello!", "attachments": ["https://example.com/a.png"]});
    let answer = send(server.post("/chat/send", &message).bearer_auth(token)).await.expect(200);
    assert_fields(&answer["message"], &["role", "content", "attachments"]);
    let path = format!("/chat/history/{}", answer["conversation_id"].as_str().unwrap());
    let history = send(server.get(&path).bearer_auth(token)).await.expect(200);
    let mut first = history["messages"][0].clone();
    first.as_object_mut().unwrap().remove("created_at");
    assert_eq!(first, message);
}

#[tokio::test]
async fn its_documentation_is_where_it_says() {
    let server = Setup::new().start();
    let page = printed(&"curl -sS http://localhost:8000/docs".replace("http://localhost:8000", &server.url("")));
    assert!(page.contains("<html"), "{page}");
    let description: Value = send(server.get("/openapi.json")).await.expect(200);
    for path in [
        "/auth/signup",
        "/auth/login",
        "/users/me",
        "/users/preferences",
        "/chat/send",
        "/chat/history/{conversation_id}",
    ] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
}
