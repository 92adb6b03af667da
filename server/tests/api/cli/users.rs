//! `parlor user create`, and the first admin.

use std::io::Write;
use std::process::Stdio;

use super::{err, out, run};
use crate::kit::{rows, send};
use crate::support::{PASSWORD, Setup};

#[tokio::test]
async fn an_admin_is_made_beside_a_running_server_with_the_password_from_standard_input() {
    let server = Setup::new().start();
    let mut child = Setup::new()
        .command(server.data.path(), &["user", "create", "--admin", "--email", "admin@example.com"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    let made = child.wait_with_output().unwrap();
    assert!(made.status.success(), "{}", err(&made));
    assert_eq!(out(&made), "Made admin admin@example.com with id 1.\n");
    let token = server.sign_in("admin@example.com").await;
    send(server.get("/api/users/me").bearer_auth(token)).await.expect(200);
    assert_eq!(rows::text(&server, "SELECT role FROM accounts"), "admin");
}

#[tokio::test]
async fn a_user_is_made_with_the_password_from_the_environment() {
    let server = Setup::new().start();
    let setup = Setup::new().env("PARLOR_PASSWORD", PASSWORD);
    let made =
        run(&setup, server.data.path(), &["user", "create", "--email", "user@example.com", "--username", "anna"]);
    assert!(made.status.success(), "{}", err(&made));
    server.sign_in("user@example.com").await;
    assert_eq!(rows::text(&server, "SELECT role || ' ' || username FROM accounts"), "user anna");
}

#[test]
fn what_registering_refuses_this_refuses_too() {
    let data = tempfile::tempdir().unwrap();
    let create = |password: &str, email: &str| {
        run(&Setup::new().env("PARLOR_PASSWORD", password), data.path(), &["user", "create", "--email", email])
    };
    for (password, email) in [("short", "a@example.com"), (PASSWORD, "nobody")] {
        let refused = create(password, email);
        assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
        assert!(!err(&refused).contains(password), "{}", err(&refused));
    }
    assert!(create(PASSWORD, "a@example.com").status.success());
    let taken = create(PASSWORD, "A@example.com");
    assert_eq!(taken.status.code(), Some(1));
    assert!(err(&taken).contains("already registered"), "{}", err(&taken));
    let nameless = run(&Setup::new(), data.path(), &["user", "create"]);
    assert_eq!(nameless.status.code(), Some(2));
}

#[tokio::test]
async fn the_settings_admin_is_made_on_an_empty_database_alone() {
    let setup = Setup::new().env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD);
    let mut server = setup.clone().start();
    assert_eq!(rows::text(&server, "SELECT role || ' ' || email FROM accounts"), "admin admin@example.com");
    server.sign_in("admin@example.com").await;
    server.sign_up("user@example.com").await;
    server.database().execute("DELETE FROM accounts WHERE role = 'admin'", []).unwrap();
    server.restart();
    assert_eq!(rows::text(&server, "SELECT role || ' ' || email FROM accounts"), "user user@example.com");
    assert!(!server.log().join("\n").contains(PASSWORD));
}

#[tokio::test]
async fn guests_do_not_keep_the_first_admin_from_being_made() {
    let data = tempfile::tempdir().unwrap();
    let made = run(&Setup::new(), data.path(), &["migrate"]);
    assert!(made.status.success());
    let mut server = Setup::new().env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD).start();
    server.database().execute("DELETE FROM accounts", []).unwrap();
    send(server.post("/chat", &serde_json::json!({"message": "Hi"}))).await.expect(200);
    server.restart();
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts WHERE role = 'admin'"), 1);
}

#[tokio::test]
async fn accounts_are_listed_and_changed_beside_a_running_server() {
    let server = Setup::new().env("PARLOR_PASSWORD", "another-password-1").start();
    let token = server.sign_up("anna@example.com").await;
    server.sign_up("ben@example.com").await;
    let listed = server.run(&["user", "list"]);
    assert_eq!(out(&listed), "2  user  active  ben@example.com\n1  user  active  anna@example.com\n");
    assert_eq!(out(&server.run(&["user", "list", "ANNA"])), "1  user  active  anna@example.com\n");
    let changed = server.run(&["user", "role", "anna@example.com", "editor"]);
    assert_eq!(out(&changed), "1  editor  active  anna@example.com\n", "{}", err(&changed));
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
    assert_eq!(out(&server.run(&["user", "deactivate", "1"])), "1  editor  deactivated  anna@example.com\n");
    assert_eq!(out(&server.run(&["user", "list", "--role", "editor"])), "1  editor  deactivated  anna@example.com\n");
    assert!(server.run(&["user", "activate", "anna@example.com"]).status.success());
    let token = server.sign_in("anna@example.com").await;
    assert!(server.run(&["user", "password", "anna@example.com"]).status.success());
    send(server.get("/api/users/me").bearer_auth(&token)).await.expect(401);
    let login = |password: &str| {
        send(server.post("/api/auth/login", &serde_json::json!({"username": "anna@example.com", "password": password})))
    };
    login(PASSWORD).await.expect(401);
    login("another-password-1").await.expect(200);
}

#[tokio::test]
async fn a_socket_ends_when_a_command_changes_its_account() {
    let server = Setup::new().start();
    let token = server.sign_up("anna@example.com").await;
    let path = format!("/api/chat/ws?token={token}");
    let mut socket = crate::kit::socket::Socket::open(&server, &path, &[]).await.unwrap();
    assert!(server.run(&["user", "deactivate", "anna@example.com"]).status.success());
    assert_eq!(u16::from(socket.closed().await.unwrap().code), 1008);
}

#[test]
fn what_is_not_there_is_not_changed() {
    let data = tempfile::tempdir().unwrap();
    for arguments in [&["user", "deactivate", "nobody"][..], &["user", "role", "7", "admin"]] {
        let refused = run(&Setup::new(), data.path(), arguments);
        assert_eq!(refused.status.code(), Some(1));
        assert!(err(&refused).contains("User not found"), "{}", err(&refused));
    }
    assert_eq!(run(&Setup::new(), data.path(), &["user", "role", "7", "guest"]).status.code(), Some(2));
    assert_eq!(out(&run(&Setup::new(), data.path(), &["user", "list"])), "There are none.\n");
}
