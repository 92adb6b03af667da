//! Quotas: reserved before a call, settled after it, never exceeded.

use std::sync::Arc;
use std::time::Duration;

use parlor_engine::domain::{
    Account, AccountId, Amounts, LedgerKind, Price, Quota, QuotaLimits, QuotaMetric, QuotaScope, QuotaWindow,
    Timestamp, TokenUsage,
};
use parlor_engine::store::{Db, LedgerEntry, LeftBy, NewReservation, QuotaCount, Reserved};
use proptest::prelude::*;

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    two_hundred_at_once_never_exceed_a_quota_and_leak_nothing,
    a_call_that_one_quota_refuses_takes_nothing_from_the_others,
    a_call_counts_in_the_window_in_which_it_began,
    a_quota_that_is_new_begins_with_what_the_ledger_says,
    what_nobody_settles_is_given_back_and_what_comes_late_still_counts,
    money_is_counted_at_the_models_price,
    a_reset_begins_the_window_anew_and_leaves_what_is_reserved,
    what_no_turn_holds_is_given_back_at_a_start,
    old_counters_go,
);

fn tokens(scope: QuotaScope, window: QuotaWindow, tokens: i64) -> Quota {
    Quota { scope, window, limits: QuotaLimits { tokens: Some(tokens), ..QuotaLimits::default() } }
}

fn call(account: AccountId, quotas: &[Quota], prompt: u64, completion: u64) -> NewReservation {
    NewReservation {
        account_id: account,
        api_key_id: None,
        quotas: quotas.to_vec(),
        usage: TokenUsage::new(prompt, completion),
        price: None,
        expires_at: at(1_000_000),
    }
}

fn entry(account: AccountId, prompt: u64, completion: u64, began: Timestamp) -> LedgerEntry {
    LedgerEntry {
        account_id: account,
        api_key_id: None,
        kind: LedgerKind::Gateway,
        provider: "openai".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        usage: TokenUsage::new(prompt, completion),
        is_estimated: false,
        cost_micros: Some(3),
        at: began,
    }
}

async fn let_in(db: &Db, new: NewReservation, now: Timestamp) -> Reserved {
    db.reserve_quota(new, now).await.unwrap().expect("there is room")
}

async fn count(db: &Db, account: AccountId, quota: Quota, now: Timestamp) -> QuotaCount {
    db.quota_counts(account, None, vec![quota], now).await.unwrap()[0].1
}

async fn anna(fixture: &Fixture) -> Account {
    fixture.account("anna@example.com").await
}

async fn two_hundred_at_once_never_exceed_a_quota_and_leak_nothing(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let quota = tokens(QuotaScope::Account, QuotaWindow::Day, 1_000);
    let db = Arc::new(fixture.db.clone());
    let calls = (0..200_u64).map(|number| {
        let db = Arc::clone(&db);
        tokio::spawn(async move {
            let Ok(reserved) = db.reserve_quota(call(id, &[quota], 10, 30), at(10)).await.unwrap() else {
                return false;
            };
            // Every call uses something else, up to all that it asked for; every fifth fails before it begins.
            let spent = (number % 5 > 0).then(|| entry(id, 10, number % 31, at(10)));
            db.settle_call(spent.into_iter().collect(), Some(reserved)).await.unwrap();
            true
        })
    });
    let mut let_in = 0;
    for call in calls.collect::<Vec<_>>() {
        let_in += i64::from(call.await.unwrap());
    }
    assert!((25..200).contains(&let_in), "{let_in}");
    let billed =
        fixture.value::<i64>("SELECT CAST(SUM(prompt_tokens + completion_tokens) AS BIGINT) FROM usage_ledger").await;
    let count = count(&fixture.db, id, quota, at(20)).await;
    assert_eq!((count.used.tokens, count.reserved), (billed, Amounts::default()));
    assert!((1..=1_000).contains(&billed), "{billed}");
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM quota_reservations").await, 0);
}

async fn a_call_that_one_quota_refuses_takes_nothing_from_the_others(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let wide = tokens(QuotaScope::Account, QuotaWindow::Minute, 1_000);
    let narrow = tokens(QuotaScope::Account, QuotaWindow::Month, 50);
    let first = let_in(&fixture.db, call(id, &[wide, narrow], 20, 20), at(1)).await;
    let over = fixture.db.reserve_quota(call(id, &[wide, narrow], 20, 20), at(1)).await.unwrap().unwrap_err();
    assert_eq!((over.quota, over.metric), (narrow, QuotaMetric::Tokens));
    assert_eq!((over.limit, over.left, over.needed), (50, 10, 40));
    assert_eq!(over.resets_at, Timestamp::from_date("1970-02-01").unwrap());
    for quota in [wide, narrow] {
        assert_eq!(count(&fixture.db, id, quota, at(1)).await.reserved.tokens, 40);
    }
    fixture.db.settle_call(Vec::new(), Some(first)).await.unwrap();
    for quota in [wide, narrow] {
        let left = QuotaCount { used: Amounts::default(), reserved: Amounts::default() };
        assert_eq!(count(&fixture.db, id, quota, at(1)).await, left);
    }
}

