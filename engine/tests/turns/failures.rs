//! Failing: before the first word, after it, by a panic.

use parlor_engine::app::AppError;
use parlor_engine::app::chat::{OnFailure, SendMessage};
use parlor_engine::domain::{FinishReason, TurnState};
use parlor_engine::providers::{ProviderError, TimeoutPhase};

use crate::kit::{Fixture, end_of, events, message, soon, text_of};

#[tokio::test]
async fn a_provider_that_fails_before_its_first_word_fails_the_turn() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    fixture.call().await.fail(ProviderError::Unavailable { status: 503 });
    let events = events(&turn, 0).await;
    let ending = end_of(&events);
    assert_eq!(events.len(), 2);
    assert_eq!((ending.state, ending.finish_reason), (TurnState::Failed, FinishReason::Error));
    assert_eq!(ending.error_code.as_deref(), Some("provider_unavailable"));
    assert!(!ending.is_answer());
    assert!(matches!(ending.error(false), AppError::ProviderDown { .. }));
    // The question stays, the answer that never came is neither shown nor counted nor billed.
    let read = fixture.app.read_conversation(&fixture.caller, turn.conversation_id).await.unwrap();
    assert_eq!((read.messages.len(), read.conversation.message_count), (1, 1));
    assert!(fixture.ledger().await.is_empty());
}

#[tokio::test]
async fn a_provider_that_takes_too_long_is_told_apart() {
    let fixture = Fixture::new().await;
    for phase in [TimeoutPhase::FirstToken, TimeoutPhase::Total] {
        let turn = fixture.send("Hello").await;
        fixture.call().await.fail(ProviderError::Timeout(phase));
        let ending = soon(turn.ending()).await;
        assert!(matches!(ending.error(false), AppError::ProviderTimeout), "{:?}", ending.error(false));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_incomplete_and_billed() {
    let fixture = Fixture::new().await;
    for error in [Some(ProviderError::Connect), None] {
        let turn = fixture.send("Hello").await;
        let call = fixture.call().await;
        call.say("half an ");
        match error {
            Some(error) => call.fail(error),
            None => drop(call),
        }
        let events = events(&turn, 0).await;
        let ending = end_of(&events);
        assert_eq!((ending.state, ending.finish_reason), (TurnState::Incomplete, FinishReason::Error));
        assert!(ending.error_code.is_some());
        assert_eq!(text_of(&events), "half an ");
        assert_eq!(fixture.stored(turn.message_id).await.content, "half an ");
        assert!(!fixture.was_called(), "nothing is tried again after the first word");
    }
    let ledger = fixture.ledger().await;
    assert!(ledger.len() == 2 && ledger.iter().all(|row| row.4), "{ledger:?}");
}

#[tokio::test]
async fn a_fallback_stands_in_for_an_answer_that_never_came_and_costs_nothing() {
    let fixture = Fixture::new().await;
    let with_fallback = SendMessage { on_failure: OnFailure::Fallback("Sorry."), ..message("Hello") };
    let turn = fixture.send_as(with_fallback).await.unwrap();
    fixture.call().await.fail(ProviderError::Unavailable { status: 500 });
    let ending = soon(turn.ending()).await;
    assert_eq!((ending.state, ending.content.as_str()), (TurnState::Failed, "Sorry."));
    let read = fixture.app.read_conversation(&fixture.caller, turn.conversation_id).await.unwrap();
    let said: Vec<_> = read.messages.iter().map(|row| row.message.content.as_str()).collect();
    assert_eq!(said, ["Hello", "Sorry."]);
    assert_eq!(read.conversation.message_count, 2);
    assert!(fixture.ledger().await.is_empty());
    // An apology is not put before the model as if it had said so.
    let _next = fixture.send_to(turn.conversation_id, "Again").await;
    let asked: Vec<_> = fixture.call().await.request.messages.into_iter().skip(1).map(|m| m.content).collect();
    assert_eq!(asked, ["Hello", "Again"]);
}

#[tokio::test]
async fn a_panic_in_a_provider_fails_the_turn_and_hangs_nobody() {
    let fixture = Fixture::new().await;
    for first_words in [None, Some("before ")] {
        let turn = fixture.send("Hello").await;
        let call = fixture.call().await;
        if let Some(words) = first_words {
            call.say(words);
        }
        call.panic();
        let ending = end_of(&events(&turn, 0).await);
        assert_eq!((ending.state, ending.error_code.as_deref()), (TurnState::Failed, Some("internal")));
        assert!(matches!(ending.error(false), AppError::Internal(_)), "{:?}", ending.error(false));
        assert_eq!(fixture.stored(turn.message_id).await.state, TurnState::Failed);
    }
    let turn = fixture.exchange(None, "Hello", "The next one is answered").await;
    assert_eq!(soon(turn.ending()).await.state, TurnState::Complete);
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_is_not_told_as_one() {
    let fixture = Fixture::new().await;
    let with_fallback = SendMessage { on_failure: OnFailure::Fallback("Sorry."), ..message("Hello") };
    let turn = fixture.send_as(with_fallback).await.unwrap();
    let call = fixture.call().await;
    call.say("an answer");
    fixture.app.close().await;
    call.finish();
    let ending = soon(turn.ending()).await;
    assert_eq!((ending.state, ending.error_code.as_deref()), (TurnState::Failed, Some("storage")));
    assert!(!ending.is_answer());
    assert_eq!(ending.content, "", "what is not stored is not given as an answer");
    assert!(matches!(ending.error(false), AppError::Internal(_)), "{:?}", ending.error(false));
}
