//! Searching: the same words are found before the index has them and after, on every database, among one's own.

use std::collections::BTreeSet;

use parlor_engine::domain::{AccountId, ConversationId, Search, Title};
use parlor_engine::store::{
    ConversationChange, ConversationFilter, ConversationPlace, ImportedConversation, ImportedMessage, IndexBatch,
    StoreError, transfer,
};

use crate::kit::{Fixture, at, end, on_every_database};

on_every_database!(
    words_are_found_by_their_beginnings_whoever_wrote_them_how,
    nobody_finds_what_somebody_else_said,
    what_is_deleted_leaves_the_index,
    the_index_stops_before_an_answer_that_is_being_written,
    an_answer_is_found_as_soon_as_it_is_stored,
    the_index_goes_on_in_pieces_where_it_ended,
    several_that_index_at_once_take_each_message_once,
    titles_are_found_as_they_are_now,
    pages_hold_each_conversation_once,
    long_messages_are_taken_in_as_far_as_they_are_searched,
    an_answer_that_an_import_brings_later_is_found_then,
    a_message_that_goes_while_it_is_taken_in_is_left_out,
    more_messages_than_are_looked_through_are_found_through_the_index,
);

async fn search_by(fixture: &Fixture, owner: AccountId, text: &str, filter: ConversationFilter) -> Vec<ConversationId> {
    let filter = ConversationFilter { search: Some(Search::parse(text)), ..filter };
    let found = fixture.db.conversations_of_owner_by(owner, filter).await.unwrap();
    found.into_iter().map(|conversation| conversation.id).collect()
}

fn page(after: Option<ConversationPlace>, limit: i64) -> ConversationFilter {
    ConversationFilter { archived: false, search: None, after, limit }
}

async fn search(fixture: &Fixture, owner: AccountId, text: &str) -> BTreeSet<ConversationId> {
    search_by(fixture, owner, text, page(None, 100)).await.into_iter().collect()
}

async fn step(fixture: &Fixture, messages: i64, bytes: i64) -> i64 {
    let newest = fixture.db.index_state().await.unwrap().newest;
    fixture.db.index_messages(IndexBatch { up_to: newest, messages, bytes }).await.unwrap()
}

/// Takes everything in that can be.
async fn index(fixture: &Fixture) {
    let mut cursor = -1;
    loop {
        let next = step(fixture, 7, 1 << 20).await;
        if next == cursor {
            return;
        }
        cursor = next;
    }
}

/// How many messages the index has, when those that were deleted have left it.
async fn indexed(fixture: &Fixture) -> i64 {
    while fixture.db.forget_deleted_messages(3).await.unwrap() {}
    fixture.value("SELECT COUNT(*) FROM message_words").await
}

async fn words_are_found_by_their_beginnings_whoever_wrote_them_how(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    let texts = [
        "To be, or not to be: a 1 Q",
        "Grüße aus ZÜRICH, 100% sicher: rain_coat",
        "明日東京都に行く 🙂 한국어 ภาษาไทย",
        "𠮷野家 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 👩‍👩‍👧‍👦 Ωmega",
        "Достопримечательности Москвы",
        "AND OR NOT NEAR and the und la www",
        "don't \"quote\" (me) * + - ~ < > @ : & | ! ' ; DROP TABLE \\ $1 ?",
    ];
    let mut ids = Vec::new();
    for text in texts {
        ids.push(fixture.exchange(owner, None, "same question", text).await.conversation_id);
    }
    let mut is_indexed = false;
    loop {
        for (text, expected) in [
            ("to be or not", vec![0]),
            ("TO", vec![0]),
            ("a 1 q", vec![0]),
            ("zurich GRUSSE", vec![1]),
            ("rain coat sich", vec![1]),
            ("ain", vec![]),
            ("東京", vec![2]),
            ("都", vec![2]),
            ("京東", vec![]),
            ("한국", vec![2]),
            ("ภาษา", vec![2]),
            ("𠮷野", vec![3]),
            ("unicode ωmeg", vec![3]),
            ("достоприм москвы", vec![4]),
            ("and or not near the", vec![5]),
            ("www la un", vec![5]),
            ("don t quote drop", vec![6]),
            ("same question zurich", vec![]),
            ("sam QUEST", vec![0, 1, 2, 3, 4, 5, 6]),
        ] {
            let expected: BTreeSet<_> = expected.into_iter().map(|at| ids[at]).collect();
            assert_eq!(search(&fixture, owner, text).await, expected, "{text}, indexed: {is_indexed}");
        }
        if is_indexed {
            break;
        }
        index(&fixture).await;
        assert_eq!(indexed(&fixture).await, 14);
        is_indexed = true;
    }
}

