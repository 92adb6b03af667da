//! The schema: made once, refused when it is not the one this program knows.

use parlor_engine::store::StoreError;

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    a_schema_that_is_there_is_left_alone,
    a_migration_that_was_changed_is_refused,
    a_schema_newer_than_the_program_is_refused,
    the_schema_can_be_shown,
);

async fn a_schema_that_is_there_is_left_alone(fixture: Fixture) {
    fixture.guest("anna").await;
    let states = fixture.db.migrate(at(5)).await.unwrap();
    assert!(!states.is_empty() && states.iter().all(|state| !state.applied_now));
    let versions: Vec<_> = states.iter().map(|state| state.version).collect();
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM accounts").await, 1);
    assert_eq!(fixture.value::<i64>("SELECT MAX(applied_at) FROM schema_migrations").await, 0);
}

async fn a_migration_that_was_changed_is_refused(fixture: Fixture) {
    fixture.execute("UPDATE schema_migrations SET hash = 'another' WHERE version = 1").await.unwrap();
    let refused = fixture.db.migrate(at(5)).await;
    assert!(matches!(refused, Err(StoreError::Migration { version: 1, .. })), "{refused:?}");
}

async fn a_schema_newer_than_the_program_is_refused(fixture: Fixture) {
    let newer = "INSERT INTO schema_migrations (version, name, hash, applied_at) VALUES (9999, 'future', 'h', 1)";
    fixture.execute(newer).await.unwrap();
    let refused = fixture.db.migrate(at(5)).await;
    assert!(matches!(refused, Err(StoreError::Migration { version: 9999, .. })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("newer"));
}

async fn the_schema_can_be_shown(fixture: Fixture) {
    fixture.guest("anna").await;
    let tables = fixture.db.tables().await.unwrap();
    let accounts = tables.iter().find(|table| table.name == "accounts").unwrap();
    assert_eq!(accounts.rows, 1);
    let column = |name: &str| accounts.columns.iter().find(|column| column.name == name).unwrap();
    assert!(!column("created_at").nullable && column("email").nullable);
}
