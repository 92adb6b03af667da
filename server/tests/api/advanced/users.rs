//! `GET /api/users/me`

use serde_json::json;

use crate::kit::{assert_fields, assert_number_id, send};
use crate::support::Setup;

#[tokio::test]
async fn one_sees_oneself() {
    let server = Setup::new().start();
    let token = server.sign_up("user@example.com").await;
    let me = send(server.get("/api/users/me").bearer_auth(token)).await.expect(200);
    assert_fields(&me, &["id", "email", "is_active"]);
    assert_number_id(&me["id"]);
    assert_eq!((&me["email"], &me["is_active"]), (&json!("user@example.com"), &json!(true)));
}
