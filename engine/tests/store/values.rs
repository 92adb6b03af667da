//! Values, and what many do at once: what has to be the same whatever the database.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use parlor_engine::config::{DatabaseSettings, DatabaseUrl};
use parlor_engine::domain::Timestamp;
use parlor_engine::store::{ConversationFilter, ConversationPlace, Db, OpenAs, Param, StoreError};

use crate::kit::{Fixture, new_account, on_every_database};

on_every_database!(
    a_nul_is_refused_in_any_text,
    a_time_keeps_its_microseconds,
    a_million_characters_of_four_bytes_come_back,
    transactions_that_lock_each_other_out_are_run_again,
    a_list_that_is_paged_while_others_write_shows_each_once,
    no_more_connections_are_used_than_the_pool_may_have,
);

async fn a_nul_is_refused_in_any_text(fixture: Fixture) {
    let id = fixture.guest("anna").await.id.get();
    let changed = fixture.db.write(move |tx| {
        Box::pin(async move {
            let sql = "UPDATE accounts SET first_name = ? WHERE id = ?";
            tx.execute(sql, &[Param::Text("a\0b"), Param::Int(id)]).await
        })
    });
    let refused = changed.await;
    assert!(matches!(refused, Err(StoreError::Nul)), "{refused:?}");
    let looked = fixture.db.read(|tx| {
        Box::pin(async move {
            let sql = "SELECT id FROM accounts WHERE guest_key = ?";
            tx.fetch(sql, &[Param::Text("anna\0")], |row| row.get::<i64>(0)).await
        })
    });
    let refused = looked.await;
    assert!(matches!(refused, Err(StoreError::Nul)), "{refused:?}");
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM accounts WHERE first_name IS NOT NULL").await, 0);
}

async fn a_time_keeps_its_microseconds(fixture: Fixture) {
    for (name, micros) in [("now", 1_795_000_000_123_457), ("before the epoch", -1), ("far", 9_007_199_254_740_993)] {
        let made = Timestamp::from_micros(micros);
        let mut new = new_account(&format!("{}@example.com", name.replace(' ', ".")));
        new.password_hash = String::new();
        let account = fixture.db.insert_account(new, made).await.unwrap();
        assert_eq!(account.created_at, made, "{name}");
    }
}

async fn a_million_characters_of_four_bytes_come_back(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let long = "🙂𝄞".repeat(500_000);
    let turn = fixture.exchange(owner, None, "Write much", &long).await;
    let read = fixture.db.conversation_and_messages_of_owner(turn.conversation_id, owner, 10).await.unwrap();
    let (_, messages) = read.unwrap();
    assert!(messages.iter().any(|message| message.message.content == long), "4 MB have come back");
}

async fn transactions_that_lock_each_other_out_are_run_again(fixture: Fixture) {
    let (one, two) = (fixture.guest("one").await.id.get(), fixture.guest("two").await.id.get());
    let pause = match fixture.settings.database.url {
        DatabaseUrl::Sqlite(_) => "SELECT 1",
        DatabaseUrl::Postgres(_) => "SELECT CAST(pg_sleep(0.2) AS TEXT)",
        DatabaseUrl::Mysql { .. } => "SELECT SLEEP(0.2)",
    };
    let both = |first: i64, second: i64| {
        fixture.db.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE accounts SET token_version = token_version + 1 WHERE id = ?";
                tx.execute(sql, &[first.into()]).await?;
                tx.fetch(pause, &[], |_| Ok(())).await?;
                tx.execute(sql, &[second.into()]).await?;
                Ok(())
            })
        })
    };
    for _ in 0..3 {
        let (there, back) = tokio::join!(both(one, two), both(two, one));
        there.unwrap();
        back.unwrap();
    }
    assert_eq!(fixture.value::<i64>("SELECT MIN(token_version) FROM accounts").await, 6);
    assert_eq!(fixture.value::<i64>("SELECT MAX(token_version) FROM accounts").await, 6);
}

async fn a_list_that_is_paged_while_others_write_shows_each_once(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let mut wanted = BTreeSet::new();
    for n in 0..25 {
        wanted.insert(fixture.begin_at(owner, None, "old", 100 + n / 5).await.conversation_id);
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = ConversationFilter { archived: false, search: None, after, limit: 4 };
        let (page, _) = tokio::join!(
            fixture.db.conversations_of_owner_by(owner, filter),
            join_all((0..3).map(|n| fixture.begin_at(owner, None, "new", 500 + n))),
        );
        let page = page.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(ConversationPlace {
            is_pinned: last.is_pinned,
            updated_at: last.updated_at.micros(),
            id: last.id.get(),
        });
        seen.extend(page.iter().map(|conversation| conversation.id));
    }
    let once: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "none comes twice");
    assert!(wanted.is_subset(&once), "none is left out");
}

async fn no_more_connections_are_used_than_the_pool_may_have(fixture: Fixture) {
    let which = match fixture.settings.database.url {
        // Its threads are as many as the machine has processors.
        DatabaseUrl::Sqlite(_) => return,
        DatabaseUrl::Postgres(_) => "SELECT CAST(pg_backend_pid() AS BIGINT)",
        DatabaseUrl::Mysql { .. } => "SELECT CAST(CONNECTION_ID() AS SIGNED)",
    };
    let settings = DatabaseSettings { pool_size: 1, max_overflow: 2, ..fixture.settings.database.clone() };
    let db = Db::open(&settings, OpenAs::Command).unwrap();
    let reads = (0..60).map(|_| {
        db.read(move |tx| Box::pin(async move { tx.fetch_optional(which, &[], |row| row.get::<i64>(0)).await }))
    });
    let used: BTreeSet<i64> = join_all(reads).await.into_iter().map(|read| read.unwrap().unwrap()).collect();
    db.close().await;
    assert!((1..=3).contains(&used.len()), "{used:?}");
}
