//! Refresh tokens: exchanged once, revoked as a family, forgotten when they have expired.

use futures_util::future::join_all;
use parlor_engine::domain::AccountId;
use parlor_engine::store::{NewRefreshToken, NewTurn, StoreError};

use crate::kit::{Fixture, at, key, on_every_database};

on_every_database!(
    a_token_is_exchanged_once,
    many_that_exchange_one_token_at_once_get_one,
    a_lost_reply_is_made_good_while_the_successor_is_unused,
    a_revoked_family_exchanges_nothing,
    a_hash_is_taken_once,
    what_has_expired_is_removed_in_small_pieces,
    an_account_is_not_found_in_a_session_that_ended,
);

fn token(owner: AccountId, hash: &str) -> NewRefreshToken {
    NewRefreshToken {
        account_id: owner,
        family: "family".to_owned(),
        token_hash: hash.to_owned(),
        expires_at: at(1000),
    }
}

async fn with_token(fixture: &Fixture) -> AccountId {
    let owner = fixture.account("anna@example.com").await.id;
    fixture.db.insert_refresh_token(token(owner, "first"), at(1)).await.unwrap();
    owner
}

async fn a_token_is_exchanged_once(fixture: Fixture) {
    let owner = with_token(&fixture).await;
    let exchange = async |old: &str, new: &str| {
        fixture.db.rotate_refresh_token(old.to_owned(), token(owner, new), at(5)).await.unwrap()
    };
    assert!(exchange("first", "second").await);
    assert!(!exchange("first", "third").await);
    assert!(!exchange("unknown", "third").await);
    assert!(!exchange("FIRST", "third").await);
    assert!(fixture.db.refresh_token("third".to_owned()).await.unwrap().is_none());
    let old = fixture.db.refresh_token("first".to_owned()).await.unwrap().unwrap();
    assert_eq!((old.used_at, old.revoked_at, old.expires_at), (Some(at(5)), None, at(1000)));
    let new = fixture.db.refresh_token("second".to_owned()).await.unwrap().unwrap();
    assert_eq!((new.used_at, new.account_id, new.family.as_str()), (None, owner, "family"));
    assert!(exchange("second", "third").await);
}

async fn many_that_exchange_one_token_at_once_get_one(fixture: Fixture) {
    let owner = with_token(&fixture).await;
    let exchanged = join_all(
        (0..20).map(|n| fixture.db.rotate_refresh_token("first".to_owned(), token(owner, &format!("next-{n}")), at(5))),
    )
    .await;
    assert_eq!(exchanged.into_iter().filter(|done| matches!(done, Ok(true))).count(), 1);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM refresh_tokens").await, 2);
}

async fn a_lost_reply_is_made_good_while_the_successor_is_unused(fixture: Fixture) {
    let owner = with_token(&fixture).await;
    let replace = async |new: &str| {
        fixture.db.replace_unused_successor("first".to_owned(), token(owner, new), at(7)).await.unwrap()
    };
    assert!(!replace("too-early").await, "it has not been exchanged");
    assert!(fixture.db.rotate_refresh_token("first".to_owned(), token(owner, "lost"), at(5)).await.unwrap());
    assert!(replace("second").await);
    let lost = fixture.db.refresh_token("lost".to_owned()).await.unwrap().unwrap();
    assert_eq!(lost.revoked_at, Some(at(7)));
    assert!(!fixture.db.rotate_refresh_token("lost".to_owned(), token(owner, "stolen"), at(8)).await.unwrap());
    assert!(replace("third").await, "lost again");
    assert!(fixture.db.rotate_refresh_token("third".to_owned(), token(owner, "fourth"), at(8)).await.unwrap());
    assert!(!replace("fifth").await, "its successor has been used");
    for never in ["too-early", "stolen", "fifth"] {
        assert!(fixture.db.refresh_token(never.to_owned()).await.unwrap().is_none(), "{never}");
    }
}

