//! Those who call: whatever is remembered of them, what changed a moment ago is what holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlor_engine::domain::{
    Account, AccountQuota, AccountRole, ApiKeyName, GuestKey, GuestRealm, QuotaLimits, QuotaWindow, Scopes,
};
use parlor_engine::store::{AccountUpdate, NewApiKey, NewRefreshToken};

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    a_key_that_is_deleted_opens_nothing_and_one_that_is_left_opens_what_its_account_is_now,
    a_guest_is_what_it_was_made_a_moment_ago,
    a_session_ends_with_its_family_its_account_and_nothing_else,
    nobody_is_found_as_they_were_before_a_change_that_was_told,
);

fn key(hash: &str) -> NewApiKey {
    NewApiKey {
        name: ApiKeyName::parse("bot").unwrap(),
        prefix: "sk-parlor".to_owned(),
        key_hash: hash.to_owned(),
        scopes: Scopes::parse(["chat"]).unwrap(),
        expires_at: None,
    }
}

async fn holder(fixture: &Fixture, hash: &str) -> Option<Account> {
    fixture.db.api_key_by_hash(hash.to_owned()).await.unwrap().map(|record| record.account)
}

async fn a_key_that_is_deleted_opens_nothing_and_one_that_is_left_opens_what_its_account_is_now(fixture: Fixture) {
    let owner = fixture.account("anna@example.com").await;
    assert_eq!(holder(&fixture, "first").await, None);
    let mut ids = Vec::new();
    for hash in ["first", "second"] {
        let stored = fixture.db.insert_api_key_of_owner(owner.id, key(hash), 50, at(1)).await.unwrap().unwrap();
        ids.push(stored.id);
        assert_eq!(holder(&fixture, hash).await.map(|account| account.id), Some(owner.id));
    }
    let limits = QuotaLimits { requests: Some(3), ..QuotaLimits::default() };
    let quotas = vec![AccountQuota { window: QuotaWindow::Day, limits }];
    fixture.db.set_account_quotas(owner.id, quotas.clone(), at(2)).await.unwrap();
    assert_eq!(holder(&fixture, "first").await.map(|account| account.quotas), Some(quotas));
    fixture.db.note_api_key_use(ids[0], at(3)).await.unwrap();
    let used = fixture.db.api_key_by_hash("first".to_owned()).await.unwrap().unwrap().key.last_used_at;
    assert_eq!(used, Some(at(3)));
    assert!(fixture.db.delete_api_key_of_owner(ids[0], owner.id).await.unwrap());
    assert_eq!(holder(&fixture, "first").await, None);
    assert!(holder(&fixture, "second").await.is_some());
    fixture.db.delete_account(owner.id, at(4)).await.unwrap();
    assert_eq!(holder(&fixture, "second").await, None, "its account is gone, and it with that");
}

async fn a_guest_is_what_it_was_made_a_moment_ago(fixture: Fixture) {
    let name = GuestKey::parse("anna").unwrap();
    let find = async || fixture.db.guest(GuestRealm::Classic, name.clone()).await.unwrap();
    assert_eq!(find().await, None);
    let guest = fixture.db.guest_or_insert(GuestRealm::Classic, name.clone(), at(1)).await.unwrap();
    assert_eq!(find().await, Some(guest.clone()));
    let off = AccountUpdate { is_active: Some(false), ..AccountUpdate::default() };
    fixture.db.update_account(guest.id, off, at(2)).await.unwrap();
    assert_eq!(find().await.map(|guest| guest.is_active), Some(false));
    fixture.db.delete_account(guest.id, at(3)).await.unwrap();
    assert_eq!(find().await, None);
    let again = fixture.db.guest_or_insert(GuestRealm::Classic, name.clone(), at(4)).await.unwrap();
    assert_ne!(again.id, guest.id);
    assert_eq!(find().await, Some(again));
}

async fn a_session_ends_with_its_family_its_account_and_nothing_else(fixture: Fixture) {
    let owner = fixture.account("anna@example.com").await;
    let token = |family: &str, hash: &str| NewRefreshToken {
        account_id: owner.id,
        family: family.to_owned(),
        token_hash: hash.to_owned(),
        expires_at: at(1000),
    };
    for family in ["phone", "desk"] {
        fixture.db.insert_refresh_token(token(family, family), at(1)).await.unwrap();
    }
    let find = async |family: &str| fixture.db.account_in_session(owner.id, Some(family.to_owned())).await.unwrap();
    assert!(find("phone").await.is_some() && find("desk").await.is_some());
    assert!(fixture.db.rotate_refresh_token("phone".to_owned(), token("phone", "next"), at(2)).await.unwrap());
    assert!(find("phone").await.is_some(), "it goes on under another token");
    fixture.db.revoke_refresh_family("phone".to_owned(), at(3)).await.unwrap();
    assert!(find("phone").await.is_none());
    assert!(find("desk").await.is_some());
    let role = AccountUpdate { role: Some(AccountRole::Admin), ..AccountUpdate::default() };
    fixture.db.update_account(owner.id, role, at(4)).await.unwrap();
    assert!(find("desk").await.is_none(), "a change of the account ends what it holds");
}

/// Others look all the time, and so have what was there before at hand.
async fn nobody_is_found_as_they_were_before_a_change_that_was_told(fixture: Fixture) {
    let owner = fixture.account("anna@example.com").await;
    fixture.db.insert_api_key_of_owner(owner.id, key("key"), 50, at(1)).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let looking = (0..4).map(|_| {
        let (db, is_over) = (fixture.db.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                assert!(db.api_key_by_hash("key".to_owned()).await.unwrap().is_some());
                tokio::task::yield_now().await;
            }
        })
    });
    let looking: Vec<_> = looking.collect();
    for limit in 1..=60 {
        let limits = QuotaLimits { requests: Some(limit), ..QuotaLimits::default() };
        let quotas = vec![AccountQuota { window: QuotaWindow::Day, limits }];
        fixture.db.set_account_quotas(owner.id, quotas.clone(), at(2)).await.unwrap();
        assert_eq!(holder(&fixture, "key").await.map(|account| account.quotas), Some(quotas));
    }
    is_over.store(true, Ordering::Relaxed);
    for task in looking {
        task.await.unwrap();
    }
}
