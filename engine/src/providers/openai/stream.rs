//! An answer's completions in, deltas out.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::Stream;

use super::wire::{CallPiece, Completion};
use crate::domain::{FinishReason, TokenUsage};
use crate::providers::error::ProviderError;
use crate::providers::{Delta, DeltaStream, deltas};

/// The most tools that one answer may call.
const MAX_CALLS: usize = 128;

/// The deltas of a stream of OpenAI's chunks. Ends without [`Delta::Finish`] when the stream does.
pub fn deltas_of_chunks<E>(chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> DeltaStream {
    Box::pin(deltas::Deltas::new(chunks, Reader::default()))
}

/// Turns completions into deltas.
#[derive(Default)]
pub(super) struct Reader {
    deltas: VecDeque<Delta>,
    named: bool,
    finished: bool,
    calls: Vec<Call>,
    /// The latest count: some services send one with every piece, so it waits for the finish.
    usage: Option<TokenUsage>,
    /// As the count.
    cost: Option<u64>,
}

/// A call that has begun.
struct Call {
    /// The provider's number for it.
    index: Option<usize>,
    id: String,
}

impl Reader {
    /// Says which call a piece belongs to. Where servers leave the index out, or give each call the same, a new id begins
    /// a new call; one that comes without an id gets one.
    fn read_call(&mut self, piece: &CallPiece<'_>) -> Result<(), ProviderError> {
        let known = match piece.index {
            Some(_) => self.calls.iter().rposition(|call| call.index == piece.index),
            None => self.calls.len().checked_sub(1),
        };
        let goes_on = known.filter(|at| match (piece.id(), self.calls.get(*at)) {
            (Some(id), Some(call)) => call.id == id,
            _ => piece.index.is_some() || piece.name().is_none(),
        });
        let arguments = piece.arguments();
        let (index, id, name) = match goes_on {
            Some(index) => (index, None, None),
            None if self.calls.len() >= MAX_CALLS => return Err(ProviderError::Protocol("too many tool calls")),
            None => {
                let index = self.calls.len();
                let id = piece.id().map_or_else(|| format!("call_{index}"), str::to_owned);
                self.calls.push(Call { index: piece.index, id: id.clone() });
                (index, Some(id), Some(piece.name().unwrap_or_default().to_owned()))
            }
        };
        self.deltas.push_back(Delta::ToolCall { index, id, name, arguments });
        Ok(())
    }

    /// Some servers say `stop` where the model waits for its tools.
    fn finish_of(&self, reason: FinishReason) -> FinishReason {
        if reason == FinishReason::Stop && !self.calls.is_empty() { FinishReason::ToolCalls } else { reason }
    }
}

impl deltas::Reader for Reader {
    /// Besides: [`ProviderError::Protocol`] for more than [`MAX_CALLS`] calls.
    fn read(&mut self, json: &[u8]) -> Result<(), ProviderError> {
        let completion = Completion::parse(json)?;
        self.usage = completion.usage().or(self.usage);
        self.cost = completion.cost().or(self.cost);
        if !self.named
            && let Some(model) = completion.model.as_ref().filter(|model| !model.0.is_empty())
        {
            self.named = true;
            self.deltas.push_back(Delta::Model(model.0.to_string()));
        }
        if !self.finished
            && let Some(choice) = completion.into_choice()
        {
            let finish = choice.finish()?;
            let mut content = choice.into_content();
            self.deltas.extend(content.take_text().map(Delta::Text));
            for piece in content.tool_calls.take().unwrap_or_default() {
                self.read_call(&piece)?;
            }
            self.finished = finish.is_some();
            self.deltas.extend(finish.map(|reason| Delta::Finish(self.finish_of(reason))));
        }
        if self.finished {
            self.deltas.extend(self.usage.take().map(Delta::Usage));
            self.deltas.extend(self.cost.take().map(Delta::Cost));
        }
        Ok(())
    }

    fn deltas(&mut self) -> &mut VecDeque<Delta> {
        &mut self.deltas
    }

    /// That is said by `[DONE]`.
    fn is_over(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::providers::deltas::Reader as _;

    /// The deltas of pieces that hold these calls, ended by `stop`.
    fn calls(pieces: &[Value]) -> Vec<Delta> {
        let mut reader = Reader::default();
        for piece in pieces {
            let piece = json!({"choices": [{"index": 0, "delta": {"tool_calls": piece}}]});
            reader.read(piece.to_string().as_bytes()).unwrap();
        }
        reader.read(br#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#).unwrap();
        assert_eq!(reader.deltas.pop_back(), Some(Delta::Finish(FinishReason::ToolCalls)));
        reader.deltas.into()
    }

    fn begins(index: usize, id: &str, arguments: &str) -> Delta {
        let (id, name) = (Some(id.to_owned()), Some("f".to_owned()));
        Delta::ToolCall { index, id, name, arguments: arguments.to_owned() }
    }

    fn goes_on(index: usize, arguments: &str) -> Delta {
        Delta::ToolCall { index, id: None, name: None, arguments: arguments.to_owned() }
    }

    #[test]
    fn calls_come_in_pieces_side_by_side() {
        let deltas = calls(&[
            json!([{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
            json!([{"index": 1, "id": "b", "type": "function", "function": {"name": "f", "arguments": "{"}}]),
            json!([{"index": 0, "function": {"arguments": "{}"}}, {"index": 1, "function": {"arguments": "}"}}]),
        ]);
        assert_eq!(deltas, [begins(0, "a", ""), begins(1, "b", "{"), goes_on(0, "{}"), goes_on(1, "}")]);
    }

    #[test]
    fn whole_calls_are_told_apart_without_an_index_and_without_an_id() {
        let deltas = calls(&[json!([
            {"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"function": {"name": "f", "arguments": "{}"}},
        ])]);
        assert_eq!(deltas, [begins(0, "a", "{}"), begins(1, "call_1", "{}")]);
    }

    #[test]
    fn calls_that_all_have_one_index_are_told_apart_by_their_ids() {
        let deltas = calls(&[
            json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]),
            json!([{"index": 0, "id": "a", "function": {"arguments": "}"}}]),
            json!([{"index": 0, "id": "b", "function": {"name": "f", "arguments": "{}"}}]),
        ]);
        assert_eq!(deltas, [begins(0, "a", "{"), goes_on(0, "}"), begins(1, "b", "{}")]);
    }

    #[test]
    fn arguments_that_are_json_instead_of_a_string_are_written_out() {
        let deltas = calls(&[json!([{"id": "a", "function": {"name": "f", "arguments": {"city": "Ulm"}}}])]);
        assert_eq!(deltas, [begins(0, "a", r#"{"city":"Ulm"}"#)]);
        assert_eq!(calls(&[json!([{"id": "a", "function": {"name": "f"}}])]), [begins(0, "a", "")]);
    }

    #[test]
    fn more_calls_than_anybody_makes_are_refused() {
        let calls: Vec<Value> = (0..=MAX_CALLS).map(|i| json!({"index": i, "function": {"name": "f"}})).collect();
        let piece = json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).to_string();
        assert!(matches!(Reader::default().read(piece.as_bytes()), Err(ProviderError::Protocol(_))));
    }

    #[test]
    fn what_a_model_refuses_with_is_its_text() {
        let mut reader = Reader::default();
        let refusal = r#"{"choices":[{"delta":{"content":null,"refusal":"I will not."},"finish_reason":"stop"}]}"#;
        reader.read(refusal.as_bytes()).unwrap();
        assert_eq!(reader.deltas, [Delta::Text("I will not.".into()), Delta::Finish(FinishReason::Stop)]);
    }

    #[test]
    fn the_tokens_are_found_where_groq_puts_them_and_the_cost_where_openrouter_does() {
        for (usage, cost) in [
            (r#""x_groq":{"id":"x","usage":{"prompt_tokens":1,"completion_tokens":2,"queue_time":0.1}}"#, None),
            (r#""usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.00025}"#, Some(250)),
        ] {
            let mut reader = Reader::default();
            reader.read(br#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#).unwrap();
            reader.read(format!("{{{usage}}}").as_bytes()).unwrap();
            let counted = Delta::Usage(TokenUsage::new(1, 2));
            let expected: Vec<Delta> =
                [Delta::Finish(FinishReason::Stop), counted].into_iter().chain(cost.map(Delta::Cost)).collect();
            assert_eq!(reader.deltas, expected, "{usage}");
        }
    }
}
