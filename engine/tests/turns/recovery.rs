//! Checkpoints, and what a restart makes of them.

use std::time::Duration;

use parlor_engine::app::chat::SendMessage;
use parlor_engine::domain::{FinishReason, IdempotencyKey, TurnState};

use crate::kit::{Fixture, end_of, events, message, soon, text_of};

fn often(settings: &mut parlor_engine::config::Settings) {
    settings.chat.checkpoint_interval = Duration::from_millis(5);
}

#[tokio::test]
async fn a_running_answer_is_seen_in_the_database() {
    let fixture = Fixture::with(often).await;
    let turn = fixture.send("Hello").await;
    assert_eq!(fixture.stored(turn.message_id).await.state, TurnState::Pending);
    let call = fixture.call().await;
    call.say("one ");
    assert_eq!(fixture.until_stored(turn.message_id, "one ").await.state, TurnState::Streaming);
    call.say("two");
    assert_eq!(fixture.until_stored(turn.message_id, "one two").await.state, TurnState::Streaming);
    call.finish();
    let ending = end_of(&events(&turn, 0).await);
    let stored = fixture.stored(turn.message_id).await;
    assert_eq!((ending.state, stored.state), (TurnState::Complete, TurnState::Complete));
    assert_eq!(fixture.number("SELECT message_count FROM conversations").await, 2);
}

#[tokio::test]
async fn a_restart_keeps_and_bills_what_was_checkpointed() {
    let fixture = Fixture::with(often).await;
    let key = IdempotencyKey::parse("key-1").unwrap();
    let keyed = || SendMessage { idempotency_key: Some(key.clone()), ..message("Hello there") };
    let said = fixture.send_as(keyed()).await.unwrap();
    let call = fixture.call().await;
    call.say("one ");
    call.say("two ");
    fixture.until_stored(said.message_id, "one two ").await;
    let silent = fixture.send("And you?").await;
    let silent_call = fixture.call().await;
    let (said, silent) = (said.message_id, silent.message_id);

    let before = fixture;
    let fixture = before.after_a_crash().await;
    assert_eq!(fixture.app.recover_turns().await.unwrap(), 2);
    assert_eq!(fixture.app.recover_turns().await.unwrap(), 0);
    for (answer, text) in [(said, "one two "), (silent, "")] {
        let turn = fixture.app.follow_turn(&fixture.caller, answer).await.unwrap();
        let events = events(&turn, 0).await;
        let ending = end_of(&events);
        assert_eq!((ending.state, ending.finish_reason), (TurnState::Interrupted, FinishReason::Error));
        assert_eq!(ending.error_code.as_deref(), Some("interrupted"));
        assert_eq!(text_of(&events), text);
    }
    // The chunks are where they were: who had event 2 goes on with event 3.
    let turn = fixture.app.follow_turn(&fixture.caller, said).await.unwrap();
    assert_eq!(text_of(&events(&turn, 2).await), "two ");
    // Eleven bytes are three tokens, eight bytes are two.
    let model = fixture.app.settings().chat.model.clone();
    assert_eq!(fixture.ledger().await, [("unknown".to_owned(), model, 3, 2, true)]);
    assert_eq!(fixture.number("SELECT SUM(message_count) FROM conversations").await, 3);
    // The same key finds the interrupted answer, and asks nobody again.
    let replayed = fixture.send_as(keyed()).await.unwrap();
    assert!(replayed.is_replay && replayed.message_id == said);
    assert!(!fixture.was_called());
    // Whoever comes late with an end of his own finds the turn closed.
    call.finish();
    drop(silent_call);
    soon(before.app.drain(Duration::from_secs(60))).await;
    assert_eq!(fixture.stored(said).await.state, TurnState::Interrupted);
    assert_eq!(fixture.ledger().await.len(), 1);
    assert_eq!(fixture.number("SELECT SUM(message_count) FROM conversations").await, 3);
}

#[tokio::test]
async fn more_turns_than_one_batch_are_recovered() {
    let fixture = Fixture::new().await;
    for n in 0..250 {
        fixture.send(&format!("question {n}")).await;
    }
    let before = fixture;
    let fixture = before.after_a_crash().await;
    assert_eq!(fixture.app.recover_turns().await.unwrap(), 250);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM turns WHERE state = 'interrupted'").await, 250);
    assert!(fixture.ledger().await.is_empty());
}
