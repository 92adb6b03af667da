//! Everything from one database into another.

use std::collections::BTreeSet;

use parlor_engine::domain::GuestRealm;
use parlor_engine::store::{Db, OpenAs, StoreError, TransferError, TransferEvent, TransferReport, transfer};

use crate::kit::{Fixture, Stopped, at};

const POSTGRES: &str = "PARLOR_TEST_POSTGRES_URL";
const MYSQL: &str = "PARLOR_TEST_MYSQL_URL";
/// How often one message is doubled.
const DOUBLED: u32 = 13;
/// More than one piece.
const MANY: i64 = 1 << DOUBLED;

/// One test for each pair of databases, under the names that tests are left out by where a server is missing.
macro_rules! on_every_pair {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::kit::Fixture::sqlite().await, crate::kit::Fixture::sqlite().await).await;
                }
            )+
        }
        mod postgres {
            mod from_sqlite { $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
                async fn $name() {
                    let source = crate::kit::Fixture::sqlite().await;
                    crate::kit::on_server(crate::transfer::POSTGRES, |target| crate::transfer::$name(source, target)).await;
                }
            )+ }
            mod to_sqlite { $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
                async fn $name() {
                    let target = crate::kit::Fixture::sqlite().await;
                    crate::kit::on_server(crate::transfer::POSTGRES, |source| crate::transfer::$name(source, target)).await;
                }
            )+ }
        }
        mod mysql {
            mod from_sqlite { $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
                async fn $name() {
                    let source = crate::kit::Fixture::sqlite().await;
                    crate::kit::on_server(crate::transfer::MYSQL, |target| crate::transfer::$name(source, target)).await;
                }
            )+ }
            mod to_sqlite { $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
                async fn $name() {
                    let target = crate::kit::Fixture::sqlite().await;
                    crate::kit::on_server(crate::transfer::MYSQL, |source| crate::transfer::$name(source, target)).await;
                }
            )+ }
        }
    };
}

on_every_pair!(
    everything_arrives_and_goes_on_counting_where_it_was,
    what_was_interrupted_goes_on_where_it_ended,
    a_target_with_data_of_its_own_is_left_alone,
    while_one_transfer_runs_another_into_its_target_is_refused,
);

mod mysql_and_postgres {
    mod mysql {
        mod postgres {
            use crate::kit::on_server;
            use crate::transfer::{MYSQL, POSTGRES};

            #[tokio::test]
            #[ignore = "needs PARLOR_TEST_MYSQL_URL and PARLOR_TEST_POSTGRES_URL"]
            async fn everything_arrives_from_mysql_on_postgres() {
                on_server(MYSQL, |source| {
                    Box::pin(on_server(POSTGRES, |target| {
                        crate::transfer::everything_arrives_and_goes_on_counting_where_it_was(source, target)
                    }))
                })
                .await;
            }

            #[tokio::test]
            #[ignore = "needs PARLOR_TEST_MYSQL_URL and PARLOR_TEST_POSTGRES_URL"]
            async fn everything_arrives_from_postgres_on_mysql() {
                on_server(POSTGRES, |source| {
                    Box::pin(on_server(MYSQL, |target| {
                        crate::transfer::everything_arrives_and_goes_on_counting_where_it_was(source, target)
                    }))
                })
                .await;
            }
        }
    }
}

/// Rows of every shape: NULLs, empty texts, what must be escaped, bytes, keys of several columns, ids that are gone.
async fn fill(fixture: &Fixture) {
    let anna = fixture.account("Anna@Example.com").await.id;
    let guest = fixture.guest("gäst 🙂\\N").await.id;
    let odd = "tab\there, line\nthere, \r\n \\N \\. 'quoted' \"twice\" ü 🙂 \u{1}\u{7f}";
    let first = fixture.exchange(anna, None, odd, "answer").await;
    fixture.exchange(anna, Some(first.conversation_id), "?", &"long ".repeat(40_000)).await;
    fixture.begin(guest, None, "never answered").await;
    let gone = fixture.guest("gone").await.id;
    assert!(gone > guest);
    fixture.execute("DELETE FROM accounts WHERE guest_key = 'gone'").await.unwrap();
    for subject in 1..=3 {
        for scope in ["api_key", "account"] {
            let values = format!("'{scope}', {subject}");
            for period in ["minute", "day"] {
                let sql = format!(
                    "INSERT INTO quota_counters (scope, subject_id, period, starts_at, ends_at, requests, tokens, micros) \
                     VALUES ({values}, '{period}', {}, 9007199254740993, 1, 2, 3)",
                    -subject
                );
                fixture.execute(Box::leak(sql.into_boxed_str())).await.unwrap();
            }
        }
    }
    let conversation = first.conversation_id.get();
    let many = fixture.db.write(move |tx| {
        Box::pin(async move {
            let one = "INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) VALUES (?, 'user', 'x', 1, 1, 1)";
            tx.execute(one, &[conversation.into()]).await?;
            for _ in 0..DOUBLED {
                let twice = "INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) \
                             SELECT conversation_id, role, content, tokens, created_at, updated_at FROM messages WHERE content = 'x'";
                tx.execute(twice, &[]).await?;
            }
            Ok(())
        })
    });
    many.await.unwrap();
}