async fn a_call_counts_in_the_window_in_which_it_began(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let quota = tokens(QuotaScope::Account, QuotaWindow::Month, 100);
    let january = Timestamp::from_rfc3339("2026-01-31T23:59:59.999999Z").unwrap();
    let february = january.plus(Duration::from_micros(1));
    let late = let_in(&fixture.db, call(id, &[quota], 50, 50), january).await;
    assert!(fixture.db.reserve_quota(call(id, &[quota], 1, 0), january).await.unwrap().is_err());
    let next = let_in(&fixture.db, call(id, &[quota], 50, 50), february).await;
    fixture.db.settle_call(vec![entry(id, 50, 20, january)], Some(late)).await.unwrap();
    assert_eq!(count(&fixture.db, id, quota, january).await.used.tokens, 70);
    let then = count(&fixture.db, id, quota, february).await;
    assert_eq!((then.used.tokens, then.reserved.tokens), (0, 100));
    fixture.db.settle_call(Vec::new(), Some(next)).await.unwrap();
}

async fn a_quota_that_is_new_begins_with_what_the_ledger_says(fixture: Fixture) {
    let (id, other) = (anna(&fixture).await.id, fixture.account("ben@example.com").await.id);
    let yesterday = at(10);
    let today = yesterday.plus(Duration::from_secs(86_400));
    let spent = vec![entry(id, 500, 0, yesterday), entry(id, 60, 20, today), entry(other, 999, 0, today)];
    fixture.db.settle_call(spent, None).await.unwrap();
    let quota = tokens(QuotaScope::Account, QuotaWindow::Day, 100);
    assert_eq!(count(&fixture.db, id, quota, today).await.used.tokens, 80);
    assert!(fixture.db.reserve_quota(call(id, &[quota], 21, 0), today).await.unwrap().is_err());
    let_in(&fixture.db, call(id, &[quota], 20, 0), today).await;
    let now = count(&fixture.db, id, quota, today).await;
    assert_eq!((now.used.requests, now.used.tokens, now.reserved.tokens), (1, 80, 20));
}

async fn what_nobody_settles_is_given_back_and_what_comes_late_still_counts(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let quota = tokens(QuotaScope::Account, QuotaWindow::Day, 100);
    let new = NewReservation { expires_at: at(100), ..call(id, &[quota], 60, 0) };
    let forgotten = let_in(&fixture.db, new, at(10)).await;
    assert_eq!(fixture.db.release_expired_reservations(at(99), 10).await.unwrap(), 0);
    assert_eq!(fixture.db.release_expired_reservations(at(100), 10).await.unwrap(), 1);
    assert_eq!(count(&fixture.db, id, quota, at(100)).await.reserved, Amounts::default());
    fixture.db.settle_call(vec![entry(id, 30, 10, at(10))], Some(forgotten)).await.unwrap();
    let now = count(&fixture.db, id, quota, at(100)).await;
    assert_eq!((now.used.tokens, now.reserved), (40, Amounts::default()));
}

async fn money_is_counted_at_the_models_price(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let limits = QuotaLimits { micros: Some(100), ..QuotaLimits::default() };
    let quota = Quota { scope: QuotaScope::Account, window: QuotaWindow::Day, limits };
    let price = Price { prompt: 1_000_000, cached: 0, completion: 3_000_000 };
    let ask = |completion| NewReservation { price: Some(price), ..call(id, &[quota], 10, completion) };
    let over = fixture.db.reserve_quota(ask(31), at(1)).await.unwrap().unwrap_err();
    assert_eq!((over.metric, over.limit, over.left, over.needed), (QuotaMetric::Micros, 100, 100, 103));
    let reserved = let_in(&fixture.db, ask(30), at(1)).await;
    fixture.db.settle_call(vec![entry(id, 10, 0, at(1))], Some(reserved)).await.unwrap();
    assert_eq!(count(&fixture.db, id, quota, at(1)).await.used.micros, 3);
}

