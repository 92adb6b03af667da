//! The outbox: what happened is kept where anybody reads it, in the transaction in which it happened; one at a time tells of it.

use std::time::Duration;

use futures_util::future::join_all;
use parlor_engine::domain::{Feedback, ModerationSubject, Rating, TurnState};
use parlor_engine::store::{FinishTurn, Happened, NewModerationEvent, OutboxState, Told};

use crate::kit::{Fixture, at, end, on_every_database};

on_every_database!(
    nothing_is_kept_where_nobody_reads_it,
    what_happens_is_kept_in_its_order_and_ids_alone,
    an_erased_account_is_told_twice,
    finished_turns_are_read_with_their_texts_as_far_as_there_is_room,
    what_was_told_goes_and_what_was_not_waits,
    one_of_many_holds_a_lease_until_it_is_over_or_given_up,
);

/// The same database, for a Parlor with MongoDB.
fn read_by_mongo(mut fixture: Fixture) -> Fixture {
    fixture.db = fixture.db.with_outbox();
    fixture
}

async fn outbox(fixture: &Fixture, now: i64) -> Vec<Told> {
    fixture.db.read_outbox(at(now), 100).await.unwrap()
}

async fn nothing_is_kept_where_nobody_reads_it(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    fixture.exchange(owner, None, "Hello", "Hi").await;
    fixture.db.delete_account(owner, at(30)).await.unwrap();
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM outbox").await, 0);
}

async fn what_happens_is_kept_in_its_order_and_ids_alone(fixture: Fixture) {
    let fixture = read_by_mongo(fixture);
    let owner = fixture.account("a@example.com").await.id;
    let turn = fixture.begin(owner, None, "a secret question").await;
    let finished = end(turn, owner, "a secret answer");
    assert!(fixture.db.finish_turn(finished.clone()).await.unwrap());
    assert!(!fixture.db.finish_turn(finished).await.unwrap());
    let feedback = Feedback { rating: Rating::Up, comment: None, updated_at: at(20) };
    let (conversation, answer) = (turn.conversation_id, turn.answer_id);
    fixture.db.set_feedback_of_owner(conversation, answer, owner, Some(feedback), at(20)).await.unwrap();
    fixture.db.set_feedback_of_owner(conversation, answer, owner, None, at(21)).await.unwrap();
    let blocked = NewModerationEvent {
        account_id: owner,
        subject: ModerationSubject::Message,
        conversation_id: None,
        message_id: None,
        content: "a secret curse".to_owned(),
        source: "rules",
        category: "swearing".to_owned(),
        idempotency: None,
        now: at(22),
    };
    fixture.db.insert_moderation_event(blocked).await.unwrap();
    assert!(fixture.db.delete_conversation_of_owner(conversation, owner, at(23)).await.unwrap());
    assert!(!fixture.db.delete_conversation_of_owner(conversation, owner, at(24)).await.unwrap());

    let told = outbox(&fixture, 30).await;
    let (account_id, conversation_id, message_id) = (owner.get(), conversation.get(), answer.get());
    let rated = |rating: Option<&str>| Happened::FeedbackGiven {
        account_id,
        conversation_id,
        message_id,
        rating: rating.map(str::to_owned),
    };
    let blocked = Happened::MessageBlocked {
        account_id,
        conversation_id: None,
        subject: "message".to_owned(),
        source: "rules".to_owned(),
        category: "swearing".to_owned(),
    };
    let happened: Vec<Happened> = told.iter().map(|told| told.happened.clone()).collect();
    assert_eq!(
        happened,
        [
            Happened::AccountRegistered { account_id, role: "user".to_owned() },
            Happened::TurnFinished { turn_id: turn.turn_id.get() },
            rated(Some("up")),
            rated(None),
            blocked,
            Happened::ConversationDeleted { account_id, conversation_id },
        ]
    );
    assert_eq!((told[1].key.clone(), told[1].at), (format!("turn:{}", turn.turn_id), at(12)));
    assert!(fixture.values("SELECT payload FROM outbox").await.iter().all(|payload| !payload.contains("secret")));
}