async fn nobody_finds_what_somebody_else_said(fixture: Fixture) {
    let mut owners = Vec::new();
    // Ten and more, so that one number begins another.
    for n in 0..12 {
        owners.push(fixture.guest(&format!("guest{n}")).await.id);
    }
    let mut own = Vec::new();
    for owner in &owners {
        own.push(fixture.exchange(*owner, None, "Berlin", &format!("of {owner}")).await.conversation_id);
    }
    for _ in 0..2 {
        for (owner, own) in owners.iter().zip(&own) {
            for text in ["berlin", "b", "of", &format!("{owner}")] {
                assert_eq!(search(&fixture, *owner, text).await, BTreeSet::from([*own]), "{text}");
            }
        }
        index(&fixture).await;
    }
}

async fn what_is_deleted_leaves_the_index(fixture: Fixture) {
    let (anna, bert) = (fixture.account("a@example.com").await.id, fixture.account("b@example.com").await.id);
    let gone = fixture.exchange(anna, None, "secret one", "secret two").await.conversation_id;
    let kept = fixture.exchange(anna, None, "secret three", "open").await.conversation_id;
    fixture.exchange(bert, None, "secret", "secret").await;
    index(&fixture).await;
    assert_eq!(indexed(&fixture).await, 6);
    assert!(fixture.db.delete_conversation_of_owner(gone, anna, at(20)).await.unwrap());
    assert_eq!(search(&fixture, anna, "secret").await, BTreeSet::from([kept]), "at once");
    assert_eq!(indexed(&fixture).await, 4);
    assert_eq!(search(&fixture, anna, "secret").await, BTreeSet::from([kept]));
    fixture.db.delete_account(bert, at(21)).await.unwrap();
    assert_eq!(indexed(&fixture).await, 2);
    assert_eq!(search(&fixture, anna, "secret").await, BTreeSet::from([kept]));
    // The words themselves go from SQLite's index with the next tidying, which comes to an end.
    let mut begin = true;
    while fixture.db.tidy_index(begin).await.unwrap() {
        begin = false;
    }
    assert_eq!(search(&fixture, anna, "secret").await, BTreeSet::from([kept]));
    // An answer that goes before it is taken in, and one after.
    let unindexed = fixture.exchange(anna, None, "secret four", "").await.conversation_id;
    fixture.db.delete_conversation_of_owner(unindexed, anna, at(22)).await.unwrap();
    index(&fixture).await;
    assert_eq!((indexed(&fixture).await, search(&fixture, anna, "four").await), (2, BTreeSet::new()));
}

async fn the_index_stops_before_an_answer_that_is_being_written(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let open = fixture.begin(owner, None, "first question").await;
    let checkpoint = "an answer so far".to_owned();
    fixture.db.checkpoint_turn(open.turn_id, open.answer_id, checkpoint, vec![5], at(11)).await.unwrap();
    let later = fixture.exchange(owner, None, "second question", "another answer").await;
    index(&fixture).await;
    assert_eq!(fixture.db.index_state().await.unwrap().cursor, open.answer_id.get() - 1);
    assert_eq!(indexed(&fixture).await, 1);
    // Whatever is not in the index is found where it is.
    assert_eq!(search(&fixture, owner, "answer").await.len(), 2);
    assert_eq!(search(&fixture, owner, "whole").await, BTreeSet::new());
    assert!(fixture.db.finish_turn(end(open, owner, "a whole answer")).await.unwrap());
    for _ in 0..2 {
        assert_eq!(search(&fixture, owner, "whole").await, BTreeSet::from([open.conversation_id]));
        assert_eq!(search(&fixture, owner, "far").await, BTreeSet::new());
        index(&fixture).await;
    }
    let state = fixture.db.index_state().await.unwrap();
    assert_eq!((state.cursor, state.newest), (later.answer_id.get(), later.answer_id.get()));
    assert_eq!(indexed(&fixture).await, 4);
}

