//! Transactions: whole or not at all, seen whole or not at all.

use futures_util::future::join_all;
use parlor_engine::config::DatabaseUrl;
use parlor_engine::domain::AccountRole;
use parlor_engine::store::{AccountUpdate, Db, NewAccount, OpenAs, StoreError, Updated};

use crate::kit::{Fixture, at, new_account, on_every_database};

on_every_database!(
    what_fails_leaves_nothing_behind,
    a_reader_sees_one_state_whatever_is_written_meanwhile,
    a_panic_undoes_its_own_changes_alone,
    a_reference_to_nothing_is_refused,
    ids_count_up_and_are_never_given_out_twice,
    one_server_has_a_file_and_any_number_a_server,
    turns_begun_at_once_in_one_conversation_follow_each_other,
    two_admins_who_demote_each_other_at_once_leave_one,
);

async fn what_fails_leaves_nothing_behind(fixture: Fixture) {
    let half = fixture.db.write::<(), _>(|tx| {
        Box::pin(async move {
            let sql = "INSERT INTO accounts (role, guest_realm, guest_key, created_at, updated_at) VALUES ('guest', 'classic', 'half', 1, 1)";
            tx.insert(sql, &[]).await?;
            Err(StoreError::Overloaded)
        })
    });
    assert!(matches!(half.await, Err(StoreError::Overloaded)));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM accounts").await, 0);
}

async fn a_reader_sees_one_state_whatever_is_written_meanwhile(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let first = fixture.exchange(owner, None, "q", "a").await;
    let writing = join_all((0..100).map(|n| {
        let fixture = &fixture;
        async move { fixture.exchange(owner, Some(first.conversation_id), &format!("q{n}"), "a").await }
    }));
    let reading = join_all((0..100).map(|_| async {
        let read = fixture.db.conversation_and_messages_of_owner(first.conversation_id, owner, 1000).await.unwrap();
        let (conversation, messages) = read.unwrap();
        assert_eq!(conversation.message_count, i64::try_from(messages.len()).unwrap());
    }));
    tokio::join!(writing, reading);
    let conversation = fixture.db.conversation_of_owner(first.conversation_id, owner).await.unwrap().unwrap();
    assert_eq!(conversation.message_count, 202);
}

async fn a_panic_undoes_its_own_changes_alone(fixture: Fixture) {
    let panicking = fixture.db.write::<(), _>(|tx| {
        Box::pin(async move {
            let sql = "INSERT INTO accounts (role, guest_realm, guest_key, created_at, updated_at) VALUES ('guest', 'classic', 'panic', 1, 1)";
            tx.insert(sql, &[]).await?;
            panic!("on purpose")
        })
    });
    let (one, panicked, two) = tokio::join!(
        fixture.db.insert_account(new_account("one@example.com"), at(1)),
        panicking,
        fixture.db.insert_account(new_account("two@example.com"), at(1)),
    );
    assert!(one.is_ok() && two.is_ok());
    assert!(matches!(panicked, Err(StoreError::Panicked)));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM accounts").await, 2);
}

async fn a_reference_to_nothing_is_refused(fixture: Fixture) {
    for sql in [
        "INSERT INTO conversations (id, account_id, created_at, updated_at) VALUES (1, 4711, 1, 1)",
        "INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) VALUES (4711, 'user', 'x', 1, 1, 1)",
    ] {
        assert!(fixture.execute(sql).await.is_err(), "{sql}");
    }
    fixture.guest("anna").await;
    let nonsense = "UPDATE accounts SET role = 'emperor'";
    assert!(fixture.execute(nonsense).await.is_err(), "a role that is none");
}

async fn ids_count_up_and_are_never_given_out_twice(fixture: Fixture) {
    let first = fixture.guest("anna").await.id;
    let second = fixture.guest("bert").await.id;
    assert!(first < second);
    fixture.execute("DELETE FROM accounts").await.unwrap();
    assert!(fixture.guest("carl").await.id > second);
}

async fn one_server_has_a_file_and_any_number_a_server(fixture: Fixture) {
    let second = Db::open(&fixture.settings.database, OpenAs::Server);
    if matches!(fixture.settings.database.url, DatabaseUrl::Sqlite(_)) {
        assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
        return;
    }
    let second = second.unwrap();
    second.reach().await.unwrap();
    let first = fixture.db.beat(at(1)).await.unwrap();
    assert!(first.was_absent && first.servers == [(fixture.db.server(), 1)]);
    let roll = second.beat(at(2)).await.unwrap();
    assert_eq!(roll.servers.len(), 2);
    assert!(!fixture.db.remove_server(second.server(), 2).await.unwrap(), "its beat is another");
    assert!(!fixture.db.beat(at(3)).await.unwrap().was_absent);
    second.leave().await.unwrap();
    assert_eq!(fixture.db.beat(at(4)).await.unwrap().servers, [(fixture.db.server(), 3)]);
    second.close().await;
}

async fn turns_begun_at_once_in_one_conversation_follow_each_other(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let first = fixture.exchange(owner, None, "q", "a").await;
    join_all((0..30).map(|n| {
        let fixture = &fixture;
        async move { fixture.begin(owner, Some(first.conversation_id), &format!("q{n}")).await }
    }))
    .await;
    let branches = "SELECT COUNT(*) - COUNT(DISTINCT parent_id) FROM messages WHERE parent_id IS NOT NULL";
    assert_eq!(fixture.value::<i64>(branches).await, 0);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM messages").await, 62);
}

async fn two_admins_who_demote_each_other_at_once_leave_one(fixture: Fixture) {
    let demoted = || AccountUpdate { role: Some(AccountRole::User), is_active: None, password_hash: None };
    for round in 0..10 {
        let admin =
            |name: &str| NewAccount { role: AccountRole::Admin, ..new_account(&format!("{name}{round}@example.com")) };
        let one = fixture.db.insert_account(admin("one"), at(1)).await.unwrap().id;
        let two = fixture.db.insert_account(admin("two"), at(1)).await.unwrap().id;
        let (first, second) = tokio::join!(
            fixture.db.update_account(one, demoted(), at(2)),
            fixture.db.update_account(two, demoted(), at(2)),
        );
        let last = [first.unwrap(), second.unwrap()].iter().filter(|done| **done == Updated::LastAdmin).count();
        assert_eq!(last, 1, "round {round}");
        fixture.execute("UPDATE accounts SET role = 'user'").await.unwrap();
    }
}
