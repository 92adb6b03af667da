//! What open connections are checked against: accounts, API keys and sessions, many at once.

use std::collections::{HashMap, HashSet};

use parlor_engine::domain::{AccountId, ApiKeyId, ApiKeyName, Scopes, Timestamp};
use parlor_engine::store::{NewApiKey, NewRefreshToken, Proofs};

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    what_holds_of_accounts_keys_and_sessions_is_told,
    more_than_one_query_takes_are_looked_up,
    who_asks_for_nothing_is_told_nothing,
);

async fn api_key(fixture: &Fixture, owner: AccountId, hash: &str, expires_at: Option<Timestamp>) -> ApiKeyId {
    let new = NewApiKey {
        name: ApiKeyName::parse("key").unwrap(),
        prefix: "pk-1".to_owned(),
        key_hash: hash.to_owned(),
        scopes: Scopes::parse(["chat"]).unwrap(),
        expires_at,
    };
    fixture.db.insert_api_key_of_owner(owner, new, 100, at(1)).await.unwrap().unwrap().id
}

async fn session(fixture: &Fixture, owner: AccountId, family: &str, hashes: [&str; 2]) {
    let token = |hash: &str| NewRefreshToken {
        account_id: owner,
        family: family.to_owned(),
        token_hash: hash.to_owned(),
        expires_at: at(1000),
    };
    fixture.db.insert_refresh_token(token(hashes[0]), at(1)).await.unwrap();
    assert!(fixture.db.rotate_refresh_token(hashes[0].to_owned(), token(hashes[1]), at(2)).await.unwrap());
}

async fn what_holds_of_accounts_keys_and_sessions_is_told(fixture: Fixture) {
    let (anna, ben) = (fixture.account("anna@example.com").await.id, fixture.account("ben@example.com").await.id);
    let keeps = api_key(&fixture, anna, "keeps", None).await;
    let expires = api_key(&fixture, anna, "expires", Some(at(10))).await;
    let deleted = api_key(&fixture, anna, "deleted", None).await;
    session(&fixture, anna, "open", ["a", "b"]).await;
    session(&fixture, anna, "ended", ["c", "d"]).await;
    fixture.db.delete_api_key_of_owner(deleted, anna).await.unwrap();
    assert!(fixture.db.end_session_of_owner("ended".to_owned(), anna, at(5)).await.unwrap());
    fixture.db.end_sessions_of_owner(ben, at(5)).await.unwrap();
    fixture.execute("UPDATE accounts SET is_active = 0 WHERE email_key = 'anna@example.com'").await.unwrap();

    let proofs = Proofs {
        accounts: vec![anna, ben, AccountId::new(99).unwrap()],
        api_keys: vec![keeps, expires, deleted],
        sessions: ["open", "ended", "OPEN", "never"].map(str::to_owned).into(),
    };
    let holding = fixture.db.what_holds(proofs.clone(), at(9)).await.unwrap();
    assert_eq!(holding.token_versions, HashMap::from([(ben, 1)]));
    assert_eq!(holding.api_keys, HashSet::from([keeps, expires]));
    assert_eq!(holding.ended_sessions, HashSet::from(["ended".to_owned()]));
    assert_eq!(fixture.db.what_holds(proofs, at(10)).await.unwrap().api_keys, HashSet::from([keeps]));
}

async fn more_than_one_query_takes_are_looked_up(fixture: Fixture) {
    let mut proofs = Proofs::default();
    for number in 0..150 {
        let owner = fixture.guest(&format!("guest-{number}")).await.id;
        proofs.accounts.push(owner);
        proofs.api_keys.push(api_key(&fixture, owner, &format!("hash-{number}"), None).await);
    }
    let holding = fixture.db.what_holds(proofs.clone(), at(9)).await.unwrap();
    assert_eq!(holding.token_versions.len(), 150);
    assert_eq!(holding.api_keys, proofs.api_keys.into_iter().collect());
}

async fn who_asks_for_nothing_is_told_nothing(fixture: Fixture) {
    fixture.account("anna@example.com").await;
    let holding = fixture.db.what_holds(Proofs::default(), at(9)).await.unwrap();
    assert!(holding.token_versions.is_empty() && holding.api_keys.is_empty() && holding.ended_sessions.is_empty());
}
