//! Reading JSON bodies, and telling in FastAPI's words everything that is wrong with one.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use http::header;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa::openapi::schema::{OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Array, Object, RefOr};

use super::numbers::whole_of;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that is too long is read and thrown away, and how long that may take: a client that is still writing when the
/// connection closes never sees the answer.
const DRAINED_BYTES: usize = 16 << 20;
const DRAINED_FOR: Duration = Duration::from_secs(5);

/// Bytes of bodies on their way at once, in KiB: they arrive before anybody is known to send them.
const BODIES_KIB: usize = 256 * 1024;

/// How much of bodies is taken; put into every request by the router.
#[derive(Debug, Clone)]
pub struct BodyLimit {
    /// The longest body, in bytes.
    longest: usize,
    /// Room for all of them, in KiB.
    room: Arc<Semaphore>,
}

impl BodyLimit {
    /// `longest` is the longest body, in bytes.
    pub fn new(longest: usize) -> Self {
        Self { longest, room: Arc::new(Semaphore::new(BODIES_KIB.max(longest.div_ceil(1024)))) }
    }
}

/// One thing wrong with a request, as FastAPI tells it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: `body` or `query` or `path`, then the field's name; of a body that is no JSON, the column.
    #[schema(schema_with = places)]
    pub loc: Vec<Value>,
    /// What, in a sentence.
    pub msg: String,
    /// What, in a word.
    pub r#type: Cow<'static, str>,
}

fn places() -> Array {
    let place = OneOfBuilder::new().item(Object::with_type(Type::String)).item(Object::with_type(Type::Integer));
    Array::new(Schema::OneOf(place.build()))
}

impl FieldError {
    /// Says what is wrong with a field of `place`.
    pub fn new(place: &'static str, field: &str, kind: &'static str, msg: impl Into<String>) -> Self {
        Self { loc: vec![place.into(), field.into()], msg: msg.into(), r#type: kind.into() }
    }

    fn body(kind: &'static str, msg: impl Into<String>) -> Self {
        Self { loc: vec!["body".into()], msg: msg.into(), r#type: kind.into() }
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq)]
pub enum BadBody {
    /// It is longer than allowed.
    TooLarge,
    /// It did not arrive in time, or broke off.
    Unfinished,
    /// Too many bodies are on their way already.
    Busy,
    /// It does not say what it should; every fault that was found.
    Malformed(Vec<FieldError>),
}

/// Reads a body to its end, within the server's limit of size and time.
///
/// # Errors
/// [`BadBody::TooLarge`], [`BadBody::Unfinished`] or [`BadBody::Busy`].
pub async fn read_body(request: Request) -> Result<Bytes, BadBody> {
    let longest = request.extensions().get::<BodyLimit>().map_or(0, |limits| limits.longest);
    read_body_within(request, longest).await
}

/// As [`read_body`], where another length is the longest.
async fn read_body_within(request: Request, limit: usize) -> Result<Bytes, BadBody> {
    let limits = request.extensions().get().cloned().unwrap_or_else(|| BodyLimit::new(0));
    // Whoever asks first is told before the body is on its way.
    let asks_first = request.headers().contains_key(header::EXPECT);
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = request.into_body();
    if asks_first && length.is_some_and(|length: usize| length > limit) {
        return Err(BadBody::TooLarge);
    }
    let expected = u32::try_from(length.unwrap_or(limit).min(limit).div_ceil(1024)).unwrap_or(u32::MAX);
    let _room = limits.room.try_acquire_many(expected).map_err(|_| BadBody::Busy)?;
    match tokio::time::timeout(PATIENCE, Limited::new(&mut body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            // Whether it ends in time makes no difference to the answer.
            let _ = tokio::time::timeout(DRAINED_FOR, drain(body)).await;
            Err(BadBody::TooLarge)
        }
        Ok(Err(_)) | Err(_) => Err(BadBody::Unfinished),
    }
}

async fn drain(mut body: Body) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED_BYTES {
            return;
        }
    }
}