async fn carry(from: &Stopped, to: &Stopped) -> Result<TransferReport, TransferError> {
    Box::pin(transfer(&from.settings.database, &to.settings.database, at(100), &mut |_| ())).await
}

async fn everything_arrives_and_goes_on_counting_where_it_was(source: Fixture, target: Fixture) {
    fill(&source).await;
    let there: BTreeSet<_> = source.db.tables().await.unwrap().into_iter().map(|table| table.name).collect();
    let highest = source.value::<i64>("SELECT MAX(id) FROM accounts").await;
    let (source, target) = (source.stop().await, target.stop().await);
    let report = carry(&source, &target).await.unwrap();
    assert!(!report.continued);
    let carried: BTreeSet<_> = report.tables.iter().map(|table| table.name.clone()).collect();
    let mut left: Vec<_> = there.difference(&carried).map(String::as_str).collect();
    // The index of words, which the target makes for itself; on SQLite its table is a virtual one.
    left.retain(|name| !["message_words", "search_cursor", "deleted_messages", "search_leftovers"].contains(name));
    assert_eq!(left, ["conversation_store", "message_store", "schema_migrations"], "what is no view has to be carried");
    let rows = |name: &str| report.tables.iter().find(|table| table.name == name).unwrap().rows;
    assert_eq!((rows("accounts"), rows("quota_counters")), (2, 12));
    assert_eq!(rows("messages"), u64::try_from(MANY).unwrap() + 6);
    assert_eq!(report.copied, report.tables.iter().map(|table| table.rows).sum::<u64>());

    let target = target.start().await;
    let anna = target.db.account_by_login("anna@example.com".to_owned()).await.unwrap().unwrap().account;
    let thread = target.values("SELECT content FROM messages WHERE content <> 'x' ORDER BY id").await;
    assert!(
        thread[0].starts_with("tab\there, line\nthere, \r\n \\N \\. ") && thread[0].contains('🙂'),
        "{:?}",
        thread[0]
    );
    assert_eq!(thread[3].len(), 200_000);
    assert_eq!(target.guest("gäst 🙂\\N").await.id.get(), highest, "the same guest");
    assert_eq!(target.db.migrate(at(200)).await.unwrap().iter().filter(|state| state.applied_now).count(), 0);
    // The id of the guest that is gone is not given out again, nor any other.
    assert!(target.guest("new").await.id.get() > highest + 1);
    target.exchange(anna.id, None, "And now?", "On").await;
    let leftover = target.db.tables().await.unwrap().into_iter().any(|table| table.name.contains("transfer"));
    assert!(!leftover, "nothing of the transfer is left");
    let known = target.db.guest(GuestRealm::Classic, parlor_engine::domain::GuestKey::parse("gone").unwrap()).await;
    assert_eq!(known.unwrap(), None);
}

async fn what_was_interrupted_goes_on_where_it_ended(source: Fixture, target: Fixture) {
    fill(&source).await;
    let (source, target) = (source.stop().await, target.stop().await);
    for pieces in [1, 4] {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let mut stop = Some(stop);
        let mut seen = 0;
        let mut on_event = |event: TransferEvent<'_>| {
            if matches!(event, TransferEvent::Copied(_)) {
                seen += 1;
                if seen == pieces {
                    drop(stop.take());
                }
            }
        };
        let running = transfer(&source.settings.database, &target.settings.database, at(100), &mut on_event);
        tokio::select! {
            biased;
            _ = stopped => {}
            done = running => panic!("it was not interrupted: {done:?}"),
        }
    }
    // A half is not taken for a whole.
    let half = Db::open(&target.settings.database, OpenAs::Command).unwrap();
    let refused = half.migrate(at(101)).await;
    assert!(matches!(refused, Err(StoreError::HalfTransferred)), "{refused:?}");
    half.close().await;
    // Nor does another source's rest go into it.
    let another = Fixture::sqlite().await.stop().await;
    let refused = carry(&another, &target).await;
    assert!(matches!(refused, Err(TransferError::Another)), "{refused:?}");

    let report = carry(&source, &target).await.unwrap();
    assert!(report.continued);
    let all = report.tables.iter().map(|table| table.rows).sum::<u64>();
    assert!(report.copied < all, "{} of {all}", report.copied);
    let target = target.start().await;
    assert_eq!(target.value::<i64>("SELECT COUNT(*) FROM messages").await, MANY + 6);
}

