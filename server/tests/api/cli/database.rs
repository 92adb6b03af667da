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

#[test]
fn a_database_server_that_is_not_there_is_told_as_that() {
    let data = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for scheme in ["postgresql", "mysql"] {
        let setup = Setup::new().env("DATABASE_URL", &format!("{scheme}://ann:s3cret@127.0.0.1:{port}/parlor"));
        for command in [&["serve"][..], &["worker"], &["migrate"], &["user", "list"], &["db", "show"]] {
            let refused = run(&setup, data.path(), command);
            assert_eq!(refused.status.code(), Some(1), "{scheme} {command:?}");
            let told = err(&refused);
            assert!(!told.contains("s3cret"), "{told}");
            let told: Vec<_> = told.lines().filter(|line| line.starts_with("parlor: ")).collect();
            assert!(told.len() == 1 && told[0].contains("cannot be reached"), "{scheme} {command:?}: {told:?}");
        }
    }
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

#[test]
fn a_dry_run_says_what_would_be_done_and_makes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    let planned = run(&setup, data.path(), &["migrate", "--dry-run"]);
    assert!(planned.status.success(), "{}", err(&planned));
    assert!(out(&planned).contains("0001 foundation: would be applied"), "{}", out(&planned));
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "not even a file");
    let sql = run(&setup, data.path(), &["migrate", "--dry-run", "--sql"]);
    assert!(out(&sql).contains("CREATE TABLE accounts ("), "{}", out(&sql));
    // What it prints is what is run.
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(&out(&sql)).unwrap();

    assert!(run(&setup, data.path(), &["migrate"]).status.success());
    let done = run(&setup, data.path(), &["migrate", "--dry-run"]);
    assert!(out(&done).contains("0001 foundation: was there") && out(&done).contains("Nothing is to be done."));
    assert!(!out(&done).contains("would be"), "{}", out(&done));
    let flags = run(&setup, data.path(), &["migrate", "--sql"]);
    assert_eq!(flags.status.code(), Some(2), "--sql alone says nothing");
}

#[test]
fn a_schema_that_is_not_this_programs_keeps_it_from_starting_with_one_line() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    assert!(run(&setup, data.path(), &["migrate"]).status.success());
    let database = rusqlite::Connection::open(data.path().join("chatbot.db")).unwrap();
    for (change, back, word) in [
        (
            "UPDATE schema_migrations SET hash = 'x' || hash WHERE version = 2",
            "UPDATE schema_migrations SET hash = substr(hash, 2) WHERE version = 2",
            "migration 2 (seeds) is not the one this program knows",
        ),
        (
            "INSERT INTO schema_migrations VALUES (9999, 'future', 'h', 1)",
            "DELETE FROM schema_migrations WHERE version = 9999",
            "migration 9999 is newer than this program",
        ),
        (
            "INSERT INTO schema_migrations VALUES (0, 'transfer', 'h', 1)",
            "DELETE FROM schema_migrations WHERE version = 0",
            "a transfer into it has not come to its end",
        ),
    ] {
        database.execute_batch(change).unwrap();
        for command in [&["serve"][..], &["migrate"], &["migrate", "--dry-run"]] {
            let refused = run(&setup, data.path(), command);
            assert_eq!(refused.status.code(), Some(1), "{command:?}");
            let told = err(&refused);
            let told: Vec<_> = told.lines().filter(|line| line.starts_with("parlor: ")).collect();
            assert!(told.len() == 1 && told[0].contains(word), "{command:?}: {told:?}");
        }
        database.execute_batch(back).unwrap();
    }
    assert!(run(&setup, data.path(), &["migrate"]).status.success());
}