async fn an_erased_account_is_told_twice(fixture: Fixture) {
    let fixture = read_by_mongo(fixture);
    let owner = fixture.account("a@example.com").await.id;
    fixture.db.delete_account(owner, at(30)).await.unwrap();
    let erased = Happened::AccountErased { account_id: owner.get() };
    let count = async |now| outbox(&fixture, now).await.iter().filter(|told| told.happened == erased).count();
    assert_eq!((count(30).await, count(629).await, count(630).await), (1, 1, 2));
    let keys: Vec<String> = outbox(&fixture, 630).await.into_iter().skip(1).map(|told| told.key).collect();
    assert_eq!(keys[0], keys[1], "they are one event");
}

async fn finished_turns_are_read_with_their_texts_as_far_as_there_is_room(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    let first = fixture.exchange(owner, None, "Hello 🙂", "Hi").await;
    let failed = fixture.begin(owner, Some(first.conversation_id), "And?").await;
    let end = FinishTurn { state: TurnState::Failed, ledger: None, ..end(failed, owner, "") };
    fixture.db.finish_turn(end).await.unwrap();
    let gone = fixture.exchange(owner, None, "Forget", "it").await;
    fixture.db.delete_conversation_of_owner(gone.conversation_id, owner, at(20)).await.unwrap();
    let ids = vec![first.turn_id, gone.turn_id, failed.turn_id];
    let (turns, looked_at) = fixture.db.finished_turns(ids.clone(), 1_000).await.unwrap();
    assert_eq!((turns.len(), looked_at), (2, 3));
    assert_eq!((turns[0].question.as_str(), turns[0].answer.as_str()), ("Hello 🙂", "Hi"));
    assert_eq!((turns[0].prompt_tokens, turns[0].completion_tokens, turns[0].cost_micros), (11, 7, Some(6)));
    assert_eq!((turns[0].model.as_deref(), turns[0].ended_at), (Some("gpt-4o-mini-2024"), Some(at(12))));
    assert_eq!((turns[1].state.as_str(), turns[1].answer.as_str(), &turns[1].model), ("failed", "", &None));
    let (turns, looked_at) = fixture.db.finished_turns(ids, 1).await.unwrap();
    assert_eq!((turns.len(), looked_at), (1, 1));
}

async fn what_was_told_goes_and_what_was_not_waits(fixture: Fixture) {
    let fixture = read_by_mongo(fixture);
    for name in ["a", "b", "c"] {
        fixture.account(&format!("{name}@example.com")).await;
    }
    let told = outbox(&fixture, 10).await;
    assert_eq!(told.iter().map(|told| told.attempts).collect::<Vec<_>>(), [0, 0, 0]);
    let state = fixture.db.outbox_state(at(10)).await.unwrap();
    assert_eq!(state, OutboxState { rows: 3, oldest: Some(at(1)) });
    fixture.db.delete_told(vec![told[0].id, told[2].id]).await.unwrap();
    fixture.db.postpone_told(told[1].id, at(50)).await.unwrap();
    assert_eq!(outbox(&fixture, 49).await, []);
    assert_eq!(fixture.db.outbox_state(at(49)).await.unwrap(), OutboxState { rows: 1, oldest: None });
    let left = outbox(&fixture, 50).await;
    assert_eq!((left.len(), left[0].id, left[0].attempts), (1, told[1].id, 1));
    // What a newer version has written is not lost by an older one.
    fixture.execute("UPDATE outbox SET payload = '{\"key\":\"k\",\"event\":\"tea_made\",\"cups\":2}'").await.unwrap();
    assert_eq!(outbox(&fixture, 50).await[0].happened, Happened::Unknown);
}

async fn one_of_many_holds_a_lease_until_it_is_over_or_given_up(fixture: Fixture) {
    let take = |holder: String, now| {
        let db = fixture.db.clone();
        async move { db.take_lease("outbox", holder, at(now), at(now).plus(Duration::from_secs(10))).await.unwrap() }
    };
    let taken = join_all((0..8).map(|n| take(format!("{n}"), 100))).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    let holder = taken.iter().position(|taken| *taken).unwrap().to_string();
    assert!(take(holder.clone(), 105).await, "it keeps it");
    assert!(!take("other".to_owned(), 114).await);
    assert!(take("other".to_owned(), 115).await, "it was over");
    assert!(!take(holder.clone(), 116).await);
    fixture.db.give_up_lease("outbox", holder.clone()).await.unwrap();
    assert!(!take(holder.clone(), 116).await, "only who has it gives it up");
    fixture.db.give_up_lease("outbox", "other".to_owned()).await.unwrap();
    assert!(take(holder, 116).await);
}
