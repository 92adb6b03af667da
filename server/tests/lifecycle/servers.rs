//! Two servers on one database, with Redis and without: what begins on one is followed, stopped and survived on the other.

use parlor_bench::fake::FakeUpstream;
use serde_json::{Value, json};

use crate::database::with_database;
use crate::kit::{Socket, Stream, until};
use crate::redis::RedisProcess;
use crate::support::{Setup, TestServer, text_of};

macro_rules! on_postgres {
    ($($way:ident = $redis:literal: $($name:ident),+;)+) => {
        mod postgres {
            $(mod $way {
                $(
                    #[tokio::test]
                    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
                    async fn $name() {
                        super::super::on_two_servers($redis, super::super::$name).await;
                    }
                )+
            })+
        }
    };
}

on_postgres!(
    alone = false:
        what_a_killed_server_was_writing_is_followed_to_its_end_on_the_other,
        an_answer_is_read_and_stopped_on_another_server,
        a_server_that_stops_leaves_at_once;
    redis = true:
        what_a_killed_server_was_writing_is_followed_to_its_end_on_the_other,
        an_answer_is_read_and_stopped_on_another_server,
        a_message_appears_on_a_socket_of_another_server,
        what_is_read_elsewhere_goes_on_while_redis_goes_and_comes_back,
        what_runs_elsewhere_is_stopped_while_redis_is_away;
);

struct World {
    one: TestServer,
    two: TestServer,
    token: String,
    upstream: FakeUpstream,
    redis: Option<RedisProcess>,
}

async fn on_two_servers<F: Future<Output = ()>>(with_redis: bool, test: impl FnOnce(World) -> F) {
    let run = |url: String| async move {
        let upstream = FakeUpstream::start().await;
        let mut setup = Setup::new()
            .upstream(&upstream, "mock-20ms-50tok")
            .env("DATABASE_URL", &url)
            .env("DATABASE__SERVER_LEASE_SECONDS", "3")
            .env("CHAT__CHECKPOINT_INTERVAL_SECONDS", "1");
        let redis = with_redis.then(RedisProcess::start);
        if let Some(redis) = &redis {
            setup = setup.env("REDIS_URL", &redis.url());
        }
        let (one, two) = (setup.clone().start(), setup.start());
        let token = one.sign_up("user@example.com").await;
        test(World { one, two, token, upstream, redis }).await;
    };
    with_database("PARLOR_TEST_POSTGRES_URL", run).await;
}

/// Begins an answer of that model's, and reads up to its first chunk. Gives the stream, and the answer's id.
async fn begin(server: &TestServer, token: &str, model: &str) -> (Stream, String) {
    let body = json!({"message": "Hello", "model": model});
    let response = server.post("/api/v1/chat/stream", &body).bearer_auth(token).send().await.unwrap();
    let mut stream = Stream::of(response);
    let start = stream.until("start").await;
    stream.until("chunk").await;
    (stream, start.data["message_id"].as_str().unwrap().to_owned())
}

async fn follow(server: &TestServer, token: &str, id: &str, after: u64) -> Stream {
    let request = server.get(&format!("/api/v1/chat/messages/{id}/stream")).bearer_auth(token);
    Stream::of(request.header("Last-Event-ID", after.to_string()).send().await.unwrap())
}

async fn answers(server: &TestServer, token: &str) -> Value {
    let body = json!({"message": "Still there?", "model": "mock-3tok"});
    let answer = server.post("/api/v1/chat/send", &body).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn what_a_killed_server_was_writing_is_followed_to_its_end_on_the_other(world: World) {
    let World { mut one, two, token, redis: _redis, .. } = world;
    let (_stream, id) = begin(&one, &token, "mock-stall5").await;
    let mut elsewhere = follow(&two, &token, &id, 0).await;
    // The fifth chunk is the last before the silence.
    let mut seen = Vec::new();
    while seen.iter().filter(|event: &&crate::support::SseEvent| event.name == "chunk").count() < 5 {
        seen.push(elsewhere.next().await.unwrap());
    }
    one.kill();
    two.wait_for_log("taken for dead");
    seen.extend(elsewhere.rest().await);
    let numbers: Vec<_> = seen.iter().map(|event| event.id).collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<_>>());
    let end = seen.last().unwrap();
    assert_eq!((end.name.as_str(), end.data["code"].as_str()), ("error", Some("interrupted")));
    assert_eq!(text_of(&seen), "word1 word2 word3 word4 word5");
    answers(&two, &token).await;
    // What comes back finds nothing to do.
    one.restart();
    let again = follow(&one, &token, &id, 3).await.rest().await;
    assert_eq!(again.last().unwrap().data["code"], "interrupted");
    answers(&one, &token).await;
}

