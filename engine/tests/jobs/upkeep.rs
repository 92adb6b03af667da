//! Parlor's own jobs, as their schedules start them.

use std::time::Duration;

use parlor_engine::domain::{Clock, Timestamp};
use parlor_engine::jobs::Registry;

use crate::kit::{Fixture, until};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn what_has_expired_is_gone_after_a_while() {
    let clock = Clock::manual(Timestamp::from_rfc3339("2026-01-31T12:30:00Z").unwrap());
    let fixture = Fixture::at(clock, |_| {}).await;
    for sql in [
        "INSERT INTO accounts (id, role, email, created_at, updated_at) VALUES (1, 'user', 'a@example.com', 1, 1)",
        "INSERT INTO refresh_tokens (account_id, family, token_hash, created_at, expires_at) VALUES (1, 'f', 'h', 1, 2)",
        "INSERT INTO idempotency_keys VALUES (1, 'k', 'f', 1, 2)",
        "INSERT INTO moderation_events (account_id, subject, content, source, category, created_at) VALUES (1, 'message', 'x', 'rules', 'c', 2)",
        "INSERT INTO file_leftovers (hash, noted_at) VALUES ('abababababababababababababababababababababababababababababababab', 1)",
        "INSERT INTO jobs (kind, payload, state, max_attempts, run_at, created_at, ended_at) VALUES ('old', '{}', 'dead', 1, 1, 1, 2)",
    ] {
        fixture.execute(sql).await;
    }
    let left = "SELECT (SELECT COUNT(*) FROM refresh_tokens) + (SELECT COUNT(*) FROM idempotency_keys) + (SELECT COUNT(*) FROM file_leftovers) \
                + (SELECT COUNT(*) FROM moderation_events) + (SELECT COUNT(*) FROM jobs WHERE kind = 'old')";
    let worker = fixture.worker_of(Registry::default());
    until(async || (fixture.value::<i64>("SELECT COUNT(*) FROM schedules").await > 0).then_some(())).await;
    assert_eq!(fixture.value::<i64>(left).await, 5, "nothing is done before its time");
    fixture.clock.advance(DAY);
    until(async || (fixture.value::<i64>(left).await == 0).then_some(())).await;
    worker.drain(DAY).await;
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM accounts").await, 1);
}
