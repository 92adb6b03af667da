//! Turns: begun together, closed once, billed once.

use futures_util::future::join_all;
use parlor_engine::domain::{ConversationId, FinishReason, TokenUsage, TurnState};
use parlor_engine::store::{Begun, FinishTurn, LeftBy, NewTurn};

use crate::kit::{Fixture, at, end, key, on_every_database, opened};

on_every_database!(
    a_turn_begins_with_its_message_its_pending_answer_and_its_conversation,
    a_message_to_a_foreign_or_missing_conversation_leaves_nothing_behind,
    a_finished_turn_says_all_that_is_known_of_it,
    a_turn_is_closed_and_billed_once,
    many_that_close_one_turn_at_once_close_it_once,
    a_checkpoint_shows_a_running_answer_and_never_changes_a_closed_one,
    a_turn_of_a_deleted_conversation_is_billed_and_not_stored,
    an_answer_without_words_is_not_counted,
    a_key_stands_for_one_message,
    a_key_at_once_begins_one_turn,
    an_expired_key_protects_no_more,
    open_turns_are_found_oldest_first,
);

async fn a_turn_begins_with_its_message_its_pending_answer_and_its_conversation(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello there").await;
    assert!(turn.is_first && turn.user_message_id < turn.answer_id);
    let record = fixture.db.turn_of_owner(turn.answer_id, owner).await.unwrap().unwrap();
    assert_eq!((record.state, record.content.as_str(), record.ended_at), (TurnState::Pending, "", None));
    assert_eq!((record.user_message_id, record.started_at), (turn.user_message_id, at(10)));
    assert_eq!((record.requested_model.as_str(), record.model), ("gpt-4o-mini", None));
    let conversation = fixture.db.conversation_of_owner(turn.conversation_id, owner).await.unwrap().unwrap();
    assert_eq!((conversation.message_count, conversation.title.as_deref()), (1, Some("Hello there")));
    let next = fixture.begin(owner, Some(turn.conversation_id), "And?").await;
    assert!(!next.is_first && next.conversation_id == turn.conversation_id);
    let parents = "SELECT COUNT(*) FROM messages m JOIN messages p ON p.id = m.parent_id WHERE m.id > p.id";
    assert_eq!(fixture.value::<i64>(parents).await, 3);
}

async fn a_message_to_a_foreign_or_missing_conversation_leaves_nothing_behind(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let stranger = fixture.guest("mallory").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    for id in [turn.conversation_id, ConversationId::new(42).unwrap()] {
        let new = NewTurn {
            idempotency: Some((key("k"), "f".to_owned())),
            ..fixture.new_turn(stranger, Some(id), "Let me in")
        };
        assert_eq!(fixture.db.begin_turn(new).await.unwrap(), Begun::NoConversation);
    }
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM messages").await, 2);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM idempotency_keys").await, 0);
}

async fn a_finished_turn_says_all_that_is_known_of_it(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    let ended = FinishTurn {
        state: TurnState::Incomplete,
        finish_reason: FinishReason::Error,
        error_code: Some("provider_cut".to_owned()),
        ..end(turn, owner, "half an")
    };
    assert!(fixture.db.finish_turn(ended).await.unwrap());
    let record = fixture.db.turn_of_owner(turn.answer_id, owner).await.unwrap().unwrap();
    assert_eq!((record.state, record.finish_reason), (TurnState::Incomplete, Some(FinishReason::Error)));
    assert_eq!((record.error_code.as_deref(), record.content.as_str()), (Some("provider_cut"), "half an"));
    assert_eq!(record.chunk_ends, [1, 2, 0, 255]);
    assert_eq!(record.usage, TokenUsage::new(11, 7));
    assert_eq!((record.model.as_deref(), record.ended_at), (Some("gpt-4o-mini-2024"), Some(at(12))));
    let bill = "SELECT COUNT(*) FROM usage_ledger l JOIN turns t ON t.id = l.turn_id AND t.account_id = l.account_id \
                WHERE l.provider = 'openai' AND l.prompt_tokens = 11 AND l.completion_tokens = 7 AND l.is_estimated = 0";
    assert_eq!(fixture.value::<i64>(bill).await, 1);
}

async fn a_turn_is_closed_and_billed_once(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.exchange(owner, None, "Hello", "first").await;
    let late = FinishTurn { state: TurnState::Failed, ..end(turn, owner, "second") };
    assert!(!fixture.db.finish_turn(late).await.unwrap());
    let record = fixture.db.turn_of_owner(turn.answer_id, owner).await.unwrap().unwrap();
    assert_eq!((record.state, record.content.as_str()), (TurnState::Complete, "first"));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM usage_ledger").await, 1);
    assert_eq!(fixture.value::<i64>("SELECT message_count FROM conversations").await, 2);
}

async fn many_that_close_one_turn_at_once_close_it_once(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    let closed = join_all((0..20).map(|n| fixture.db.finish_turn(end(turn, owner, &format!("answer {n}"))))).await;
    assert_eq!(closed.iter().filter(|closed| matches!(closed, Ok(true))).count(), 1);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM usage_ledger").await, 1);
}

