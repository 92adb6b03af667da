//! The indexer: every worker has one, and one of them works.

use std::time::Duration;

use parlor_engine::jobs::Registry;

use crate::kit::{Fixture, until};

const GRACE: Duration = Duration::from_secs(60);

async fn fill(fixture: &Fixture) {
    for sql in [
        "INSERT INTO accounts (id, role, email, created_at, updated_at) VALUES (1, 'user', 'a@example.com', 1, 1)",
        "INSERT INTO conversations (id, account_id, created_at, updated_at) VALUES (7, 1, 1, 1)",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 130) \
         INSERT INTO messages (conversation_id, role, content, tokens, created_at, updated_at) \
         SELECT 7, 'user', 'text ' || i, 2, i, i FROM n",
        "INSERT INTO messages (id, conversation_id, role, content, tokens, created_at, updated_at) \
         VALUES (131, 7, 'assistant', 'so far', 2, 1, 1), (132, 7, 'user', 'later', 2, 1, 1)",
        "INSERT INTO turns (account_id, conversation_id, user_message_id, answer_message_id, state, requested_model, started_at) \
         VALUES (1, 7, 130, 131, 'streaming', 'm', 1)",
    ] {
        fixture.execute(sql).await;
    }
}

async fn until_indexed(fixture: &Fixture, messages: i64) {
    until(async || {
        let indexed = fixture.value::<i64>("SELECT COUNT(*) FROM message_words").await;
        (indexed == messages).then_some(())
    })
    .await;
}

#[tokio::test]
async fn workers_take_every_message_in_once_and_one_that_ends_leaves_the_rest_to_another() {
    let fixture = Fixture::new().await;
    fill(&fixture).await;
    let leases = "SELECT COUNT(*) FROM leases WHERE name = 'search_index'";
    let (first, second) = (fixture.worker_of(Registry::default()), fixture.worker_of(Registry::default()));
    // Up to the answer that is being written.
    until_indexed(&fixture, 130).await;
    assert_eq!(fixture.value::<i64>("SELECT message_id FROM search_cursor").await, 130);
    assert_eq!(fixture.value::<i64>(leases).await, 1);
    tokio::join!(first.drain(GRACE), second.drain(GRACE));
    assert_eq!(fixture.value::<i64>(leases).await, 0, "it was given up");
    fixture.execute("UPDATE turns SET state = 'complete'").await;
    let third = fixture.worker_of(Registry::default());
    until_indexed(&fixture, 132).await;
    third.drain(GRACE).await;
    assert_eq!(fixture.value::<i64>("SELECT message_id FROM search_cursor").await, 132);
}

#[tokio::test]
async fn the_night_takes_deleted_words_out_of_the_file() {
    let fixture = Fixture::new().await;
    fill(&fixture).await;
    let worker = fixture.worker_of(Registry::default());
    until_indexed(&fixture, 130).await;
    fixture.execute("DELETE FROM messages WHERE id = 1").await;
    until_indexed(&fixture, 129).await;
    // Its time has come.
    until(async || (fixture.value::<i64>("SELECT COUNT(*) FROM schedules").await > 0).then_some(())).await;
    fixture.execute("UPDATE schedules SET next_at = 1 WHERE name = 'tidy_search_index'").await;
    let done = "SELECT COUNT(*) FROM jobs WHERE kind = 'tidy_search_index' AND state = 'done'";
    until(async || (fixture.value::<i64>(done).await == 1).then_some(())).await;
    worker.drain(GRACE).await;
    assert!(!fixture.app.db().tidy_index(true).await.unwrap(), "there is nothing left to do");
}
