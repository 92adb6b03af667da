//! Several servers at one database: who is there, who is dead, and what becomes of what the dead left open.

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use parlor_engine::app::Heard;
use parlor_engine::app::chat::{Event, SendMessage};
use parlor_engine::config::Settings;
use parlor_engine::domain::{ContentHash, IdempotencyKey, TurnState};
use tokio_util::sync::CancellationToken;

use crate::kit::{Fixture, end_of, events, message, soon, text_of};

/// How the two servers of a test hear of each other besides the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Nothing,
    OneBus,
    Redis,
}

macro_rules! on_servers {
    ($($way:ident = $by:ident: $($name:ident),+;)+) => {
        mod postgres {
            $(mod $way {
                $(
                    #[tokio::test]
                    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
                    async fn $name() {
                        super::super::on_server("PARLOR_TEST_POSTGRES_URL", super::super::By::$by, super::super::$name).await;
                    }
                )+
            })+
        }
        mod mysql {
            $(mod $way {
                $(
                    #[tokio::test]
                    #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
                    async fn $name() {
                        super::super::on_server("PARLOR_TEST_MYSQL_URL", super::super::By::$by, super::super::$name).await;
                    }
                )+
            })+
        }
    };
}

on_servers!(
    alone = Nothing:
        what_a_dead_server_left_open_is_interrupted_and_billed_once,
        a_server_that_signs_off_leaves_its_turns_to_the_others_at_once,
        a_server_that_comes_back_overwrites_nothing,
        a_server_that_lives_keeps_its_turns,
        a_content_in_another_servers_hands_is_left_alone,
        the_first_admin_is_made_once,
        a_turn_is_followed_on_another_server_from_any_event,
        a_turn_is_stopped_on_another_server,
        a_turn_whose_conversation_is_deleted_elsewhere_is_stopped,
        the_same_key_at_once_on_both_is_one_call_and_one_answer,
        readers_elsewhere_hear_that_the_server_died;
    one_bus = OneBus:
        a_turn_is_followed_on_another_server_from_any_event,
        a_long_answer_is_followed_on_another_server,
        a_turn_is_stopped_on_another_server,
        a_turn_whose_conversation_is_deleted_elsewhere_is_stopped,
        the_same_key_at_once_on_both_is_one_call_and_one_answer,
        readers_elsewhere_hear_that_the_server_died;
    redis = Redis:
        a_turn_is_followed_on_another_server_from_any_event,
        a_turn_is_stopped_on_another_server,
        a_socket_hears_what_is_sent_on_another_server;
);

const LEASE: Duration = Duration::from_millis(700);

async fn on_server<F: Future<Output = ()>>(variable: &str, by: By, test: impl FnOnce(Fixture, Fixture) -> F) {
    let run = |url: String| async move {
        let often = |settings: &mut Settings| {
            settings.chat.checkpoint_interval = Duration::from_millis(5);
            settings.database.server_lease = LEASE;
            settings.database.pool_size = 8;
            if by == By::Redis {
                let redis = std::env::var("PARLOR_TEST_REDIS_URL")
                    .expect("PARLOR_TEST_REDIS_URL is not set: see scripts/services");
                settings.shared.redis_url = Some(redis.into());
            }
        };
        let one = Fixture::at_url(&url, often).await;
        let two = if by == By::OneBus { one.beside_on_one_bus().await } else { one.beside().await };
        let (first, second) = (one.app.clone(), two.app.clone());
        for app in [&first, &second] {
            assert_eq!(app.take_up().await.unwrap(), 0);
        }
        test(one, two).await;
        first.close().await;
        second.close().await;
    };
    crate::database::with_database(variable, run).await;
}

/// Lets the servers' hearts beat until what must come has come.
fn beating<'a, T: 'a>(servers: &'a [&'a Fixture], what: impl Future<Output = T> + 'a) -> LocalBoxFuture<'a, T> {
    let beats = async move {
        loop {
            for server in servers {
                server.app.beat().await.unwrap();
            }
            tokio::time::sleep(LEASE / 10).await;
        }
    };
    let done = async move {
        tokio::select! {
            () = beats => unreachable!("it beats for good"),
            done = what => done,
        }
    };
    Box::pin(soon(done))
}

