//! `kill -9` at a random moment, again and again: what was acknowledged is there, once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use parlor_bench::fake::FakeUpstream;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::kit::check;
use crate::support::{Setup, TestServer, events, text_of};

const ROUNDS: u64 = 20;
const CLIENTS: u64 = 200;
/// The upstream's answer is the question itself; the names differ in how long it takes.
const MODELS: [&str; 4] = ["mock-echo", "mock-echo-1ms", "mock-echo-9ms", "mock-echo-20ttft"];

/// Something that a client sent.
#[derive(Clone)]
struct Sent {
    way: Way,
    question: String,
    key: Option<String>,
    conversation: Option<i64>,
    model: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Classic,
    Whole,
    Stream,
}

/// What all clients together know.
#[derive(Default)]
struct Known {
    /// Questions whose answer was acknowledged, with its conversation.
    acknowledged: HashMap<String, i64>,
    /// Sent with a key, and never answered.
    unanswered: Vec<Sent>,
    /// Conversations that can be continued, by way: guests' and the account's.
    classic: Vec<i64>,
    account: Vec<i64>,
}

struct World {
    client: Client,
    token: String,
    known: Mutex<Known>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_at_any_moment_and_is_there_once() {
    let seed = std::env::var("PARLOR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("PARLOR_TEST_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let upstream = FakeUpstream::start().await;
    let mut server = Setup::new()
        .upstream(&upstream, MODELS[0])
        .env("LOG_LEVEL", "warn,parlor::server=info")
        .env("CHAT__CHECKPOINT_INTERVAL_SECONDS", "0.02")
        .start();
    let world = Arc::new(World {
        client: server.client.clone(),
        token: server.sign_up("user@example.com").await,
        known: Mutex::default(),
    });
    for round in 0..ROUNDS {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (world, base) = (Arc::clone(&world), server.url(""));
                let chance = StdRng::seed_from_u64(chance.random());
                tokio::spawn(async move { run_client(&world, &base, round * 1000 + number, chance).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(chance.random_range(50..1500))).await;
        server.kill();
        for client in clients {
            client.await.unwrap();
        }
        server.restart();
        verify(&server, &world);
        send_again(&server, &world).await;
        verify(&server, &world);
    }
    let known = world.known.lock().unwrap();
    println!("{} answers were acknowledged in {ROUNDS} rounds", known.acknowledged.len());
    let interrupted = server.count("SELECT COUNT(*) FROM turns WHERE state = 'interrupted'");
    println!("{interrupted} turns were interrupted");
    assert!(known.acknowledged.len() > 500 && interrupted > 50, "the rounds were too idle to prove anything");
}

/// Sends message after message until the server is gone.
async fn run_client(world: &World, base: &str, number: u64, mut chance: StdRng) {
    for step in 0.. {
        let sent = plan(world, number, step, &mut chance);
        // Some send twice at once, as an impatient client's retry does.
        let answers = if sent.key.is_some() && chance.random_ratio(1, 4) {
            let (one, two) = tokio::join!(send(world, base, &sent), send(world, base, &sent));
            vec![one, two]
        } else {
            vec![send(world, base, &sent).await]
        };
        if !note(world, &sent, &answers) {
            return;
        }
    }
}

fn plan(world: &World, number: u64, step: u64, chance: &mut StdRng) -> Sent {
    let way = match chance.random_range(0..3) {
        0 => Way::Classic,
        1 => Way::Whole,
        _ => Way::Stream,
    };
    let known = world.known.lock().unwrap();
    let open = if way == Way::Classic { &known.classic } else { &known.account };
    let continued = !open.is_empty() && chance.random_ratio(1, 2);
    Sent {
        way,
        question: format!("question {number} {step} of some words"),
        key: chance.random_ratio(2, 3).then(|| format!("key-{number}-{step}")),
        conversation: continued.then(|| open[chance.random_range(0..open.len())]),
        model: if way == Way::Classic { MODELS[0] } else { MODELS[chance.random_range(0..MODELS.len())] },
    }
}

/// Sends a message. The answer and its conversation, when it was acknowledged as whole.
async fn send(world: &World, base: &str, sent: &Sent) -> Option<(String, i64)> {
    let (path, body) = match sent.way {
        Way::Classic => ("/chat", json!({"message": sent.question, "conversation_id": sent.conversation})),
        Way::Whole | Way::Stream => {
            let path = if sent.way == Way::Whole { "/api/chat" } else { "/api/chat/stream" };
            let session = sent.conversation.map(|id| id.to_string());
            (path, json!({"message": sent.question, "session_id": session, "model": sent.model}))
        }
    };
    let mut request = world.client.request(Method::POST, format!("{base}{path}")).json(&body);
    if sent.way != Way::Classic {
        request = request.bearer_auth(&world.token);
    }
    if let Some(key) = &sent.key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status();
    let text = answer.text().await.ok()?;
    // Whoever stops is allowed to say so; nothing else goes wrong here.
    assert!(status == StatusCode::OK || status.is_server_error(), "{status}: {text}");
    if status != StatusCode::OK {
        return None;
    }
    match sent.way {
        Way::Stream => {
            let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
            let events = events(whole);
            let done = events.last().filter(|event| event.name == "done")?;
            assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=done.id).collect::<Vec<_>>());
            Some((text_of(&events), done.data["session_id"].as_str().unwrap().parse().unwrap()))
        }
        Way::Whole => {
            let body: Value = serde_json::from_str(&text).unwrap();
            Some((body["reply"].as_str().unwrap().to_owned(), body["session_id"].as_str().unwrap().parse().unwrap()))
        }
        Way::Classic => {
            let body: Value = serde_json::from_str(&text).unwrap();
            Some((body["response"].as_str().unwrap().to_owned(), body["conversation_id"].as_i64().unwrap()))
        }
    }
}

/// Remembers what a client has learnt. False when the server is gone.
fn note(world: &World, sent: &Sent, answers: &[Option<(String, i64)>]) -> bool {
    let mut known = world.known.lock().unwrap();
    for (answer, conversation) in answers.iter().flatten() {
        // An interrupted answer that a second request gets is told apart where the surface can: by its text.
        if *answer == sent.question {
            let before = known.acknowledged.insert(sent.question.clone(), *conversation);
            assert!(before.is_none_or(|before| before == *conversation), "one key, two conversations");
            let open = if sent.way == Way::Classic { &mut known.classic } else { &mut known.account };
            if sent.conversation.is_none() && !open.contains(conversation) {
                open.push(*conversation);
            }
        }
    }
    let is_whole = answers.iter().all(Option::is_some);
    if !is_whole && sent.key.is_some() {
        known.unanswered.push(sent.clone());
    }
    is_whole
}

/// Sends what was never answered again, with the same keys: to whoever got no answer, nothing must happen twice.
async fn send_again(server: &TestServer, world: &World) {
    let again = std::mem::take(&mut world.known.lock().unwrap().unanswered);
    let base = server.url("");
    let answers = futures_util::future::join_all(again.iter().map(|sent| send(world, &base, sent))).await;
    for (sent, answer) in again.iter().zip(answers) {
        note(world, sent, &[Some(answer.unwrap_or_default())]);
    }
}

fn verify(server: &TestServer, world: &World) {
    let database = server.database();
    check(&database);
    let mut twice = database
        .prepare("SELECT content FROM messages WHERE role = 'user' GROUP BY content HAVING COUNT(*) > 1")
        .unwrap();
    let twice: Vec<String> = twice.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    let sql = "SELECT q.content, a.content, t.state, t.conversation_id FROM turns t \
               JOIN messages q ON q.id = t.user_message_id JOIN messages a ON a.id = t.answer_message_id";
    let mut turns = database.prepare(sql).unwrap();
    let turns = turns.query_map([], |row| {
        let (answer, state, conversation) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get::<_, String>(0)?, (answer, state, conversation)))
    });
    let stored: HashMap<String, (String, String, i64)> = turns.unwrap().map(Result::unwrap).collect();
    for (question, conversation) in &world.known.lock().unwrap().acknowledged {
        let expected = (question.clone(), "complete".to_owned(), *conversation);
        assert_eq!(stored.get(question), Some(&expected), "acknowledged, and not there: {question:?}");
    }
}
