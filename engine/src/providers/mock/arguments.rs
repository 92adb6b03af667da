//! Arguments for a tool, made up from the JSON schema of its parameters.
//!
//! <https://json-schema.org/understanding-json-schema/reference>: types, required properties, constants and choices, references into
//! the schema itself, bounds of numbers, lengths and formats. Patterns are not understood.

use serde_json::{Map, Number, Value, json};

/// How deep a value is made: schemas may refer to themselves.
const DEEPEST: usize = 8;
/// The longest list or text that a schema gets.
const LONGEST: usize = 64;

/// An object that fits `schema`, whose texts are `text` where they are free.
pub(super) fn fitting(schema: &Value, text: &str) -> Value {
    let value = Maker { root: schema, text }.value(schema, 0);
    if value.is_object() { value } else { json!({}) }
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, depth: usize) -> Value {
        if depth > DEEPEST {
            return Value::Null;
        }
        let first_of = |name: &str| schema.get(name).and_then(|values| values.get(0));
        if let Some(value) = schema.get("const").or_else(|| first_of("enum")).or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.value(target, depth + 1));
        }
        if let Some(choice) = first_of("anyOf").or_else(|| first_of("oneOf")) {
            return self.value(choice, depth + 1);
        }
        let kind = schema.get("type").map(|kind| kind.get(0).unwrap_or(kind)).and_then(Value::as_str);
        match kind {
            Some("string") => Value::from(self.string(schema)),
            Some("integer") => number(schema, true),
            Some("number") => number(schema, false),
            Some("boolean") => Value::Bool(true),
            Some("null") => Value::Null,
            Some("array") => self.array(schema, depth),
            _ if kind == Some("object") || schema.get("properties").is_some() || schema.get("allOf").is_some() => {
                Value::Object(self.object(schema, depth))
            }
            _ => Value::from(self.text),
        }
    }

    /// The required properties alone, those of `allOf` among them.
    fn object(&self, schema: &Value, depth: usize) -> Map<String, Value> {
        let mut object = Map::new();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(more) = self.value(part, depth + 1) {
                object.extend(more);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            let property = schema.get("properties").and_then(|properties| properties.get(name));
            object.insert(name.to_owned(), self.value(property.unwrap_or(&Value::Null), depth + 1));
        }
        object
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let least = size(schema, "minItems").unwrap_or(0).min(LONGEST);
        let item = schema.get("items").unwrap_or(&Value::Null);
        (0..least).map(|_| self.value(item, depth + 1)).collect()
    }

    fn string(&self, schema: &Value) -> String {
        let sample = match schema.get("format").and_then(Value::as_str) {
            Some("date") => "2024-02-29",
            Some("date-time") => "2024-02-29T12:00:00Z",
            Some("time") => "12:00:00Z",
            Some("email") => "someone@example.com",
            Some("uri" | "uri-reference" | "iri") => "https://example.com/",
            Some("hostname") => "example.com",
            Some("ipv4") => "192.0.2.1",
            Some("ipv6") => "2001:db8::1",
            Some("uuid") => "00000000-0000-4000-8000-000000000000",
            _ => {
                let least = size(schema, "minLength").unwrap_or(0).min(LONGEST);
                let most = size(schema, "maxLength").unwrap_or(LONGEST).min(LONGEST).max(least);
                let padding = std::iter::repeat_n('x', least.saturating_sub(self.text.chars().count()));
                return self.text.chars().chain(padding).take(most).collect();
            }
        };
        sample.to_owned()
    }
}

fn size(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok())
}

/// The least that is allowed, else the most, else 1.
fn number(schema: &Value, whole: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let step = bound("multipleOf").filter(|step| *step > 0.0).unwrap_or(1.0);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + step));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound - step));
    let value = match (least, most) {
        (Some(least), _) => (least / step).ceil() * step,
        (None, Some(most)) if most < step => (most / step).floor() * step,
        _ => step,
    };
    #[allow(clippy::cast_possible_truncation, reason = "the number is whole, and a schema's bounds are small")]
    let integer = (value.fract() == 0.0 || whole).then_some(value.ceil() as i64);
    integer.map(Value::from).or_else(|| Number::from_f64(value).map(Value::Number)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_properties_are_made_up_within_their_bounds() {
        let schema = json!({"type": "object", "additionalProperties": false, "properties": {
            "city": {"type": "string"}, "code": {"type": "string", "minLength": 3, "maxLength": 3},
            "day": {"type": "string", "format": "date"}, "unit": {"enum": ["celsius", "kelvin"]},
            "count": {"type": "integer", "minimum": 5}, "below": {"type": "integer", "maximum": -3},
            "half": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5}, "sure": {"type": ["boolean", "null"]},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 1}, "minItems": 2},
            "left_out": {"type": "string"},
        }, "required": ["city", "code", "day", "unit", "count", "below", "half", "sure", "tags"]});
        let expected = json!({"city": "Ulm", "code": "Ulm", "day": "2024-02-29", "unit": "celsius", "count": 5,
            "below": -3, "half": 0.5, "sure": true, "tags": ["U", "U"]});
        assert_eq!(fitting(&schema, "Ulm"), expected);
    }

    #[test]
    fn references_choices_and_parts_are_followed() {
        let schema = json!({"allOf": [{"$ref": "#/$defs/place"}], "required": ["when"],
            "properties": {"when": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
            "$defs": {"place": {"type": "object", "properties": {"name": {"default": "here"}}, "required": ["name"]}}});
        assert_eq!(fitting(&schema, "Ulm"), json!({"name": "here", "when": null}));
    }

    #[test]
    fn a_schema_without_end_or_sense_gets_an_object() {
        let endless = json!({"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]});
        assert!(fitting(&endless, "x").is_object());
        for schema in [json!(null), json!({}), json!({"type": "string"}), json!([]), json!({"$ref": "#/none"})] {
            assert_eq!(fitting(&schema, "x"), json!({}), "{schema}");
        }
    }
}