/// Whether the request says that its body is an HTML form.
pub fn is_form(request: &Request) -> bool {
    content_type(request).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn content_type(request: &Request) -> Option<&str> {
    request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// Reads a JSON body. One that names another type than JSON is refused, and one from a web page that names none: a page may send both to
/// foreign servers without asking them first.
///
/// # Errors
/// Everything that is wrong with it.
pub async fn read_json<T: DeserializeOwned + ToSchema>(request: Request) -> Result<T, BadBody> {
    decode(&read_json_bytes(request).await?).map_err(BadBody::Malformed)
}

/// [`read_json`], where null stands for nothing.
///
/// # Errors
/// Everything that is wrong with it.
pub async fn read_optional_json<T: DeserializeOwned + ToSchema + Default>(request: Request) -> Result<T, BadBody> {
    let bytes = read_json_bytes(request).await?;
    if bytes.trim_ascii() == b"null" { Ok(T::default()) } else { decode(&bytes).map_err(BadBody::Malformed) }
}

async fn read_json_bytes(request: Request) -> Result<Bytes, BadBody> {
    let longest = request.extensions().get::<BodyLimit>().map_or(0, |limits| limits.longest);
    read_json_bytes_within(request, longest).await
}

/// The bytes of a JSON body of at most `longest` bytes, before anybody reads them as JSON.
///
/// # Errors
/// As [`read_json`], but for what is in it.
pub async fn read_json_bytes_within(request: Request, longest: usize) -> Result<Bytes, BadBody> {
    let kind =
        content_type(&request).map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let from_page = request.headers().contains_key(header::ORIGIN);
    let bytes = read_body_within(request, longest).await?;
    let is_json = match kind.as_deref() {
        Some(kind) => kind == "application/json" || kind.ends_with("+json"),
        None => bytes.is_empty() || !from_page,
    };
    if !is_json {
        let wrong = FieldError::body("content_type", "Content-Type must be application/json");
        return Err(BadBody::Malformed(vec![wrong]));
    }
    Ok(bytes)
}

/// Reads a JSON body whose fields may also stand in the query; the body's win. A request without a body says everything there.
///
/// # Errors
/// Everything that is wrong with it, told of the query where there is no body.
pub async fn read_json_or_query<T: DeserializeOwned + ToSchema>(request: Request) -> Result<T, BadBody> {
    let mut fields = query_fields::<T>(request.uri().query().unwrap_or_default());
    let bytes = read_json_bytes(request).await?;
    if fields.is_empty() {
        return decode(&bytes).map_err(BadBody::Malformed);
    }
    let has_body = !bytes.is_empty();
    if has_body {
        let Ok(Value::Object(body)) = serde_json::from_slice(&bytes) else {
            return decode(&bytes).map_err(BadBody::Malformed);
        };
        fields.extend(body);
    }
    let merged = serde_json::to_vec(&fields).unwrap_or_default();
    decode(&merged).map_err(|mut faults| {
        if !has_body {
            faults.iter_mut().filter_map(|fault| fault.loc.first_mut()).for_each(|place| *place = "query".into());
        }
        BadBody::Malformed(faults)
    })
}

/// The query's parameters; a number where the schema has an integer and one is written.
fn query_fields<T: ToSchema>(query: &str) -> serde_json::Map<String, Value> {
    let RefOr::T(Schema::Object(schema)) = T::schema() else { return serde_json::Map::new() };
    let is_integer = |name: &str| match schema.properties.get(name) {
        Some(RefOr::T(Schema::Object(property))) => property.schema_type == SchemaType::Type(Type::Integer),
        _ => false,
    };
    let known =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| schema.properties.contains_key(&**name));
    known
        .map(|(name, text)| {
            let number = is_integer(&name).then(|| text.parse::<i64>().ok()).flatten();
            let value = number.map_or_else(|| Value::from(text.into_owned()), Value::from);
            (name.into_owned(), value)
        })
        .collect()
}

/// Decodes JSON. Only when that fails is the body looked at again, against the published schema, to tell all that is wrong.
///
/// # Errors
/// Every fault, in the schema's order.
pub fn decode<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<T, Vec<FieldError>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let decoded = serde_path_to_error::deserialize::<_, T>(&mut reader);
    let error = match decoded {
        // Serde takes a list for a struct, field by field.
        Ok(_) if bytes.trim_ascii_start().first() != Some(&b'{') => return Err(vec![no_object()]),
        Ok(value) => match reader.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(vec![invalid_json(&error)]),
        },
        Err(error) => error,
    };
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(_) if bytes.is_empty() => return Err(vec![FieldError::body("missing", "Field required")]),
        Err(error) => return Err(vec![invalid_json(&error)]),
    };
    let Value::Object(fields) = &value else {
        return Err(vec![no_object()]);
    };
    let mut faults = Vec::new();
    if let RefOr::T(Schema::Object(schema)) = T::schema() {
        check(&schema, fields, &mut faults);
    }
    if faults.is_empty() {
        let msg = match error.inner().to_string() {
            twice if twice.starts_with("duplicate field") => "A field is given twice".to_owned(),
            _ => format!("Input should be {}", expected(error.inner())),
        };
        faults.push(match error.path().iter().next() {
            Some(field) => FieldError::new("body", &field.to_string(), "value_error", msg),
            None => FieldError::body("value_error", msg),
        });
    }
    Err(faults)
}

