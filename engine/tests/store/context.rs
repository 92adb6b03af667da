//! What is put before a model: the thread that ends in a message, within a budget.

use parlor_engine::domain::{FinishReason, MessageId, Role, TurnState};
use parlor_engine::store::FinishTurn;

use crate::kit::{Fixture, end, on_every_database};

on_every_database!(
    the_thread_comes_oldest_first,
    the_budget_cuts_the_oldest_and_never_the_last,
    a_message_that_does_not_fit_hides_what_stands_before_it,
    so_many_messages_and_no_more,
    another_branch_is_left_out,
    failed_and_unanswered_turns_are_left_out,
);

async fn said(fixture: &Fixture, last: MessageId, budget: i64, most: i64) -> Vec<String> {
    let context = fixture.db.context_of(last, budget, most).await.unwrap();
    context.into_iter().map(|message| message.content).collect()
}

async fn the_thread_comes_oldest_first(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let first = fixture.exchange(owner, None, "q1", "a1").await;
    let second = fixture.exchange(owner, Some(first.conversation_id), "q2", "a2").await;
    fixture.exchange(owner, None, "elsewhere", "elsewhere").await;
    let third = fixture.begin(owner, Some(first.conversation_id), "q3").await;
    let context = fixture.db.context_of(third.user_message_id, 1000, 100).await.unwrap();
    let roles: Vec<_> = context.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant, Role::User]);
    assert_eq!(said(&fixture, third.user_message_id, 1000, 100).await, ["q1", "a1", "q2", "a2", "q3"]);
    // Asked again for an older message, later ones are not known.
    assert_eq!(said(&fixture, second.user_message_id, 1000, 100).await, ["q1", "a1", "q2"]);
}

async fn the_budget_cuts_the_oldest_and_never_the_last(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let text = |name: &str| format!("{name:-<40}");
    let first = fixture.exchange(owner, None, &text("q1"), &text("a1")).await;
    let last = fixture.begin(owner, Some(first.conversation_id), &text("q2")).await.user_message_id;
    for (budget, expected) in [
        (30, vec![text("q1"), text("a1"), text("q2")]),
        (29, vec![text("a1"), text("q2")]),
        (20, vec![text("a1"), text("q2")]),
        (19, vec![text("q2")]),
        (0, vec![text("q2")]),
    ] {
        assert_eq!(said(&fixture, last, budget, 100).await, expected, "{budget}");
    }
}

async fn a_message_that_does_not_fit_hides_what_stands_before_it(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let first = fixture.exchange(owner, None, "small", &"large ".repeat(100)).await;
    let second = fixture.exchange(owner, Some(first.conversation_id), "q2", "a2").await;
    let last = fixture.begin(owner, Some(second.conversation_id), "q3").await.user_message_id;
    assert_eq!(said(&fixture, last, 50, 100).await, ["q2", "a2", "q3"], "no hole in the thread");
}

async fn so_many_messages_and_no_more(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let mut turn = fixture.exchange(owner, None, "q0", "a0").await;
    for n in 1..150 {
        turn = fixture.exchange(owner, Some(turn.conversation_id), &format!("q{n}"), &format!("a{n}")).await;
    }
    let last = turn.user_message_id;
    assert_eq!(said(&fixture, last, 1_000_000, 4).await, ["a147", "q148", "a148", "q149"]);
    assert_eq!(said(&fixture, last, 1_000_000, 1000).await.len(), 299);
}

async fn another_branch_is_left_out(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let first = fixture.exchange(owner, None, "q1", "a1").await;
    let second = fixture.exchange(owner, Some(first.conversation_id), "q2", "a2").await;
    // What an edit does: the conversation goes on from an older message.
    let rewound = fixture
        .db
        .write(move |tx| {
            Box::pin(async move {
                let (head, id) = (first.answer_id.get(), first.conversation_id.get());
                let sql = "UPDATE conversations SET head_message_id = ? WHERE id = ?";
                tx.execute(sql, &[head.into(), id.into()]).await
            })
        })
        .await;
    assert_eq!(rewound.unwrap(), 1);
    let edited = fixture.exchange(owner, Some(first.conversation_id), "q2, edited", "a2, another").await;
    let third = fixture.begin(owner, Some(first.conversation_id), "q3").await;
    assert_eq!(said(&fixture, third.user_message_id, 1000, 100).await, ["q1", "a1", "q2, edited", "a2, another", "q3"]);
    assert_eq!(said(&fixture, second.answer_id, 1000, 100).await, ["q1", "a1", "q2", "a2"]);
    assert!(!edited.is_first);
}

async fn failed_and_unanswered_turns_are_left_out(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let mut turn = fixture.exchange(owner, None, "q1", "a1").await;
    let conversation = turn.conversation_id;
    for (state, answer) in [
        (TurnState::Failed, "Sorry, an apology"),
        (TurnState::Failed, ""),
        (TurnState::Cancelled, ""),
        (TurnState::Incomplete, "half an"),
        (TurnState::Cancelled, "stopped"),
        (TurnState::Interrupted, "interrupted"),
    ] {
        turn = fixture.begin(owner, Some(conversation), "q").await;
        let reason = FinishReason::Error;
        let ended = FinishTurn { state, finish_reason: reason, ledger: None, ..end(turn, owner, answer) };
        assert!(fixture.db.finish_turn(ended).await.unwrap());
    }
    let last = fixture.begin(owner, Some(conversation), "last").await;
    let said = said(&fixture, last.user_message_id, 1000, 100).await;
    assert_eq!(said, ["q1", "a1", "q", "q", "q", "q", "half an", "q", "stopped", "q", "interrupted", "last"]);
}
