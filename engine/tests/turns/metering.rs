//! What turns cost, and how much one may spend.

use std::sync::Arc;
use std::time::Duration;

use parlor_engine::app::{AppError, Estimate, Spent};
use parlor_engine::config::Settings;
use parlor_engine::domain::{
    Clock, LedgerKind, Price, Quota, QuotaLimits, QuotaMetric, QuotaScope, QuotaWindow, Timestamp, TokenUsage,
    TurnState,
};
use parlor_engine::providers::ProviderError;

use crate::kit::{Fixture, message, soon};

fn quota(window: QuotaWindow, tokens: i64) -> Quota {
    Quota { scope: QuotaScope::Account, window, limits: QuotaLimits { tokens: Some(tokens), ..QuotaLimits::default() } }
}

fn a_thousand(settings: &mut Settings) {
    settings.metering.quotas = vec![quota(QuotaWindow::Month, 1_000)];
    settings.chat.max_tokens = 80;
}

const USED: &str = "SELECT COALESCE(SUM(tokens), 0) FROM quota_counters";
const BILLED: &str = "SELECT COALESCE(SUM(prompt_tokens + completion_tokens), 0) FROM usage_ledger";

/// What calls under way hold of the quotas, all metrics added up.
async fn reserved(fixture: &Fixture) -> i64 {
    let status = fixture.app.quota_status(&fixture.caller).await.unwrap();
    status.iter().map(|status| status.count.reserved).map(|of| of.requests + of.tokens + of.micros).sum()
}

/// Kind, provider, prompt tokens, completion tokens, and whether estimated.
async fn lines(fixture: &Fixture) -> Vec<(String, i64, i64, bool)> {
    let sql = "SELECT kind, prompt_tokens, completion_tokens, is_estimated FROM usage_ledger ORDER BY id";
    let read = fixture.app.db().read(move |tx| {
        Box::pin(async move {
            tx.fetch(sql, &[], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<i64>(3)? == 1))).await
        })
    });
    read.await.unwrap()
}

