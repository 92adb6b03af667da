//! The lines on who may call.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{Client, EMAIL};
use crate::kit::gated::GatedUpstream;
use crate::kit::signing::claims_of;
use crate::kit::socket::Socket;
use crate::kit::{rows, send};
use crate::support::{PASSWORD, SECRET, Setup};

#[tokio::test]
async fn a_token_of_any_dialects_login_and_an_api_key_open_every_dialect() {
    let client = Client::start().await;
    let body = json!({"username": "ada", "password": PASSWORD});
    client.post("/auth/signup", body.clone()).await.expect(201);
    let mut tokens = vec![client.token.clone()];
    for path in ["/auth/login", "/api/v1/auth/login"] {
        let login = client.post(path, body.clone()).await.expect(200);
        tokens.push(login["access_token"].as_str().unwrap().to_owned());
    }
    let key = client.post("/api/v1/api-keys", json!({"name": "n", "scopes": ["read"]})).await.expect(201);
    tokens.push(key["key"].as_str().unwrap().to_owned());
    for token in tokens {
        for path in ["/users/me", "/api/users/me", "/api/v1/users/me", "/conversations/user/me"] {
            send(client.server.get(path).bearer_auth(&token)).await.expect(200);
        }
    }
}

#[tokio::test]
async fn an_access_token_lives_30_minutes_and_a_refresh_token_7_days() {
    let client = Client::start().await;
    let claims = claims_of(&client.token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1800);
    let body = json!({"email": EMAIL, "password": PASSWORD});
    client.post("/api/v1/auth/login", body).await.expect(200);
    let session = client.get("/api/v1/auth/sessions").await.expect(200)["items"][0].clone();
    let day = |field: &str| session[field].as_str().unwrap()[8..10].parse::<i64>().unwrap();
    // The days of two times a week apart differ by 7, or by 7 less the length of a month.
    let apart = day("expires_at") - day("last_used_at");
    assert!(apart == 7 || (-24..=-21).contains(&apart), "{session}");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_replayed_one_revokes_its_family() {
    let client = Client::start().await;
    let body = json!({"email": EMAIL, "password": PASSWORD});
    let first = client.post("/api/v1/auth/login", body).await.expect(200)["refresh_token"].clone();
    let refresh = |token| client.post("/api/v1/auth/refresh", json!({"refresh_token": token}));
    let second = refresh(first.clone()).await.expect(200)["refresh_token"].clone();
    let third = refresh(second).await.expect(200)["refresh_token"].clone();
    refresh(first).await.expect(401);
    refresh(third).await.expect(401);
}

#[tokio::test]
async fn guest_access_is_loopback_unless_set_and_off_needs_a_token() {
    for (setup, status) in [
        (Setup::new().without("GUEST_ACCESS"), 200),
        (Setup::new().without("GUEST_ACCESS").env("HOST", "0.0.0.0"), 401),
        (Setup::new().env("GUEST_ACCESS", "on").env("HOST", "0.0.0.0"), 200),
        (Setup::new().env("GUEST_ACCESS", "off"), 401),
    ] {
        let server = setup.start();
        let full_chatbot = json!({"message": "Hello", "user_id": 1, "message_id": "m", "message_count": 1});
        for (path, body) in [("/chat", json!({"message": "Hello"})), ("/chat-message", full_chatbot)] {
            assert_eq!(send(server.post(path, &body)).await.status, status, "{path}");
        }
    }
}

#[tokio::test]
async fn each_user_id_is_a_guest_of_its_own_walled_off_from_accounts_and_the_other_dialects_guest() {
    let client = Client::start().await;
    let classic = json!({"message": "Hello", "user_id": "1"});
    let theirs = send(client.server.post("/chat", &classic)).await.expect(200)["conversation_id"].clone();
    let full_chatbot = json!({"message": "Hello", "user_id": 1, "message_id": "m", "message_count": 1,
        "conversation_id": theirs.to_string()});
    send(client.server.post("/chat-message", &full_chatbot)).await.expect(404);
    let another = json!({"message": "Hello", "user_id": "2", "conversation_id": theirs});
    send(client.server.post("/chat", &another)).await.expect(404);
    client.post("/api/chat", json!({"message": "Hello", "session_id": theirs})).await.expect(404);
}

#[tokio::test]
async fn with_a_token_the_bodys_user_id_never_wins() {
    let client = Client::start().await;
    client.post("/chat", json!({"message": "Hello", "user_id": "ann"})).await.expect(200);
    assert_eq!(send(client.server.get("/conversations/user/ann")).await.expect(200), json!([]));
    assert_eq!(client.get("/conversations/user/ann").await.expect(200)[0]["message_count"], 2);
}

#[test]
fn without_a_secret_of_32_characters_that_is_no_placeholder_the_server_refuses_to_start() {
    let data = tempfile::tempdir().unwrap();
    for name in ["SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET", "SECURITY__JWT_SECRET"] {
        for secret in ["", &SECRET[..31], "your-secret-key-min-32-characters-long!!"] {
            let setup = Setup::new().without("SECRET_KEY").env(name, secret);
            let refused = setup.command(data.path(), &["serve"]).output().unwrap();
            assert_eq!(refused.status.code(), Some(2), "{name}={secret}");
        }
    }
}

#[tokio::test]
async fn no_account_becomes_admin_by_registering() {
    let server = Setup::new().start();
    for path in ["/auth/signup", "/api/auth/register", "/api/v1/auth/register"] {
        let name = path.replace('/', "");
        let body = json!({"email": format!("{name}@example.com"), "username": name, "password": PASSWORD,
            "role": "admin", "is_admin": true});
        send(server.post(path, &body)).await;
    }
    assert!(server.count("SELECT COUNT(*) FROM accounts") > 0);
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE role <> 'user'"), 0);
}

#[tokio::test]
async fn the_first_admin_comes_from_the_command_or_from_admin_email_and_admin_password() {
    let setup = Setup::new().env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD);
    assert_eq!(rows::text(&setup.start(), "SELECT role || ' ' || email FROM accounts"), "admin admin@example.com");
    let server = Setup::new().env("PARLOR_PASSWORD", PASSWORD).start();
    let made = server.run(&["user", "create", "--admin", "--email", "admin@example.com"]);
    assert!(made.status.success());
    assert_eq!(rows::text(&server, "SELECT role FROM accounts"), "admin");
}

