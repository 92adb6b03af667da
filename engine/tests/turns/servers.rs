//! Several servers at one database: who is there, who is dead, and what becomes of what the dead left open.

use std::time::Duration;

use futures_util::future::join_all;
use parlor_engine::app::chat::Event;
use parlor_engine::config::Settings;
use parlor_engine::domain::{ContentHash, TurnState};

use crate::kit::{Fixture, end_of, events, soon, text_of};

/// Runs each of the named tests, which take two servers at one database, on each database server.
macro_rules! on_every_server {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
                async fn $name() {
                    super::on_server("PARLOR_TEST_POSTGRES_URL", super::$name).await;
                }
            )+
        }
        mod mysql {
            $(
                #[tokio::test]
                #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
                async fn $name() {
                    super::on_server("PARLOR_TEST_MYSQL_URL", super::$name).await;
                }
            )+
        }
    };
}

on_every_server!(
    what_a_dead_server_left_open_is_interrupted_and_billed_once,
    a_server_that_signs_off_leaves_its_turns_to_the_others_at_once,
    a_server_that_comes_back_overwrites_nothing,
    a_server_that_lives_keeps_its_turns,
    a_content_in_another_servers_hands_is_left_alone,
    the_first_admin_is_made_once,
);

const LEASE: Duration = Duration::from_millis(700);

async fn on_server<F: Future<Output = ()>>(variable: &str, test: impl FnOnce(Fixture, Fixture) -> F) {
    let run = |url: String| async move {
        let often = |settings: &mut Settings| {
            settings.chat.checkpoint_interval = Duration::from_millis(5);
            settings.database.server_lease = LEASE;
            settings.database.pool_size = 8;
        };
        let one = Fixture::at_url(&url, often).await;
        let two = one.beside().await;
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
async fn beating<T>(servers: &[&Fixture], what: impl Future<Output = T>) -> T {
    let beats = async {
        loop {
            for server in servers {
                server.app.beat().await.unwrap();
            }
            tokio::time::sleep(LEASE / 10).await;
        }
    };
    soon(async {
        tokio::select! {
            () = beats => unreachable!("it beats for good"),
            done = what => done,
        }
    })
    .await
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