async fn an_answer_is_found_as_soon_as_it_is_stored(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let mut ids = BTreeSet::new();
    for n in 0..20 {
        ids.insert(fixture.exchange(owner, None, &format!("number {n}"), "told").await.conversation_id);
        assert_eq!(search(&fixture, owner, "told").await, ids);
        step(&fixture, 3, 1 << 20).await;
        assert_eq!(search(&fixture, owner, "told").await, ids);
        assert_eq!(search(&fixture, owner, &format!("{n} numb")).await.len(), 1);
    }
}

async fn the_index_goes_on_in_pieces_where_it_ended(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let mut last = 0;
    for n in 0..5 {
        last = fixture.exchange(owner, None, &format!("question {n}"), &"word ".repeat(100)).await.answer_id.get();
    }
    let first = fixture.value::<i64>("SELECT MIN(id) FROM messages").await;
    assert_eq!(step(&fixture, 1, 1 << 20).await, first);
    assert_eq!(step(&fixture, 2, 1 << 20).await, first + 2);
    // One message at least, however large; and as many as fit.
    assert_eq!(step(&fixture, 50, 1).await, first + 3);
    assert_eq!(step(&fixture, 50, 600).await, first + 6);
    // Nothing beyond what can still appear.
    let bounded = IndexBatch { up_to: first + 7, messages: 50, bytes: 1 << 20 };
    assert_eq!(fixture.db.index_messages(bounded).await.unwrap(), first + 7);
    assert_eq!(fixture.db.index_messages(bounded).await.unwrap(), first + 7);
    assert_eq!(indexed(&fixture).await, 8);
    assert_eq!(search(&fixture, owner, "question").await.len(), 5);
    index(&fixture).await;
    assert_eq!((fixture.db.index_state().await.unwrap().cursor, indexed(&fixture).await), (last, 10));
    // An older step that comes late changes nothing.
    assert_eq!(fixture.db.index_messages(bounded).await.unwrap(), last);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM search_cursor").await, 1);
}

async fn several_that_index_at_once_take_each_message_once(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    for n in 0..15 {
        fixture.exchange(owner, None, &format!("question {n}"), "answer").await;
    }
    while {
        let state = fixture.db.index_state().await.unwrap();
        state.cursor < state.newest
    } {
        futures_util::future::join_all((0..4).map(|_| step(&fixture, 4, 1 << 20))).await;
    }
    assert_eq!(indexed(&fixture).await, 30);
    assert_eq!(search(&fixture, owner, "answer").await.len(), 15);
}

async fn titles_are_found_as_they_are_now(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    let renamed = fixture.exchange(owner, None, "About the weather", "Sunny").await;
    let id = renamed.conversation_id;
    let by_model = fixture.exchange(owner, None, "Tea", "Three minutes").await;
    for _ in 0..2 {
        let change = ConversationChange { title: Some(Title::parse("Überraschung").unwrap()), ..Default::default() };
        fixture.db.change_conversation_of_owner(id, owner, change).await.unwrap();
        let title = Some("Steeping times".to_owned());
        fixture.db.give_title(by_model, title, owner, Vec::new(), None).await.unwrap();
        assert_eq!(search(&fixture, owner, "uberrasch").await, BTreeSet::from([id]));
        assert_eq!(search(&fixture, owner, "steep tim").await, BTreeSet::from([by_model.conversation_id]));
        // All in the title, or all in one message.
        assert_eq!(search(&fixture, owner, "steep three").await, BTreeSet::new());
        assert_eq!(search(&fixture, owner, "weather").await, BTreeSet::from([id]));
        let change = ConversationChange { title: Some(Title::parse("Other").unwrap()), ..Default::default() };
        fixture.db.change_conversation_of_owner(id, owner, change).await.unwrap();
        assert_eq!(search(&fixture, owner, "uberrasch").await, BTreeSet::new());
        index(&fixture).await;
    }
}

