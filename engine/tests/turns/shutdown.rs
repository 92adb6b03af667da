//! Stopping the whole: drain, then interrupt.

use std::time::Duration;

use parlor_engine::app::AppError;
use parlor_engine::domain::TurnState;

use crate::kit::{Fixture, end_of, events, message, soon, text_of};

#[tokio::test]
async fn the_end_of_the_grace_period_interrupts_and_stores_what_was_said() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    call.say("so far");
    let mut reader = turn.follow(1);
    soon(reader.next()).await.unwrap();
    let silent = fixture.send("And you?").await;
    let silent_call = fixture.call().await;
    soon(fixture.app.drain(Duration::ZERO)).await;
    call.dropped().await;
    silent_call.dropped().await;
    for (turn, text) in [(&turn, "so far"), (&silent, "")] {
        let events = events(turn, 0).await;
        let ending = end_of(&events);
        assert_eq!((ending.state, ending.error_code.as_deref()), (TurnState::Interrupted, Some("interrupted")));
        assert_eq!(text_of(&events), text);
        let stored = fixture.stored(turn.message_id).await;
        assert_eq!((stored.state, stored.content.as_str()), (TurnState::Interrupted, text));
    }
    // The provider had taken both.
    assert_eq!(fixture.ledger().await.len(), 2);
    let silent = soon(silent.ending()).await;
    assert!(!silent.is_answer(), "nothing was said: there is nothing to show");
    assert!(matches!(silent.error(false), AppError::Interrupted { is_replay: false }), "{:?}", silent.error(false));
}

#[tokio::test]
async fn draining_waits_for_what_runs_and_takes_nothing_new() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    call.say("nearly ");
    let app = fixture.app.clone();
    let draining = tokio::spawn(async move { app.drain(Duration::from_secs(60)).await });
    let wait = async {
        while !fixture.app.is_shutting_down() {
            tokio::task::yield_now().await;
        }
    };
    soon(wait).await;
    assert!(matches!(fixture.send_as(message("Me too")).await.err(), Some(AppError::ShuttingDown)));
    assert!(!draining.is_finished());
    call.say("done");
    call.finish();
    soon(draining).await.unwrap();
    assert_eq!(soon(turn.ending()).await.content, "nearly done");
    assert_eq!(fixture.stored(turn.message_id).await.state, TurnState::Complete);
    fixture.app.close().await;
}
