//! Accounts: what is unique, and how it is compared.

use futures_util::future::join_all;
use parlor_engine::domain::{AccountRole, GuestKey, GuestRealm, Username};
use parlor_engine::store::{NewAccount, StoreError};

use crate::kit::{Fixture, at, new_account, on_every_database};

on_every_database!(
    an_address_is_unique_whatever_its_case_and_kept_as_it_was_written,
    a_name_is_unique_whatever_its_case_and_nothing_else_is_equal,
    a_guest_is_known_by_every_character_of_its_name,
    guests_of_two_surfaces_never_meet,
    the_same_guest_at_once_is_one_account,
    two_that_register_the_same_address_at_once_are_one_account,
    a_login_keeps_the_hash_unless_a_better_one_is_given,
    guests_are_no_accounts_when_the_first_admin_is_due,
);

async fn an_address_is_unique_whatever_its_case_and_kept_as_it_was_written(fixture: Fixture) {
    let account = fixture.account("Anna.Smith@Example.com").await;
    assert_eq!(account.email.as_deref(), Some("Anna.Smith@Example.com"));
    let again = fixture.db.insert_account(new_account("ANNA.smith@EXAMPLE.COM"), at(2)).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");
    let found = fixture.db.account_by_login("anna.smith@example.com".to_owned()).await.unwrap().unwrap();
    assert_eq!(found.account, account);
    for near in ["anna_smith@example.com", "anna.smith@example.com ", "anna.smith@example.co", "%@example.com"] {
        assert!(fixture.db.account_by_login(near.to_owned()).await.unwrap().is_none(), "{near:?}");
    }
}

async fn a_name_is_unique_whatever_its_case_and_nothing_else_is_equal(fixture: Fixture) {
    let named = |name: &str| NewAccount {
        email: None,
        username: Some(Username::parse(name).unwrap()),
        ..new_account("unused@example.com")
    };
    // A collation that folds accents or sharp s would take some of these for others.
    for name in ["müller", "muller", "mueller", "strasse", "straße", "cote", "coté", "côte"] {
        fixture.db.insert_account(named(name), at(1)).await.unwrap();
    }
    let again = fixture.db.insert_account(named("MÜLLER"), at(1)).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");
    let found = fixture.db.account_by_login("müller".to_owned()).await.unwrap().unwrap();
    assert_eq!(found.account.username.as_deref(), Some("müller"));
    assert_eq!(found.account.role, AccountRole::User);
}

async fn a_guest_is_known_by_every_character_of_its_name(fixture: Fixture) {
    let names = ["anna", "Anna", "ANNA", "anna ", " anna", "änna", "🙂", "🙃", "1", "01"];
    let mut ids = Vec::new();
    for name in names {
        let guest = fixture.guest(name).await;
        assert_eq!((guest.guest_key.as_deref(), guest.role), (Some(name), AccountRole::Guest));
        ids.push(guest.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), names.len(), "no two names are one guest");
    let longest = "🙂".repeat(255);
    let guest = fixture.guest(&longest).await;
    assert_eq!(fixture.guest(&longest).await, guest);
}

async fn guests_of_two_surfaces_never_meet(fixture: Fixture) {
    let guest = async |realm| fixture.db.guest_or_insert(realm, GuestKey::parse("1").unwrap(), at(1)).await.unwrap();
    let classic = guest(GuestRealm::Classic).await;
    assert!(fixture.db.guest(GuestRealm::FullChatbot, GuestKey::parse("1").unwrap()).await.unwrap().is_none());
    assert_ne!(guest(GuestRealm::FullChatbot).await.id, classic.id);
    assert_eq!(guest(GuestRealm::Classic).await, classic);
}

async fn the_same_guest_at_once_is_one_account(fixture: Fixture) {
    let guests = join_all((0..20).map(|_| fixture.guest("anna"))).await;
    assert!(guests.iter().all(|guest| guest.id == guests[0].id));
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM accounts").await, 1);
}

async fn two_that_register_the_same_address_at_once_are_one_account(fixture: Fixture) {
    let outcomes = join_all((0..20).map(|n| {
        let address = if n % 2 == 0 { "anna@example.com" } else { "Anna@Example.com" };
        fixture.db.insert_account(new_account(address), at(1))
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let others = outcomes.iter().filter(|outcome| outcome.is_err());
    assert!(others.into_iter().all(|outcome| matches!(outcome, Err(StoreError::Duplicate))));
}

async fn a_login_keeps_the_hash_unless_a_better_one_is_given(fixture: Fixture) {
    let account = fixture.account("anna@example.com").await;
    let hash = async || fixture.db.account_by_id(account.id).await.unwrap().unwrap().password_hash.unwrap();
    fixture.db.note_login(account.id, None, at(5)).await.unwrap();
    assert_eq!(hash().await, "hash");
    fixture.db.note_login(account.id, Some("better".to_owned()), at(6)).await.unwrap();
    assert_eq!(hash().await, "better");
}

async fn guests_are_no_accounts_when_the_first_admin_is_due(fixture: Fixture) {
    fixture.guest("anna").await;
    assert!(!fixture.db.has_accounts().await.unwrap());
    fixture.account("anna@example.com").await;
    assert!(fixture.db.has_accounts().await.unwrap());
}
