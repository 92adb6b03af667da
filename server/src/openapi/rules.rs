//! What texts have to be like, by the name that a field gives as its format: `#[schema(format = "message")]`. The rules themselves stand in the
//! domain; here they are said in the words of JSON Schema.

use serde_json::Value;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{Object, RefOr, Schema, SchemaFormat};

/// A rule for a text.
struct Rule {
    format: &'static str,
    /// The fewest and the most characters.
    length: Option<(usize, usize)>,
    pattern: Option<&'static str>,
    /// The only words that there are.
    words: &'static [&'static str],
    /// Whether OpenAPI or JSON Schema knows the format by this name, so that it stays.
    is_known: bool,
}

const RULE: Rule = Rule { format: "", length: None, pattern: None, words: &[], is_known: false };

/// Not blank, and without NUL.
const SAID: &str = r"^[^\u0000]*[^\s\u0000][^\u0000]*$";
/// Not blank, and without control characters.
const PRINTABLE: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
const LANGUAGE_TAG: &str = "^(|[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)$";

const RULES: [Rule; 21] = [
    // As long as `CHAT__MESSAGE_MAX_CHARS` allows by default.
    Rule { format: "message", length: Some((1, 32_000)), pattern: Some(SAID), ..RULE },
    Rule { format: "email", length: Some((3, 254)), is_known: true, ..RULE },
    Rule { format: "username", length: Some((1, 64)), pattern: Some(r"^[\p{L}\p{N}._-]+$"), ..RULE },
    Rule { format: "password", length: Some((8, 128)), is_known: true, ..RULE },
    Rule { format: "person-name", length: Some((1, 100)), pattern: Some(PRINTABLE), ..RULE },
    Rule { format: "title", length: Some((1, 60)), pattern: Some(PRINTABLE), ..RULE },
    Rule { format: "name", length: Some((1, 100)), pattern: Some(PRINTABLE), ..RULE },
    Rule { format: "version", length: Some((1, 64)), pattern: Some(PRINTABLE), ..RULE },
    Rule { format: "consent", length: Some((1, 64)), pattern: Some("^[a-z0-9_.-]+$"), ..RULE },
    Rule { format: "key", length: Some((1, 255)), pattern: Some("^[ -~]+$"), ..RULE },
    Rule { format: "id", length: Some((1, 16)), pattern: Some("^[0-9]+$"), ..RULE },
    Rule { format: "language-tag", length: Some((0, 35)), pattern: Some(LANGUAGE_TAG), ..RULE },
    Rule { format: "language", length: Some((0, 50)), pattern: Some(r"^[\p{L}\p{N} _()'-]*$"), ..RULE },
    Rule { format: "model", length: Some((0, 200)), pattern: Some("^[ -~]*$"), ..RULE },
    Rule { format: "prompt", length: Some((0, 8_000)), pattern: Some(r"^[^\u0000]*$"), ..RULE },
    Rule { format: "comment", length: Some((0, 2_000)), pattern: Some(r"^[^\u0000]*$"), ..RULE },
    Rule {
        format: "attachment",
        length: Some((8, 2_048)),
        // On the web, or a file's id or address.
        pattern: Some(
            r"^(https?://[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)*(/[!-~]*)?|[1-8][0-9]{15}|/api/v1/files/[1-8][0-9]{15}/content)$",
        ),
        ..RULE
    },
    Rule { format: "rating", words: &["up", "down"], ..RULE },
    Rule { format: "scope", words: &["read", "chat", "account", "admin"], ..RULE },
    Rule { format: "role", words: &["guest", "user", "editor", "admin"], ..RULE },
    Rule { format: "given-role", words: &["user", "editor", "admin"], ..RULE },
];

/// Says what the formats in a schema mean.
pub fn spell_out(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => spell_out_object(object),
        Schema::Array(array) => {
            if let utoipa::openapi::schema::ArrayItems::RefOrSchema(items) = &mut array.items {
                spell_out(items);
            }
        }
        Schema::OneOf(several) => several.items.iter_mut().for_each(spell_out),
        Schema::AllOf(several) => several.items.iter_mut().for_each(spell_out),
        Schema::AnyOf(several) => several.items.iter_mut().for_each(spell_out),
        _ => {}
    }
}

fn spell_out_object(object: &mut Object) {
    object.properties.values_mut().for_each(spell_out);
    let Some(SchemaFormat::Custom(format)) = &object.format else { return };
    let Some(rule) = RULES.iter().find(|rule| rule.format == format) else { return };
    if let Some((fewest, most)) = rule.length {
        object.min_length = Some(fewest).filter(|fewest| *fewest > 0);
        object.max_length = Some(most);
    }
    object.pattern = rule.pattern.map(str::to_owned);
    if !rule.words.is_empty() {
        let mut words: Vec<Value> = rule.words.iter().map(|word| Value::from(*word)).collect();
        if matches!(&object.schema_type, SchemaType::Array(types) if types.contains(&Type::Null)) {
            words.push(Value::Null);
        }
        object.enum_values = Some(words);
    }
    if !rule.is_known {
        object.format = None;
    }
}