async fn a_checkpoint_shows_a_running_answer_and_never_changes_a_closed_one(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    let checkpoint = async |text: &str| {
        let saved = fixture.db.checkpoint_turn(turn.turn_id, turn.answer_id, text.to_owned(), vec![3], at(11));
        saved.await.unwrap();
        fixture.db.turn_of_owner(turn.answer_id, owner).await.unwrap().unwrap()
    };
    let record = checkpoint("one").await;
    assert_eq!((record.state, record.content.as_str(), record.chunk_ends), (TurnState::Streaming, "one", vec![3]));
    assert_eq!(checkpoint("one two").await.content, "one two");
    assert_eq!(fixture.value::<i64>("SELECT message_count FROM conversations").await, 1);
    assert!(fixture.db.finish_turn(end(turn, owner, "the whole")).await.unwrap());
    let record = checkpoint("late").await;
    assert_eq!((record.state, record.content.as_str()), (TurnState::Complete, "the whole"));
    assert_eq!(fixture.value::<i64>("SELECT message_count FROM conversations").await, 2);
}

async fn a_turn_of_a_deleted_conversation_is_billed_and_not_stored(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    assert!(fixture.db.delete_conversation_of_owner(turn.conversation_id, owner, at(20)).await.unwrap());
    let saved = fixture.db.checkpoint_turn(turn.turn_id, turn.answer_id, "late".to_owned(), vec![4], at(11)).await;
    saved.unwrap();
    assert!(!fixture.db.finish_turn(end(turn, owner, "too late")).await.unwrap());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM messages").await, 0);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM usage_ledger").await, 1);
}

async fn an_answer_without_words_is_not_counted(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    let ended = FinishTurn { state: TurnState::Failed, ledger: None, ..end(turn, owner, "") };
    assert!(fixture.db.finish_turn(ended).await.unwrap());
    let conversation = fixture.db.conversation_of_owner(turn.conversation_id, owner).await.unwrap().unwrap();
    assert_eq!((conversation.message_count, conversation.last_message.as_deref()), (1, Some("Hello")));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM usage_ledger").await, 0);
}

async fn a_key_stands_for_one_message(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let other = fixture.guest("bert").await.id;
    let keyed = |owner, name: &str, print: &str| NewTurn {
        idempotency: Some((key(name), print.to_owned())),
        ..fixture.new_turn(owner, None, "Hello")
    };
    let begun = opened(fixture.db.begin_turn(keyed(owner, "key", "print")).await.unwrap());
    let again = fixture.db.begin_turn(keyed(owner, "key", "print")).await.unwrap();
    assert_eq!(again, Begun::Replayed(begun.answer_id));
    assert_eq!(fixture.db.begin_turn(keyed(owner, "key", "other")).await.unwrap(), Begun::KeyReused);
    // Compared byte by byte, and each account has its own.
    for new in [keyed(owner, "KEY", "print"), keyed(owner, "key ", "print"), keyed(other, "key", "print")] {
        opened(fixture.db.begin_turn(new).await.unwrap());
    }
    opened(fixture.db.begin_turn(keyed(owner, &"k".repeat(255), "print")).await.unwrap());
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM turns").await, 5);
}

async fn a_key_at_once_begins_one_turn(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let begun = join_all((0..20).map(|_| {
        let idempotency = Some((key("key"), "print".to_owned()));
        fixture.db.begin_turn(NewTurn { idempotency, ..fixture.new_turn(owner, None, "Hello") })
    }))
    .await;
    // A database with many writers may refuse the later ones as duplicates; the sender tries again then.
    let is_opened = |begun: &Result<Begun, _>| matches!(begun, Ok(Begun::Opened(_)));
    assert_eq!(begun.iter().filter(|begun| is_opened(begun)).count(), 1);
    assert!(!begun.iter().any(|begun| matches!(begun, Ok(Begun::KeyReused | Begun::NoConversation))));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM messages").await, 2);
}

async fn an_expired_key_protects_no_more(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let keyed = |now: i64| NewTurn {
        idempotency: Some((key("key"), "print".to_owned())),
        key_expires_at: at(now + 100),
        now: at(now),
        ..fixture.new_turn(owner, None, "Hello")
    };
    let first = opened(fixture.db.begin_turn(keyed(10)).await.unwrap());
    assert_eq!(fixture.db.begin_turn(keyed(109)).await.unwrap(), Begun::Replayed(first.answer_id));
    let second = opened(fixture.db.begin_turn(keyed(110)).await.unwrap());
    assert_ne!(second.answer_id, first.answer_id);
    assert_eq!(fixture.db.begin_turn(keyed(111)).await.unwrap(), Begun::Replayed(second.answer_id));
}

async fn open_turns_are_found_oldest_first(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    fixture.exchange(owner, None, "closed", "closed").await;
    let mut open = Vec::new();
    for n in 0..5 {
        open.push(fixture.begin(owner, None, &format!("question {n}")).await);
    }
    let (turn, answer) = (open[1].turn_id, open[1].answer_id);
    fixture.db.checkpoint_turn(turn, answer, "so far".to_owned(), vec![6], at(11)).await.unwrap();
    let found = fixture.db.open_turns(LeftBy::Anybody, 3).await.unwrap();
    let ids: Vec<_> = found.iter().map(|orphan| orphan.turn_id).collect();
    assert_eq!(ids, open[..3].iter().map(|turn| turn.turn_id).collect::<Vec<_>>());
    assert_eq!((found[1].content.as_str(), found[1].chunk_ends.as_slice()), ("so far", [6].as_slice()));
    assert_eq!((found[0].content.as_str(), found[0].question_tokens, found[0].account_id), ("", 3, owner));
    assert_eq!(fixture.db.open_turns(LeftBy::Anybody, 100).await.unwrap().len(), 5);
}
