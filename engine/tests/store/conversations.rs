//! Conversations: pages, owners, what goes with them, and any text that people write.

use parlor_engine::domain::{GuestRealm, Role, TurnState};
use parlor_engine::store::StoreError;

use crate::kit::{Fixture, at, end, on_every_database};

on_every_database!(
    pages_are_newest_first_and_leave_nothing_out,
    nobody_reads_or_deletes_what_belongs_to_somebody_else,
    a_conversations_id_is_taken_once,
    a_deleted_conversation_takes_its_messages_along_and_leaves_the_bill,
    any_text_comes_back_as_it_was_written,
    a_very_long_text_comes_back_whole,
    the_title_and_the_preview_are_cut_between_characters,
    a_message_that_says_nothing_yet_is_not_shown,
);

async fn pages_are_newest_first_and_leave_nothing_out(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let stranger = fixture.guest("mallory").await.id;
    let mut expected = Vec::new();
    for n in 0..25_i64 {
        // Several at the same moment: their order is still one and the same on every page.
        expected.push((n / 4, fixture.begin_at(owner, None, &format!("q{n}"), n / 4).await.conversation_id));
        fixture.begin_at(stranger, None, "not yours", n).await;
    }
    expected.sort();
    expected.reverse();
    let mut seen = Vec::new();
    for page in 0..4 {
        let (items, total) = fixture.db.conversations_of_owner(owner, 7, page * 7).await.unwrap();
        assert_eq!(total, 25);
        assert!(items.iter().all(|item| item.account_id == owner));
        seen.extend(items.into_iter().map(|item| item.id));
    }
    assert_eq!(seen, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    let (beyond, total) = fixture.db.conversations_of_owner(owner, 7, 700).await.unwrap();
    assert_eq!((beyond.len(), total), (0, 25));
    // What is spoken in moves to the top.
    let oldest = expected.last().unwrap().1;
    fixture.begin_at(owner, Some(oldest), "again", 99).await;
    let (top, _) = fixture.db.conversations_of_owner(owner, 1, 0).await.unwrap();
    assert_eq!((top[0].id, top[0].updated_at, top[0].created_at), (oldest, at(99), at(0)));
}

async fn nobody_reads_or_deletes_what_belongs_to_somebody_else(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let stranger = fixture.guest("mallory").await.id;
    let turn = fixture.exchange(owner, None, "mine", "yours").await;
    let id = turn.conversation_id;
    assert!(fixture.db.conversation_of_owner(id, stranger).await.unwrap().is_none());
    assert!(fixture.db.conversation_and_messages_of_owner(id, stranger, 10).await.unwrap().is_none());
    assert!(fixture.db.turn_of_owner(turn.answer_id, stranger).await.unwrap().is_none());
    assert!(!fixture.db.delete_conversation_of_owner(id, stranger, at(20)).await.unwrap());
    assert!(fixture.db.conversation_of_owner(id, owner).await.unwrap().is_some());
    assert_eq!(fixture.db.guest_of_conversation(id, GuestRealm::Classic).await.unwrap(), Some(owner));
    assert_eq!(fixture.db.guest_of_conversation(id, GuestRealm::FullChatbot).await.unwrap(), None);
}

async fn a_conversations_id_is_taken_once(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let id = fixture.next_conversation();
    fixture.db.insert_conversation(id, owner, at(1)).await.unwrap();
    let again = fixture.db.insert_conversation(id, owner, at(1)).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");
    let mut new = fixture.new_turn(owner, None, "Hello");
    new.new_conversation_id = id;
    assert!(matches!(fixture.db.begin_turn(new).await, Err(StoreError::Duplicate)));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM messages").await, 0, "nothing of it is left behind");
}

async fn a_deleted_conversation_takes_its_messages_along_and_leaves_the_bill(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let first = fixture.exchange(owner, None, "q1", "a1").await;
    let kept = fixture.exchange(owner, None, "q2", "a2").await;
    fixture.begin(owner, Some(first.conversation_id), "unanswered").await;
    assert!(fixture.db.delete_conversation_of_owner(first.conversation_id, owner, at(20)).await.unwrap());
    assert!(!fixture.db.delete_conversation_of_owner(first.conversation_id, owner, at(20)).await.unwrap());
    for (table, left) in [
        ("SELECT COUNT(*) FROM conversations", 1),
        ("SELECT COUNT(*) FROM messages", 2),
        ("SELECT COUNT(*) FROM turns", 1),
        ("SELECT COUNT(*) FROM usage_ledger", 2),
    ] {
        assert_eq!(fixture.value::<i64>(table).await, left, "{table}");
    }
    assert!(fixture.db.turn_of_owner(first.answer_id, owner).await.unwrap().is_none());
    assert!(fixture.db.turn_of_owner(kept.answer_id, owner).await.unwrap().is_some());
}

async fn any_text_comes_back_as_it_was_written(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let texts = [
        "🙂👩‍👩‍👧‍👦 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠮷野家",
        "e\u{301} is not é",
        "  blanks at both ends, a tab\t, lines\r\nand\nmore  ",
        "'; DROP TABLE messages; -- \" ` \\ % _ ? $1 :name @p",
        "\u{feff}\u{202e}right to left\u{202c} \u{1}\u{7f}\u{10ffff}",
        "שלום عليكم สวัสดี नमस्ते",
    ];
    for text in texts {
        let turn = fixture.exchange(owner, None, text, text).await;
        let read = fixture.db.conversation_and_messages_of_owner(turn.conversation_id, owner, 10).await.unwrap();
        let (conversation, messages) = read.unwrap();
        assert_eq!(messages.iter().map(|row| row.message.content.as_str()).collect::<Vec<_>>(), [text, text]);
        assert_eq!(conversation.last_message.as_deref(), Some(text));
        let record = fixture.db.turn_of_owner(turn.answer_id, owner).await.unwrap().unwrap();
        assert_eq!(record.content, text);
    }
}

async fn a_very_long_text_comes_back_whole(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    // Over 16 MiB: more than a column of MEDIUMTEXT would hold.
    let long = "0123456789abcde🙂".repeat(900_000);
    let mut turn = end(fixture.begin(owner, None, &long[..2_000_003]).await, owner, &long);
    turn.chunk_ends = vec![7; 1_000_000];
    let answer = turn.answer_id;
    assert!(fixture.db.finish_turn(turn).await.unwrap());
    let record = fixture.db.turn_of_owner(answer, owner).await.unwrap().unwrap();
    assert!(record.content == long && record.chunk_ends.len() == 1_000_000);
    assert_eq!(fixture.value::<i64>("SELECT MAX(tokens) FROM messages").await, i64::try_from(long.len() / 4).unwrap());
}

async fn the_title_and_the_preview_are_cut_between_characters(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.exchange(owner, None, &"🙂".repeat(1000), &"ü".repeat(1000)).await;
    let conversation = fixture.db.conversation_of_owner(turn.conversation_id, owner).await.unwrap().unwrap();
    assert_eq!(conversation.title, Some("🙂".repeat(60)));
    assert_eq!(conversation.last_message, Some("ü".repeat(500)));
    assert_eq!(conversation.message_count, 2);
    fixture.exchange(owner, Some(turn.conversation_id), "Another title", "no").await;
    let conversation = fixture.db.conversation_of_owner(turn.conversation_id, owner).await.unwrap().unwrap();
    assert_eq!(conversation.title, Some("🙂".repeat(60)), "the first message gives the title");
}

async fn a_message_that_says_nothing_yet_is_not_shown(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let turn = fixture.begin(owner, None, "Hello").await;
    let messages = async || {
        let read = fixture.db.conversation_and_messages_of_owner(turn.conversation_id, owner, 10).await.unwrap();
        read.unwrap().1
    };
    assert_eq!(messages().await.len(), 1);
    let content = "so far".to_owned();
    fixture.db.checkpoint_turn(turn.turn_id, turn.answer_id, content, vec![6], at(11)).await.unwrap();
    let shown = messages().await;
    assert_eq!((shown[0].message.role, shown[0].turn_state), (Role::User, None));
    assert_eq!((shown[1].message.role, shown[1].turn_state), (Role::Assistant, Some(TurnState::Streaming)));
    assert_eq!(shown[1].message.content, "so far");
    let read = fixture.db.conversation_and_messages_of_owner(turn.conversation_id, owner, 1).await.unwrap();
    assert_eq!(read.unwrap().1.len(), 1);
}
