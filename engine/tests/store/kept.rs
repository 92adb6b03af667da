//! Calls of the gateway that become conversations.

use futures_util::future::join_all;
use parlor_engine::domain::{AccountId, FinishReason, LedgerKind, TokenUsage, TurnState};
use parlor_engine::store::{KeptCall, LedgerEntry};

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    a_call_is_stored_with_its_bill,
    a_call_goes_on_with_its_owners_thread_and_no_other,
    calls_that_go_on_at_once_from_one_place_do_not_mix,
);

fn call(fixture: &Fixture, owner: AccountId, from: Option<&str>, to: &str) -> KeptCall {
    KeptCall {
        account_id: owner,
        new_conversation_id: fixture.next_conversation(),
        continues: from.map(str::to_owned),
        thread_hash: to.to_owned(),
        question: format!("before {to}"),
        answer: to.to_owned(),
        model: "gpt-4o-mini".to_owned(),
        state: TurnState::Complete,
        finish_reason: FinishReason::Stop,
        error_code: None,
        elapsed_ms: 2000,
        asked_at: at(10),
        now: at(12),
    }
}

fn bill(owner: AccountId, kind: LedgerKind) -> LedgerEntry {
    LedgerEntry {
        account_id: owner,
        api_key_id: None,
        kind,
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        usage: TokenUsage::new(11, 7),
        is_estimated: false,
        cost_micros: Some(3),
        at: at(10),
    }
}

async fn keep(fixture: &Fixture, owner: AccountId, from: Option<&str>, to: &str) {
    let call = call(fixture, owner, from, to);
    fixture.db.settle_kept_call(vec![bill(owner, LedgerKind::Gateway)], None, call).await.unwrap();
}

async fn a_call_is_stored_with_its_bill(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let entries = vec![bill(owner, LedgerKind::Retry), bill(owner, LedgerKind::Gateway)];
    fixture.db.settle_kept_call(entries, None, call(&fixture, owner, None, "one")).await.unwrap();
    let turn = "SELECT COUNT(*) FROM turns t JOIN messages m ON m.id = t.answer_message_id WHERE t.state = 'complete' \
                AND t.finish_reason = 'stop' AND t.prompt_tokens = 11 AND t.completion_tokens = 7 AND t.cost_micros = 3 \
                AND m.content = 'one' AND t.model = 'gpt-4o-mini' AND t.provider = 'openai'";
    assert_eq!(fixture.value::<i64>(turn).await, 1);
    let bills = "SELECT COUNT(*) FROM usage_ledger l JOIN turns t ON t.id = l.turn_id AND t.conversation_id = l.conversation_id";
    assert_eq!(fixture.value::<i64>(bills).await, 2);
    let shown =
        "SELECT COUNT(*) FROM conversations WHERE title = 'before one' AND message_count = 2 AND last_message = 'one'";
    assert_eq!(fixture.value::<i64>(shown).await, 1);
}

async fn a_call_goes_on_with_its_owners_thread_and_no_other(fixture: Fixture) {
    let (owner, stranger) = (fixture.guest("anna").await.id, fixture.guest("mallory").await.id);
    keep(&fixture, owner, None, "one").await;
    keep(&fixture, stranger, Some("one"), "two").await;
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM conversations").await, 2);
    keep(&fixture, owner, Some("one"), "two").await;
    keep(&fixture, owner, Some("one"), "other").await;
    keep(&fixture, owner, Some("two"), "three").await;
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM conversations").await, 3);
    assert_eq!(fixture.value::<i64>("SELECT MAX(message_count) FROM conversations").await, 6);
    let deep = "SELECT COUNT(*) FROM messages m JOIN messages p ON p.id = m.parent_id AND p.conversation_id = m.conversation_id";
    assert_eq!(fixture.value::<i64>(deep).await, 7);
    // Continued elsewhere, it no longer ends there; deleted, it is forgotten.
    let of = fixture.db.conversations_of_owner_after(owner, None, 9).await.unwrap();
    let long = of.iter().find(|conversation| conversation.message_count == 6).unwrap().id;
    fixture.begin(owner, Some(long), "Between").await;
    keep(&fixture, owner, Some("three"), "four").await;
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM conversations").await, 4);
    assert!(fixture.db.delete_conversation_of_owner(long, owner, at(20)).await.unwrap());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM gateway_threads").await, 3);
}

async fn calls_that_go_on_at_once_from_one_place_do_not_mix(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    keep(&fixture, owner, None, "one").await;
    let names: Vec<String> = (0..8).map(|number| format!("two {number}")).collect();
    join_all(names.iter().map(|name| keep(&fixture, owner, Some("one"), name))).await;
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM conversations").await, 8);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM conversations WHERE message_count = 4").await, 1);
}
