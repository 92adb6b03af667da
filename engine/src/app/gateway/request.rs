//! A request in OpenAI's protocol: what the gateway has to know of it, and the few places where it is changed on its way.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;
use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::{IMAGE_TOKENS, Invalid, Role};
use crate::providers::WireJson;

/// How many tokens an answer is taken to have at most where the request does not say.
const ANSWER_TOKENS: u64 = 1024;

/// A request as it came, and what of it the gateway reads.
#[derive(Debug, Clone)]
pub struct GatewayRequest {
    body: Bytes,
    /// The model that is asked for.
    pub model: String,
    /// Whether the answer is wanted as it is written.
    pub stream: bool,
    /// Whether the stream shall end with the usage.
    pub wants_usage: bool,
    wire: WireJson,
    answer_tokens: u64,
}

/// Everything else in the body is neither read nor changed.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default, deserialize_with = "as_written")]
    model: Option<&'a RawValue>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    stream_options: Option<&'a RawValue>,
    max_tokens: Option<f64>,
    max_completion_tokens: Option<f64>,
    max_output_tokens: Option<f64>,
    n: Option<f64>,
}

/// What of a request for a response is refused wherever it would be answered.
#[derive(Deserialize)]
struct Background {
    background: Option<bool>,
}

#[derive(Deserialize)]
struct Stored {
    store: Option<bool>,
}

/// What of a conversation is judged.
#[derive(Deserialize)]
struct Conversation {
    #[serde(default)]
    messages: Vec<Said>,
    /// A response's.
    #[serde(default)]
    input: Input,
    prompt: Option<Prompt>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Input {
    Text(String),
    Items(Vec<Said>),
    #[default]
    Nothing,
}

/// One that is stored at OpenAI, with what is filled in.
#[derive(Deserialize)]
struct Prompt {
    variables: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Said {
    role: Option<String>,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
    #[default]
    Nothing,
    Else(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

impl Content {
    fn texts(self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text],
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
            Self::Nothing | Self::Else(_) => Vec::new(),
        }
    }
}

/// Also where it is null.
fn as_written<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl GatewayRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no JSON object, or a field that is read here is none of its kind. `field` is empty where the whole is no JSON.
    pub fn parse(body: Bytes) -> Result<Self, Invalid> {
        Self::parse_or(body, None)
    }

    /// As [`Self::parse`]; a body that names no model stands for the one that is given here.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_or(body: Bytes, default_model: Option<&str>) -> Result<Self, Invalid> {
        Self::read(body, default_model, true)
    }

    /// Reads the body of a request for a response, whose stream always tells the usage.
    ///
    /// # Errors
    /// As [`Self::parse`]; also when it is to be answered in the background, for nobody could be told of the answer, nor billed for it.
    pub fn parse_response(body: Bytes) -> Result<Self, Invalid> {
        let request = Self::read(body, None, false)?;
        let Background { background } = serde_json::from_slice(&request.body).map_err(|error| not_read(&error))?;
        if background == Some(true) {
            return Err(Invalid::new("background", "Responses cannot be made in the background here."));
        }
        Ok(request)
    }

