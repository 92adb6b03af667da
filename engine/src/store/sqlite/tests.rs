#![allow(clippy::unwrap_used, clippy::panic)]

use futures_util::future::join_all;

use super::*;
use crate::store::Param;

const BUSY: Duration = Duration::from_secs(5);

fn open(folder: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(&folder.path().join("test.db"), BUSY, OpenAs::Server).unwrap()
}

async fn with_table() -> (tempfile::TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder);
    sqlite
        .write(|tx| {
            Box::pin(async move {
                tx.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)", &[]).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    (folder, sqlite)
}

async fn insert(sqlite: &Sqlite, n: i64) -> Result<(), StoreError> {
    sqlite
        .write(move |tx| {
            Box::pin(async move {
                tx.execute("INSERT INTO numbers (n) VALUES (?)", &[Param::from(n)]).await?;
                Ok(())
            })
        })
        .await
}

async fn numbers(sqlite: &Sqlite) -> Vec<i64> {
    sqlite
        .read(|tx| Box::pin(async move { tx.fetch("SELECT n FROM numbers ORDER BY n", &[], |row| row.get(0)).await }))
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_file_is_opened_again() {
    let (folder, sqlite) = with_table().await;
    join_all((0..500).map(|n| insert(&sqlite, n))).await.into_iter().for_each(Result::unwrap);
    sqlite.close().await;
    drop(sqlite);
    assert_eq!(numbers(&open(&folder)).await, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_called_is_remembered_from_the_first_write_on_and_not_while_somebody_else_has_written() {
    let (folder, sqlite) = with_table().await;
    let remembered = sqlite.callers().version();
    assert!(remembered.is_some());
    insert(&sqlite, 1).await.unwrap();
    assert_eq!(sqlite.callers().version(), remembered, "nobody was changed");
    let beside = Sqlite::open(&folder.path().join("test.db"), BUSY, OpenAs::Command).unwrap();
    insert(&beside, 2).await.unwrap();
    assert_eq!(sqlite.callers().version(), None);
    insert(&sqlite, 3).await.unwrap();
    assert!(sqlite.callers().version() > remembered);
    // A job that fails leaves nothing to commit.
    insert(&sqlite, 3).await.unwrap_err();
    insert(&beside, 4).await.unwrap();
    assert_eq!(sqlite.callers().version(), None);
    sqlite.close().await;
    drop(sqlite);
    beside.close().await;
    drop(beside);
    let again = open(&folder);
    insert(&again, 5).await.unwrap();
    assert!(again.callers().version().is_some());
}

type Held = tokio::task::JoinHandle<Result<(), StoreError>>;

/// Holds the writer until what it returns first is dropped, so that what is sent meanwhile becomes one group with the holding job.
async fn hold(sqlite: &Sqlite) -> (std::sync::mpsc::SyncSender<()>, Held) {
    let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
    let (begun, begins) = oneshot::channel();
    let sqlite = sqlite.clone();
    let holding = tokio::spawn(async move {
        sqlite
            .write(move |_| {
                Box::pin(async move {
                    let _ = begun.send(());
                    let _ = held.recv();
                    Ok(())
                })
            })
            .await
    });
    begins.await.unwrap();
    (release, holding)
}

/// Waits until `jobs` wait for the writer.
async fn queued(sqlite: &Sqlite, jobs: usize) {
    while sqlite.queue_depths().0 < jobs {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_whose_caller_has_gone_is_not_run() {
    let (_folder, sqlite) = with_table().await;
    let (release, holding) = hold(&sqlite).await;
    let other = sqlite.clone();
    let waiting = tokio::spawn(async move { insert(&other, 1).await });
    queued(&sqlite, 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(release);
    holding.await.unwrap().unwrap();
    insert(&sqlite, 2).await.unwrap();
    assert_eq!(numbers(&sqlite).await, [2]);
}

#[tokio::test]
async fn a_job_is_begun_or_given_up_but_not_both() {
    let start = Start::default();
    assert!(start.begin());
    assert!(!start.give_up(), "what has begun is waited for");
    let start = Start::default();
    assert!(start.give_up());
    assert!(!start.begin(), "what was told to have failed does not run");
}

#[tokio::test]
async fn a_job_that_fails_or_panics_leaves_the_others_of_its_group_whole() {
    let (_folder, sqlite) = with_table().await;
    let (release, holding) = hold(&sqlite).await;
    let half_done = |n: i64, panics: bool| {
        sqlite.write::<(), _>(move |tx| {
            Box::pin(async move {
                tx.execute("INSERT INTO numbers (n) VALUES (?)", &[Param::from(n)]).await?;
                assert!(!panics, "on purpose");
                Err(StoreError::Overloaded)
            })
        })
    };
    let together = async {
        queued(&sqlite, 5).await;
        drop(release);
    };
    let (one, failed, two, panicked, three, (), held) = tokio::join!(
        insert(&sqlite, 1),
        half_done(100, false),
        insert(&sqlite, 2),
        half_done(200, true),
        insert(&sqlite, 3),
        together,
        holding,
    );
    held.unwrap().unwrap();
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert!(matches!(failed, Err(StoreError::Overloaded)));
    assert!(matches!(panicked, Err(StoreError::Panicked)));
    assert_eq!(numbers(&sqlite).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_unique_value_is_taken_once() {
    let (_folder, sqlite) = with_table().await;
    let outcomes = join_all((0..20).map(|_| insert(&sqlite, 7))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Duplicate))).count(), 19);
}

#[tokio::test]
async fn a_job_that_waits_for_something_else_is_refused_and_undone() {
    let (_folder, sqlite) = with_table().await;
    let waited = sqlite
        .write(|tx| {
            Box::pin(async move {
                tx.execute("INSERT INTO numbers (n) VALUES (1)", &[]).await?;
                tokio::task::yield_now().await;
                Ok(())
            })
        })
        .await;
    assert!(matches!(waited, Err(StoreError::Panicked)));
    assert_eq!(numbers(&sqlite).await, Vec::<i64>::new());
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let (_folder, sqlite) = with_table().await;
    let written =
        sqlite.read(|tx| Box::pin(async move { tx.execute("INSERT INTO numbers (n) VALUES (1)", &[]).await })).await;
    assert!(matches!(written, Err(StoreError::Sqlite(_))), "{written:?}");
}

#[tokio::test]
async fn a_failed_commit_answers_every_job_of_its_group() {
    let (_folder, sqlite) = with_table().await;
    sqlite
        .write(|tx| {
            Box::pin(async move {
                tx.execute("CREATE TABLE links (n INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)", &[])
                    .await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    let (release, holding) = hold(&sqlite).await;
    // Breaks a rule that is checked at the commit: it takes its whole group with it.
    let dangling = sqlite.write(|tx| {
        Box::pin(async move {
            tx.execute("INSERT INTO links (n) VALUES (99)", &[]).await?;
            Ok(())
        })
    });
    let together = async {
        queued(&sqlite, 3).await;
        drop(release);
    };
    let (dangling, one, two, (), held) =
        tokio::join!(dangling, insert(&sqlite, 1), insert(&sqlite, 2), together, holding);
    for outcome in [dangling, one, two, held.unwrap()] {
        assert!(matches!(outcome, Err(StoreError::Commit(_))), "{outcome:?}");
    }
    assert_eq!(numbers(&sqlite).await, Vec::<i64>::new());
    insert(&sqlite, 3).await.unwrap();
}

#[tokio::test]
async fn a_second_server_is_kept_off_the_file_and_a_command_is_not() {
    let (folder, sqlite) = with_table().await;
    let path = folder.path().join("test.db");
    assert!(matches!(Sqlite::open(&path, BUSY, OpenAs::Server), Err(StoreError::InUse(_))));
    let command = Sqlite::open(&path, BUSY, OpenAs::Command).unwrap();
    insert(&command, 5).await.unwrap();
    assert_eq!(numbers(&sqlite).await, [5]);
}

#[tokio::test]
async fn a_closed_database_refuses_work() {
    let (_folder, sqlite) = with_table().await;
    sqlite.close().await;
    assert!(matches!(insert(&sqlite, 1).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn what_is_kept_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, sqlite) = with_table().await;
    for file in ["test.db", "test.db-wal"] {
        let rights = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(rights & 0o077, 0, "{file}");
    }
    sqlite.close().await;
}
