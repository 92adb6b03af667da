//! Moderation of whole answers: what a reader sees, what is stored, what is billed.

use parlor_bench::fake::FakeUpstream;
use parlor_engine::app::AppError;
use parlor_engine::app::chat::SendMessage;
use parlor_engine::config::{ModerationProvider, Settings};
use parlor_engine::domain::{FinishReason, TurnState};

use crate::kit::{Fixture, end_of, events, message, soon, text_of};

fn by_openai(fake: &FakeUpstream) -> impl FnOnce(&mut Settings) {
    let base_url = fake.base_url();
    move |settings| {
        settings.moderation.provider = ModerationProvider::OpenAi;
        settings.moderation.base_url = Some(base_url);
        settings.moderation.api_key = Some("sk-test".into());
        settings.moderation.refusal = "Not that.".to_owned();
    }
}

fn whole(text: &str) -> SendMessage {
    SendMessage { stream: false, ..message(text) }
}

#[tokio::test]
async fn a_blocked_answer_is_seen_by_no_reader_and_billed_all_the_same() {
    let fake = FakeUpstream::start().await;
    let fixture = Fixture::with(by_openai(&fake)).await;
    let turn = fixture.send_as(whole("hello")).await.unwrap();
    let call = fixture.call().await;
    call.say("a [flag] here");
    call.finish();
    let events = events(&turn, 0).await;
    assert_eq!(text_of(&events), "Not that.");
    let end = end_of(&events);
    assert_eq!((end.state, end.finish_reason), (TurnState::Complete, FinishReason::ContentFilter));
    assert_eq!(fixture.stored(turn.message_id).await.content, "Not that.");
    assert_eq!(fixture.number("SELECT completion_tokens FROM usage_ledger WHERE kind = 'chat'").await, 7);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_ledger WHERE kind = 'moderation'").await, 2);
    let kept = "SELECT COUNT(*) FROM moderation_events WHERE subject = 'answer' AND content = 'a [flag] here'";
    assert_eq!(fixture.number(kept).await, 1);
}

#[tokio::test]
async fn an_answer_that_nobody_can_judge_is_kept_back() {
    let fake = FakeUpstream::start().await;
    let fixture = Fixture::with(by_openai(&fake)).await;
    let turn = fixture.send_as(whole("hello")).await.unwrap();
    let call = fixture.call().await;
    drop(fake);
    call.say("an answer");
    call.finish();
    let end = soon(turn.ending()).await;
    assert_eq!((end.state, end.error_code.as_deref()), (TurnState::Failed, Some("moderation_unavailable")));
    assert!(end.content.is_empty() && matches!(end.error(false), AppError::ModerationDown));
}

#[tokio::test]
async fn what_is_to_be_said_again_was_judged_already() {
    let fake = FakeUpstream::start().await;
    let fixture = Fixture::with(by_openai(&fake)).await;
    let first = fixture.exchange(None, "hello", "one").await;
    let judged = fake.moderation_calls();
    let again = parlor_engine::app::chat::Regenerate {
        conversation_id: first.conversation_id,
        message_id: first.message_id,
        model: None,
        idempotency_key: None,
        stream: true,
    };
    let turn = fixture.app.regenerate(&fixture.caller, again).await.unwrap();
    let call = fixture.call().await;
    call.say("two");
    call.finish();
    assert_eq!(soon(turn.ending()).await.content, "two");
    assert_eq!(fake.moderation_calls(), judged);
}