#[tokio::test]
async fn two_hundred_senders_at_once_stay_within_a_thousand_tokens() {
    let fixture = Arc::new(Fixture::with(a_thousand).await);
    let senders = (0..200).map(|_| {
        let fixture = Arc::clone(&fixture);
        tokio::spawn(async move { fixture.send_as(message("Hello")).await })
    });
    let (mut turns, mut refused) = (Vec::new(), 0);
    for sender in senders.collect::<Vec<_>>() {
        match sender.await.unwrap() {
            Ok(turn) => turns.push(turn),
            Err(AppError::QuotaExceeded(over)) => {
                assert_eq!((over.metric, over.limit), (QuotaMetric::Tokens, 1_000));
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 150 && turns.len() >= 10, "{refused} refused, {} let in", turns.len());
    let let_in = i64::try_from(turns.len()).unwrap();
    // Of what was refused nothing is stored.
    assert_eq!(fixture.number("SELECT COUNT(*) FROM turns").await, let_in);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM conversations").await, let_in);
    for number in 0..turns.len() {
        let call = fixture.call().await;
        call.say("Hi");
        match number % 3 {
            0 => call.finish(),
            1 => call.fail(ProviderError::Cut),
            _ => drop(call),
        }
    }
    for turn in &turns {
        soon(turn.ending()).await;
    }
    assert_eq!(reserved(&fixture).await, 0);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM quota_reservations").await, 0);
    let billed = fixture.number(BILLED).await;
    assert_eq!(fixture.number(USED).await, billed);
    assert!(billed <= 1_000, "{billed}");
}

#[tokio::test]
async fn a_crash_leaks_no_reservation() {
    let fixture = Fixture::with(a_thousand).await;
    fixture.send("Hello").await;
    let call = fixture.call().await;
    let estimate = Estimate { model: String::new(), prompt_tokens: 10, completion_tokens: 90 };
    let outside = fixture.app.reserve(&fixture.caller, estimate).await.unwrap();
    assert!(reserved(&fixture).await > 100);
    let after = fixture.after_a_crash().await;
    assert_eq!(after.app.recover_turns().await.unwrap(), 1);
    assert_eq!(reserved(&after).await, 0);
    assert_eq!(after.number("SELECT COUNT(*) FROM quota_reservations").await, 0);
    drop((outside, call));
    soon(fixture.app.drain(Duration::from_secs(60))).await;
    assert_eq!(reserved(&after).await, 0);
}

#[tokio::test]
async fn a_month_ends_and_the_next_one_is_new() {
    let clock = Clock::manual(Timestamp::from_rfc3339("2026-01-31T23:59:00Z").unwrap());
    let fixture = Fixture::at(clock.clone(), a_thousand).await;
    let estimate = Estimate { model: String::new(), prompt_tokens: 1_000, completion_tokens: 0 };
    let january = fixture.app.reserve(&fixture.caller, estimate.clone()).await.unwrap();
    let Err(AppError::QuotaExceeded(over)) = fixture.send_as(message("Hello")).await else { panic!("it fits") };
    assert_eq!(
        (over.left, over.retry_after, over.length),
        (0, Duration::from_secs(60), Duration::from_secs(31 * 86_400))
    );
    assert_eq!(over.policy(), "account-month-tokens");
    let text = over.to_string();
    assert!(text.starts_with("quota exceeded (account): of 1000 tokens per month there are 0 tokens left"), "{text}");
    assert!(text.ends_with("it resets at 2026-02-01T00:00:00.000000Z"), "{text}");
    clock.advance(Duration::from_secs(60));
    let february = fixture.app.reserve(&fixture.caller, estimate).await.unwrap();
    let spent = |tokens| Spent {
        provider: "gate".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        usage: TokenUsage::new(tokens, 0),
        is_estimated: false,
        provider_cost: None,
    };
    january.settle(LedgerKind::Gateway, vec![spent(700)]).await.unwrap();
    february.settle(LedgerKind::Gateway, vec![spent(200), spent(50)]).await.unwrap();
    let status = fixture.app.quota_status(&fixture.caller).await.unwrap();
    assert_eq!((status[0].count.used.requests, status[0].count.used.tokens), (1, 250));
    assert_eq!(status[0].resets_at, Timestamp::from_date("2026-03-01").unwrap());
    clock.advance(Duration::from_secs(40 * 86_400));
    assert_eq!(fixture.app.quota_status(&fixture.caller).await.unwrap()[0].count.used.tokens, 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_is_billed_with_what_was_told_last_or_given_back() {
    let fixture = Fixture::with(a_thousand).await;
    let estimate = Estimate { model: String::new(), prompt_tokens: 10, completion_tokens: 90 };
    let mut gone = fixture.app.reserve(&fixture.caller, estimate.clone()).await.unwrap();
    let usage = TokenUsage::new(10, 5);
    let spent =
        Spent { provider: "gate".into(), model: "gpt-4o".into(), usage, is_estimated: true, provider_cost: Some(7) };
    gone.unless_settled(LedgerKind::Gateway, vec![spent]);
    drop(gone);
    drop(fixture.app.reserve(&fixture.caller, estimate).await.unwrap());
    soon(fixture.app.drain(Duration::from_secs(60))).await;
    assert_eq!(lines(&fixture).await, [("gateway".to_owned(), 10, 5, true)]);
    assert_eq!((reserved(&fixture).await, fixture.number(USED).await), (0, 15));
    assert_eq!(fixture.number("SELECT cost_micros FROM usage_ledger").await, 7);
}

#[tokio::test]
async fn without_a_quota_nothing_is_reserved() {
    let fixture = Fixture::new().await;
    let estimate = Estimate { model: String::new(), prompt_tokens: 10, completion_tokens: 90 };
    drop(fixture.app.reserve(&fixture.caller, estimate).await.unwrap());
    fixture.exchange(None, "Hello", "Hi").await;
    assert_eq!(fixture.number("SELECT COUNT(*) FROM quota_counters").await, 0);
    assert_eq!(fixture.number("SELECT COUNT(*) FROM quota_reservations").await, 0);
    assert!(fixture.app.quota_status(&fixture.caller).await.unwrap().is_empty());
}

#[tokio::test]
async fn attempts_that_came_to_nothing_are_lines_of_their_own() {
    let fixture = Fixture::with(|settings| settings.providers.max_retries = 1).await;
    let turn = fixture.send("Hello").await;
    fixture.call().await.fail(ProviderError::Cut);
    let second = fixture.call().await;
    second.say("Hi");
    second.finish();
    let ending = soon(turn.ending()).await;
    assert_eq!(ending.usage, TokenUsage::new(11, 7));
    let lines = lines(&fixture).await;
    assert_eq!((lines.len(), lines[0].0.as_str(), lines[0].2, lines[0].3), (2, "retry", 0, true));
    assert_eq!(lines[1], ("chat".to_owned(), 11, 7, false));
}

#[tokio::test]
async fn what_a_provider_refuses_costs_nothing_and_what_it_took_costs_what_it_read() {
    let fixture = Fixture::new().await;
    for (error, bills) in
        [(ProviderError::Unauthorized, 0), (ProviderError::Unavailable { status: 503 }, 0), (ProviderError::Cut, 1)]
    {
        let before = lines(&fixture).await.len();
        let turn = fixture.send("Hello").await;
        fixture.call().await.fail(error.clone());
        let ending = soon(turn.ending()).await;
        assert_eq!(ending.state, TurnState::Failed);
        let lines = lines(&fixture).await;
        assert_eq!(lines.len() - before, bills, "{error}");
        let read: i64 = lines[before..].iter().map(|line| line.1).sum();
        assert_eq!(ending.usage.total(), u64::try_from(read).unwrap(), "{error}");
    }
}

#[tokio::test]
async fn a_price_that_is_unknown_is_no_price_and_refused_where_money_is_limited() {
    let fixture = Fixture::with(|settings| settings.chat.model = "gpt-99".to_owned()).await;
    fixture.exchange(None, "Hello", "Hi").await;
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_ledger WHERE cost_micros IS NULL").await, 1);

    let money = |settings: &mut Settings| {
        settings.chat.model = "gpt-99".to_owned();
        let limits = QuotaLimits { micros: Some(1_000_000), ..QuotaLimits::default() };
        settings.metering.quotas = vec![Quota { scope: QuotaScope::Account, window: QuotaWindow::Day, limits }];
    };
    let fixture = Fixture::with(money).await;
    let refused = fixture.send_as(message("Hello")).await.err().unwrap();
    assert!(matches!(refused, AppError::Invalid(_)), "{refused:?}");
    assert_eq!(fixture.number("SELECT COUNT(*) FROM turns").await, 0);

    let priced = |settings: &mut Settings| {
        money(settings);
        let price = Price { prompt: 1_000_000, cached: 1_000_000, completion: 2_000_000 };
        settings.metering.prices.insert("gpt-99".to_owned(), price);
    };
    let fixture = Fixture::with(priced).await;
    fixture.exchange(None, "Hello", "Hi").await;
    assert_eq!(fixture.number("SELECT cost_micros FROM usage_ledger").await, 11 + 2 * 7);
    assert_eq!(fixture.number("SELECT cost_micros FROM turns").await, 11 + 2 * 7);
    assert_eq!(fixture.number("SELECT SUM(micros) FROM quota_counters").await, 11 + 2 * 7);
    assert_eq!(reserved(&fixture).await, 0);
}

#[tokio::test]
async fn a_title_that_has_no_room_is_not_asked_for() {
    let limited = |settings: &mut Settings| {
        a_thousand(settings);
        settings.chat.titles = true;
        let limits = QuotaLimits { requests: Some(1), ..QuotaLimits::default() };
        settings.metering.quotas.push(Quota { scope: QuotaScope::Account, window: QuotaWindow::Day, limits });
    };
    let fixture = Fixture::with(limited).await;
    fixture.exchange(None, "Hello", "Hi").await;
    soon(fixture.app.drain(Duration::from_secs(60))).await;
    assert!(!fixture.was_called());
    assert_eq!(fixture.number("SELECT COUNT(*) FROM usage_ledger").await, 1);
    assert_eq!(reserved(&fixture).await, 0);
}

#[tokio::test]
async fn a_long_conversation_is_reserved_with_its_thread() {
    let fixture = Fixture::with(a_thousand).await;
    let first = fixture.exchange(None, &"word ".repeat(200), "Hi").await;
    let again = fixture.send_as(message("Short")).await.unwrap();
    fixture.call().await.finish();
    soon(again.ending()).await;
    let before = reserved(&fixture).await;
    let turn = fixture.send_to(first.conversation_id, "More").await;
    let with_thread = reserved(&fixture).await - before;
    assert!(with_thread > 250 + 80, "{with_thread}");
    fixture.call().await.finish();
    soon(turn.ending()).await;
    assert_eq!(reserved(&fixture).await, 0);
}
