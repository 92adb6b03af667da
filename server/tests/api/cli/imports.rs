//! `parlor import`: databases as the documents' backends made them, brought in, and used through their dialects afterwards.

use std::path::Path;

use reqwest::StatusCode;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{err, out, run};
use crate::kit::databases::{MYSQL, POSTGRES, execute, with_database};
use crate::support::{Setup, TestServer};

/// passlib's own example, of the password "password".
const HASH: &str = "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m";

/// As the document of `classic` has it.
pub(super) const CLASSIC: &str = "
PRAGMA foreign_keys = OFF;
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER,
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
    content TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (conversation_id) REFERENCES conversations(id)
);
INSERT INTO conversations VALUES (1, 'default_user', '2025-08-15 10:30:00'), (2, 'ada', '2025-08-16 08:00:00'), (3, 'ada', '2025-08-17 08:00:00');
INSERT INTO messages VALUES
    (1, 1, 'user', 'Hello 🙂', '2025-08-15 10:30:01'), (2, 1, 'assistant', 'Hi there!', '2025-08-15 10:30:03'),
    (3, 2, 'user', 'First', '2025-08-16 08:00:01'), (4, 1, 'user', 'Still there?', '2025-08-16 08:00:02'),
    (5, 2, 'assistant', 'Answer', '2025-08-16 08:00:03'), (6, 2, 'user', 'Never answered', '2025-08-16 08:00:04'),
    (7, 99, 'user', 'of no conversation', '2025-08-16 08:00:05'), (8, 1, 'assistant', 'Yes.', '2025-08-16 08:00:06'),
    (9, 2, 'assistant', '', '2025-08-16 08:00:07');
";

/// As the document of `full_chatbot` lists its columns.
pub(super) const FULL_CHATBOT: &str = "
CREATE TABLE conversation_store (ID INTEGER AUTO_INCREMENT PRIMARY KEY, chat_name VARCHAR(60), conv_id VARCHAR(20), user_id INTEGER,
    message_count INTEGER, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE message_store (ID INTEGER AUTO_INCREMENT PRIMARY KEY, role VARCHAR(20), conv_id VARCHAR(20), message_no INTEGER,
    message_id VARCHAR(20), message TEXT, elapsed_time INTEGER, Status VARCHAR(20), created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
SET time_zone = '+00:00';
INSERT INTO conversation_store (chat_name, conv_id, user_id, message_count, created_at, updated_at) VALUES
    ('Plans', '4711', 7, 4, '2025-08-15 10:30:00', '2025-08-15 11:00:00'), ('', 'conv-a1b2', 8, 2, '2025-08-16 10:30:00', '2025-08-16 11:00:00');
INSERT INTO message_store (role, conv_id, message_no, message_id, message, elapsed_time, Status, created_at) VALUES
    ('user', '4711', 1, 'm1', 'Hello 🙂', 0, 'Success', '2025-08-15 10:30:00'),
    ('assistant', '4711', 2, 'm1', 'Hi there, how can I help you?', 1250, 'Success', '2025-08-15 10:30:00'),
    ('assistant', '4711', 4, 'm2', 'Sorry, something went wrong', 30, 'Error', '2025-08-15 10:31:00'),
    ('user', '4711', 3, 'm2', 'Again', 0, 'Success', '2025-08-15 10:31:00'),
    ('user', 'conv-a1b2', 1, 'm1', 'Other', 0, 'Success', '2025-08-16 10:30:00'),
    ('assistant', 'conv-a1b2', 2, 'm1', 'Reply', 10, 'Success', '2025-08-16 10:30:01');
";

/// The tables that the document of `mvp` names, with what its schemas and SQLAlchemy give them.
pub(super) fn mvp(timestamp: &str) -> String {
    format!(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(50) UNIQUE NOT NULL, email VARCHAR(255), hashed_password VARCHAR(255) NOT NULL,
            preferences TEXT, created_at {timestamp});
        CREATE TABLE conversations (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users(id), title VARCHAR(200), created_at {timestamp});
        CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER REFERENCES conversations(id), role VARCHAR(20) NOT NULL,
            content TEXT NOT NULL, attachments TEXT, created_at {timestamp});
        CREATE TABLE token_usage (id INTEGER PRIMARY KEY, user_id INTEGER, tokens INTEGER);
        INSERT INTO users VALUES
            (1, 'Grace', 'grace@example.com', '{HASH}', '{{\"language\": \"German\", \"temperature\": 0.2}}', '2025-01-01 00:00:00'),
            (2, 'alan', 'alan@example.com', 'pbkdf2:sha256:260000$salt$digest', NULL, '2025-01-02 00:00:00'),
            (3, 'taken', 'taken@example.com', '{HASH}', NULL, '2025-01-03 00:00:00'),
            (4, 'not a name', NULL, '{HASH}', NULL, '2025-01-04 00:00:00');
        INSERT INTO conversations VALUES (1, 1, 'Ships', '2025-02-01 00:00:00'), (2, 3, NULL, '2025-02-02 00:00:00'), (3, 2, NULL, '2025-02-03 00:00:00');
        INSERT INTO messages VALUES
            (1, 1, 'user', 'Look at this', '[\"https://example.com/ship.png\"]', '2025-02-01 00:00:01.25'),
            (2, 1, 'assistant', 'A ship.', NULL, '2025-02-01 00:00:02'),
            (3, 1, 'system', 'You are kind.', NULL, '2025-02-01 00:00:03'),
            (4, 2, 'user', 'left out', NULL, '2025-02-02 00:00:01'),
            (5, 3, 'assistant', 'Welcome!', NULL, '2025-02-03 00:00:01'),
            (6, 3, 'user', 'Thanks', NULL, '2025-02-03 00:00:02'),
            (7, 3, 'assistant', 'One', NULL, '2025-02-03 00:00:03'),
            (8, 3, 'assistant', 'Two', NULL, '2025-02-03 00:00:04');"
    )
}

