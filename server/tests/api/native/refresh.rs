//! `POST /api/v1/auth/refresh` and `POST /api/v1/auth/logout`

use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, assert_fields, send};
use crate::support::{PASSWORD, Setup, TestServer};

async fn sign_in(server: &TestServer) -> Value {
    server.sign_up("user@example.com").await;
    let body = json!({"email": "user@example.com", "password": PASSWORD});
    send(server.post("/api/v1/auth/login", &body)).await.expect(200)
}

async fn refresh(server: &TestServer, pair: &Value) -> Answer {
    send(server.post("/api/v1/auth/refresh", &json!({"refresh_token": pair["refresh_token"]}))).await
}

/// Moves every use so far by that many seconds, out of the time in which a lost reply explains a second one, or safely into it.
fn move_uses(server: &TestServer, seconds: i64) {
    let sql = "UPDATE refresh_tokens SET used_at = used_at + ?1 WHERE used_at IS NOT NULL";
    server.database().execute(sql, [seconds * 1_000_000]).unwrap();
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    let answer = refresh(&server, &first).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let second = answer.expect(200);
    assert_fields(&second, &["access_token", "refresh_token", "token_type", "expires_in"]);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    send(server.get("/api/users/me").bearer_auth(second["access_token"].as_str().unwrap())).await.expect(200);
    refresh(&server, &second).await.expect(200);
}

#[tokio::test]
async fn a_lost_reply_may_be_asked_for_again() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    refresh(&server, &first).await.expect(200);
    move_uses(&server, 600);
    let again = refresh(&server, &first).await.expect(200);
    refresh(&server, &again).await.expect(200);
}

#[tokio::test]
async fn a_replayed_token_revokes_its_family() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    let second = refresh(&server, &first).await.expect(200);
    move_uses(&server, -11);
    assert_problem(&refresh(&server, &first).await, 401);
    assert_problem(&refresh(&server, &second).await, 401);
    assert_eq!(server.count("SELECT COUNT(*) FROM refresh_tokens WHERE revoked_at IS NULL AND family = (SELECT MAX(family) FROM refresh_tokens WHERE revoked_at IS NOT NULL)"), 0);
}

#[tokio::test]
async fn a_token_whose_successor_was_used_is_a_replay_even_at_once() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    let second = refresh(&server, &first).await.expect(200);
    let third = refresh(&server, &second).await.expect(200);
    assert_problem(&refresh(&server, &first).await, 401);
    assert_problem(&refresh(&server, &third).await, 401);
}

#[tokio::test]
async fn another_login_is_another_family() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    let body = json!({"email": "user@example.com", "password": PASSWORD});
    let other = send(server.post("/api/v1/auth/login", &body)).await.expect(200);
    refresh(&server, &first).await.expect(200);
    move_uses(&server, -11);
    refresh(&server, &first).await.expect(401);
    refresh(&server, &other).await.expect(200);
}

#[tokio::test]
async fn of_many_refreshes_at_once_one_line_goes_on() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    let answers = futures_util::future::join_all((0..20).map(|_| refresh(&server, &first))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "within the grace none of them is a thief");
    let open = "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL AND revoked_at IS NULL AND family = \
                (SELECT family FROM refresh_tokens WHERE used_at IS NOT NULL LIMIT 1)";
    assert_eq!(server.count(open), 1);
    let mut going_on = 0;
    for answer in &answers {
        going_on += usize::from(refresh(&server, &answer.json()).await.status == 200);
    }
    assert_eq!(going_on, 1);
}

#[tokio::test]
async fn an_expired_or_unknown_token_is_refused() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    server.database().execute("UPDATE refresh_tokens SET expires_at = created_at", []).unwrap();
    let expired = refresh(&server, &first).await;
    assert_eq!(assert_problem(&expired, 401), "Invalid or expired refresh token");
    assert_eq!(expired.header("www-authenticate"), "Bearer");
    for other in [json!(""), json!("rt-x"), first["access_token"].clone()] {
        let refused = refresh(&server, &json!({"refresh_token": other})).await;
        assert_eq!(refused.comparable(), expired.comparable());
    }
    assert_problem(&refresh(&server, &json!({"refresh_token": 5})).await, 422);
}

#[tokio::test]
async fn a_refresh_token_is_stored_as_a_hash_alone() {
    let server = Setup::new().start();
    let pair = sign_in(&server).await;
    let token = pair["refresh_token"].as_str().unwrap();
    let found = format!("SELECT COUNT(*) FROM refresh_tokens WHERE token_hash LIKE '%{}%'", &token[3..20]);
    assert_eq!(server.count(&found), 0);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let server = Setup::new().start();
    let first = sign_in(&server).await;
    let second = refresh(&server, &first).await.expect(200);
    for token in [&second["refresh_token"], &second["refresh_token"], &json!("unknown")] {
        let answer = send(server.post("/api/v1/auth/logout", &json!({"refresh_token": token}))).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
    }
    assert_problem(&refresh(&server, &second).await, 401);
}