    /// `edits_usage`: a stream tells its usage only where it is asked to.
    fn read(body: Bytes, default_model: Option<&str>, edits_usage: bool) -> Result<Self, Invalid> {
        let text =
            std::str::from_utf8(&body).map_err(|_| Invalid::new("", "The body is not valid JSON: it is not UTF-8."))?;
        // serde takes a list for an object whose fields it holds.
        if !text.trim_start().starts_with('{') {
            return Err(Invalid::new("", "The body is not valid JSON: it is no object."));
        }
        let head: Head<'_> = serde_json::from_str(text).map_err(|error| not_read(&error))?;
        let model: Option<String> = match head.model {
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| no_model())?,
            None => None,
        };
        let model = model.or_else(|| default_model.map(str::to_owned)).filter(|model| !model.trim().is_empty());
        let model = model.ok_or_else(no_model)?;
        let stream = head.stream.unwrap_or_default();
        let (wants_usage, edit) = if stream && edits_usage { usage(text, head.stream_options)? } else { (false, None) };
        let limit = head.max_completion_tokens.or(head.max_tokens).or(head.max_output_tokens);
        let answer_tokens = tokens(limit).unwrap_or(ANSWER_TOKENS).saturating_mul(tokens(head.n).unwrap_or(1));
        let wire = split(&body, head.model.map(|raw| place(text, raw)), edit.as_ref());
        Ok(Self { model, stream, wants_usage, wire, answer_tokens, body })
    }

    /// As it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What people say in it: the texts of all messages of theirs, on lines of their own. What else it holds is the program's. All of it
    /// where it has an unknown form: a provider may read it in its own way.
    pub(super) fn said(&self) -> String {
        let Ok(Conversation { messages, input, prompt }) = serde_json::from_slice(&self.body) else {
            return String::from_utf8_lossy(&self.body).into_owned();
        };
        let users = messages.into_iter().filter(|message| message.role.as_deref() == Some("user"));
        let mut texts: Vec<String> = users.flat_map(|message| message.content.texts()).collect();
        match input {
            Input::Text(text) => texts.push(text),
            // Whose message has no role is the person's.
            Input::Items(items) => {
                let users = items.into_iter().filter(|item| item.role.as_deref().is_none_or(|role| role == "user"));
                texts.extend(users.flat_map(|item| item.content.texts()));
            }
            Input::Nothing => {}
        }
        texts.extend(prompt.and_then(|prompt| prompt.variables).map(|variables| variables.to_string()));
        texts.join("\n")
    }

    /// Whether it asks to be stored, where it says.
    pub(super) fn store(&self) -> Option<bool> {
        let stored: Stored = serde_json::from_slice(&self.body).ok()?;
        stored.store
    }

    /// What is said in it: who says what, in order, without instructions, tools and pictures. Nothing where it has an unknown form.
    pub(super) fn talk(&self) -> Vec<(Role, String)> {
        let Ok(Conversation { messages, .. }) = serde_json::from_slice(&self.body) else { return Vec::new() };
        let said = messages.into_iter().filter_map(|message| {
            let role = match message.role.as_deref() {
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                _ => return None,
            };
            Some((role, message.content.texts().join("\n")))
        });
        said.filter(|(_, text)| !text.trim().is_empty()).collect()
    }

    /// The request as a provider gets it, but for its own name for the model; a stream's with the wish to be told the usage.
    pub(super) fn wire(&self) -> WireJson {
        self.wire.clone()
    }

    /// About how many tokens a model reads.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        estimated_tokens(&self.body)
    }

    /// How many tokens the answer has at most, as far as that is said.
    #[must_use]
    pub fn answer_tokens(&self) -> u64 {
        self.answer_tokens
    }
}

fn no_model() -> Invalid {
    Invalid::new("model", "You must provide a model parameter: a text.")
}