async fn a_reset_begins_the_window_anew_and_leaves_what_is_reserved(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let quota = tokens(QuotaScope::Account, QuotaWindow::Day, 100);
    fixture.db.settle_call(vec![entry(id, 90, 0, at(5))], None).await.unwrap();
    // Before anything was counted, too: what the ledger says does not come back.
    fixture.db.reset_quota_counters(id, QuotaWindow::ALL.to_vec(), at(6)).await.unwrap();
    let reserved = let_in(&fixture.db, call(id, &[quota], 50, 0), at(7)).await;
    fixture.db.settle_call(vec![entry(id, 40, 0, at(7))], Some(reserved)).await.unwrap();
    let_in(&fixture.db, call(id, &[quota], 50, 0), at(8)).await;
    fixture.db.reset_quota_counters(id, vec![QuotaWindow::Day], at(9)).await.unwrap();
    let now = count(&fixture.db, id, quota, at(9)).await;
    assert_eq!((now.used, now.reserved.tokens), (Amounts::default(), 50));
}

async fn what_no_turn_holds_is_given_back_at_a_start(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let quota = tokens(QuotaScope::Account, QuotaWindow::Day, 100);
    for _ in 0..3 {
        let_in(&fixture.db, call(id, &[quota], 30, 0), at(1)).await;
    }
    assert_eq!(fixture.db.release_reservations_without_turn(LeftBy::Anybody, 2).await.unwrap(), 2);
    assert_eq!(fixture.db.release_reservations_without_turn(LeftBy::Anybody, 2).await.unwrap(), 1);
    assert_eq!(count(&fixture.db, id, quota, at(1)).await.reserved, Amounts::default());
}

async fn old_counters_go(fixture: Fixture) {
    let id = anna(&fixture).await.id;
    let quota = tokens(QuotaScope::Account, QuotaWindow::Minute, 100);
    for minute in 0..3 {
        let_in(&fixture.db, call(id, &[quota], 30, 0), at(60 * minute)).await;
    }
    assert_eq!(fixture.db.delete_old_quota_counters(at(120), 1).await.unwrap(), 1);
    assert_eq!(fixture.db.delete_old_quota_counters(at(120), 10).await.unwrap(), 1);
    assert_eq!(fixture.value::<i64>("SELECT COUNT(*) FROM quota_counters").await, 1);
}

/// What may happen to calls, one after the other.
#[derive(Debug, Clone)]
enum Step {
    Reserve {
        prompt: u64,
        completion: u64,
    },
    /// Settles one that is open, with at most so much of what it asked for.
    Settle {
        which: usize,
        tokens: u64,
    },
    Release {
        which: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..400_u64, 0..400_u64).prop_map(|(prompt, completion)| Step::Reserve { prompt, completion }),
        2 => (any::<usize>(), 0..800_u64).prop_map(|(which, tokens)| Step::Settle { which, tokens }),
        1 => any::<usize>().prop_map(|which| Step::Release { which }),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_counters_are_the_sum_of_what_happened(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::sqlite().await;
            let id = anna(&fixture).await.id;
            let quota = tokens(QuotaScope::Account, QuotaWindow::Day, 1_000);
            let mut open: Vec<(Reserved, u64)> = Vec::new();
            let mut used = Amounts::default();
            for step in steps {
                match step {
                    Step::Reserve { prompt, completion } => {
                        let needed = prompt + completion;
                        let held: u64 = open.iter().map(|(_, tokens)| tokens).sum();
                        let fits = u64::try_from(used.tokens).unwrap() + held + needed <= 1_000;
                        let outcome = fixture.db.reserve_quota(call(id, &[quota], prompt, completion), at(1)).await.unwrap();
                        assert_eq!(outcome.is_ok(), fits);
                        open.extend(outcome.ok().map(|reserved| (reserved, needed)));
                    }
                    Step::Settle { which, tokens } if !open.is_empty() => {
                        let (reserved, needed) = open.swap_remove(which % open.len());
                        let spent = tokens.min(needed);
                        fixture.db.settle_call(vec![entry(id, spent, 0, at(1))], Some(reserved)).await.unwrap();
                        used = used.plus(Amounts { requests: 1, tokens: i64::try_from(spent).unwrap(), micros: 3 });
                    }
                    Step::Release { which } if !open.is_empty() => {
                        let (reserved, _) = open.swap_remove(which % open.len());
                        fixture.db.settle_call(Vec::new(), Some(reserved)).await.unwrap();
                    }
                    Step::Settle { .. } | Step::Release { .. } => {}
                }
                let now = count(&fixture.db, id, quota, at(1)).await;
                let held: u64 = open.iter().map(|(_, tokens)| tokens).sum();
                assert_eq!(now.used, used);
                assert_eq!(now.reserved.tokens, i64::try_from(held).unwrap());
                assert_eq!(now.reserved.requests, i64::try_from(open.len()).unwrap());
                assert!(now.used.plus(now.reserved).tokens <= 1_000);
            }
        });
    }
}
