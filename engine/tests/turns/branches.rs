//! Answers given again and messages said differently: branches of one conversation.

use futures_util::future::join_all;
use parlor_engine::app::chat::{EditMessage, Regenerate, SendMessage, TurnHandle};
use parlor_engine::app::{AppError, ThreadPage};
use parlor_engine::domain::{ConversationId, GuestRealm, IdempotencyKey, MessageId};

use crate::kit::{Call, Fixture, events, message, soon, text_of};

fn again(turn: &TurnHandle) -> Regenerate {
    Regenerate {
        conversation_id: turn.conversation_id,
        message_id: turn.message_id,
        model: None,
        idempotency_key: None,
        stream: true,
    }
}

fn edit(turn: &TurnHandle, text: &str) -> EditMessage {
    let message = SendMessage { conversation_id: Some(turn.conversation_id), ..message(text) };
    EditMessage { message_id: turn.user_message_id, message }
}

fn asked(call: &Call) -> Vec<String> {
    call.request.messages.iter().skip(1).map(|message| message.content.clone()).collect()
}

async fn answered(fixture: &Fixture, turn: &TurnHandle, answer: &str) -> Vec<String> {
    let call = fixture.call().await;
    let asked = asked(&call);
    call.say(answer);
    call.finish();
    assert_eq!(soon(turn.ending()).await.content, answer);
    asked
}

async fn page(fixture: &Fixture, id: ConversationId) -> ThreadPage {
    fixture.app.list_messages(&fixture.caller, id, None, 100).await.unwrap()
}

async fn said(fixture: &Fixture, id: ConversationId) -> Vec<String> {
    page(fixture, id).await.items.into_iter().map(|item| item.message.content).collect()
}

#[tokio::test]
async fn another_answer_stands_beside_the_first_and_the_thread_goes_on_from_it() {
    let fixture = Fixture::new().await;
    let first = fixture.exchange(None, "q1", "a1").await;
    let id = first.conversation_id;
    let second = fixture.app.regenerate(&fixture.caller, again(&first)).await.unwrap();
    assert_eq!(second.user_message_id, first.user_message_id);
    assert_eq!(answered(&fixture, &second, "a1, again").await, ["q1"]);
    assert_eq!(said(&fixture, id).await, ["q1", "a1, again"]);
    let versions = &page(&fixture, id).await.items[1].siblings;
    assert_eq!(*versions, [first.message_id, second.message_id]);
    let third = fixture.send_to(id, "q2").await;
    assert_eq!(answered(&fixture, &third, "a2").await, ["q1", "a1, again", "q2"]);
    let read = fixture.app.read_conversation(&fixture.caller, id).await.unwrap();
    let shown: Vec<_> = read.messages.iter().map(|row| row.message.content.as_str()).collect();
    assert_eq!(shown, ["q1", "a1, again", "q2", "a2"], "other surfaces show the active branch");
    assert_eq!(read.conversation.message_count, 5);
    assert_eq!(fixture.ledger().await.len(), 3);
}

#[tokio::test]
async fn a_message_said_differently_begins_a_branch_and_the_old_one_stays() {
    let fixture = Fixture::new().await;
    let first = fixture.exchange(None, "q1", "a1").await;
    let id = first.conversation_id;
    let second = fixture.exchange(Some(id), "q2", "a2").await;
    let edited = fixture.app.edit_message(&fixture.caller, edit(&second, "q2, edited")).await.unwrap();
    assert_eq!(answered(&fixture, &edited, "a2, edited").await, ["q1", "a1", "q2, edited"]);
    assert_eq!(said(&fixture, id).await, ["q1", "a1", "q2, edited", "a2, edited"]);
    let head = fixture.app.switch_branch(&fixture.caller, id, second.user_message_id).await.unwrap();
    assert_eq!(head, second.message_id);
    assert_eq!(said(&fixture, id).await, ["q1", "a1", "q2", "a2"]);
    let third = fixture.send_to(id, "q3").await;
    assert_eq!(answered(&fixture, &third, "a3").await, ["q1", "a1", "q2", "a2", "q3"]);
    // Through what both branches share, the newest child leads on.
    let head = fixture.app.switch_branch(&fixture.caller, id, first.message_id).await.unwrap();
    assert_eq!(head, edited.message_id);
}

#[tokio::test]
async fn the_first_message_can_be_said_differently() {
    let fixture = Fixture::new().await;
    let first = fixture.exchange(None, "q1", "a1").await;
    let edited = fixture.app.edit_message(&fixture.caller, edit(&first, "q1, edited")).await.unwrap();
    assert_eq!(answered(&fixture, &edited, "a").await, ["q1, edited"]);
    let items = page(&fixture, first.conversation_id).await.items;
    assert_eq!(items[0].siblings, [first.user_message_id, edited.user_message_id]);
    assert_eq!((items[0].parent_id, items.len()), (None, 2));
}

