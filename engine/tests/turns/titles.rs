//! Titles that a model gives.

use std::time::Duration;

use parlor_engine::app::ConversationChange;
use parlor_engine::domain::{ConversationId, Title};
use parlor_engine::providers::ProviderError;

use crate::kit::{Call, Fixture, soon};

async fn titled() -> Fixture {
    Fixture::with(|settings| settings.chat.titles = true).await
}

async fn title(fixture: &Fixture, id: ConversationId) -> String {
    fixture.app.conversation(&fixture.caller, id).await.unwrap().title.unwrap()
}

/// A first exchange, and the call for its title.
async fn begun(fixture: &Fixture) -> (ConversationId, Call) {
    let turn = fixture.exchange(None, "Tell me about foxes", "They are curious.").await;
    (turn.conversation_id, fixture.call().await)
}

/// Waits until nothing runs any more.
async fn settled(fixture: &Fixture) {
    soon(fixture.app.drain(Duration::from_secs(60))).await;
}

#[tokio::test]
async fn a_conversation_gets_a_title_after_its_first_answer_and_it_is_billed() {
    let fixture = titled().await;
    let (id, call) = begun(&fixture).await;
    assert_eq!(title(&fixture, id).await, "Tell me about foxes");
    let asked = &call.request.messages[1].content;
    assert!(asked.contains("Tell me about foxes") && asked.contains("They are curious."), "{asked}");
    assert!(!call.request.stream && call.request.max_tokens.is_some());
    call.say("\"Curious Foxes\"");
    call.finish();
    let second = fixture.exchange(Some(id), "More", "More.").await;
    settled(&fixture).await;
    assert_eq!(title(&fixture, second.conversation_id).await, "Curious Foxes");
    assert!(!fixture.was_called(), "one title is enough");
    assert_eq!(
        fixture.number("SELECT COUNT(*) FROM usage_ledger WHERE kind = 'title' AND prompt_tokens = 11").await,
        1
    );
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_ledger WHERE kind = 'chat'").await, 2);
}

#[tokio::test]
async fn a_name_that_the_owner_gave_stays() {
    let fixture = titled().await;
    let (id, call) = begun(&fixture).await;
    let change = ConversationChange { title: Some(Title::parse("Mine").unwrap()), ..ConversationChange::default() };
    fixture.app.change_conversation(&fixture.caller, id, change).await.unwrap();
    call.say("Curious Foxes");
    call.finish();
    settled(&fixture).await;
    assert_eq!(title(&fixture, id).await, "Mine");
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_ledger WHERE kind = 'title'").await, 1);
}

#[tokio::test]
async fn a_title_that_does_not_come_leaves_the_first_one() {
    let fixture = titled().await;
    let (id, call) = begun(&fixture).await;
    call.say("Half a ti");
    call.fail(ProviderError::Cut);
    drop(call);
    settled(&fixture).await;
    assert_eq!(title(&fixture, id).await, "Tell me about foxes");
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_title() {
    let fixture = titled().await;
    let (id, call) = begun(&fixture).await;
    soon(fixture.app.drain(Duration::ZERO)).await;
    call.dropped().await;
    assert_eq!(title(&fixture, id).await, "Tell me about foxes");
}

#[tokio::test]
async fn without_the_setting_nobody_is_asked() {
    let fixture = Fixture::new().await;
    fixture.exchange(None, "Hello", "Hi").await;
    settled(&fixture).await;
    assert!(!fixture.was_called());
}
