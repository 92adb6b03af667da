//! `parlor migrate`, `parlor db setup` and `parlor db show`

use super::{err, out, run};
use crate::support::Setup;

const TABLES: [&str; 7] =
    ["accounts", "conversations", "idempotency_keys", "messages", "refresh_tokens", "turns", "usage_ledger"];

#[test]
fn migrating_makes_the_schema_once() {
    let data = tempfile::tempdir().unwrap();
    let first = run(&Setup::new(), data.path(), &["migrate"]);
    assert!(first.status.success(), "{}", err(&first));
    assert!(out(&first).contains("0001 foundation: applied"), "{}", out(&first));
    let second = run(&Setup::new(), data.path(), &["migrate"]);
    assert!(second.status.success());
    assert!(out(&second).lines().all(|line| line.ends_with(": was there")), "{}", out(&second));
}

#[test]
fn setting_up_makes_the_schema_and_shows_it() {
    let data = tempfile::tempdir().unwrap();
    let made = run(&Setup::new(), data.path(), &["db", "setup"]);
    assert!(made.status.success(), "{}", err(&made));
    for table in TABLES {
        assert!(out(&made).contains(&format!("{table} (0 rows)")), "no {table} in\n{}", out(&made));
    }
    let shown = run(&Setup::new(), data.path(), &["db", "show"]);
    assert!(out(&made).ends_with(&out(&shown)), "{}", out(&shown));
    assert!(out(&shown).contains("password_hash"), "{}", out(&shown));
}

#[test]
fn the_documents_tables_are_shown_with_exactly_their_columns() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    let made = run(&setup, data.path(), &["db", "setup"]);
    let shown = run(&setup, data.path(), &["db", "show"]);
    for text in [out(&made), out(&shown)] {
        let columns = |name: &str| {
            let table = text.split("\n\n").find(|table| table.starts_with(&format!("{name} (0 rows)"))).unwrap();
            let columns = table.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().to_owned());
            columns.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(columns("conversation_store"), "ID chat_name conv_id user_id message_count created_at updated_at");
        assert_eq!(
            columns("message_store"),
            "ID role conv_id message_no message_id message elapsed_time Status created_at updated_at"
        );
    }
}

#[test]
fn an_empty_database_has_nothing_to_show() {
    let data = tempfile::tempdir().unwrap();
    let refused = run(&Setup::new(), data.path(), &["db", "show"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("parlor db setup"), "{}", err(&refused));
}

#[tokio::test]
async fn the_schema_is_shown_beside_a_running_server() {
    let server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let shown = server.run(&["db", "show"]);
    assert!(shown.status.success(), "{}", err(&shown));
    assert!(out(&shown).contains("accounts (1 row)"), "{}", out(&shown));
    assert!(!out(&shown).contains("user@example.com"));
}

#[test]
fn these_commands_need_no_secret() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new().without("SECRET_KEY");
    for command in [&["migrate"][..], &["db", "setup"], &["db", "show"], &["openapi"], &["config", "show"]] {
        let done = run(&setup, data.path(), command);
        assert!(done.status.success(), "{command:?}: {}", err(&done));
    }
}

#[tokio::test]
async fn the_documents_database_urls_name_the_same_kind_of_file() {
    for url in ["sqlite:///chatbot.db", "chatbot.db", "sqlite:///./chatbot.db"] {
        let server = Setup::new().env("DATABASE_URL", url).start();
        server.sign_up("user@example.com").await;
        assert!(server.database_path().exists(), "{url}");
        assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1, "{url}");
    }
}
