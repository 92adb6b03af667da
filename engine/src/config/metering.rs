//! `[prices."MODEL"]` and `[[quotas]]`: what models cost, and how much may be spent.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reader::Reader;
use super::sections::{Check, Entry, Section, Shape};
use crate::domain::{Price, Quota, QuotaLimits, QuotaScope, QuotaWindow, parse_usd, usd};

/// What models cost, and how much may be spent.
#[derive(Debug, Clone, Default)]
pub struct MeteringSettings {
    /// Prices by model, or by `provider/model`, in the stead of the built-in ones.
    pub prices: BTreeMap<String, Price>,
    /// How much may be spent; of each scope and window one at most.
    pub quotas: Vec<Quota>,
}

/// A model's price; its name in the file is the model's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceSettings {
    prompt: Usd,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cached: Option<Usd>,
    completion: Usd,
}

/// A quota.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaSettings {
    scope: String,
    window: QuotaWindow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usd: Option<Usd>,
}

/// An amount in US dollars, written as a text so that no digit of it is lost; kept in millionths.
#[derive(Debug, Clone, Copy)]
struct Usd(u64);

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&usd(self.0))
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected an amount in US dollars as a text such as \"12.50\", with six decimals at most";
        let text = String::deserialize(deserializer)?;
        parse_usd("usd", &text).map(Self).map_err(|_| serde::de::Error::custom(expected))
    }
}

impl Entry for PriceSettings {
    const SECTION: Section = Section {
        name: "prices",
        shape: Shape::Named,
        about: "What models cost, in US dollars per million tokens, where the built-in prices do not know it or you pay\n\
                another: by the model's name, or by provider/model. Tokens from a provider's cache cost what others do,\n\
                unless `cached` says otherwise.",
        example: r#"
[prices."endpoint/my-model"]
prompt = "0.15"
cached = "0.075"
completion = "0.60"
"#,
    };

    fn check(&mut self, _: &mut Check<'_>) {}
}

impl Entry for QuotaSettings {
    const SECTION: Section = Section {
        name: "quotas",
        shape: Shape::List,
        about: "How much may be spent in a minute, a day or a month of the calendar (UTC): requests, tokens, US dollars, one of\n\
                them or several. Each account (`account`), each account of a role (`role:user`) or each API key (`api_key`)\n\
                has it for itself. Of one window a role's quota holds in the stead of the accounts', and what an admin allows\n\
                one account in the stead of both; a key's holds besides.",
        example: r#"
[[quotas]]
scope = "account"
window = "day"
requests = 500
tokens = 200000
usd = "1.50"

[[quotas]]
scope = "role:guest"
window = "minute"
requests = 5
"#,
    };

    fn check(&mut self, check: &mut Check<'_>) {
        if QuotaScope::parse(&self.scope).is_none() {
            check.problem("scope", "expected account, api_key, role:guest, role:user, role:editor or role:admin");
        }
        if let Err(invalid) = self.limits() {
            check.problem("", invalid);
        }
    }
}

impl QuotaSettings {
    fn limits(&self) -> Result<QuotaLimits, crate::domain::Invalid> {
        QuotaLimits::parse(self.requests, self.tokens, self.usd.map(|usd| usd.0))
    }
}

impl MeteringSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let price = |set: PriceSettings| Price {
            prompt: set.prompt.0,
            cached: set.cached.unwrap_or(set.prompt).0,
            completion: set.completion.0,
        };
        let prices = reader.named::<PriceSettings>().into_iter().map(|(model, set)| (model, price(set))).collect();
        let mut quotas: Vec<Quota> = Vec::new();
        for (index, set) in reader.list_of::<QuotaSettings>().into_iter().enumerate() {
            let (Some(scope), Ok(limits)) = (QuotaScope::parse(&set.scope), set.limits()) else { continue };
            let quota = Quota { scope, window: set.window, limits };
            if quotas.iter().any(|other| (other.scope, other.window) == (scope, set.window)) {
                let problem =
                    format!("there is a quota of {scope} per {} already: put both into one", set.window.as_str());
                reader.section_problem(&format!("quotas[{index}]"), &problem);
            }
            quotas.push(quota);
        }
        Self { prices, quotas }
    }
}