fn check(schema: &Object, fields: &serde_json::Map<String, Value>, faults: &mut Vec<FieldError>) {
    for (name, property) in &schema.properties {
        match fields.get(name) {
            None if schema.required.contains(name) => {
                faults.push(FieldError::new("body", name, "missing", "Field required"));
            }
            None => {}
            Some(value) => {
                if let RefOr::T(Schema::Object(property)) = property
                    && let Some((kind, msg)) = mismatch(&property.schema_type, value)
                {
                    faults.push(FieldError::new("body", name, kind, msg));
                }
            }
        }
    }
}

/// Pydantic's word and sentence for a value of the wrong type. <https://docs.pydantic.dev/latest/errors/validation_errors/>
fn mismatch(expected: &SchemaType, value: &Value) -> Option<(&'static str, &'static str)> {
    let types: &[Type] = match expected {
        SchemaType::Type(one) => std::slice::from_ref(one),
        SchemaType::Array(several) => several,
        SchemaType::AnyValue => return None,
    };
    let fits = types.iter().any(|kind| match kind {
        Type::String => value.is_string(),
        Type::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| whole_of(n).is_some()),
        Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
        Type::Array => value.is_array(),
        Type::Object => value.is_object(),
        Type::Null => value.is_null(),
    });
    if fits {
        return None;
    }
    Some(match types.iter().find(|kind| **kind != Type::Null)? {
        Type::String => ("string_type", "Input should be a valid string"),
        Type::Integer => ("int_type", "Input should be a valid integer"),
        Type::Number => ("float_type", "Input should be a valid number"),
        Type::Boolean => ("bool_type", "Input should be a valid boolean"),
        Type::Array => ("list_type", "Input should be a valid list"),
        Type::Object => ("dict_type", "Input should be a valid dictionary"),
        Type::Null => return None,
    })
}

fn no_object() -> FieldError {
    let msg = "Input should be a valid dictionary or object to extract fields from";
    FieldError::body("model_attributes_type", msg)
}

fn invalid_json(error: &serde_json::Error) -> FieldError {
    FieldError {
        loc: vec!["body".into(), error.column().into()],
        msg: format!("JSON decode error at line {} column {}", error.line(), error.column()),
        r#type: "json_invalid".into(),
    }
}

/// What serde expected, without the value that it found, which may be long or secret.
fn expected(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let expected = text.split("expected ").nth(1).unwrap_or("valid");
    expected.split(" at line").next().unwrap_or(expected).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, dead_code)]
    use serde::Deserialize;

    use super::*;
    use crate::kit::ids::AnyId;

    #[derive(Debug, Deserialize, ToSchema)]
    struct Message {
        message: String,
        count: i64,
        conversation_id: Option<AnyId>,
        note: Option<String>,
    }

    fn faults(text: &str) -> Vec<(Vec<Value>, String)> {
        let faults = decode::<Message>(text.as_bytes()).unwrap_err();
        faults.into_iter().map(|fault| (fault.loc, fault.r#type.into_owned())).collect()
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let told = faults(r#"{"message": 5, "note": []}"#);
        assert_eq!(
            told,
            [
                (vec!["body".into(), "message".into()], "string_type".to_owned()),
                (vec!["body".into(), "count".into()], "missing".to_owned()),
                (vec!["body".into(), "note".into()], "string_type".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_no_json_or_no_object_is_told_apart() {
        assert_eq!(faults("")[0].1, "missing");
        assert_eq!(faults("{\"message\": \"a")[0].1, "json_invalid");
        assert_eq!(faults("{\"message\": \"a\", \"count\": 1} x")[0].1, "json_invalid");
        assert_eq!(faults("[1]")[0].1, "model_attributes_type");
        assert_eq!(faults(" [\"a\", 1, null, null]")[0].1, "model_attributes_type");
        assert_eq!(faults(&"[".repeat(10_000))[0].1, "json_invalid");
        assert_eq!(decode::<Message>(b"{\"message\": \"\xff\"}").unwrap_err()[0].r#type, "json_invalid");
    }

    #[test]
    fn a_wrong_id_is_told_without_repeating_it() {
        let told = decode::<Message>(br#"{"message":"a","count":1,"conversation_id":{"a":1}}"#).unwrap_err();
        assert_eq!(told[0].loc, [Value::from("body"), "conversation_id".into()]);
        assert!(told[0].msg.contains("integer or a string of digits"), "{}", told[0].msg);
    }

    #[test]
    fn a_query_says_numbers_where_the_schema_has_them() {
        let fields = query_fields::<Message>("message=5&count=5&note=&more=1&count%20=2");
        assert_eq!(Value::from(fields), serde_json::json!({"message": "5", "count": 5, "note": ""}));
        assert_eq!(query_fields::<Message>("count=five")["count"], "five");
    }

    #[test]
    fn null_is_no_value_for_what_is_optional() {
        assert!(decode::<Message>(br#"{"message":"a","count":1,"conversation_id":null,"note":null,"more":1}"#).is_ok());
    }
}