#[tokio::test]
async fn pages_go_back_along_their_own_branch() {
    let fixture = Fixture::new().await;
    let mut turn = fixture.exchange(None, "q0", "a0").await;
    let id = turn.conversation_id;
    for number in 1..4 {
        turn = fixture.exchange(Some(id), &format!("q{number}"), &format!("a{number}")).await;
    }
    let newest = fixture.app.list_messages(&fixture.caller, id, None, 3).await.unwrap();
    let texts = |page: &ThreadPage| page.items.iter().map(|m| m.message.content.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&newest), ["a2", "q3", "a3"]);
    // Going to another branch between two pages disturbs nobody.
    let edited = fixture.app.edit_message(&fixture.caller, edit(&turn, "other")).await.unwrap();
    answered(&fixture, &edited, "other").await;
    let mut before = newest.next;
    let mut older = Vec::new();
    while let Some(place) = before {
        let page = fixture.app.list_messages(&fixture.caller, id, Some(place), 3).await.unwrap();
        older.splice(0..0, texts(&page));
        before = page.next;
    }
    assert_eq!(older, ["q0", "a0", "q1", "a1", "q2"]);
}

#[tokio::test]
async fn the_same_key_branches_once_and_stands_for_one_operation() {
    let fixture = Fixture::new().await;
    let first = fixture.exchange(None, "q1", "a1").await;
    let other = fixture.exchange(Some(first.conversation_id), "q2", "a2").await;
    let key = Some(IdempotencyKey::parse("key-1").unwrap());
    let keyed = || Regenerate { idempotency_key: key.clone(), ..again(&first) };
    let turns = soon(join_all((0..10).map(|_| fixture.app.regenerate(&fixture.caller, keyed())))).await;
    let turns: Vec<_> = turns.into_iter().map(Result::unwrap).collect();
    assert_eq!(turns.iter().filter(|turn| !turn.is_replay).count(), 1);
    answered(&fixture, &turns[0], "once").await;
    for turn in &turns {
        assert_eq!(text_of(&events(turn, 0).await), "once");
    }
    let elsewhere = Regenerate { message_id: other.message_id, ..keyed() };
    assert!(matches!(fixture.app.regenerate(&fixture.caller, elsewhere).await.err(), Some(AppError::KeyReused)));
    let mut as_edit = edit(&first, "q1");
    as_edit.message.idempotency_key = key.clone();
    assert!(matches!(fixture.app.edit_message(&fixture.caller, as_edit).await.err(), Some(AppError::KeyReused)));
    assert!(!fixture.was_called());
}

#[tokio::test]
async fn what_is_not_there_or_of_the_wrong_kind_gets_no_sibling() {
    let fixture = Fixture::new().await;
    let mine = fixture.exchange(None, "q1", "a1").await;
    let elsewhere = fixture.exchange(None, "q2", "a2").await;
    let stranger = fixture.app.guest(GuestRealm::Classic, "mallory").await.unwrap();
    let app = &fixture.app;
    assert!(matches!(app.regenerate(&stranger, again(&mine)).await.err(), Some(AppError::NotFound(_))));
    assert!(matches!(app.edit_message(&stranger, edit(&mine, "x")).await.err(), Some(AppError::NotFound(_))));
    for id in [elsewhere.message_id, MessageId::new(999).unwrap()] {
        let foreign = Regenerate { message_id: id, ..again(&mine) };
        assert!(matches!(app.regenerate(&fixture.caller, foreign).await.err(), Some(AppError::NotFound(_))));
    }
    let question = Regenerate { message_id: mine.user_message_id, ..again(&mine) };
    assert!(matches!(app.regenerate(&fixture.caller, question).await.err(), Some(AppError::Invalid(_))));
    let answer = EditMessage { message_id: mine.message_id, ..edit(&mine, "x") };
    assert!(matches!(app.edit_message(&fixture.caller, answer).await.err(), Some(AppError::Invalid(_))));
    assert!(matches!(app.edit_message(&fixture.caller, edit(&mine, " ")).await.err(), Some(AppError::Invalid(_))));
    let head = app.switch_branch(&fixture.caller, mine.conversation_id, elsewhere.message_id).await;
    assert!(matches!(head, Err(AppError::NotFound(_))));
    assert_eq!(fixture.number("SELECT COUNT(*) FROM messages").await, 4);
    assert!(!fixture.was_called());
}

#[tokio::test]
async fn a_message_has_a_hundred_versions_and_no_more() {
    let fixture = Fixture::new().await;
    let first = fixture.exchange(None, "q1", "a1").await;
    for _ in 1..100 {
        let turn = fixture.app.regenerate(&fixture.caller, again(&first)).await.unwrap();
        answered(&fixture, &turn, "more").await;
    }
    let refused = fixture.app.regenerate(&fixture.caller, again(&first)).await.err();
    assert!(matches!(refused, Some(AppError::Invalid(_))), "{refused:?}");
    assert_eq!(page(&fixture, first.conversation_id).await.items[1].siblings.len(), 100);
}
