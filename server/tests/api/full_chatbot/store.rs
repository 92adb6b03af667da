//! `conversation_store` and `message_store` beside a running server.

use super::{begin, message_in, say};
use crate::support::Setup;

#[tokio::test]
async fn what_the_document_reads_from_its_tables_is_there() {
    let server = Setup::new().start();
    let id = begin(&server, 1, "test-msg-001", "Hello!").await;
    say(&server, &message_in(&id, 1, "a-name-longer-than-twenty-characters", "More")).await.expect(200);
    let database = server.database();
    let (name, user, count, created): (String, i64, i64, String) = database
        .query_row(
            "SELECT chat_name, user_id, message_count, created_at FROM conversation_store WHERE conv_id = ?1",
            [&id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!((name.as_str(), user, count), ("Hello!", 1, 4));
    let shape: String = created.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00 00:00:00");
    let mut messages = database
        .prepare(
            "SELECT role, message_no, message_id, Status FROM message_store WHERE conv_id = ?1 ORDER BY message_no",
        )
        .unwrap();
    let messages: Vec<(String, i64, String, String)> = messages
        .query_map([&id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let roles: Vec<_> = messages.iter().map(|(role, number, _, _)| (role.as_str(), *number)).collect();
    assert_eq!(roles, [("user", 1), ("assistant", 2), ("user", 3), ("assistant", 4)]);
    assert_eq!(messages[0].2, "test-msg-001");
    assert!(messages.iter().all(|(_, _, id, status)| id.len() <= 20 && status == "Success"));
}
