//! `conversation_store` and `message_store`: the tables of a document, for SQL written against them.

use parlor_engine::domain::{GuestKey, GuestRealm, TurnState};
use parlor_engine::store::{FinishTurn, NewTurn};

use crate::kit::{Fixture, at, end, on_every_database, opened};

on_every_database!(
    a_conversation_is_shown_in_the_documents_columns,
    a_message_is_shown_in_the_documents_columns,
    an_answer_that_failed_shows_an_error,
    the_views_follow_what_is_deleted,
    nothing_is_written_through_a_view,
);

async fn a_conversation_is_shown_in_the_documents_columns(fixture: Fixture) {
    let account = fixture.account("user@example.com").await.id;
    fixture.exchange(account, None, &"word ".repeat(40), "An answer").await;
    let guest = GuestKey::parse("-42").unwrap();
    let guest = fixture.db.guest_or_insert(GuestRealm::FullChatbot, guest, at(1)).await.unwrap().id;
    fixture.exchange(guest, None, "Hello", "Hi").await;
    let row = "SELECT chat_name || '|' || conv_id || '|' || user_id || '|' || message_count || '|' || created_at || '|' || updated_at \
               FROM conversation_store WHERE ID = 1000000000000001";
    let shown: String = fixture.value(row).await;
    assert_eq!(shown, "Hello|1000000000000001|-42|2|1970-01-01 00:00:10|1970-01-01 00:00:12");
    let of_account = "SELECT user_id FROM conversation_store WHERE ID = 1000000000000000";
    assert_eq!(fixture.value::<i64>(of_account).await, account.get());
    assert_eq!(fixture.value::<i64>("SELECT CAST(MAX(LENGTH(chat_name)) AS BIGINT) FROM conversation_store").await, 59);
    assert_eq!(
        fixture.value::<String>("SELECT conv_id FROM conversation_store WHERE user_id = -42").await,
        "1000000000000001"
    );
}

async fn a_message_is_shown_in_the_documents_columns(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let named = |name: &str| NewTurn { client_id: Some(name.to_owned()), ..fixture.new_turn(owner, None, "Hello") };
    let turn = opened(fixture.db.begin_turn(named("test-msg-001")).await.unwrap());
    // An answer that says nothing yet is no message.
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM message_store").await, 1);
    fixture.db.finish_turn(end(turn, owner, "Hi there")).await.unwrap();
    let rows = "SELECT role || '|' || message_no || '|' || message_id || '|' || message || '|' || elapsed_time || '|' || \
                Status || '|' || created_at || '|' || updated_at FROM message_store ORDER BY ID";
    assert_eq!(
        fixture.values(rows).await,
        [
            "user|1|test-msg-001|Hello|0|Success|1970-01-01 00:00:10|1970-01-01 00:00:10",
            "assistant|2|2|Hi there|1500|Success|1970-01-01 00:00:10|1970-01-01 00:00:12"
        ]
    );
    // A name that does not fit is not cut short: the message's own number stands for it.
    fixture.db.begin_turn(named("exactly-twenty-chars")).await.unwrap();
    fixture.db.begin_turn(named("twenty-one-characters")).await.unwrap();
    let shown = "SELECT message_id || '|' || message_no FROM message_store WHERE ID > 2 ORDER BY ID";
    assert_eq!(fixture.values(shown).await, ["exactly-twenty-chars|1", "5|1"]);
}

async fn an_answer_that_failed_shows_an_error(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    for (state, expected) in [
        (TurnState::Complete, "Success"),
        (TurnState::Cancelled, "Success"),
        (TurnState::Failed, "Error"),
        (TurnState::Incomplete, "Error"),
        (TurnState::Interrupted, "Error"),
    ] {
        let turn = fixture.begin(owner, None, "Hello").await;
        fixture.db.finish_turn(FinishTurn { state, ..end(turn, owner, "Sorry") }).await.unwrap();
        let shown: String = fixture.value("SELECT Status FROM message_store ORDER BY ID DESC LIMIT 1").await;
        assert_eq!(shown, expected, "{state:?}");
    }
    assert_eq!(
        fixture.value::<i64>("SELECT COUNT(*) FROM message_store WHERE role = 'user' AND Status = 'Success'").await,
        5
    );
}

async fn the_views_follow_what_is_deleted(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.exchange(owner, None, "Hello", "Hi").await;
    assert!(fixture.db.delete_conversation_of_owner(turn.conversation_id, owner, at(20)).await.unwrap());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM conversation_store").await, 0);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM message_store").await, 0);
}

async fn nothing_is_written_through_a_view(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    fixture.exchange(owner, None, "Hello", "Hi").await;
    for statement in [
        "DELETE FROM conversation_store",
        "DELETE FROM message_store",
        "UPDATE conversation_store SET chat_name = 'x'",
        "UPDATE message_store SET message = 'x'",
        "INSERT INTO message_store (role, message) VALUES ('user', 'x')",
    ] {
        assert!(fixture.execute(statement).await.is_err(), "{statement}");
    }
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM messages").await, 2);
}
