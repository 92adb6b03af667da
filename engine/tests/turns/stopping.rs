//! Stopping: its own call, which keeps and bills what was said.

use parlor_engine::domain::{FinishReason, TurnState};

use crate::kit::{Fixture, end_of, events, soon};

#[tokio::test]
async fn a_stopped_answer_keeps_and_bills_what_was_said() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    call.say("so far ");
    let mut reader = turn.follow(1);
    soon(reader.next()).await.unwrap();
    let ending = soon(fixture.app.stop_turn(&fixture.caller, turn.message_id)).await.unwrap();
    assert_eq!((ending.state, ending.finish_reason), (TurnState::Cancelled, FinishReason::Cancelled));
    assert_eq!((ending.content.as_str(), ending.error_code.as_deref()), ("so far ", None));
    // The provider's connection is gone, and what it says later is nobody's.
    call.dropped().await;
    call.say("too late");
    assert_eq!(fixture.stored(turn.message_id).await.content, "so far ");
    let ledger = fixture.ledger().await;
    assert_eq!(ledger.len(), 1);
    let (provider, _, _, completion, is_estimated) = &ledger[0];
    assert_eq!((provider.as_str(), *completion, *is_estimated), ("gate", 3, true));
}

#[tokio::test]
async fn a_turn_stopped_before_its_first_word_costs_what_the_provider_read() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    turn.stop();
    let ending = soon(turn.ending()).await;
    assert_eq!((ending.state, ending.content.as_str()), (TurnState::Cancelled, ""));
    call.dropped().await;
    let ledger = fixture.ledger().await;
    let [(provider, _, prompt, completion, is_estimated)] = ledger.as_slice() else { panic!("{ledger:?}") };
    assert_eq!((provider.as_str(), *completion, *is_estimated), ("gate", 0, true));
    assert!(*prompt > 2, "the question and the instructions: {prompt}");
    assert_eq!(ending.usage.prompt_tokens, u64::try_from(*prompt).unwrap());
    assert_eq!(fixture.number("SELECT message_count FROM conversations").await, 1);
}

#[tokio::test]
async fn stopping_what_has_ended_changes_nothing() {
    let fixture = Fixture::new().await;
    let turn = fixture.exchange(None, "Hello", "Hi").await;
    let ending = soon(fixture.app.stop_turn(&fixture.caller, turn.message_id)).await.unwrap();
    assert_eq!((ending.state, ending.finish_reason), (TurnState::Complete, FinishReason::Stop));
    turn.stop();
    assert_eq!(end_of(&events(&turn, 0).await).state, TurnState::Complete);
    assert_eq!(fixture.ledger().await.len(), 1);
}
