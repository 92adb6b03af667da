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
