//! Several that start at once on one database.

use std::process::Stdio;

use super::{err, out};
use crate::kit::databases::with_database;
use crate::support::Setup;

const AT_ONCE: usize = 6;

mod postgres {
    use crate::kit::databases::POSTGRES;

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
    async fn of_several_that_migrate_at_once_one_does_it_and_the_others_wait() {
        super::several_migrate_at_once(POSTGRES).await;
    }
}

mod mysql {
    use crate::kit::databases::MYSQL;

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
    async fn of_several_that_migrate_at_once_one_does_it_and_the_others_wait() {
        super::several_migrate_at_once(MYSQL).await;
    }
}

async fn several_migrate_at_once(variable: &str) {
    with_database(variable, |url| async move {
        let data = tempfile::tempdir().unwrap();
        let setup = Setup::new().env("DATABASE_URL", &url);
        let started: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let mut command = setup.command(data.path(), &["migrate"]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut applied = Vec::new();
        for process in started {
            let ended = process.wait_with_output().unwrap();
            assert!(ended.status.success(), "{}", err(&ended));
            let lines = out(&ended);
            let mine = lines.lines().filter(|line| line.ends_with(": applied")).count();
            assert!(mine == 0 || mine == lines.lines().count(), "one does all of it:\n{lines}");
            applied.push(mine);
        }
        applied.retain(|mine| *mine > 0);
        assert_eq!(applied.len(), 1, "one of them does it");
        let planned = setup.command(data.path(), &["migrate", "--dry-run"]).output().unwrap();
        assert!(out(&planned).contains("Nothing is to be done."), "{}{}", out(&planned), err(&planned));
    })
    .await;
}
