//! The secret that tokens are signed with.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{err, run};
use crate::support::Setup;

#[test]
fn without_a_secret_the_server_does_not_start() {
    let data = tempfile::tempdir().unwrap();
    let refused = run(&Setup::new().without("SECRET_KEY"), data.path(), &["serve"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(err(&refused).contains("security.secret_key: is not set"), "{}", err(&refused));
    assert!(!data.path().join("chatbot.db").exists());
}

#[test]
fn a_known_placeholder_or_a_short_secret_is_refused() {
    let data = tempfile::tempdir().unwrap();
    for secret in [
        "Xq7-tiny",
        "your_secure_random_string_here",
        "your-secret-key-min-32-characters-long!!",
        "changeme-changeme-changeme-changeme-12",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let refused = run(&Setup::new().env("SECRET_KEY", secret), data.path(), &["serve"]);
        assert_eq!(refused.status.code(), Some(2), "{secret}");
        assert!(err(&refused).contains("security.secret_key"), "{}", err(&refused));
        assert!(!err(&refused).contains(secret), "{}", err(&refused));
    }
}

#[tokio::test]
async fn every_name_of_the_secret_works() {
    for name in ["SECRET_KEY", "JWT_SECRET_KEY", "JWT_SECRET", "SECURITY__JWT_SECRET"] {
        let server = Setup::new().without("SECRET_KEY").env(name, crate::support::SECRET).start();
        server.sign_up("user@example.com").await;
    }
}

#[tokio::test]
async fn the_secret_that_the_documents_command_makes_is_accepted() {
    let made =
        Command::new("python3").args(["-c", "import secrets; print(secrets.token_urlsafe(32))"]).output().unwrap();
    let secret = String::from_utf8(made.stdout).unwrap();
    let server = Setup::new().env("SECRET_KEY", secret.trim()).start();
    server.sign_up("user@example.com").await;
}

#[test]
fn a_generated_secret_is_kept_for_its_owner_alone() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().without("SECRET_KEY").env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none");
    // The database keeps the server from starting, so that the command ends.
    let ended = run(&setup, data.path(), &["serve", "--generate-secret"]);
    assert_eq!(ended.status.code(), Some(1), "{}", err(&ended));
    let path = data.path().join("secret_key");
    let secret = std::fs::read_to_string(&path).unwrap();
    assert!(secret.trim().len() >= 32);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let told = String::from_utf8(ended.stdout).unwrap();
    assert!(told.contains("secret_key") && !told.contains(secret.trim()), "{told}");
    run(&setup, data.path(), &["serve", "--generate-secret"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), secret, "the second start keeps it");
}
