//! Reading: any number of readers, from anywhere, at their own pace.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use parlor_engine::app::chat::Event;
use parlor_engine::domain::TurnState;

use crate::kit::{Fixture, end_of, events, soon, text_of};

#[tokio::test]
async fn every_reader_sees_the_same_events_from_wherever_it_begins() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    let early: Vec<_> = (0..24).map(|after| turn.follow(after)).collect();
    let reading = tokio::spawn(join_all(early.into_iter().map(|mut follower| async move {
        let mut seen = Vec::new();
        while let Some(event) = follower.next().await {
            seen.push(event);
        }
        seen
    })));
    for word in 0..20 {
        call.say(&format!("word{word} "));
        tokio::task::yield_now().await;
    }
    call.finish();
    let whole = events(&turn, 0).await;
    assert_eq!(whole.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
    assert!(matches!(whole[0].1, Event::Start { .. }));
    assert_eq!(end_of(&whole).state, TurnState::Complete);
    for (after, seen) in soon(reading).await.unwrap().into_iter().enumerate() {
        assert_eq!(seen, whole[after.min(whole.len())..], "from {after}");
    }
    // The running turn is forgotten; what is stored says the same.
    let again = fixture.app.follow_turn(&fixture.caller, turn.message_id).await.unwrap();
    for after in 0..24 {
        assert_eq!(events(&again, after).await.len(), 22_usize.saturating_sub(usize::try_from(after).unwrap()));
    }
    assert_eq!(text_of(&events(&again, 0).await), text_of(&whole));
    assert_eq!(text_of(&events(&again, 7).await), text_of(&whole[7..]));
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_holds_up_nobody() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    let mut slow = turn.follow(0);
    assert!(matches!(soon(slow.next()).await, Some((1, Event::Start { .. }))));
    for word in 0..5000 {
        call.say(&format!("{word} "));
    }
    call.finish();
    // The turn ends and another reader has it all while the slow one has not moved.
    let whole = events(&turn, 0).await;
    assert_eq!(whole.len(), 5002);
    assert_eq!(fixture.stored(turn.message_id).await.state, TurnState::Complete);
    let mut seen = vec![whole[0].clone()];
    while let Some(event) = soon(slow.next()).await {
        seen.push(event);
    }
    assert_eq!(seen, whole);
}

#[tokio::test]
async fn a_reader_that_leaves_half_way_stops_nothing() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let answer = turn.message_id;
    let call = fixture.call().await;
    call.say("one ");
    let mut reader = turn.follow(1);
    assert_eq!(soon(reader.next()).await, Some((2, Event::Chunk { content: "one ".into() })));
    // It waits for more, and goes while it waits.
    assert_eq!(reader.next().now_or_never(), None);
    drop((reader, turn));
    call.say("two");
    call.finish();
    fixture.until_stored(answer, "one two").await;
    let again = fixture.app.follow_turn(&fixture.caller, answer).await.unwrap();
    assert_eq!(text_of(&events(&again, 0).await), "one two");
}

#[tokio::test]
async fn a_reader_dropped_between_events_skips_none() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    let mut reader = turn.follow(1);
    for number in 2..100 {
        // Each wait is given up once before its event comes, as `select!` does.
        assert_eq!(reader.next().now_or_never(), None);
        call.say("x");
        assert_eq!(soon(reader.next()).await, Some((number, Event::Chunk { content: "x".into() })));
    }
}

#[tokio::test]
async fn the_end_is_told_only_after_it_is_stored() {
    let fixture = Arc::new(Fixture::new().await);
    let turns = join_all((0..50).map(|n| {
        let fixture = Arc::clone(&fixture);
        async move { fixture.send(&format!("question {n}")).await }
    }))
    .await;
    for _ in &turns {
        let call = fixture.call().await;
        call.say("answer");
        call.finish();
    }
    join_all(turns.iter().map(|turn| async {
        let ending = end_of(&events(turn, 0).await);
        let stored = fixture.stored(turn.message_id).await;
        assert_eq!((stored.state, stored.content.as_str()), (TurnState::Complete, "answer"));
        assert_eq!((ending.usage, ending.content.as_str()), (stored.usage, "answer"));
    }))
    .await;
    assert_eq!(fixture.ledger().await.len(), 50);
}

#[tokio::test]
async fn another_caller_follows_and_stops_nothing() {
    let fixture = Fixture::new().await;
    let turn = fixture.send("Hello").await;
    let call = fixture.call().await;
    call.say("secret");
    let stranger = fixture.app.guest(parlor_engine::domain::GuestRealm::Classic, "mallory").await.unwrap();
    assert!(fixture.app.follow_turn(&stranger, turn.message_id).await.is_err());
    assert!(fixture.app.stop_turn(&stranger, turn.message_id).await.is_err());
    call.finish();
    assert_eq!(soon(turn.ending()).await.state, TurnState::Complete);
    assert!(fixture.app.follow_turn(&stranger, turn.message_id).await.is_err());
}
