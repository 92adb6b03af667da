//! How often one may call.

use std::net::IpAddr;
use std::time::Duration;

use super::accounts::network_of;
use super::error::Limited;
use super::{App, AppError, Caller};
use crate::shared::{Limit, Refused, Subject};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How many callers' worth of requests one address may make, so that an office behind one address is not starved.
const CALLERS_PER_ADDRESS: u32 = 10;

/// Whose request is counted.
#[derive(Debug, Clone, Copy)]
pub enum Requester<'a> {
    /// An account's, guests included.
    Account(&'a Caller),
    /// Somebody's who is known by the address alone.
    Anonymous(IpAddr),
    /// Whoever's it is, an address makes so many altogether.
    Address(IpAddr),
}

/// What one limit leaves, in the terms of draft-ietf-httpapi-ratelimit-headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The policy's name.
    pub policy: &'static str,
    /// How many it allows in a window.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// How many more may come at once.
    pub remaining: u32,
    /// Until the running window ends.
    pub resets: Duration,
}

impl App {
    /// Counts a request. Returns what is left, per limit; nothing where none is set.
    ///
    /// # Errors
    /// [`AppError::TooMany`]; the request counts against no limit then.
    pub async fn count_request(&self, requester: Requester<'_>) -> Result<Vec<Allowance>, AppError> {
        let limits = &self.settings.limits;
        if limits.per_minute == 0 && limits.per_hour == 0 {
            return Ok(Vec::new());
        }
        let (names, key, factor) = match requester {
            Requester::Account(caller) => (["minute", "hour"], format!("account/{}", caller.id()), 1),
            Requester::Anonymous(address) => (["minute", "hour"], format!("anonymous/{}", network_of(address)), 1),
            Requester::Address(address) => {
                (["address-minute", "address-hour"], format!("address/{}", network_of(address)), CALLERS_PER_ADDRESS)
            }
        };
        let kinds = [(names[0], limits.per_minute, MINUTE), (names[1], limits.per_hour, HOUR)];
        let kinds: Vec<_> = kinds.into_iter().filter(|(_, quota, _)| *quota > 0).collect();
        let counted: Vec<Limit<'_>> = kinds
            .iter()
            .map(|&(policy, quota, window)| Limit {
                subject: Subject { policy, key: &key },
                limit: quota.saturating_mul(factor),
                window,
            })
            .collect();
        let left = match self.shared.counters.count_for_good(&counted, &self.clock).await {
            Ok(left) => left,
            Err(Refused { index, retry_after }) => {
                let (policy, _, window) = kinds[index];
                metrics::counter!("parlor_rate_limited_total", "policy" => policy).increment(1);
                return Err(AppError::TooMany(Limited { policy, quota: counted[index].limit, window, retry_after }));
            }
        };
        let allowances = kinds.iter().zip(&counted).zip(left).map(|((&(policy, _, window), limit), counted)| {
            Allowance { policy, quota: limit.limit, window, remaining: counted.remaining, resets: counted.resets }
        });
        Ok(allowances.collect())
    }
}
