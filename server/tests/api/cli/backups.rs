//! `parlor backup` and `parlor restore`

use std::os::unix::fs::PermissionsExt as _;

use reqwest::StatusCode;
use serde_json::json;

use super::{err, out, run};
use crate::support::Setup;

#[tokio::test]
async fn a_backup_beside_the_running_server_brings_everything_back() {
    let mut server = Setup::new().start();
    server.sign_up("before@example.com").await;
    let backup = server.data.path().join("copy.db");
    let made = server.run(&["backup", backup.to_str().unwrap()]);
    assert!(made.status.success(), "{}", err(&made));
    assert!(out(&made).contains("checked"), "{}", out(&made));
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let copied = rusqlite::Connection::open(&backup).unwrap();
    assert_eq!(copied.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    drop(copied);
    assert!(!server.data.path().join("copy.db-wal").exists(), "it is one file");
    // A second one under the same name would take the first away.
    let again = server.run(&["backup", backup.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("is there already"), "{}", err(&again));

    server.sign_up("after@example.com").await;
    let running = server.run(&["restore", backup.to_str().unwrap()]);
    assert_eq!(running.status.code(), Some(1));
    assert!(err(&running).contains("in use by another Parlor process"), "{}", err(&running));
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 2, "nothing was touched");

    server.kill();
    let restored = server.run(&["restore", backup.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", err(&restored));
    server.restart();
    assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1);
    server.sign_in("before@example.com").await;
    let gone = server.post("/auth/login", &json!({"username": "after@example.com", "password": "SuperSecret123!"}));
    assert_eq!(gone.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let left: Vec<_> = std::fs::read_dir(server.data.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("restore") || name.contains("unfinished"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_is_no_sound_backup_is_refused_and_changes_nothing() {
    let mut server = Setup::new().start();
    server.sign_up("user@example.com").await;
    let folder = server.data.path().to_owned();
    let good = folder.join("good.db");
    assert!(server.run(&["backup", good.to_str().unwrap()]).status.success());
    server.kill();
    let damaged = folder.join("damaged.db");
    let mut bytes = std::fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    std::fs::write(&damaged, bytes).unwrap();
    let text = folder.join("text.db");
    std::fs::write(&text, "Dear diary, this is no database at all, however long it may be.".repeat(100)).unwrap();
    let foreign = folder.join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let newer = folder.join("newer.db");
    std::fs::copy(&good, &newer).unwrap();
    let connection = rusqlite::Connection::open(&newer).unwrap();
    connection.execute_batch("INSERT INTO schema_migrations VALUES (9999, 'future', 'h', 1)").unwrap();
    drop(connection);
    for (file, word) in [
        (&damaged, "damaged"),
        (&text, "no database of Parlor's"),
        (&foreign, "no database of Parlor's"),
        (&newer, "newer than this program"),
        (&folder.join("absent.db"), "absent.db: there is no such file"),
        (&folder, "is not a file"),
    ] {
        let refused = server.run(&["restore", file.to_str().unwrap()]);
        assert_eq!(refused.status.code(), Some(1), "{file:?}");
        let told = err(&refused);
        assert!(told.contains(word) && told.lines().count() == 1, "{file:?}: {told}");
        assert_eq!(server.count("SELECT COUNT(*) FROM accounts"), 1, "{file:?}");
    }
}

#[test]
fn without_a_database_or_a_copy_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for (command, file) in [("backup", "chatbot.db"), ("restore", "copy.db")] {
        let refused = run(&Setup::new(), &data, &[command, "copy.db"]);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        let told = err(&refused);
        assert!(told.trim_end().ends_with(&format!("{file}: there is no such file")), "{command}: {told}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "{command}");
    }
}

#[test]
fn on_database_servers_their_own_tools_are_named_without_a_password() {
    let data = tempfile::tempdir().unwrap();
    for (url, backup, restore) in [
        ("postgresql://ada:s3cret@db.example:5433/parlor?sslmode=require", "pg_dump ", "pg_restore "),
        ("mysql://ada:s3cret@db.example:3307/parlor", "mysqldump --single-transaction --no-tablespaces ", "mysql "),
    ] {
        let setup = Setup::new().env("DATABASE_URL", url);
        for (command, tool) in [("backup", backup), ("restore", restore)] {
            let refused = run(&setup, data.path(), &[command, "copy.db"]);
            assert_eq!(refused.status.code(), Some(1));
            let told = err(&refused);
            assert!(
                told.contains(tool) && told.contains("--host=db.example --port=") && told.contains("parlor"),
                "{told}"
            );
            assert!(!told.contains("s3cret") && !told.contains("ada"), "{told}");
            assert!(!data.path().join("copy.db").exists());
        }
    }
}