async fn pages_hold_each_conversation_once(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let mut wanted = BTreeSet::new();
    for n in 0..30 {
        let turn = fixture.begin_at(owner, None, if n % 2 == 0 { "red apple" } else { "pear" }, 100 + n / 4).await;
        assert!(fixture.db.finish_turn(end(turn, owner, "green")).await.unwrap());
        let id = turn.conversation_id;
        // Found by a message, by its title, by both.
        let title = (n % 3 == 0).then(|| Title::parse("Apples").unwrap());
        let (is_pinned, is_archived) = ((n % 5 == 0).then_some(true), (n % 7 == 0).then_some(true));
        let is_found = (n % 2 == 0 || title.is_some()) && is_archived.is_none();
        fixture
            .db
            .change_conversation_of_owner(id, owner, ConversationChange { title, is_pinned, is_archived })
            .await
            .unwrap();
        if is_found {
            wanted.insert(id);
        }
        if n == 17 {
            index(&fixture).await;
        }
    }
    for limit in [1, 4, 100] {
        let (mut seen, mut places, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let filter = ConversationFilter { search: Some(Search::parse("appl")), ..page(after, limit) };
            let found = fixture.db.conversations_of_owner_by(owner, filter).await.unwrap();
            let Some(last) = found.last() else { break };
            let place = |is_pinned, updated_at, id| (is_pinned, updated_at, id);
            places.extend(found.iter().map(|item| place(item.is_pinned, item.updated_at.micros(), item.id.get())));
            after = Some(ConversationPlace {
                is_pinned: last.is_pinned,
                updated_at: last.updated_at.micros(),
                id: last.id.get(),
            });
            seen.extend(found.iter().map(|item| item.id));
        }
        assert!(places.is_sorted_by(|one, next| one > next), "{places:?}");
        assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), wanted);
    }
    let archived = ConversationFilter { archived: true, ..page(None, 100) };
    assert_eq!(search_by(&fixture, owner, "apple", archived).await.len(), 4);
}

async fn long_messages_are_taken_in_as_far_as_they_are_searched(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    // More different words than are taken in, longer ones than any index takes, and more text than is looked at.
    let many = (0..12_000).map(|n| format!("w{n}{} ", "ü文я".repeat(12))).collect::<String>();
    let long = format!("{} {} end", "x".repeat(300), "0123456789abcde🙂 ".repeat(400_000));
    let first = fixture.exchange(owner, None, &many, "short").await.conversation_id;
    let second = fixture.exchange(owner, None, &long, "short").await.conversation_id;
    for _ in 0..2 {
        assert_eq!(search(&fixture, owner, "w9").await, BTreeSet::from([first]));
        assert_eq!(search(&fixture, owner, &"x".repeat(100)).await, BTreeSet::from([second]));
        assert_eq!(search(&fixture, owner, "0123456789abcde").await, BTreeSet::from([second]));
        assert_eq!(search(&fixture, owner, "end").await, BTreeSet::new());
        index(&fixture).await;
    }
    assert_eq!(indexed(&fixture).await, 4);
}

async fn an_answer_that_an_import_brings_later_is_found_then(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    let id = fixture.next_conversation();
    let message = |is_answer, content: &str| ImportedMessage {
        is_answer,
        content: content.to_owned(),
        client_id: None,
        attachments: Vec::new(),
        elapsed_ms: None,
        failed: false,
        at: at(5),
    };
    let part = |known, message, last: &str| ImportedConversation {
        foreign_id: "7".to_owned(),
        owner,
        known,
        ids: vec![id],
        title: None,
        created_at: at(5),
        updated_at: None,
        messages: vec![message],
        last_message: Some(last.to_owned()),
    };
    let import = |part| fixture.db.import_conversations("elsewhere".to_owned(), vec![part]);
    import(part(None, message(false, "an early question"), "1")).await.unwrap();
    index(&fixture).await;
    assert_eq!(indexed(&fixture).await, 1);
    import(part(Some(id), message(true, "a late answer"), "2")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(search(&fixture, owner, "late").await, BTreeSet::from([id]));
        assert_eq!(indexed(&fixture).await, 2);
        index(&fixture).await;
    }
}

async fn a_message_that_goes_while_it_is_taken_in_is_left_out(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    for n in 0..40 {
        let turn = fixture.exchange(owner, None, &format!("question {n}"), "answer").await;
        let (deleted, _) = tokio::join!(
            fixture.db.delete_conversation_of_owner(turn.conversation_id, owner, at(20)),
            step(&fixture, 50, 1 << 20),
        );
        assert!(deleted.unwrap());
    }
    index(&fixture).await;
    assert_eq!((indexed(&fixture).await, search(&fixture, owner, "answer").await), (0, BTreeSet::new()));
}