fn not_read(error: &serde_json::Error) -> Invalid {
    let what = if error.is_data() { "The request is not valid" } else { "The body is not valid JSON" };
    Invalid::new("", format!("{what}: {error}."))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and negative means no limit")]
fn tokens(number: Option<f64>) -> Option<u64> {
    number.filter(|number| *number >= 1.0).map(|number| number as u64)
}

/// Divides a body where the model's name stands, or would stand. `edit` is made on the way.
fn split(body: &Bytes, model_at: Option<Range<usize>>, edit: Option<&(Range<usize>, Vec<u8>)>) -> WireJson {
    let edited = |range: Range<usize>| match edit {
        Some((at, text)) if range.start <= at.start && at.end <= range.end => {
            let (before, after) = (body.get(range.start..at.start), body.get(at.end..range.end));
            Bytes::from([before.unwrap_or_default(), text, after.unwrap_or_default()].concat())
        }
        _ => body.slice(range),
    };
    match model_at {
        Some(at) => WireJson { head: edited(0..at.start), tail: edited(at.end..body.len()) },
        None => {
            let rest = edited(behind_brace(body)..body.len());
            let comma: &[u8] = if rest.trim_ascii_start().starts_with(b"}") { b"" } else { b"," };
            WireJson { head: Bytes::from_static(b"{\"model\":"), tail: [comma, &rest].concat().into() }
        }
    }
}

fn behind_brace(body: &[u8]) -> usize {
    memchr(b'{', body).map_or(0, |at| at + 1)
}

/// Where a part that was read from `text` stands in it.
fn place(text: &str, part: &RawValue) -> Range<usize> {
    let start = part.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start + part.get().len()
}

type Edit = Option<(Range<usize>, Vec<u8>)>;

/// Whether the usage is wanted; where it is not, what has to be written where, so that it comes all the same.
fn usage(text: &str, options: Option<&RawValue>) -> Result<(bool, Edit), Invalid> {
    const INCLUDE: &[u8] = br#"{"include_usage":true}"#;
    let Some(options) = options else {
        let at = behind_brace(text.as_bytes());
        return Ok((false, Some((at..at, [b"\"stream_options\":", INCLUDE, b","].concat()))));
    };
    let at = place(text, options);
    if options.get() == "null" {
        return Ok((false, Some((at, INCLUDE.to_vec()))));
    }
    let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(options.get())
        .map_err(|_| Invalid::new("stream_options", "stream_options must be an object."))?;
    if members.get("include_usage").and_then(serde_json::Value::as_bool).unwrap_or_default() {
        return Ok((true, None));
    }
    members.insert("include_usage".to_owned(), true.into());
    Ok((false, Some((at, serde_json::to_vec(&members).unwrap_or_default()))))
}

/// About how many tokens a body costs. A picture inside of it counts as one, however long it is.
pub(super) fn estimated_tokens(body: &[u8]) -> u64 {
    const DATA: &[u8] = b";base64,";
    let (mut text, mut pictures, mut rest) = (body.len(), 0, body);
    while let Some(found) = memmem::find(rest, DATA) {
        let data = rest.get(found + DATA.len()..).unwrap_or_default();
        let length = memchr(b'"', data).unwrap_or(data.len());
        text -= length;
        pictures += 1;
        rest = data.get(length..).unwrap_or_default();
    }
    (text as u64).div_ceil(4) + pictures * IMAGE_TOKENS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(body: &str) -> Result<GatewayRequest, Invalid> {
        GatewayRequest::parse(Bytes::copy_from_slice(body.as_bytes()))
    }

    fn sent(body: &str, model: &str) -> String {
        with_model(&parse(body).unwrap(), model)
    }

    fn with_model(request: &GatewayRequest, model: &str) -> String {
        let WireJson { head, tail } = request.wire();
        let name = serde_json::to_vec(model).unwrap();
        String::from_utf8([head.as_ref(), &name, &tail].concat()).unwrap()
    }

    #[test]
    fn what_people_say_is_all_texts_of_their_messages() {
        let said = |body: &str| parse(body).unwrap().said();
        let parts =
            r#"[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"c"}]"#;
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"a"}},
                {{"role":"assistant","content":null}},{{"role":"user","content":{parts}}},{{"role":"user"}}]}}"#
        );
        assert_eq!(said(&body), "a\nb\nc");
        assert_eq!(said(r#"{"model":"m"}"#), "");
        let unknown = r#"{"model":"m","messages":{"role":"user","content":"a"}}"#;
        assert_eq!(said(unknown), unknown);
    }

    #[test]
    fn what_people_say_in_a_response_is_judged_whatever_its_form() {
        let said = |body: &str| parse(body).unwrap().said();
        assert_eq!(said(r#"{"model":"m","instructions":"i","input":"a"}"#), "a");
        let items = r#"[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"role":"assistant","content":"b"},
            {"type":"message","content":"c"},{"type":"function_call_output","call_id":"1","output":"d"}]"#;
        assert_eq!(said(&format!(r#"{{"model":"m","input":{items}}}"#)), "a\nc");
        let prompt = r#"{"model":"m","prompt":{"id":"p","variables":{"name":"a"}}}"#;
        assert_eq!(said(prompt), r#"{"name":"a"}"#);
    }

    #[test]
    fn a_response_passes_as_it_is_but_never_into_the_background() {
        let read = |body: &'static str| GatewayRequest::parse_response(Bytes::from_static(body.as_bytes()));
        let body = r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false},"background":null}"#;
        assert_eq!(with_model(&read(body).unwrap(), "m"), body);
        assert_eq!(read(r#"{"model":"m","background":true}"#).unwrap_err().field, "background");
        assert!(read(r#"{"model":"m","background":"yes"}"#).is_err());
    }

    #[test]
    fn nothing_but_the_models_name_changes() {
        let body = r#" { "seed":1.50 ,"model" : "a\/b","x":[1e3, "ż\u0041"],"messages":[] } "#;
        assert_eq!(sent(body, "a/b"), body.replace(r"\/", "/"));
        assert_eq!(sent(body, "o\"1"), body.replace(r#""a\/b""#, r#""o\"1""#));
    }

    #[test]
    fn the_usage_of_a_stream_is_always_asked_for() {
        let asked = |body: &str| parse(body).unwrap().wants_usage;
        for (body, wanted, sends) in [
            (
                r#"{"model":"m","stream":true}"#,
                false,
                r#"{"stream_options":{"include_usage":true},"model":"n","stream":true}"#,
            ),
            (
                r#"{"stream_options":null,"stream":true,"model":"m"}"#,
                false,
                r#"{"stream_options":{"include_usage":true},"stream":true,"model":"n"}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{"a":1}}"#,
                false,
                r#"{"model":"n","stream":true,"stream_options":{"a":1,"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
                true,
                r#"{"model":"n","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_usage":false}}"#,
                false,
                r#"{"model":"n","stream_options":{"include_usage":false}}"#,
            ),
        ] {
            assert_eq!(asked(body), wanted, "{body}");
            assert_eq!(sent(body, "n"), sends);
        }
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_field_at_fault() {
        for (body, field) in [
            ("", ""),
            ("[]", ""),
            ("\"m\"", ""),
            ("{\"model\":\"m\"", ""),
            ("{}", "model"),
            (r#"{"model":null}"#, "model"),
            (r#"{"model":5}"#, "model"),
            (r#"{"model":" "}"#, "model"),
            (r#"{"model":"m","stream":"yes"}"#, ""),
            (r#"{"model":"m","model":"n"}"#, ""),
            (r#"{"model":"m","stream":true,"stream_options":7}"#, "stream_options"),
        ] {
            assert_eq!(parse(body).unwrap_err().field, field, "{body}");
        }
        assert!(GatewayRequest::parse(Bytes::from_static(b"{\"model\":\"\xff\"}")).is_err());
    }

    #[test]
    fn a_default_stands_in_for_a_model_that_is_not_named() {
        let read = |body: &'static str| GatewayRequest::parse_or(Bytes::from_static(body.as_bytes()), Some("d"));
        for (body, sent) in [
            (r#"{"input":"x","model":"m"}"#, r#"{"input":"x","model":"n"}"#),
            (r#"{"input":"x"}"#, r#"{"model":"n","input":"x"}"#),
            ("{ }", r#"{"model":"n" }"#),
        ] {
            assert_eq!(with_model(&read(body).unwrap(), "n"), sent);
        }
        assert_eq!(read(r#"{"model":null}"#).unwrap().model, "d");
    }

    #[test]
    fn a_picture_counts_as_one_however_long_it_is() {
        let url = format!(r#"{{"url":"data:image/png;base64,{}"}}"#, "A".repeat(400_000));
        assert!(estimated_tokens(url.as_bytes()) < IMAGE_TOKENS + 20);
        assert_eq!(estimated_tokens(b"12345"), 2);
    }

    #[test]
    fn an_answer_is_taken_to_be_as_long_as_it_may_be() {
        let tokens = |body: &str| parse(body).unwrap().answer_tokens();
        assert_eq!(tokens(r#"{"model":"m"}"#), ANSWER_TOKENS);
        assert_eq!(tokens(r#"{"model":"m","max_tokens":10,"n":3}"#), 30);
        assert_eq!(tokens(r#"{"model":"m","max_tokens":-1,"max_completion_tokens":7}"#), 7);
    }
}