async fn an_answer_is_read_and_stopped_on_another_server(world: World) {
    let World { one, two, token, upstream, redis: _redis } = world;
    let (stream, id) = begin(&one, &token, "mock-20ms-30tok").await;
    let elsewhere = follow(&two, &token, &id, 2).await.rest().await;
    let here = stream.rest().await;
    assert_eq!(elsewhere, here);
    assert_eq!(here.last().unwrap().name, "done");

    let (stream, id) = begin(&one, &token, "mock-stall3").await;
    let stopped =
        two.post(&format!("/api/v1/chat/messages/{id}/stop"), &json!({})).bearer_auth(&token).send().await.unwrap();
    let stopped: Value = stopped.json().await.unwrap();
    assert_eq!(stopped["finish_reason"], "cancelled");
    assert_eq!(stream.rest().await.last().unwrap().data["finish_reason"], "cancelled");
    until(async || (upstream.open() == 0).then_some(())).await;
}

async fn a_server_that_stops_leaves_at_once(world: World) {
    let World { mut one, two, token, redis: _redis, .. } = world;
    answers(&one, &token).await;
    one.signal("TERM");
    assert_eq!(one.wait().code(), Some(0));
    answers(&two, &token).await;
    assert!(!two.log().iter().any(|line| line.contains("taken for dead")));
}

async fn a_message_appears_on_a_socket_of_another_server(world: World) {
    let World { one, two, token, redis: _redis, .. } = world;
    let me: Value = two.get("/api/users/me").bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    let mut socket = Socket::open_at(&two, &token, &format!("/api/v1/chat/ws/{}", me["id"])).await;
    let body = json!({"message": "from afar", "model": "mock-3tok"});
    let sent = one.post("/api/chat", &body).bearer_auth(&token).send().await.unwrap();
    let sent: Value = sent.json().await.unwrap();
    let told = socket.until("message").await;
    assert_eq!((&told["answer_id"], &told["message"]["content"]), (&sent["message_id"], &json!("from afar")));
    let mut text = String::new();
    loop {
        let frame = socket.until("answer").await;
        match frame["event"]["type"].as_str().unwrap() {
            "chunk" => text.push_str(frame["event"]["content"].as_str().unwrap()),
            "done" => break,
            _ => {}
        }
    }
    assert_eq!(text, sent["reply"]);
}

async fn what_is_read_elsewhere_goes_on_while_redis_goes_and_comes_back(world: World) {
    let World { one, two, token, mut redis, .. } = world;
    let redis = redis.as_mut().unwrap();
    let (mut stream, id) = begin(&one, &token, "mock-20ms-400tok").await;
    let mut elsewhere = follow(&two, &token, &id, 0).await;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        there.push(elsewhere.next().await.unwrap());
    }
    redis.stop();
    for _ in 0..150 {
        here.push(stream.next().await.unwrap());
    }
    // Neither server needs it to take a message.
    answers(&one, &token).await;
    answers(&two, &token).await;
    redis.go_on();
    here.extend(stream.rest().await);
    there.extend(elsewhere.rest().await);
    let numbers: Vec<_> = there.iter().map(|event| event.id).collect();
    assert_eq!(numbers, (1..=402).collect::<Vec<_>>());
    // Its first reader had read up to the first chunk before.
    assert_eq!(there[2..], here);
    assert_eq!(there.last().unwrap().name, "done");
    assert_eq!(follow(&two, &token, &id, 0).await.rest().await, there);
}

async fn what_runs_elsewhere_is_stopped_while_redis_is_away(world: World) {
    let World { one, two, token, upstream, mut redis } = world;
    let (stream, id) = begin(&one, &token, "mock-stall3").await;
    redis.as_mut().unwrap().stop();
    let stop = two.post(&format!("/api/v1/chat/messages/{id}/stop"), &json!({})).bearer_auth(&token);
    let stopped: Value = stop.send().await.unwrap().json().await.unwrap();
    assert_eq!(stopped["finish_reason"], "cancelled");
    assert_eq!(stream.rest().await.last().unwrap().data["finish_reason"], "cancelled");
    until(async || (upstream.open() == 0).then_some(())).await;
}
