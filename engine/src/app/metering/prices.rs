//! What models cost: what the settings say, else the built-in table. What is not known is not nought.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::by_provider::ByProvider;
use crate::config::MeteringSettings;
use crate::domain::{Price, TokenUsage};

const TABLE: &str = include_str!("prices.toml");
/// Models without a price that are remembered, so that each is told once; further ones are counted alone.
const TOLD_MAX: usize = 1_000;
/// The provider that costs nothing.
const MOCK: &str = "mock";

/// The prices.
pub(in crate::app) struct Prices {
    set: BTreeMap<String, Price>,
    built_in: BTreeMap<String, Price>,
    /// Nothing but the built-in mock answers.
    is_free: bool,
    told: Mutex<HashSet<String>>,
    spent: ByProvider,
    unpriced: ByProvider,
}

#[derive(Deserialize)]
struct Table {
    vendors: Vec<Vendor>,
}

#[derive(Deserialize)]
struct Vendor {
    models: BTreeMap<String, TablePrice>,
}

#[derive(Deserialize)]
struct TablePrice {
    prompt: u64,
    cached: Option<u64>,
    completion: u64,
}

impl Prices {
    /// # Errors
    /// When the built-in table cannot be read.
    pub(in crate::app) fn new(settings: &MeteringSettings, is_free: bool) -> Result<Self, toml::de::Error> {
        let table: Table = toml::from_str(TABLE)?;
        let models = table.vendors.into_iter().flat_map(|vendor| vendor.models);
        let price =
            |TablePrice { prompt, cached, completion }| Price { prompt, cached: cached.unwrap_or(prompt), completion };
        let built_in = models.map(|(model, found)| (model, price(found))).collect();
        let spent = ByProvider::new("parlor_cost_micros_total");
        let unpriced = ByProvider::new("parlor_unpriced_calls_total");
        Ok(Self { set: settings.prices.clone(), built_in, is_free, told: Mutex::default(), spent, unpriced })
    }

    /// What a model costs at a provider, where that is known; without a provider, wherever it is asked.
    pub(in crate::app) fn of(&self, provider: Option<&str>, model: &str) -> Option<Price> {
        if self.is_free || provider == Some(MOCK) {
            return Some(Price::FREE);
        }
        let at_provider = provider.and_then(|provider| self.set.get(&format!("{provider}/{model}")));
        let bare = model.rsplit('/').next().unwrap_or(model);
        let set = at_provider.or_else(|| self.set.get(model)).or_else(|| self.set.get(bare));
        let built_in = || self.built_in.get(bare).or_else(|| self.built_in.get(without_version(bare)));
        set.or_else(built_in).copied()
    }

    /// What a call cost, which is counted: what its provider says, else what its tokens cost; `None` where no price is known, which is told once.
    pub(in crate::app) fn cost(
        &self,
        provider: &str,
        model: &str,
        usage: TokenUsage,
        provider_cost: Option<u64>,
    ) -> Option<u64> {
        let cost = provider_cost.or_else(|| self.of(Some(provider), model).map(|price| price.cost(usage)));
        if cost.is_none() {
            self.unpriced.add(provider, 1);
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < TOLD_MAX && told.insert(format!("{provider}/{model}")) {
                tracing::warn!(provider, model, "no price is known for this model: what it costs is not counted");
            }
        }
        let cost = cost.map(|cost| cost.min(i64::MAX.unsigned_abs()));
        if let Some(cost) = cost {
            self.spent.add(provider, cost);
        }
        cost
    }
}

/// A model's name without what names one version of it: `-2024-07-18`, `-20250514`, `-001`, `-latest`.
fn without_version(model: &str) -> &str {
    let is_version = |tail: &str| {
        let digits = tail.bytes().filter(u8::is_ascii_digit).count();
        match tail.len() {
            10 => digits == 8 && tail.as_bytes().get(4) == Some(&b'-') && tail.as_bytes().get(7) == Some(&b'-'),
            8 | 3 => digits == tail.len(),
            _ => false,
        }
    };
    if let Some(rest) = model.strip_suffix("-latest") {
        return rest;
    }
    let cut = [11, 9, 4].into_iter().find_map(|length| {
        let (rest, tail) = model.split_at_checked(model.len().checked_sub(length)?)?;
        is_version(tail.strip_prefix('-')?).then_some(rest)
    });
    cut.unwrap_or(model)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn prices(set: &[(&str, u64)]) -> Prices {
        let price = |prompt| Price { prompt, cached: prompt, completion: prompt };
        let prices = set.iter().map(|(name, prompt)| ((*name).to_owned(), price(*prompt))).collect();
        Prices::new(&MeteringSettings { prices, ..MeteringSettings::default() }, false).unwrap()
    }

    #[test]
    fn a_model_is_known_by_its_name_whatever_its_version_and_vendor() {
        let prices = prices(&[]);
        let mini = prices.of(None, "gpt-4o-mini").unwrap();
        assert_eq!(mini, Price { prompt: 150_000, cached: 75_000, completion: 600_000 });
        for name in ["gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"] {
            assert_eq!(prices.of(Some("openrouter"), name), Some(mini), "{name}");
        }
        for name in [
            "claude-sonnet-4-20250514",
            "claude-3-5-haiku-latest",
            "models/gemini-2.0-flash-001",
            "omni-moderation-latest",
            // Those that stand in for OpenAI's.
            "claude-sonnet-4-6",
            "gemini-3.5-flash-lite",
            "openai/gpt-oss-120b",
        ] {
            assert!(prices.of(None, name).is_some(), "{name}");
        }
        for name in ["", "gpt-99", "gpt-4o-audio-preview", "llama", "-001", "ü-2024-07-18"] {
            assert_eq!(prices.of(None, name), None, "{name}");
        }
    }

    #[test]
    fn what_the_settings_say_wins_and_the_nearest_name_most() {
        let prices = prices(&[("gpt-4o-mini", 7), ("endpoint/gpt-4o-mini", 3), ("mine", 1)]);
        let prompt = |provider, model| prices.of(provider, model).map(|price| price.prompt);
        assert_eq!(prompt(Some("openai"), "gpt-4o-mini"), Some(7));
        assert_eq!(prompt(Some("endpoint"), "gpt-4o-mini"), Some(3));
        assert_eq!(prompt(None, "mine"), Some(1));
        assert_eq!(prompt(Some("mock"), "gpt-4o-mini"), Some(0));
    }

    #[test]
    fn a_providers_own_word_wins_and_an_unknown_price_is_not_nought() {
        let prices = prices(&[]);
        let usage = TokenUsage::new(1_000_000, 0);
        assert_eq!(prices.cost("openrouter", "gpt-4o-mini", usage, Some(11)), Some(11));
        assert_eq!(prices.cost("openai", "gpt-4o-mini", usage, None), Some(150_000));
        assert_eq!(prices.cost("openai", "gpt-99", usage, None), None);
        assert_eq!(prices.cost("mock", "gpt-99", usage, None), Some(0));
    }
}
