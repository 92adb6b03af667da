//! What the mock says to requests in OpenAI's own protocol that are no chat: embeddings and moderations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::vectors::vector;
use crate::domain::estimate_tokens;
use crate::providers::error::ProviderError;
use crate::providers::{WireEndpoint, WireRequest, WireResponse};

/// How many numbers a vector has where the request does not say: as many as OpenAI's small model's.
const DIMENSIONS: usize = 1536;
const MAX_DIMENSIONS: usize = 8192;
/// Texts in one request at most: as at OpenAI.
const MAX_INPUTS: usize = 2048;
/// <https://platform.openai.com/docs/guides/moderation>
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

#[derive(Deserialize)]
struct Body {
    model: String,
    #[serde(default)]
    input: Value,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

/// Answers at once.
///
/// # Errors
/// [`ProviderError::BadRequest`], and [`ProviderError::Unsupported`] for what is chat.
pub(super) fn answer(request: &WireRequest<'_>, model: &str) -> Result<WireResponse, ProviderError> {
    let name = serde_json::to_vec(model).unwrap_or_default();
    let body = [request.body.head.as_ref(), &name, &request.body.tail].concat();
    let body: Body = serde_json::from_slice(&body).map_err(|_| ProviderError::bad_request(400))?;
    let texts = texts(&body.input).ok_or_else(|| ProviderError::bad_request(400))?;
    let answer = match request.endpoint {
        WireEndpoint::Embeddings => embeddings(&body, &texts),
        WireEndpoint::Moderations => moderation(&body, texts.len()),
        WireEndpoint::ChatCompletions | WireEndpoint::Responses => return Err(ProviderError::Unsupported),
    };
    let bytes = stream::iter([Ok(Bytes::from(answer.to_string()))]).boxed();
    Ok(WireResponse { content_type: "application/json", bytes })
}

/// The texts of an input: one, or several; text may also come as a list of tokens, or as a part `{"type": "text"}`.
fn texts(input: &Value) -> Option<Vec<String>> {
    let one = |input: &Value| match input {
        Value::String(text) => Some(text.clone()),
        Value::Array(tokens) if tokens.iter().all(Value::is_number) => Some(Value::from(tokens.as_slice()).to_string()),
        Value::Object(part) => part.get("text").and_then(Value::as_str).map(str::to_owned).or(Some(String::new())),
        _ => None,
    };
    let texts = match input {
        Value::Array(inputs) if !inputs.iter().all(Value::is_number) => {
            inputs.iter().map(one).collect::<Option<Vec<_>>>()?
        }
        input => vec![one(input)?],
    };
    (texts.len() <= MAX_INPUTS).then_some(texts)
}

fn embeddings(body: &Body, texts: &[String]) -> Value {
    let dimensions = body.dimensions.unwrap_or(DIMENSIONS).clamp(1, MAX_DIMENSIONS);
    let as_base64 = body.encoding_format.as_deref() == Some("base64");
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let embedding = if as_base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: u64 = texts.iter().map(|text| estimate_tokens(text)).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    json!({"object": "list", "data": data, "model": body.model, "usage": usage})
}

/// Nothing is ever found.
fn moderation(body: &Body, texts: usize) -> Value {
    let all = |value: Value| CATEGORIES.iter().map(|name| ((*name).to_owned(), value.clone())).collect::<Value>();
    let result = json!({
        "flagged": false,
        "categories": all(false.into()),
        "category_scores": all(json!(0.0)),
        "category_applied_input_types": all(json!(["text"])),
    });
    json!({"id": "modr-mock", "model": body.model, "results": vec![result; texts]})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::providers::WireJson;

    async fn ask(endpoint: WireEndpoint, tail: &str) -> Result<Value, ProviderError> {
        let body = WireJson { head: Bytes::from_static(b"{\"model\":"), tail: Bytes::copy_from_slice(tail.as_bytes()) };
        let mut response = answer(&WireRequest::new(endpoint, body, false), "mock")?;
        Ok(serde_json::from_slice(&response.bytes.next().await.unwrap()?).unwrap())
    }

    #[tokio::test]
    async fn vectors_come_as_numbers_or_as_base64_of_the_same() {
        let numbers = ask(WireEndpoint::Embeddings, r#","input":["a b","c"],"dimensions":8}"#).await.unwrap();
        assert_eq!(numbers["data"].as_array().unwrap().len(), 2);
        let wanted: Vec<f64> =
            numbers["data"][0]["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
        assert_eq!(wanted.len(), 8);
        let encoded = ask(WireEndpoint::Embeddings, r#","input":"a b","dimensions":8,"encoding_format":"base64"}"#)
            .await
            .unwrap();
        let bytes = STANDARD.decode(encoded["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f64> =
            bytes.chunks(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect();
        assert!(wanted.iter().zip(&decoded).all(|(a, b)| (a - b).abs() < 1e-6), "{wanted:?} {decoded:?}");
    }

    #[tokio::test]
    async fn tokens_are_taken_for_a_text_and_nonsense_is_refused() {
        for (tail, vectors) in [(r#","input":[1,2]}"#, 1), (r#","input":[[1,2],[3]]}"#, 2)] {
            let answer = ask(WireEndpoint::Embeddings, tail).await.unwrap();
            assert_eq!(answer["data"].as_array().unwrap().len(), vectors);
        }
        for tail in ["}", r#","input":5}"#, r#","input":[null]}"#] {
            assert_eq!(ask(WireEndpoint::Embeddings, tail).await, Err(ProviderError::bad_request(400)));
        }
    }

    #[tokio::test]
    async fn a_moderation_finds_nothing() {
        let answer = ask(WireEndpoint::Moderations, r#","input":["a","b"]}"#).await.unwrap();
        assert_eq!(answer["results"].as_array().unwrap().len(), 2);
        assert_eq!(answer["results"][1]["flagged"], false);
        assert_eq!(answer["results"][0]["categories"]["hate/threatening"], false);
    }
}
