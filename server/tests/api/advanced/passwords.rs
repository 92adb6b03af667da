//! Hashes that other backends left behind.

use serde_json::json;

use crate::kit::{rows, send};
use crate::support::Setup;

/// passlib's documentation gives these for "password".
const OLD: [&str; 3] = [
    "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m",
    "$2a$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m",
    "$bcrypt-sha256$2b,12$LrmaIX5x4TRtAwEfwJZa1.$2ehnw6LvuIUTM0iz4iz9hTxv21B6KFO",
];

#[tokio::test]
async fn an_older_hash_verifies_and_is_replaced_at_the_login() {
    let server = Setup::new().start();
    for (number, hash) in OLD.iter().enumerate() {
        let email = format!("old{number}@example.com");
        server.sign_up(&email).await;
        let sql = "UPDATE accounts SET password_hash = ?1 WHERE email = ?2";
        server.database().execute(sql, [*hash, &email]).unwrap();
        let login =
            |password: &str| send(server.post("/api/auth/login", &json!({"username": email, "password": password})));
        let stored = || rows::text(&server, &format!("SELECT password_hash FROM accounts WHERE email = '{email}'"));
        login("passwore").await.expect(401);
        assert_eq!(stored(), *hash);
        login("password").await.expect(200);
        assert!(stored().starts_with("$bcrypt-sha256$v=2,t=2b,r=4$"), "{}", stored());
        login("password").await.expect(200);
    }
}

#[tokio::test]
async fn a_password_is_stored_as_a_hash_alone() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    server.run(&["db", "show"]);
    let file = std::fs::read(server.database_path()).unwrap();
    let wal = std::fs::read(server.data.path().join("chatbot.db-wal")).unwrap_or_default();
    let password = crate::support::PASSWORD.as_bytes();
    for bytes in [file, wal] {
        assert!(!bytes.windows(password.len()).any(|window| window == password));
    }
    assert!(rows::text(&server, "SELECT password_hash FROM accounts").starts_with("$bcrypt-sha256$v=2,"));
}
