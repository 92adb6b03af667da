//! Money: whole millionths of a US dollar, and prices in it. No fraction is ever kept in floating point.

use super::{Invalid, TokenUsage};

/// Prices are per so many tokens.
const PER_TOKENS: u128 = 1_000_000;
const MICROS: u64 = 1_000_000;

/// What a model costs, in millionths of a US dollar per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Tokens read.
    pub prompt: u64,
    /// Tokens read from the provider's cache.
    pub cached: u64,
    /// Tokens written.
    pub completion: u64,
}

impl Price {
    /// What is free.
    pub const FREE: Self = Self { prompt: 0, cached: 0, completion: 0 };

    /// What `usage` costs, in millionths: the exact sum, rounded up once. What is beyond 2^63 counts as that.
    #[must_use]
    pub fn cost(self, usage: TokenUsage) -> u64 {
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let parts = [
            (usage.prompt_tokens - cached, self.prompt),
            (cached, self.cached),
            (usage.completion_tokens, self.completion),
        ];
        let exact = parts.into_iter().fold(0_u128, |sum, (tokens, price)| {
            sum.saturating_add(u128::from(tokens).saturating_mul(u128::from(price)))
        });
        u64::try_from(exact.div_ceil(PER_TOKENS)).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
    }
}

/// Reads an amount in dollars, such as `12.5`, as millionths.
///
/// # Errors
/// When it is no plain decimal number, has more than six decimals, or is a trillion dollars or more.
pub fn parse_usd(field: &'static str, text: &str) -> Result<u64, Invalid> {
    let wrong = || {
        Invalid::new(field, format!("{field} must be an amount in US dollars such as 12.50, with six decimals at most"))
    };
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || whole.len() > 12 || decimals.len() > 6 {
        return Err(wrong());
    }
    let dollars: u64 = whole.parse().map_err(|_| wrong())?;
    let fraction: u64 = format!("{decimals:0<6}").parse().map_err(|_| wrong())?;
    Ok(dollars * MICROS + fraction)
}

/// Writes millionths as dollars, with as many decimals as there are, two at least.
#[must_use]
pub fn usd(micros: u64) -> String {
    let (dollars, fraction) = (micros / MICROS, format!("{:06}", micros % MICROS));
    let decimals = fraction.trim_end_matches('0').len().max(2);
    format!("{dollars}.{}", &fraction[..decimals])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// $0.15, $0.075 and $0.60 per million.
    const SMALL: Price = Price { prompt: 150_000, cached: 75_000, completion: 600_000 };

    #[test]
    fn a_cost_is_exact_and_rounded_up_once() {
        assert_eq!(SMALL.cost(TokenUsage::new(1_000_000, 1_000_000)), 750_000);
        // 0.15 + 0.6 = 0.75 millionths.
        assert_eq!(SMALL.cost(TokenUsage::new(1, 1)), 1);
        assert_eq!(SMALL.cost(TokenUsage::new(20, 0)), 3);
        assert_eq!(SMALL.cost(TokenUsage::new(0, 0)), 0);
        assert_eq!(Price::FREE.cost(TokenUsage::new(u64::MAX, u64::MAX)), 0);
    }

    #[test]
    fn cached_tokens_have_their_own_price() {
        let usage = TokenUsage { prompt_tokens: 1_000_000, completion_tokens: 0, cached_tokens: 400_000 };
        assert_eq!(SMALL.cost(usage), 90_000 + 30_000);
        // More from the cache than was read at all is not believed.
        assert_eq!(
            SMALL.cost(TokenUsage { prompt_tokens: 1_000_000, completion_tokens: 0, cached_tokens: u64::MAX }),
            75_000
        );
    }

    #[test]
    fn dollars_are_read_and_written_to_the_millionth() {
        for (text, micros) in [("12.50", 12_500_000), ("0.000001", 1), ("3", 3_000_000), ("0", 0)] {
            assert_eq!(parse_usd("usd", text).unwrap(), micros);
        }
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1,5", "0.0000001", "1000000000000.0x", "9999999999999"] {
            assert!(parse_usd("usd", bad).is_err(), "{bad}");
        }
        assert_eq!((usd(12_500_000), usd(1), usd(0)), ("12.50".to_owned(), "0.000001".to_owned(), "0.00".to_owned()));
    }

    proptest! {
        #[test]
        fn a_cost_never_overflows_nor_shrinks_when_more_is_used(
            tokens in any::<[u64; 3]>(), more in any::<u64>(), prices in any::<[u64; 3]>(),
        ) {
            let price = Price { prompt: prices[0], cached: prices[1].min(prices[0]), completion: prices[2] };
            let usage = TokenUsage { prompt_tokens: tokens[0], completion_tokens: tokens[1], cached_tokens: tokens[2] };
            let larger = TokenUsage { completion_tokens: tokens[1].saturating_add(more), ..usage };
            prop_assert!(price.cost(usage) <= price.cost(larger));
            prop_assert!(price.cost(larger) <= i64::MAX.unsigned_abs());
        }

        #[test]
        fn what_is_written_as_dollars_is_read_as_the_same(micros in 0..999_999_999_999_000_000_u64) {
            prop_assert_eq!(parse_usd("usd", &usd(micros)).unwrap(), micros);
        }
    }
}