async fn while_one_transfer_runs_another_into_its_target_is_refused(source: Fixture, target: Fixture) {
    fill(&source).await;
    let (source, target) = (source.stop().await, target.stop().await);
    let another = Fixture::sqlite().await.stop().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let mut on_event = |event: TransferEvent<'_>| {
        if matches!(event, TransferEvent::Copied(_)) {
            drop(stop.take());
        }
    };
    let mut running = Box::pin(transfer(&source.settings.database, &target.settings.database, at(100), &mut on_event));
    tokio::select! {
        biased;
        _ = stopped => {}
        done = &mut running => panic!("it has ended: {done:?}"),
    }
    let refused = carry(&another, &target).await;
    let is_refused = matches!(&refused, Err(TransferError::UnderWay | TransferError::Target(StoreError::InUse(_))));
    assert!(is_refused, "{refused:?}");
    let report = running.await.unwrap();
    assert!(!report.continued);
    let over = carry(&another, &target).await;
    assert!(matches!(over, Err(TransferError::HoldsData(_))), "{over:?}");
}

async fn a_target_with_data_of_its_own_is_left_alone(source: Fixture, target: Fixture) {
    fill(&source).await;
    target.guest("mine").await;
    let (source, target) = (source.stop().await, target.stop().await);
    let refused = carry(&source, &target).await;
    assert!(matches!(&refused, Err(TransferError::HoldsData(table)) if table == "accounts"), "{refused:?}");
    let target = target.start().await;
    assert_eq!(target.value::<i64>("SELECT COUNT(*) FROM accounts").await, 1);
    assert_eq!(target.value::<i64>("SELECT COUNT(*) FROM messages").await, 0);
}

#[tokio::test]
async fn a_file_that_a_server_has_is_neither_read_nor_written() {
    let (running, other) = (Fixture::sqlite().await, Fixture::sqlite().await.stop().await);
    for (from, to) in [(&running.settings, &other.settings), (&other.settings, &running.settings)] {
        let refused = transfer(&from.database, &to.database, at(1), &mut |_| ()).await;
        let in_use = matches!(
            &refused,
            Err(TransferError::Source(StoreError::InUse(_)) | TransferError::Target(StoreError::InUse(_)))
        );
        assert!(in_use, "{refused:?}");
    }
}

#[tokio::test]
async fn a_source_that_is_none_or_the_target_itself_is_refused() {
    let one = Fixture::sqlite().await.stop().await;
    let refused = carry(&one, &one).await;
    assert!(matches!(refused, Err(TransferError::Same)), "{refused:?}");
    let mut nowhere = Fixture::sqlite().await.stop().await;
    let path = nowhere.folder.path().join("nothing.db");
    nowhere.settings.database.url = parlor_engine::config::DatabaseUrl::Sqlite(path.clone());
    let refused = carry(&nowhere, &one).await;
    assert!(matches!(refused, Err(TransferError::Source(_))), "{refused:?}");
    assert!(!path.exists(), "looking makes no file");
}

mod nul {
    mod postgres {
        use crate::kit::{Fixture, on_server};
        use crate::transfer::{POSTGRES, carry};
        use parlor_engine::store::TransferError;

        #[tokio::test]
        #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
        async fn it_refuses_a_nul_by_naming_its_table() {
            let source = Fixture::sqlite().await;
            source.guest("anna").await;
            source.execute("UPDATE accounts SET first_name = 'a' || char(0)").await.unwrap();
            let source = source.stop().await;
            let test = on_server(POSTGRES, |target| async move {
                let target = target.stop().await;
                let refused = Box::pin(carry(&source, &target)).await;
                assert!(
                    matches!(&refused, Err(TransferError::Rows { table, .. }) if table == "accounts"),
                    "{refused:?}"
                );
            });
            Box::pin(test).await;
        }
    }
}
