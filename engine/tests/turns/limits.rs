//! Bounds: how long an answer, how many at once, how much history.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parlor_engine::app::AppError;
use parlor_engine::domain::{FinishReason, TurnState};

use crate::kit::{Fixture, end_of, events, message, soon, text_of};

#[tokio::test]
async fn an_answer_that_grows_too_long_is_cut_off_with_length() {
    let fixture = Fixture::with(|settings| settings.chat.answer_max_bytes = 1024).await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    // Two bytes a character, so that the limit falls into the middle of one after an odd beginning.
    call.say("x");
    call.say(&"ü".repeat(400));
    call.say(&"ü".repeat(400));
    let events = events(&turn, 0).await;
    call.dropped().await;
    let ending = end_of(&events);
    assert_eq!((ending.state, ending.finish_reason), (TurnState::Complete, FinishReason::Length));
    assert_eq!(ending.content, format!("x{}", "ü".repeat(511)));
    assert_eq!(text_of(&events), ending.content);
    assert_eq!(fixture.stored(turn.message_id).await.content, ending.content);
    assert_eq!(fixture.ledger().await.len(), 1);
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_whole() {
    let fixture = Fixture::with(|settings| settings.chat.answer_max_bytes = 1024).await;
    let turn = fixture.exchange(None, "Hello", &"y".repeat(1024)).await;
    let ending = soon(turn.ending()).await;
    assert_eq!((ending.finish_reason, ending.content.len()), (FinishReason::Stop, 1024));
}

#[tokio::test]
async fn no_more_turns_run_at_once_than_allowed() {
    let fixture = Arc::new(Fixture::with(|settings| settings.chat.max_running_turns = 3).await);
    let outcomes = join_all((0..20).map(|n| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.send_as(message(&format!("question {n}"))).await })
    }))
    .await;
    let (sent, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!((sent.len(), refused.len()), (3, 17));
    assert!(refused.iter().all(|outcome| matches!(outcome, Err(AppError::Overloaded))));
    // What was refused has left nothing behind.
    assert_eq!(fixture.number("SELECT COUNT(*) FROM messages WHERE role = 'user'").await, 3);
    for turn in sent {
        let call = fixture.call().await;
        call.say("done");
        call.finish();
        drop(turn);
    }
    // A place is free again as soon as a turn has ended.
    let wait = async {
        loop {
            match fixture.send_as(message("again")).await {
                Ok(turn) => return turn,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let turn = soon(wait).await;
    let call = fixture.call().await;
    call.say("yes");
    call.finish();
    assert_eq!(soon(turn.ending()).await.content, "yes");
}

#[tokio::test]
async fn history_is_put_before_the_model_from_the_newest_backwards_within_the_budget() {
    // Four bytes a token: every message here costs ten.
    let fixture = Fixture::with(|settings| settings.chat.context_tokens = 45).await;
    let text = |name: &str| format!("{name:-<40}");
    let first = fixture.exchange(None, &text("q1"), &text("a1")).await;
    let conversation = first.conversation_id;
    fixture.exchange(Some(conversation), &text("q2"), &text("a2")).await;
    fixture.send_to(conversation, &text("q3")).await;
    let request = fixture.call().await.request;
    let asked: Vec<_> = request.messages.iter().map(|message| message.content.clone()).collect();
    let system = fixture.app.settings().chat.system_prompt.clone();
    assert_eq!(asked, [system, text("a1"), text("q2"), text("a2"), text("q3")]);
}

#[tokio::test]
async fn a_message_larger_than_the_budget_is_still_asked() {
    let fixture = Fixture::with(|settings| settings.chat.context_tokens = 1).await;
    let first = fixture.exchange(None, "Hello", "Hi").await;
    let long = "long ".repeat(100);
    fixture.send_to(first.conversation_id, &long).await;
    let asked = fixture.call().await.request.messages;
    assert_eq!((asked.len(), asked[1].content.as_str()), (2, long.as_str()));
}

#[tokio::test]
async fn a_nul_that_a_provider_sends_is_replaced() {
    let fixture = Fixture::new().await;
    let turn = fixture.exchange(None, "Hello", "a\0b").await;
    assert_eq!(fixture.stored(turn.message_id).await.content, "a\u{fffd}b");
}
