//! Turns and the conversation that they belong to.

use futures_util::future::join_all;
use parlor_engine::app::AppError;
use parlor_engine::app::chat::SendMessage;
use parlor_engine::domain::{ConversationId, IdempotencyKey, TurnState};

use crate::kit::{Fixture, events, message, soon, text_of};

#[tokio::test]
async fn two_turns_at_once_in_one_conversation_are_both_answered() {
    let fixture = Fixture::new().await;
    let begun = fixture.exchange(None, "q1", "a1").await;
    let conversation = begun.conversation_id;
    let second = fixture.send_to(conversation, "q2").await;
    let second_call = fixture.call().await;
    second_call.say("a2 ");
    let third = fixture.send_to(conversation, "q3").await;
    let third_call = fixture.call().await;
    let asked: Vec<_> = third_call.request.messages.iter().skip(1).map(|m| m.content.clone()).collect();
    assert_eq!(asked, ["q1", "a1", "q2", "q3"], "an answer that has not come is no history");
    third_call.say("a3");
    third_call.finish();
    assert_eq!(soon(third.ending()).await.content, "a3");
    second_call.say("at last");
    second_call.finish();
    assert_eq!(soon(second.ending()).await.content, "a2 at last");
    let read = fixture.app.read_conversation(&fixture.caller, conversation).await.unwrap();
    let said: Vec<_> = read.messages.iter().map(|row| row.message.content.as_str()).collect();
    assert_eq!(said, ["q1", "a1", "q2", "a2 at last", "q3", "a3"]);
    assert_eq!(read.conversation.message_count, 6);
    let thread = "SELECT COUNT(*) FROM messages m JOIN messages p ON p.id = m.parent_id AND p.conversation_id = m.conversation_id";
    assert_eq!(fixture.number(thread).await, 5, "every message but the first has its parent");
}

#[tokio::test]
async fn deleting_a_conversation_stops_its_turn_and_the_bill_stays() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    call.say("so far");
    let mut reader = turn.follow(1);
    soon(reader.next()).await.unwrap();
    fixture.app.delete_conversation(&fixture.caller, turn.conversation_id).await.unwrap();
    call.dropped().await;
    assert_eq!(soon(turn.ending()).await.state, TurnState::Cancelled);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM messages").await, 0);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM turns").await, 0);
    let ledger = fixture.ledger().await;
    assert!(ledger.len() == 1 && ledger[0].4, "{ledger:?}");
    let gone = fixture.app.follow_turn(&fixture.caller, turn.message_id).await;
    let wait = async {
        let mut gone = gone;
        while gone.is_ok() {
            tokio::task::yield_now().await;
            gone = fixture.app.follow_turn(&fixture.caller, turn.message_id).await;
        }
        gone.err()
    };
    assert!(matches!(soon(wait).await, Some(AppError::NotFound(_))));
}

#[tokio::test]
async fn a_conversation_of_somebody_else_or_of_nobody_takes_no_message() {
    let fixture = Fixture::new().await;
    let mine = fixture.exchange(None, "Hello", "Hi").await.conversation_id;
    let stranger = fixture.app.guest(parlor_engine::domain::GuestRealm::Classic, "mallory").await.unwrap();
    let to = |id| SendMessage { conversation_id: Some(id), ..message("Let me in") };
    let theirs = fixture.app.send_message(&stranger, to(mine)).await.err();
    let nobodys = fixture.app.send_message(&stranger, to(ConversationId::new(42).unwrap())).await.err();
    assert!(matches!(theirs, Some(AppError::NotFound(_))) && matches!(nobodys, Some(AppError::NotFound(_))));
    assert_eq!(fixture.number("SELECT COUNT(*) FROM messages").await, 2);
    assert!(!fixture.was_called());
}

#[tokio::test]
async fn the_same_key_at_once_makes_one_message_and_one_call() {
    let fixture = Fixture::new().await;
    let key = IdempotencyKey::parse("key-1").unwrap();
    let keyed = || SendMessage { idempotency_key: Some(key.clone()), ..message("Hello") };
    let turns = soon(join_all((0..20).map(|_| fixture.send_as(keyed())))).await;
    let turns: Vec<_> = turns.into_iter().map(Result::unwrap).collect();
    assert!(turns.iter().all(|turn| turn.message_id == turns[0].message_id));
    assert_eq!(turns.iter().filter(|turn| !turn.is_replay).count(), 1);
    let call = fixture.call().await;
    call.say("once");
    call.finish();
    for turn in &turns {
        assert_eq!(text_of(&events(turn, 0).await), "once");
    }
    let replayed = fixture.send_as(keyed()).await.unwrap();
    assert!(replayed.is_replay);
    assert_eq!(text_of(&events(&replayed, 0).await), "once");
    let other = SendMessage { idempotency_key: Some(key.clone()), ..message("Something else") };
    assert!(matches!(fixture.send_as(other).await.err(), Some(AppError::KeyReused)));
    assert!(!fixture.was_called());
    assert_eq!(fixture.number("SELECT COUNT(*) FROM messages").await, 2);
    assert_eq!(fixture.ledger().await.len(), 1);
}
