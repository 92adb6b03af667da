//! Gemini's answers on the wire: whole or in pieces, they have one shape.
//!
//! <https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse>. What is borrowed here
//! points into the received bytes.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::{FinishReason, TokenUsage};
use crate::providers::error::ProviderError;
use crate::providers::failure::Failure;
use crate::providers::{Delta, deltas};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<Usage>,
    #[serde(borrow)]
    model_version: Option<Text<'a>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    /// The text is what the model thinks, not what it says.
    #[serde(default)]
    thought: bool,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
}

/// A string that borrows where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Usage {
    /// Thoughts are written tokens, and cost as much.
    fn tokens(self) -> TokenUsage {
        let sum = |counts: [Option<u64>; 2]| counts.into_iter().flatten().fold(0, u64::saturating_add);
        let prompt_tokens = sum([self.prompt_token_count, self.tool_use_prompt_token_count]);
        TokenUsage {
            prompt_tokens,
            completion_tokens: sum([self.candidates_token_count, self.thoughts_token_count]),
            cached_tokens: self.cached_content_token_count.unwrap_or_default().min(prompt_tokens),
        }
    }
}

/// Turns answers into deltas.
#[derive(Default)]
pub(super) struct Reader {
    deltas: VecDeque<Delta>,
    is_named: bool,
    is_finished: bool,
    calls: usize,
    /// Every piece brings the count so far, so it waits for the finish.
    usage: Option<Usage>,
}

impl Reader {
    fn read_part(&mut self, part: Part<'_>) {
        let text = part.text.filter(|text| !part.thought && !text.0.is_empty());
        self.deltas.extend(text.map(|text| Delta::Text(text.0.into_owned())));
        let Some(call) = part.function_call else { return };
        let index = self.calls;
        self.calls += 1;
        let id = call.id.filter(|id| !id.0.is_empty()).map(|id| id.0.into_owned());
        self.deltas.push_back(Delta::ToolCall {
            index,
            id: Some(id.unwrap_or_else(|| format!("call_{index}"))),
            name: Some(call.name.into_owned()),
            arguments: call.args.map_or("{}", RawValue::get).to_owned(),
        });
    }

    /// Why the answer ends. What the model itself broke off for is a failure, not an end.
    fn finish_of(&self, reason: &str) -> Result<FinishReason, ProviderError> {
        Ok(match reason {
            "STOP" if self.calls > 0 => FinishReason::ToolCalls,
            "STOP" => FinishReason::Stop,
            "MAX_TOKENS" => FinishReason::Length,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => FinishReason::ContentFilter,
            _ => return Err(ProviderError::Unavailable { status: 502 }),
        })
    }
}

impl deltas::Reader for Reader {
    /// Besides: [`ProviderError::ContentFiltered`] for a prompt that is blocked.
    fn read(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let answer: Answer<'_> =
            serde_json::from_slice(json).map_err(|_| ProviderError::Protocol("an answer is not the expected JSON"))?;
        if let Some(error) = &answer.error {
            return Err(Failure::of(error).classify(None, None));
        }
        if answer.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            return Err(ProviderError::ContentFiltered);
        }
        self.usage = answer.usage_metadata.or(self.usage);
        if !self.is_named
            && let Some(Text(model)) = answer.model_version.filter(|model| !model.0.is_empty())
        {
            self.is_named = true;
            self.deltas.push_back(Delta::Model(model.into_owned()));
        }
        let candidate = answer.candidates.into_iter().flatten().find(|candidate| candidate.index == 0);
        if let Some(candidate) = candidate.filter(|_| !self.is_finished) {
            for part in candidate.content.into_iter().flat_map(|content| content.parts) {
                self.read_part(part);
            }
            if let Some(Text(reason)) = candidate.finish_reason.filter(|reason| !reason.0.is_empty()) {
                self.is_finished = true;
                self.deltas.push_back(Delta::Finish(self.finish_of(&reason)?));
            }
        }
        if self.is_finished {
            self.deltas.extend(self.usage.take().map(|usage| Delta::Usage(usage.tokens())));
        }
        Ok(())
    }

    fn deltas(&mut self) -> &mut VecDeque<Delta> {
        &mut self.deltas
    }

    /// Its streams have no mark of their end but the connection's.
    fn is_over(&self) -> bool {
        false
    }
}