async fn a_revoked_family_exchanges_nothing(fixture: Fixture) {
    let owner = with_token(&fixture).await;
    let other = NewRefreshToken { family: "other".to_owned(), ..token(owner, "other") };
    fixture.db.insert_refresh_token(other, at(1)).await.unwrap();
    assert!(fixture.db.rotate_refresh_token("first".to_owned(), token(owner, "second"), at(5)).await.unwrap());
    fixture.db.revoke_refresh_family("family".to_owned(), at(6)).await.unwrap();
    fixture.db.revoke_refresh_family("family".to_owned(), at(9)).await.unwrap();
    let revoked = async |hash: &str| fixture.db.refresh_token(hash.to_owned()).await.unwrap().unwrap().revoked_at;
    assert_eq!((revoked("first").await, revoked("second").await), (Some(at(6)), Some(at(6))));
    assert_eq!(revoked("other").await, None);
    assert!(!fixture.db.rotate_refresh_token("second".to_owned(), token(owner, "third"), at(7)).await.unwrap());
    assert!(!fixture.db.replace_unused_successor("first".to_owned(), token(owner, "third"), at(7)).await.unwrap());
}

async fn a_hash_is_taken_once(fixture: Fixture) {
    let owner = with_token(&fixture).await;
    let again = fixture.db.insert_refresh_token(token(owner, "first"), at(1)).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");
    // A failed exchange leaves the old token as it was.
    let failed = fixture.db.rotate_refresh_token("first".to_owned(), token(owner, "first"), at(5)).await;
    assert!(matches!(failed, Err(StoreError::Duplicate)), "{failed:?}");
    assert_eq!(fixture.db.refresh_token("first".to_owned()).await.unwrap().unwrap().used_at, None);
}

async fn what_has_expired_is_removed_in_small_pieces(fixture: Fixture) {
    let owner = fixture.account("anna@example.com").await.id;
    for n in 0..10_i64 {
        let new = NewRefreshToken { expires_at: at(100 + n), ..token(owner, &format!("token-{n}")) };
        fixture.db.insert_refresh_token(new, at(1)).await.unwrap();
        let idempotency = Some((key(&format!("key-{n}")), "print".to_owned()));
        let turn = NewTurn { idempotency, key_expires_at: at(100 + n), ..fixture.new_turn(owner, None, "Hello") };
        fixture.db.begin_turn(turn).await.unwrap();
    }
    assert_eq!(fixture.db.delete_expired(at(99), 100).await.unwrap(), 0);
    let mut removed = Vec::new();
    loop {
        match fixture.db.delete_expired(at(105), 4).await.unwrap() {
            0 => break,
            gone => removed.push(gone),
        }
    }
    assert!(removed.iter().all(|gone| *gone <= 8), "{removed:?}");
    assert_eq!(removed.iter().sum::<u64>(), 12);
    let left = "SELECT (SELECT COUNT(*) FROM refresh_tokens) * 100 + (SELECT COUNT(*) FROM idempotency_keys)";
    assert_eq!(fixture.value::<i64>(left).await, 404);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM turns").await, 10, "what the keys stood for stays");
}

async fn an_account_is_not_found_in_a_session_that_ended(fixture: Fixture) {
    let owner = fixture.account("anna@example.com").await.id;
    let token = |hash: &str| NewRefreshToken {
        account_id: owner,
        family: "family".to_owned(),
        token_hash: hash.to_owned(),
        expires_at: at(1000),
    };
    let found = async || fixture.db.account_in_session(owner, Some("family".to_owned())).await.unwrap().is_some();
    assert!(found().await, "nothing is stored of it");
    fixture.db.insert_refresh_token(token("a"), at(10)).await.unwrap();
    assert!(fixture.db.rotate_refresh_token("a".to_owned(), token("b"), at(11)).await.unwrap());
    assert!(fixture.db.replace_unused_successor("a".to_owned(), token("c"), at(12)).await.unwrap());
    assert!(found().await, "one of its tokens was replaced");
    assert!(fixture.db.end_session_of_owner("family".to_owned(), owner, at(13)).await.unwrap());
    assert!(!found().await);
    assert!(fixture.db.account_in_session(owner, None).await.unwrap().is_some());
}
