//! Whole numbers on the wire: `5.0` is one, as JSON Schema has it; some clients write all their numbers so.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Deserialize, Error, Visitor};

/// Above this not every whole number has a double of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number, however it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

/// The whole number that a double is.
#[allow(clippy::cast_possible_truncation, reason = "it is whole, and below 2^53")]
pub fn whole_of(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

/// Reads a field that is a whole number.
///
/// # Errors
/// When it is none, or does not fit.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Whole::deserialize(deserializer)?.0)
}

/// Reads a field that is a whole number or null.
///
/// # Errors
/// When it is neither, or does not fit.
pub fn optional_whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|whole| whole.0))
}

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor<T>(PhantomData<T>);

        impl<T: TryFrom<i64>> Visitor<'_> for WholeVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a valid integer")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
                T::try_from(value).map_err(|_| E::custom("expected an integer in range"))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
                let value = i64::try_from(value).map_err(|_| E::custom("expected an integer in range"))?;
                self.visit_i64(value)
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
                let value = whole_of(value).ok_or_else(|| E::custom("expected a valid integer"))?;
                self.visit_i64(value)
            }
        }

        deserializer.deserialize_any(WholeVisitor(PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<i64> {
        serde_json::from_str::<Whole<i64>>(text).ok().map(|whole| whole.0)
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        assert_eq!([read("5"), read("5.0"), read("5e2"), read("-1.0")], [Some(5), Some(5), Some(500), Some(-1)]);
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
    }

    #[test]
    fn what_is_not_whole_or_does_not_fit_is_refused() {
        for text in ["5.5", "1e300", "\"5\"", "true", "null", "9223372036854775808"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(serde_json::from_str::<Whole<u32>>("-1").is_err());
    }
}