async fn more_messages_than_are_looked_through_are_found_through_the_index(fixture: Fixture) {
    let owner = fixture.guest("anna").await.id;
    let needle = fixture.exchange(owner, None, "needle", "found").await.conversation_id;
    let hay = fixture.exchange(owner, None, "hay", "stack").await.conversation_id;
    let filled = fixture.db.write(move |tx| {
        Box::pin(async move {
            for _ in 0..3_000 {
                let sql = "INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) \
                           VALUES (?, 'user', 'hay', 1, 1, 1)";
                tx.execute(sql, &[hay.get().into()]).await?;
            }
            Ok(())
        })
    });
    filled.await.unwrap();
    assert_eq!(search(&fixture, owner, "needle").await, BTreeSet::new(), "it is far behind the newest");
    assert_eq!(search(&fixture, owner, "hay").await, BTreeSet::from([hay]));
    while {
        let state = fixture.db.index_state().await.unwrap();
        state.cursor < state.newest
    } {
        step(&fixture, 500, 1 << 20).await;
    }
    assert_eq!(search(&fixture, owner, "needle").await, BTreeSet::from([needle]));
    assert_eq!(search(&fixture, owner, "hay stack").await, BTreeSet::new());
}

#[tokio::test]
async fn a_transfer_leaves_the_index_to_the_target() {
    let (source, target) = (Fixture::sqlite().await, Fixture::sqlite().await);
    let owner = source.account("a@example.com").await.id;
    source.exchange(owner, None, "Hello", "there").await;
    index(&source).await;
    let (source, target) = (source.stop().await, target.stop().await);
    Box::pin(transfer(&source.settings.database, &target.settings.database, at(100), &mut |_| ())).await.unwrap();
    let target = target.start().await;
    assert_eq!(indexed(&target).await, 0);
    assert_eq!(target.db.index_state().await.unwrap().cursor, 0);
    for _ in 0..2 {
        assert_eq!(search(&target, owner, "there").await.len(), 1);
        index(&target).await;
    }
    assert_eq!(indexed(&target).await, 2);
}

#[tokio::test]
async fn the_index_is_there_after_a_restart_and_goes_on() {
    let fixture = Fixture::sqlite().await;
    let owner = fixture.account("a@example.com").await.id;
    fixture.exchange(owner, None, "one", "answer").await;
    index(&fixture).await;
    let fixture = fixture.stop().await.start().await;
    fixture.exchange(owner, None, "two", "answer").await;
    assert_eq!((indexed(&fixture).await, search(&fixture, owner, "answer").await.len()), (2, 2));
    index(&fixture).await;
    assert_eq!((indexed(&fixture).await, search(&fixture, owner, "answer").await.len()), (4, 2));
}

/// After a tidying, SQLite's index holds no word of an erased message, whatever else is taken in meanwhile.
#[tokio::test]
async fn erased_words_do_not_linger_in_sqlites_index() {
    let fixture = Fixture::sqlite().await;
    let (gone, kept) = (fixture.account("a@example.com").await.id, fixture.account("b@example.com").await.id);
    // Few beside many: of many, SQLite removes some by itself.
    fixture.exchange(gone, None, "unmistakable", "answer").await;
    for n in 0..40 {
        fixture.exchange(kept, None, &format!("remaining{n}"), "answer").await;
        index(&fixture).await;
    }
    fixture.db.delete_account(gone, at(30)).await.unwrap();
    assert_eq!(indexed(&fixture).await, 80);
    let holds = async |word: &str| -> Result<bool, StoreError> {
        let word = word.to_owned();
        let sql = "SELECT COUNT(*) FROM message_words_data WHERE instr(block, CAST(? AS BLOB)) > 0";
        let read = fixture.db.read(move |tx| {
            Box::pin(async move { tx.fetch_optional(sql, &[word.as_str().into()], |row| row.get::<i64>(0)).await })
        });
        Ok(read.await?.unwrap_or(0) > 0)
    };
    assert!(holds("unmistakable").await.unwrap(), "else this test says nothing");
    let leftovers = fixture.db.search_leftovers().await.unwrap();
    assert_eq!(leftovers, Some(2));
    let mut steps = 0;
    while fixture.db.tidy_index(steps == 0).await.unwrap() {
        steps += 1;
        if steps < 6 {
            fixture.exchange(kept, None, "meanwhile", "answer").await;
            index(&fixture).await;
        }
    }
    fixture.db.note_tidied(2).await.unwrap();
    assert_eq!(fixture.db.search_leftovers().await.unwrap(), None);
    assert!(!holds("unmistakable").await.unwrap() && holds("remaining").await.unwrap());
    assert_eq!(search(&fixture, kept, "remaining1").await.len(), 11);
    assert!(!fixture.db.tidy_index(true).await.unwrap(), "there is nothing left to do");
}