async fn until_interrupted(server: &Fixture, turns: i64) {
    let count = "SELECT COUNT(*) FROM turns WHERE state = 'interrupted'";
    while server.number(count).await != turns {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn what_a_dead_server_left_open_is_interrupted_and_billed_once(one: Fixture, two: Fixture) {
    let turn = one.send("Hello there").await;
    let call = one.call().await;
    call.say("so far");
    one.until_stored(turn.message_id, "so far").await;
    let third = two.beside().await;
    third.app.take_up().await.unwrap();
    // The first gives no sign of life any more, and both others see it.
    beating(&[&two, &third], until_interrupted(&two, 1)).await;
    join_all([&two, &third].map(|server| server.app.beat())).await;
    assert_eq!(two.stored(turn.message_id).await.content, "so far");
    assert_eq!(two.ledger().await.len(), 1);
    // It is not dead, and comes to its end: what is stored stays, and its readers are told.
    call.say(", and more");
    call.finish();
    let told = events(&turn, 0).await;
    assert_eq!(end_of(&told).state, TurnState::Interrupted);
    assert_eq!(two.stored(turn.message_id).await.content, "so far");
    assert_eq!(two.ledger().await.len(), 1);
    assert_eq!(two.number("SELECT message_count FROM conversations").await, 2);
    third.app.close().await;
}

async fn a_server_that_signs_off_leaves_its_turns_to_the_others_at_once(one: Fixture, two: Fixture) {
    let turn = one.send("Hello").await;
    let _call = one.call().await;
    one.app.db().leave().await.unwrap();
    // Two looks are enough, however long the lease.
    two.app.beat().await.unwrap();
    assert_eq!(two.app.beat().await.unwrap(), 1);
    assert_eq!(two.stored(turn.message_id).await.state, TurnState::Interrupted);
    assert!(two.ledger().await.is_empty());
}

async fn a_server_that_comes_back_overwrites_nothing(one: Fixture, two: Fixture) {
    let turn = one.send("Hello").await;
    let call = one.call().await;
    beating(&[&two], until_interrupted(&two, 1)).await;
    let mut reader = turn.follow(1);
    // With its first beat it learns that others ended the turn, and leaves its provider.
    one.app.beat().await.unwrap();
    call.dropped().await;
    let Some((2, Event::End(ending))) = soon(reader.next()).await else { panic!("an end") };
    assert_eq!((ending.state, ending.error_code.as_deref()), (TurnState::Interrupted, Some("interrupted")));
    assert_eq!(two.stored(turn.message_id).await.state, TurnState::Interrupted);
    assert!(two.ledger().await.is_empty());
    // It is back, and what it begins from now on is its own.
    let next = one.send("And now?").await;
    let call = one.call().await;
    call.say("Fine");
    for _ in 0..3 {
        two.app.beat().await.unwrap();
    }
    call.finish();
    assert_eq!(text_of(&events(&next, 0).await), "Fine");
    assert_eq!(two.stored(next.message_id).await.state, TurnState::Complete);
}

async fn a_server_that_lives_keeps_its_turns(one: Fixture, two: Fixture) {
    let turn = one.send("Hello").await;
    let call = one.call().await;
    beating(&[&one, &two], tokio::time::sleep(LEASE * 4)).await;
    call.say("Hi");
    call.finish();
    assert_eq!(end_of(&events(&turn, 0).await).state, TurnState::Complete);
    assert_eq!(one.number("SELECT COUNT(*) FROM servers").await, 2);
}

async fn a_content_in_another_servers_hands_is_left_alone(one: Fixture, two: Fixture) {
    let hash = || ContentHash::parse(&"a".repeat(64)).unwrap();
    let now = one.app.clock().now();
    let (one, two) = (one.app.db(), two.app.db());
    assert!(one.note_leftover(hash(), now).await.unwrap());
    assert!(one.note_leftover(hash(), now).await.unwrap(), "its own");
    assert!(!two.note_leftover(hash(), now).await.unwrap(), "it is being put in place");
    assert!(!two.take_leftover(hash()).await.unwrap());
    assert!(one.take_leftover(hash()).await.unwrap());
    assert!(!two.note_leftover(hash(), now).await.unwrap(), "it is being removed");
    // What a server that is gone had in hand is anybody's.
    one.leave().await.unwrap();
    assert!(two.take_leftover(hash()).await.unwrap());
    two.forget_leftover(hash()).await.unwrap();
    assert!(!two.take_leftover(hash()).await.unwrap(), "there is none any more");
}

async fn the_first_admin_is_made_once(one: Fixture, two: Fixture) {
    let url = one.app.settings().database.url.clone();
    drop((one, two));
    let named = |settings: &mut Settings| {
        settings.database.url = url.clone();
        settings.security.admin_email = Some("ada@example.com".to_owned());
        settings.security.admin_password = Some("a-long-password".to_owned().into());
    };
    let (one, two) = tokio::join!(Fixture::with(named), Fixture::with(named));
    let admins = "SELECT COUNT(*) FROM accounts WHERE role = 'admin'";
    for server in [&one, &two] {
        server
            .app
            .db()
            .write(|tx| Box::pin(async move { tx.execute("DELETE FROM accounts", &[]).await }))
            .await
            .unwrap();
    }
    let made = tokio::join!(one.app.ensure_first_admin(), two.app.ensure_first_admin());
    assert_eq!([made.0.unwrap(), made.1.unwrap()].iter().flatten().count(), 1);
    assert_eq!(one.number(admins).await, 1);
    one.app.close().await;
    two.app.close().await;
}

/// A server that does what servers do beside their requests, until this is dropped.
struct Serving {
    last_beat: CancellationToken,
    answering: tokio::task::JoinHandle<()>,
}

impl Serving {
    fn of(server: &Fixture) -> Self {
        let (beating, answering) = (server.app.clone(), server.app.clone());
        let last_beat = CancellationToken::new();
        let last = last_beat.clone();
        // As the server does: the next beat does what one could not, and no beat is broken off.
        tokio::spawn(async move {
            while !last.is_cancelled() {
                let _ = beating.beat().await;
                tokio::time::sleep(beating.beat_every()).await;
            }
        });
        Self { last_beat, answering: tokio::spawn(async move { answering.answer_servers().await }) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.last_beat.cancel();
        self.answering.abort();
    }
}

/// Numbers, and what stands under them, but for what may differ: a stored end names the model that answered.
fn shown(events: &[(u64, Event)]) -> Vec<(u64, String)> {
    let show = |event: &Event| match event {
        Event::End(ending) => format!("{:?} {} {:?}", ending.state, ending.content, ending.usage),
        other => format!("{other:?}"),
    };
    events.iter().map(|(number, event)| (*number, show(event))).collect()
}

async fn a_turn_is_followed_on_another_server_from_any_event(one: Fixture, two: Fixture) {
    let _serving = [Serving::of(&one), Serving::of(&two)];
    let turn = one.send("Hello").await;
    let call = one.call().await;
    call.say("one ");
    let elsewhere = two.app.follow_turn(&two.caller, turn.message_id).await.unwrap();
    let readers: Vec<_> = (0..12)
        .map(|after| {
            let elsewhere = elsewhere.clone();
            tokio::spawn(async move { events(&elsewhere, after).await })
        })
        .collect();
    // What is said is read while it is said.
    let mut reader = elsewhere.follow(1);
    assert_eq!(soon(reader.next()).await, Some((2, Event::Chunk { content: "one ".into() })));
    for number in 3..9 {
        call.say("more ");
        assert_eq!(soon(reader.next()).await, Some((number, Event::Chunk { content: "more ".into() })));
    }
    call.finish();
    let whole = shown(&events(&turn, 0).await);
    assert_eq!(whole.len(), 9);
    for (after, reader) in readers.into_iter().enumerate() {
        assert_eq!(shown(&reader.await.unwrap()), whole[after.min(whole.len())..], "from {after}");
    }
    assert_eq!(soon(elsewhere.ending()).await.content, "one more more more more more more ");
    let again = two.app.follow_turn(&two.caller, turn.message_id).await.unwrap();
    assert_eq!(shown(&events(&again, 4).await), whole[4..]);
}

async fn a_long_answer_is_followed_on_another_server(one: Fixture, two: Fixture) {
    let _serving = [Serving::of(&one), Serving::of(&two)];
    let turn = one.send("Hello").await;
    let call = one.call().await;
    let elsewhere = two.app.follow_turn(&two.caller, turn.message_id).await.unwrap();
    let reading = tokio::spawn({
        let elsewhere = elsewhere.clone();
        async move { events(&elsewhere, 0).await }
    });
    for word in 0..5000 {
        call.say(&format!("{word} "));
        if word % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    call.finish();
    let whole = shown(&events(&turn, 0).await);
    assert_eq!(shown(&reading.await.unwrap()), whole);
}

async fn a_turn_is_stopped_on_another_server(one: Fixture, two: Fixture) {
    let _serving = [Serving::of(&one), Serving::of(&two)];
    let turn = one.send("Hello").await;
    let call = one.call().await;
    call.say("so far");
    one.until_stored(turn.message_id, "so far").await;
    let ending = soon(two.app.stop_turn(&two.caller, turn.message_id)).await.unwrap();
    assert_eq!((ending.state, ending.content.as_str()), (TurnState::Cancelled, "so far"));
    call.dropped().await;
    assert_eq!(soon(turn.ending()).await.state, TurnState::Cancelled);
    assert_eq!(one.ledger().await.len(), 1);
}

async fn a_turn_whose_conversation_is_deleted_elsewhere_is_stopped(one: Fixture, two: Fixture) {
    let _serving = [Serving::of(&one), Serving::of(&two)];
    let turn = one.send("Hello").await;
    let call = one.call().await;
    let elsewhere = two.app.follow_turn(&two.caller, turn.message_id).await.unwrap();
    two.app.delete_conversation(&two.caller, turn.conversation_id).await.unwrap();
    call.dropped().await;
    assert_eq!(soon(turn.ending()).await.state, TurnState::Cancelled);
    assert_eq!(soon(elsewhere.ending()).await.state, TurnState::Cancelled);
}

async fn the_same_key_at_once_on_both_is_one_call_and_one_answer(one: Fixture, two: Fixture) {
    let _serving = [Serving::of(&one), Serving::of(&two)];
    let key = IdempotencyKey::parse("key-1").unwrap();
    let sends = (0..16).map(|n| {
        let server = if n % 2 == 0 { &one } else { &two };
        let message = SendMessage { idempotency_key: Some(key.clone()), stream: false, ..message("Hello") };
        async move {
            let turn = server.send_as(message).await.unwrap();
            (turn.message_id, soon(turn.ending()).await.content.clone())
        }
    });
    let answering = async {
        let call = tokio::select! {
            call = one.call() => call,
            call = two.call() => call,
        };
        call.say("only one");
        call.finish();
    };
    let (answers, ()) = tokio::join!(join_all(sends), answering);
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.1 == "only one"), "{answers:?}");
    assert!(!one.was_called() && !two.was_called());
    assert_eq!(one.number("SELECT COUNT(*) FROM messages").await, 2);
    assert_eq!(one.ledger().await.len(), 1);
}

async fn readers_elsewhere_hear_that_the_server_died(one: Fixture, two: Fixture) {
    let serving = Serving::of(&one);
    let _serving = Serving::of(&two);
    let turn = one.send("Hello").await;
    let call = one.call().await;
    call.say("so far");
    let elsewhere = two.app.follow_turn(&two.caller, turn.message_id).await.unwrap();
    let mut reader = elsewhere.follow(1);
    assert_eq!(soon(reader.next()).await, Some((2, Event::Chunk { content: "so far".into() })));
    drop(serving);
    let Some((3, Event::End(ending))) = soon(reader.next()).await else { panic!("an end") };
    assert_eq!((ending.state, ending.content.as_str()), (TurnState::Interrupted, "so far"));
    // Who has more than was stored hears the end, too.
    let mut ahead = elsewhere.follow(7);
    assert!(matches!(soon(ahead.next()).await, Some((8, Event::End(_)))));
    assert_eq!(soon(ahead.next()).await, None);
}

async fn a_socket_hears_what_is_sent_on_another_server(one: Fixture, two: Fixture) {
    let _serving = [Serving::of(&one), Serving::of(&two)];
    let mut ear = two.app.listen_elsewhere(&two.caller).await.unwrap();
    let turn = one.send("Hello").await;
    // Accounts of other tests have the same number in the same Redis.
    while soon(ear.next()).await != Heard::Sent(turn.message_id) {}
    let (message, followed) = two.app.sent_elsewhere(&two.caller, turn.message_id).await.unwrap();
    assert_eq!((message.id, message.content.as_str()), (turn.user_message_id, "Hello"));
    let call = one.call().await;
    call.say("Hi");
    call.finish();
    assert_eq!(text_of(&events(&followed, 0).await), "Hi");
}

#[tokio::test]
async fn a_socket_hears_what_its_account_says_and_nothing_of_others() {
    let fixture = Fixture::new().await;
    fixture.send("before").await;
    let mut ear = fixture.app.listen_elsewhere(&fixture.caller).await.unwrap();
    let stranger = fixture.app.guest(parlor_engine::domain::GuestRealm::Classic, "mallory").await.unwrap();
    let mut others = fixture.app.listen_elsewhere(&stranger).await.unwrap();
    let turn = fixture.send("Hello").await;
    assert_eq!(soon(ear.next()).await, Heard::Sent(turn.message_id));
    assert!(fixture.app.sent_elsewhere(&stranger, turn.message_id).await.is_err());
    let theirs = fixture.app.send_message(&stranger, message("theirs")).await.unwrap();
    assert_eq!(soon(others.next()).await, Heard::Sent(theirs.message_id));
}