#[tokio::test]
async fn a_deactivated_or_deleted_account_is_shut_out_at_once() {
    for change in ["UPDATE accounts SET is_active = 0", "DELETE FROM accounts"] {
        let client = Client::start().await;
        let key = client.post("/api/v1/api-keys", json!({"name": "n", "scopes": ["read"]})).await.expect(201);
        let login = json!({"email": EMAIL, "password": PASSWORD});
        let pair = client.post("/api/v1/auth/login", login).await.expect(200);
        client.server.database().execute_batch(&format!("PRAGMA foreign_keys = ON; {change}")).unwrap();
        client.get("/api/users/me").await.expect(401);
        send(client.server.get("/api/users/me").bearer_auth(key["key"].as_str().unwrap())).await.expect(401);
        let body = json!({"refresh_token": pair["refresh_token"]});
        send(client.server.post("/api/v1/auth/refresh", &body)).await.expect(401);
    }
}

#[tokio::test]
async fn a_changed_role_bites_at_once() {
    let client = Client::start().await;
    client.get("/api/v1/admin/users").await.expect(403);
    for (role, status) in [("admin", 200), ("user", 403)] {
        client.server.database().execute("UPDATE accounts SET role = ?1", [role]).unwrap();
        client.get("/api/v1/admin/users").await.expect(status);
    }
}

#[tokio::test]
async fn a_changed_password_bites_at_once() {
    let client = Client::start().await;
    let pair = client.post("/api/v1/auth/login", json!({"email": EMAIL, "password": PASSWORD})).await.expect(200);
    let key = client.post("/api/v1/api-keys", json!({"name": "n", "scopes": ["read"]})).await.expect(201);
    let change = json!({"current_password": PASSWORD, "new_password": "another-password"});
    client.post("/api/v1/auth/password", change).await.expect(200);
    for old in [&json!(client.token), &pair["access_token"], &key["key"]] {
        send(client.server.get("/api/users/me").bearer_auth(old.as_str().unwrap())).await.expect(401);
    }
    client.post("/api/v1/auth/refresh", json!({"refresh_token": pair["refresh_token"]})).await.expect(401);
}

#[tokio::test]
async fn an_open_websocket_of_a_deactivated_account_closes() {
    let client = Client::of(Setup::new().env("SERVER__KEEP_ALIVE_SECONDS", "1")).await;
    let path = format!("/api/chat/ws?token={}", client.token);
    let mut socket = Socket::open(&client.server, &path, &[]).await.unwrap();
    client.server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1008);
}

#[tokio::test]
async fn an_open_stream_of_a_deactivated_account_ends() {
    let mut upstream = GatedUpstream::start().await;
    let setup = Setup::new().env("OPENAI_API_KEY", "sk-test").env("OPENAI_BASE_URL", &upstream.base_url());
    let client = Client::of(setup.env("SERVER__KEEP_ALIVE_SECONDS", "1")).await;
    let request = client.server.post("/api/v1/chat/stream", &json!({"message": "Hello"})).bearer_auth(&client.token);
    let response = request.send().await.unwrap();
    let call = upstream.call().await;
    client.server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    let body = response.text().await.unwrap();
    assert!(body.contains("event: error") && body.contains("unauthenticated"), "{body}");
    drop(call);
}

#[test]
fn the_first_run_generates_a_secret_of_mode_0600_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    // The database keeps the server from starting, so that the command ends.
    let setup = Setup::new().without("SECRET_KEY").env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    let ended = setup.command(data.path(), &["serve", "--generate-secret"]).output().unwrap();
    let path = data.path().join("secret_key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(String::from_utf8(ended.stdout).unwrap().contains("secret_key"));
}

#[tokio::test]
async fn a_websocket_of_a_foreign_origin_is_403() {
    let client = Client::of(Setup::new().env("CORS_ORIGINS", "https://app.example")).await;
    let path = format!("/api/chat/ws?token={}", client.token);
    let own = format!("http://{}", client.server.authority());
    for (origin, refused) in [("https://evil.example", Some(403)), ("https://app.example", None), (&own, None)] {
        let opened = Socket::open(&client.server, &path, &[("origin", origin)]).await;
        assert_eq!(opened.err(), refused, "{origin}");
    }
}
