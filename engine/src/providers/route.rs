//! Which targets answer to a model's name, and by which rules they are asked.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::asking::Course;
use super::target::Target;
use crate::config::{Strategy, Timeouts};

/// The targets behind a name, and the rules of asking them.
pub(super) struct Route {
    pub(super) hops: Vec<Hop>,
    pub(super) strategy: Strategy,
    /// When the next target is asked beside one that has not begun.
    pub(super) hedge_after: Option<Duration>,
    /// Whether the next target goes on with a text that broke off.
    pub(super) continues: bool,
    /// How long one call may take in all.
    pub(super) total: Duration,
}

/// One target of a route.
#[derive(Clone)]
pub(super) struct Hop {
    pub(super) target: Arc<Target>,
    /// The model that it is asked for; `None` for the one that the caller named.
    pub(super) model: Option<String>,
    pub(super) weight: u32,
    pub(super) patience: Patience,
}

/// How long a target may keep one waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) first_token: Duration,
    /// For an answer that comes whole.
    pub(super) whole: Duration,
    pub(super) idle: Duration,
    /// For one attempt.
    pub(super) total: Duration,
}

impl Patience {
    /// As these settings say, and as it is where they do not.
    pub(super) fn with(self, timeouts: &Timeouts) -> Self {
        Self {
            first_token: Timeouts::or(timeouts.first_token_seconds, self.first_token),
            whole: Timeouts::or(timeouts.whole_seconds, self.whole),
            idle: Timeouts::or(timeouts.idle_seconds, self.idle),
            total: Timeouts::or(timeouts.total_seconds, self.total),
        }
    }
}

impl Hop {
    /// The target's name for what was asked for.
    pub(super) fn model<'a>(&'a self, requested: &str) -> Cow<'a, str> {
        match &self.model {
            Some(model) => Cow::Borrowed(model),
            None => Cow::Owned(self.target.provider.resolve_model(requested)),
        }
    }
}

impl Route {
    /// A call of `hops` that begins now.
    pub(super) fn course<'a>(&self, hops: &'a [&'a Hop]) -> Course<'a> {
        Course { hops, hedge_after: self.hedge_after, total_until: Instant::now() + self.total }
    }

    /// The targets in the order in which one call asks them. `chance` gives random numbers in `0.0..1.0`.
    pub(super) fn order(&self, chance: impl FnMut() -> f64) -> Vec<&Hop> {
        match self.strategy {
            Strategy::Ordered => self.hops.iter().collect(),
            Strategy::Weighted => by_weight(&self.hops, |hop| hop.weight, chance),
        }
    }
}

/// All of the items in a random order: each stands first as often as its weight says, and so on for the rest. Each draws
/// its place from an exponential distribution with its weight as the rate (Efraimidis and Spirakis, 2006).
fn by_weight<T>(items: &[T], weight: impl Fn(&T) -> u32, mut chance: impl FnMut() -> f64) -> Vec<&T> {
    let mut drawn: Vec<(f64, &T)> =
        items.iter().map(|item| (-(1.0 - chance()).ln() / f64::from(weight(item).max(1)), item)).collect();
    drawn.sort_by(|(left, _), (right, _)| left.total_cmp(right));
    drawn.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;
    use crate::config::Seconds;

    #[test]
    fn each_stands_first_as_often_as_its_weight_says() {
        let weights = [1_u32, 2, 5];
        let mut random = StdRng::seed_from_u64(7);
        let mut first = [0_u32; 3];
        for _ in 0..8000 {
            let order = by_weight(&weights, |weight| *weight, || random.random());
            assert_eq!(order.len(), 3);
            for (weight, count) in weights.iter().zip(&mut first) {
                *count += u32::from(order.first() == Some(&weight));
            }
        }
        for (weight, count) in weights.iter().zip(first) {
            let expected = weight * 1000;
            assert!(count.abs_diff(expected) < 200, "{first:?}");
        }
    }

    #[test]
    fn the_ends_of_chance_lose_no_target() {
        for end in [0.0, 1.0] {
            assert_eq!(by_weight(&[1_u32, 1000], |weight| *weight, || end).len(), 2);
        }
    }

    #[test]
    fn timeouts_that_are_not_set_stay_as_they_are() {
        let second = Duration::from_secs(1);
        let patience = Patience { first_token: second, whole: second, idle: second, total: second };
        let timeouts = Timeouts { idle_seconds: Some(Seconds(second * 2)), ..Timeouts::default() };
        assert_eq!(patience.with(&timeouts), Patience { idle: second * 2, ..patience });
    }
}
