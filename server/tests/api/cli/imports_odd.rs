//! `parlor import` of databases that are another's, or that hold what should not be there; and into none.

use std::path::Path;

use rusqlite::Connection;

use super::imports::{CLASSIC, counts, import, mvp};
use super::{err, run};
use crate::support::Setup;

const FULL_CHATBOT: &str = "
CREATE TABLE conversation_store (ID INTEGER PRIMARY KEY, chat_name TEXT, conv_id TEXT, user_id INTEGER);
CREATE TABLE message_store (ID INTEGER PRIMARY KEY, role TEXT, conv_id TEXT, message TEXT);
";

fn made(folder: &Path, name: &str, sql: &str) -> String {
    let path = folder.join(name);
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path.to_str().unwrap().to_owned()
}

fn texts(data: &Path, sql: &str) -> Vec<String> {
    let database = Connection::open(data.join("chatbot.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn another_backends_database_is_refused_with_its_name_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let setup = Setup::new();
    let files = [("classic", CLASSIC.to_owned()), ("full_chatbot", FULL_CHATBOT.to_owned()), ("mvp", mvp("DATETIME"))];
    for (is, sql) in &files {
        let file = made(folder.path(), &format!("{is}.db"), sql);
        for (from, _) in files.iter().filter(|(from, _)| from != is) {
            for arguments in [&["import", "--from", from, &file][..], &["import", "--dry-run", "--from", from, &file]] {
                let refused = run(&setup, &data, arguments);
                assert_eq!(refused.status.code(), Some(1), "{is} as {from}");
                let told = err(&refused);
                let hint = format!("It looks like that of {is}: use --from {is}");
                assert!(told.contains(&hint) && told.lines().count() == 1, "{is} as {from}: {told}");
                assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "{is} as {from}");
            }
        }
        import(&setup, &data, &["--from", is, &file, "--dry-run"]);
    }
}

#[test]
fn accounts_of_no_known_shape_keep_classics_conversations_from_becoming_guests() {
    let data = tempfile::tempdir().unwrap();
    let file = made(data.path(), "old.db", &format!("{CLASSIC}CREATE TABLE users (number INTEGER, name TEXT);"));
    let refused = run(&Setup::new(), data.path(), &["import", "--from", "classic", &file]);
    assert_eq!(refused.status.code(), Some(1));
    let told = err(&refused);
    assert!(told.contains("not that of classic: it has a table users") && !told.contains("--from"), "{told}");
}

#[test]
fn without_a_database_a_dry_run_counts_what_all_would_come_in_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let setup = Setup::new();
    for (kind, sql) in [("classic", CLASSIC.to_owned()), ("mvp", mvp("DATETIME"))] {
        let file = made(folder.path(), &format!("{kind}.db"), &sql);
        let planned = import(&setup, &data, &["--from", kind, &file, "--dry-run"]);
        assert!(planned.ends_with("Nothing was changed.\n"), "{planned}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
        let elsewhere = folder.path().join(format!("data-{kind}"));
        std::fs::create_dir(&elsewhere).unwrap();
        let done = import(&setup, &elsewhere, &["--from", kind, &file]);
        for what in ["accounts", "conversations", "messages"] {
            assert_eq!(counts(&planned, what), counts(&done, what), "{planned}\n{done}");
        }
        let again = import(&setup, &elsewhere, &["--from", kind, &file, "--dry-run"]);
        assert_eq!(counts(&again, "conversations").1, counts(&done, "conversations").0, "{again}");
    }
}

#[test]
fn a_dry_run_into_an_older_schema_asks_for_the_migrations() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    assert!(run(&setup, data.path(), &["migrate"]).status.success());
    let newest = "DELETE FROM schema_migrations WHERE version = (SELECT MAX(version) FROM schema_migrations)";
    Connection::open(data.path().join("chatbot.db")).unwrap().execute_batch(newest).unwrap();
    let file = made(data.path(), "old.db", CLASSIC);
    let refused = run(&setup, data.path(), &["import", "--from", "classic", &file, "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("not up to date: run `parlor migrate` first"), "{}", err(&refused));
}

#[test]
fn a_message_that_is_no_text_is_left_out_and_the_rest_comes_in() {
    let data = tempfile::tempdir().unwrap();
    let file = made(
        data.path(),
        "old.db",
        &format!(
            "{CLASSIC}
            PRAGMA ignore_check_constraints = ON;
            INSERT INTO conversations VALUES (4, x'ff00', '2025-08-18 08:00:00'), (5, 'eve', x'fe'), (6, 'eve', 'yesterday');
            INSERT INTO messages VALUES
                (10, 1, 'assistant', x'ff00fe', '2025-08-17 08:00:00'), (11, x'ff', 'user', 'lost', '2025-08-17 08:00:00'),
                (12, 'abc', 'user', 'lost', '2025-08-17 08:00:00'), (13, 1, x'fe', 'lost', '2025-08-17 08:00:00'),
                (14, 1, 'user', 'Timeless', x'ff'), (15, 1, 'user', x'54657874', '2025-08-17 08:00:00'),
                (16, 4, 'user', 'lost', '2025-08-18 08:00:00'), (17, 5, 'user', 'Evening', '2025-08-19 08:00:00');"
        ),
    );
    let setup = Setup::new();
    let planned = import(&setup, data.path(), &["--from", "classic", &file, "--dry-run"]);
    let report = import(&setup, data.path(), &["--from", "classic", &file]);
    for report in [&planned, &report] {
        assert_eq!((counts(report, "conversations"), counts(report, "messages")), ((5, 0, 1), (10, 0, 7)), "{report}");
        for note in [
            "1 times: a message whose text is not UTF-8 is left out (10)",
            "1 times: a message without a conversation that can be read is left out (11)",
            "3 times: the messages of a conversation that is not there are left out (4, 99, abc)",
            "1 times: a message that is neither a user's nor an assistant's is left out (13)",
            "1 times: a message without a time that can be read has that of the one before it, or of the import (14)",
            "1 times: a conversation without an id or a user that can be read is left out, with its messages (4)",
            "2 times: a conversation without times that can be read has those of its messages (5, 6)",
        ] {
            assert!(report.contains(note), "{note} in\n{report}");
        }
    }
    let said =
        texts(data.path(), "SELECT content FROM messages WHERE role = 'user' AND conversation_id = 1 ORDER BY id");
    assert_eq!(said, ["Hello 🙂", "Still there?", "Text", "Timeless"]);
    let again = import(&setup, data.path(), &["--from", "classic", &file]);
    assert_eq!((counts(&again, "messages").0, counts(&again, "messages").2), (0, 7), "{again}");
}

#[test]
fn an_account_with_values_of_other_types_comes_in_with_what_can_be_read() {
    let data = tempfile::tempdir().unwrap();
    let file = made(
        data.path(),
        "old.db",
        "CREATE TABLE users (id, username, email, password, is_active, preferences, created_at);
        CREATE TABLE conversations (id, user_id, title, created_at);
        CREATE TABLE messages (id, conversation_id, role, content, attachments, created_at);
        INSERT INTO users VALUES
            ('one', x'ff', 'one@example.com', x'ff', x'00', x'ff', 7), (x'ff', 'lost', NULL, NULL, 1, NULL, NULL),
            (x'00', 'lost', NULL, NULL, 1, NULL, NULL), ('two', 'two', x'ff', NULL, 'perhaps', NULL, NULL), ('three', x'ff', x'ff', NULL, 1, NULL, NULL),
            ('two', 'another', NULL, NULL, 1, NULL, NULL);
        INSERT INTO conversations VALUES ('a', 'one', x'ff', NULL), (x'00', 'one', 'lost', NULL);
        INSERT INTO messages VALUES (1, 'a', 'user', 'Hello', x'ff', '2025-08-17 08:00:00'), (x'ff', 'a', 'user', 'lost', NULL, NULL),
            (NULL, 'a', 'user', 'lost', NULL, NULL), (2, 'a', 'user', 'Years', NULL, '+12025-08-17 08:00:00');",
    );
    let setup = Setup::new();
    let report = import(&setup, data.path(), &["--from", "mvp", &file]);
    assert_eq!(counts(&report, "accounts"), (2, 0, 4), "{report}");
    assert_eq!((counts(&report, "conversations"), counts(&report, "messages")), ((1, 0, 1), (2, 0, 2)), "{report}");
    for note in [
        "a name that is none here is left out; its address remains (one, three)",
        "an address that is none is left out; the name remains (three, two)",
        "a password's hash of an unknown kind is left out; its owner has to reset the password (one)",
        "preferences that break a rule here are left out (one)",
        "an account of which it cannot be read whether it is active comes in deactivated (two)",
        "an account without a time that can be read is taken as made now (one)",
        "2 times: an account without an id that can be read is left out, with its conversations (?, ?)",
        "an account with neither a name nor an address that can be used is left out (three)",
        "an account of the same id as another is left out (two)",
        "a title that is not UTF-8 is left out (a)",
        "2 times: a message without an id that can be read is left out (?, ?)",
        "attachments that are no addresses on the web are left out (1)",
        "a message without a time that can be read has that of the one before it, or of the import (2)",
    ] {
        assert!(report.contains(note), "{note} in\n{report}");
    }
    assert!(!report.contains("lost"), "{report}");
    let active = "SELECT COALESCE(username, email) || ' ' || is_active FROM accounts ORDER BY 1";
    assert_eq!(texts(data.path(), active), ["one@example.com 0", "two 0"]);
}

mod postgres {
    use super::{Setup, counts, import};
    use crate::kit::databases::{POSTGRES, execute, with_database};

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
    async fn a_message_that_is_no_text_is_left_out_of_a_database_without_an_encoding() {
        with_database(POSTGRES, |url| async move {
            let (host, name) = url.rsplit_once('/').unwrap();
            let plain = format!("{name}_plain");
            let made = format!("CREATE DATABASE {plain} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
            execute(&url, &made).await;
            let old = format!("{host}/{plain}");
            execute(
                &old,
                "CREATE TABLE conversations (id INT, user_id TEXT, created_at TIMESTAMP);
                CREATE TABLE messages (id INT, conversation_id INT, role TEXT, content TEXT, created_at TIMESTAMP);
                INSERT INTO conversations VALUES (1, 'ada', '2025-08-15 10:30:00');
                INSERT INTO messages VALUES (1, 1, 'user', 'Hello 🙂', 'infinity'), (2, 1, 'assistant', E'\\xff', '2025-08-15 10:30:00'),
                    (3, 1, 'assistant', 'Hi', 'infinity');",
            )
            .await;
            let data = tempfile::tempdir().unwrap();
            let report = import(&Setup::new(), data.path(), &["--from", "classic", &old]);
            assert_eq!(counts(&report, "messages"), (2, 0, 1), "{report}");
            assert!(report.contains("a message whose text is not UTF-8 is left out (2)"), "{report}");
            assert!(report.contains("that can be read has that of the one before it, or of the import (1, 3)"), "{report}");
            execute(&url, &format!("DROP DATABASE {plain} WITH (FORCE)")).await;
        })
        .await;
    }
}
