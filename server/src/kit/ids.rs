//! Ids on the wire: both spellings are accepted wherever one is read.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// An id as a JSON number or as a decimal string. An empty string is no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyId(pub String);

impl AnyId {
    /// Reads it; `None` for what cannot be an id, which therefore names nothing.
    pub fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        self.0.trim().parse().ok()
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl<'de> Deserialize<'de> for AnyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = AnyId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer or a string of digits")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<AnyId, E> {
                Ok(AnyId(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<AnyId, E> {
                Ok(AnyId(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<AnyId, E> {
                let id = super::numbers::whole_of(value)
                    .ok_or_else(|| E::custom("expected an integer or a string of digits"))?;
                Ok(AnyId(id.to_string()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<AnyId, E> {
                if value.len() > 64 {
                    return Err(E::invalid_length(value.len(), &self));
                }
                Ok(AnyId(value.to_owned()))
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}

impl PartialSchema for AnyId {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1));
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).pattern(Some("^[0-9]{0,16}$"));
        OneOfBuilder::new()
            .item(number)
            .item(text)
            .description(Some("An id, as a number or as a decimal string."))
            .into()
    }
}

impl ToSchema for AnyId {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parlor_engine::domain::ConversationId;

    use super::*;

    #[test]
    fn both_spellings_name_the_same_thing() {
        let read = |text: &str| serde_json::from_str::<AnyId>(text).unwrap().parse::<ConversationId>();
        assert_eq!(read("1234567890123456"), read("\"1234567890123456\""));
        assert_eq!(read("1234567890123456"), read("1234567890123456.0"));
        assert_eq!(read("\"\""), None);
        assert_eq!(read("-1"), None);
        assert_eq!(read("18446744073709551615"), None);
        assert!(serde_json::from_str::<AnyId>("1.5").is_err());
        assert!(serde_json::from_str::<AnyId>("[1]").is_err());
        assert!(serde_json::from_str::<AnyId>("true").is_err());
    }
}