pub(super) fn counts(report: &str, what: &str) -> (i64, i64, i64) {
    let line = report.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("no {what} in\n{report}"));
    let numbers: Vec<i64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1], numbers[2])
}

pub(super) fn import(setup: &Setup, data: &Path, arguments: &[&str]) -> String {
    let all: Vec<&str> = ["import"].into_iter().chain(arguments.iter().copied()).collect();
    let done = run(setup, data, &all);
    assert!(done.status.success(), "{}", err(&done));
    out(&done)
}

async fn get(server: &TestServer, path: &str) -> Value {
    let answer = server.get(path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.json().await.unwrap()
}

fn said(messages: &Value) -> Vec<(&str, &str)> {
    let messages = messages.as_array().unwrap().iter();
    messages
        .map(|message| {
            let text = message.get("content").or(message.get("message")).unwrap();
            (message["role"].as_str().unwrap(), text.as_str().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn classics_conversations_come_in_under_their_own_ids_and_go_on() {
    let server = Setup::new().start();
    let old = server.data.path().join("old.db");
    let database = Connection::open(&old).unwrap();
    database.execute_batch(CLASSIC).unwrap();
    let before = std::fs::read(&old).unwrap();
    let from = ["--from", "classic", old.to_str().unwrap()];
    let setup = Setup::new();

    let planned = import(&setup, server.data.path(), &[&from[..], &["--dry-run"]].concat());
    assert_eq!(counts(&planned, "conversations"), (3, 0, 0));
    assert_eq!(counts(&planned, "messages"), (7, 0, 2));
    assert!(planned.ends_with("Nothing was changed.\n"), "{planned}");
    assert_eq!(server.count("SELECT (SELECT COUNT(*) FROM conversations) + (SELECT COUNT(*) FROM accounts)"), 0);

    let report = import(&setup, server.data.path(), &from);
    assert_eq!(counts(&report, "conversations"), (3, 0, 0));
    assert_eq!(counts(&report, "messages"), (7, 0, 2));
    assert!(report.contains("1 times: the messages of a conversation that is not there are left out (99)"), "{report}");
    assert!(report.contains("a message without a text is left out (9)"), "{report}");
    assert!(!report.contains("Hello") && !report.contains("of no conversation"), "{report}");
    assert_eq!(std::fs::read(&old).unwrap(), before, "the old file is only read");

    let full = get(&server, "/conversations/1/full").await;
    assert_eq!(full["user_id"], "default_user");
    assert_eq!(
        said(&full["messages"]),
        [("user", "Hello 🙂"), ("assistant", "Hi there!"), ("user", "Still there?"), ("assistant", "Yes.")]
    );
    assert_eq!(full["messages"][1]["created_at"], "2025-08-15T10:30:03.000000Z");
    let list = get(&server, "/conversations/user/ada").await;
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [3, 2], "newest first");
    assert_eq!((&list[1]["title"], &list[1]["created_at"]), (&json!("First"), &json!("2025-08-16T08:00:00.000000Z")));

    let again = import(&setup, server.data.path(), &from);
    assert_eq!((counts(&again, "conversations"), counts(&again, "messages")), ((0, 3, 0), (0, 7, 2)));

    // What is new there follows what was said here meanwhile; a late answer finds its question.
    let sent = server.post("/chat", &json!({"message": "Here now", "conversation_id": 1, "user_id": "default_user"}));
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    database
        .execute_batch(
            "INSERT INTO messages (conversation_id, role, content) VALUES (1, 'user', 'New there'), (1, 'assistant', 'Indeed'), \
             (2, 'assistant', 'Late answer')",
        )
        .unwrap();
    let more = import(&setup, server.data.path(), &from);
    assert_eq!((counts(&more, "conversations"), counts(&more, "messages")), ((0, 3, 0), (3, 7, 2)));
    let full = get(&server, "/conversations/1/full").await;
    let texts = said(&full["messages"]);
    assert_eq!((texts.len(), texts[4].1, texts[6].1, texts[7].1), (8, "Here now", "New there", "Indeed"));
    let full = get(&server, "/conversations/2/full").await;
    assert_eq!(said(&full["messages"])[2..], [("user", "Never answered"), ("assistant", "Late answer")]);

    // What is deleted here stays deleted.
    let gone = server.delete("/conversations/1").send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::OK);
    database
        .execute_batch("INSERT INTO messages (conversation_id, role, content) VALUES (1, 'user', 'Back?')")
        .unwrap();
    let report = import(&setup, server.data.path(), &from);
    assert!(report.contains("a conversation that was deleted here since is not brought back (1)"), "{report}");
    assert_eq!(server.get("/conversations/1/full").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    sound(&server);
}

/// What holds of every conversation, whoever made it.
fn sound(server: &TestServer) {
    for sql in [
        "SELECT COUNT(*) FROM messages q LEFT JOIN turns t ON t.user_message_id = q.id WHERE q.role = 'user' AND t.id IS NULL",
        "SELECT COUNT(*) FROM messages a LEFT JOIN turns t ON t.answer_message_id = a.id AND t.user_message_id = a.parent_id \
         WHERE a.role = 'assistant' AND t.id IS NULL",
        "SELECT COUNT(*) FROM conversations c WHERE c.message_count <> \
         (SELECT COUNT(*) FROM messages m WHERE m.conversation_id = c.id AND m.content <> '')",
    ] {
        assert_eq!(server.count(sql), 0, "{sql}");
    }
}

#[tokio::test]
async fn an_id_that_is_taken_becomes_another_and_the_list_knows_both() {
    let server = Setup::new().start();
    let (one, two) = (server.data.path().join("one.db"), server.data.path().join("two.db"));
    for path in [&one, &two] {
        Connection::open(path).unwrap().execute_batch(CLASSIC).unwrap();
    }
    let setup = Setup::new();
    import(&setup, server.data.path(), &["--from", "classic", one.to_str().unwrap()]);
    let second = ["--from", "classic", two.to_str().unwrap(), "--as", "second"];
    let report = import(&setup, server.data.path(), &second);
    assert_eq!(counts(&report, "conversations"), (3, 0, 0));
    assert!(report.contains("3 conversations have another id than they had"), "{report}");
    let again = import(&setup, server.data.path(), &second);
    assert_eq!((counts(&again, "conversations"), counts(&again, "messages")), ((0, 3, 0), (0, 7, 2)));
    let mapped =
        "SELECT local_id FROM imported_rows WHERE source = 'second' AND kind = 'conversation' AND foreign_id = '1'";
    let id = server.count(mapped);
    assert!(id > 3);
    let full = get(&server, &format!("/conversations/{id}/full")).await;
    assert_eq!(said(&full["messages"])[0], ("user", "Hello 🙂"));
    sound(&server);
}

#[tokio::test]
async fn mvps_accounts_sign_in_with_their_old_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.db");
    Connection::open(&old).unwrap().execute_batch(&mvp("DATETIME")).unwrap();
    mvp_comes_in(old.to_str().unwrap()).await;
}

mod postgres {
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
    async fn mvps_accounts_sign_in_with_their_old_passwords() {
        super::with_database(super::POSTGRES, |url| async move {
            super::execute(&url, &super::mvp("TIMESTAMP")).await;
            super::mvp_comes_in(&url).await;
        })
        .await;
    }
}

async fn mvp_comes_in(old: &str) {
    let server = Setup::new().start();
    server.sign_up("taken@example.com").await;
    let setup = Setup::new();
    let from = ["--from", "mvp", old];
    let planned = import(&setup, server.data.path(), &[&from[..], &["--dry-run"]].concat());
    let report = import(&setup, server.data.path(), &from);
    for report in [&planned, &report] {
        assert_eq!(counts(report, "accounts"), (2, 0, 2), "{report}");
        assert_eq!(counts(report, "conversations"), (2, 0, 1), "{report}");
        assert_eq!(counts(report, "messages"), (4, 0, 3), "{report}");
        assert!(
            report
                .contains("a password's hash of an unknown kind is left out; its owner has to reset the password (2)")
        );
        assert!(report.contains("an answer that follows another is joined to it (8)"), "{report}");
        assert!(report.contains("Tables that were not read: token_usage."), "{report}");
        for text in ["ship.png", "Look at", "grace", "Grace", "$2b$"] {
            assert!(!report.contains(text), "{text} in\n{report}");
        }
    }
    let login = |name: &str| server.post("/auth/login", &json!({"username": name, "password": "password"}));
    let signed_in = login("grace").send().await.unwrap();
    assert_eq!(signed_in.status(), StatusCode::OK);
    let token = signed_in.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(login("alan").send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "its hash is of no known kind");
    let me: Value = server.get("/users/me").bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!((&me["username"], &me["created_at"]), (&json!("Grace"), &json!("2025-01-01T00:00:00.000000Z")));
    assert_eq!(me["preferences"]["language"], "German");
    let history = server.get("/chat/history/1").bearer_auth(&token).send().await.unwrap();
    let history: Value = history.json().await.unwrap();
    assert_eq!(said(&history["messages"]), [("user", "Look at this"), ("assistant", "A ship.")]);
    assert_eq!(history["messages"][0]["attachments"], json!(["https://example.com/ship.png"]));
    assert_eq!(history["messages"][0]["created_at"], "2025-02-01T00:00:01.250000Z");
    let sent = server.post("/chat/send", &json!({"message": "Another?", "conversation_id": "1"})).bearer_auth(&token);
    assert_eq!(sent.send().await.unwrap().status(), StatusCode::OK);
    let again = import(&setup, server.data.path(), &from);
    assert_eq!((counts(&again, "accounts"), counts(&again, "conversations")), ((0, 2, 2), (0, 2, 1)), "{again}");
    assert_eq!(counts(&again, "messages").0, 0, "{again}");
    sound(&server);
}

mod mysql {
    use super::{FULL_CHATBOT, MYSQL, Setup, counts, execute, get, import, said, sound, with_database};
    use serde_json::json;

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
    async fn full_chatbots_store_comes_in_with_its_errors_and_its_order() {
        with_database(MYSQL, |url| async move {
            execute(&url, FULL_CHATBOT).await;
            let server = Setup::new().start();
            let setup = Setup::new();
            let from = ["--from", "full_chatbot", url.as_str()];
            let report = import(&setup, server.data.path(), &from);
            assert_eq!((counts(&report, "conversations"), counts(&report, "messages")), ((2, 0, 0), (6, 0, 0)), "{report}");
            assert!(report.contains("1 conversations have another id than they had"), "{report}");
            let history = get(&server, "/get-conversation-history/4711").await;
            assert_eq!(
                said(&history["messages"]),
                [
                    ("user", "Hello 🙂"),
                    ("assistant", "Hi there, how can I help you?"),
                    ("user", "Again"),
                    ("assistant", "Sorry, something went wrong"),
                ]
            );
            // As the old SQL finds it.
            let row = "SELECT user_id || ' ' || chat_name || ' ' || created_at || ' ' || updated_at FROM conversation_store WHERE conv_id = '4711'";
            let shown: String = server.database().query_row(row, [], |row| row.get(0)).unwrap();
            assert_eq!(shown, "7 Plans 2025-08-15 10:30:00 2025-08-15 11:00:00");
            let errors = "SELECT COUNT(*) FROM message_store WHERE Status = 'Error' AND elapsed_time = 30 AND message_no = 4";
            assert_eq!(server.count(errors), 1);
            assert_eq!(server.count("SELECT COUNT(*) FROM message_store WHERE message_id = 'm1' AND role = 'user'"), 2);
            let sent = json!({"message": "On", "user_id": 7, "message_id": "m9", "message_count": 5, "conversation_id": "4711"});
            assert_eq!(server.post("/chat-message", &sent).send().await.unwrap().status(), 200);
            let again = import(&setup, server.data.path(), &from);
            assert_eq!((counts(&again, "conversations"), counts(&again, "messages")), ((0, 2, 0), (0, 6, 0)), "{again}");
            sound(&server);
        })
        .await;
    }
}

#[test]
fn what_is_not_that_backends_is_refused_in_one_line() {
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new();
    assert!(run(&setup, data.path(), &["migrate"]).status.success());
    let old = data.path().join("old.db");
    Connection::open(&old)
        .unwrap()
        .execute_batch("CREATE TABLE conversations (id INTEGER PRIMARY KEY, owner TEXT)")
        .unwrap();
    for (kind, file, word) in [
        ("classic", "old.db", "its table conversations has no column user_id"),
        ("mvp", "old.db", "it has no table users"),
        ("classic", "absent.db", "there is no such file"),
        ("classic", "chatbot.db", "it is Parlor's own"),
    ] {
        let refused = run(&setup, data.path(), &["import", "--from", kind, file]);
        assert_eq!(refused.status.code(), Some(1), "{kind} {file}");
        let told = err(&refused);
        assert!(told.contains(word) && told.lines().count() == 1, "{kind} {file}: {told}");
    }
    assert!(!data.path().join("absent.db").exists());
    let unknown = run(&setup, data.path(), &["import", "--from", "oracle", "old.db"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("full_chatbot"), "it names what there is: {}", err(&unknown));
}
