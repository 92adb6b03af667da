//! Transactions: whole or not at all, seen whole or not at all.

use futures_util::future::join_all;
use parlor_engine::store::StoreError;

use crate::kit::{Fixture, at, new_account, on_every_database};

on_every_database!(
    what_fails_leaves_nothing_behind,
    a_reader_sees_one_state_whatever_is_written_meanwhile,
    a_panic_undoes_its_own_changes_alone,
    a_reference_to_nothing_is_refused,
    ids_count_up_and_are_never_given_out_twice,
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
