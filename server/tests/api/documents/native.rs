//! The commands of `native`'s document.

use serde_json::Value;

use super::shell::printed;
use crate::support::Setup;

const REGISTER: &str = r#"curl -X POST "http://localhost:8000/api/v1/auth/register" \
  -H "Content-Type: application/json" \
  -d '{
    "email": "user@example.com",
    "username": "testuser",
    "password": "securepassword123",
    "first_name": "John",
    "last_name": "Doe"
  }'"#;

#[tokio::test]
async fn a_user_registers_with_a_first_and_a_last_name() {
    let server = Setup::new().start();
    let answer = printed(&REGISTER.replace("http://localhost:8000", &server.url("")));
    let account: Value = serde_json::from_str(&answer).unwrap();
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
