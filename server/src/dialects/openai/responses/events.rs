//! The grammar of a response's stream. <https://platform.openai.com/docs/api-reference/responses-streaming>

use bytes::{BufMut as _, Bytes, BytesMut};
use parlor_engine::app::gateway::Delta;
use parlor_engine::domain::{FinishReason, TokenUsage};
use serde::Serialize;
use serde_json::{Value, json};

use super::object::{self, Response};
use crate::dialects::openai::chunks::MAX_CALLS;
use crate::dialects::openai::new_id;

/// Tells one response as events.
pub struct Events {
    response: Response,
    sequence: u64,
    /// What has been told, in the order of its telling.
    items: Vec<Item>,
    /// Which items the answer's calls are.
    calls: Vec<Option<usize>>,
    finish: Option<FinishReason>,
}

struct Item {
    id: String,
    kind: Kind,
    is_done: bool,
}

enum Kind {
    Message { text: String },
    Call { call_id: String, name: String, arguments: String },
}

impl Item {
    fn object(&self, status: &str) -> Value {
        match &self.kind {
            Kind::Message { text } => object::message(&self.id, text, status),
            Kind::Call { call_id, name, arguments } => object::call(&self.id, call_id, name, arguments, status),
        }
    }
}

/// A piece of text or of arguments: the events of which there are many.
#[derive(Serialize)]
struct Piece<'a> {
    r#type: &'static str,
    sequence_number: u64,
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<u32>,
    delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

impl Events {
    pub fn new(response: Response) -> Self {
        Self { response, sequence: 0, items: Vec::new(), calls: Vec::new(), finish: None }
    }

    /// The stream's beginning.
    pub fn begin(&mut self) -> Bytes {
        let mut out = BytesMut::with_capacity(2048);
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response.object("in_progress", &[], None);
            self.tell(&mut out, kind, json!({"response": response}));
        }
        out.freeze()
    }

    /// The events of a delta; perhaps none.
    pub fn of(&mut self, delta: Delta) -> Bytes {
        let mut out = BytesMut::with_capacity(256);
        match delta {
            Delta::Text(text) => self.text(&mut out, &text),
            Delta::ToolCall { index, id, name, arguments } if index < MAX_CALLS => {
                self.call(&mut out, index, (id, name), &arguments);
            }
            Delta::Finish(reason) => {
                self.finish = Some(reason);
                (0..self.items.len()).for_each(|at| self.close(&mut out, at));
            }
            Delta::ToolCall { .. } | Delta::Model(_) | Delta::Usage(_) | Delta::Cost(_) | Delta::Continued { .. } => {}
        }
        out.freeze()
    }

    /// The stream's end.
    pub fn end(&mut self, usage: TokenUsage) -> Bytes {
        let status = object::status(self.finish.unwrap_or(FinishReason::Stop));
        let output: Vec<Value> = self.items.iter().map(|item| item.object(status)).collect();
        let response = self.response.ended(self.finish.unwrap_or(FinishReason::Stop), &output, usage);
        let mut out = BytesMut::with_capacity(2048);
        self.tell(&mut out, &format!("response.{status}"), json!({"response": response}));
        out.freeze()
    }

    /// The end of a stream that broke off.
    pub fn fail(&mut self, code: &str, message: &str) -> Bytes {
        let output: Vec<Value> = self.items.iter().map(|item| item.object("incomplete")).collect();
        let mut response = self.response.object("failed", &output, None);
        response["error"] = json!({"code": "server_error", "message": message});
        let mut out = BytesMut::with_capacity(2048);
        self.tell(&mut out, "error", json!({"code": code, "message": message, "param": null}));
        self.tell(&mut out, "response.failed", json!({"response": response}));
        out.freeze()
    }

    fn text(&mut self, out: &mut BytesMut, more: &str) {
        let open = self.items.iter().position(|item| matches!(item.kind, Kind::Message { .. }) && !item.is_done);
        let at = open.unwrap_or_else(|| {
            let at = self.open(out, new_id("msg_"), Kind::Message { text: String::new() });
            let part = object::text_part("");
            let id = self.items.get(at).map(|item| item.id.clone());
            let added = json!({"item_id": id, "output_index": at, "content_index": 0, "part": part});
            self.tell(out, "response.content_part.added", added);
            at
        });
        let Some(Item { id, kind: Kind::Message { text }, .. }) = self.items.get_mut(at) else { return };
        text.push_str(more);
        let (r#type, sequence_number) = ("response.output_text.delta", self.sequence);
        let piece = Piece {
            r#type,
            sequence_number,
            item_id: id,
            output_index: at,
            content_index: Some(0),
            delta: more,
            logprobs: Some([]),
        };
        self.sequence += 1;
        write(out, r#type, &piece);
    }

    fn call(&mut self, out: &mut BytesMut, index: usize, named: (Option<String>, Option<String>), more: &str) {
        if self.calls.len() <= index {
            self.calls.resize(index + 1, None);
        }
        let at = match self.calls.get(index).copied().flatten() {
            Some(at) => at,
            None => {
                let (call_id, name) = (named.0.unwrap_or_else(|| new_id("call_")), named.1.unwrap_or_default());
                let call = Kind::Call { call_id, name, arguments: String::new() };
                let at = self.open(out, new_id("fc_"), call);
                if let Some(place) = self.calls.get_mut(index) {
                    *place = Some(at);
                }
                at
            }
        };
        let Some(Item { id, kind: Kind::Call { arguments, .. }, .. }) = self.items.get_mut(at) else { return };
        if more.is_empty() {
            return;
        }
        arguments.push_str(more);
        let (r#type, sequence_number) = ("response.function_call_arguments.delta", self.sequence);
        let piece = Piece {
            r#type,
            sequence_number,
            item_id: id,
            output_index: at,
            content_index: None,
            delta: more,
            logprobs: None,
        };
        self.sequence += 1;
        write(out, r#type, &piece);
    }

    /// Begins an item; those before it are done.
    fn open(&mut self, out: &mut BytesMut, id: String, kind: Kind) -> usize {
        let at = self.items.len();
        if matches!(kind, Kind::Call { .. }) {
            (0..at)
                .filter(|at| matches!(self.items.get(*at), Some(Item { kind: Kind::Message { .. }, .. })))
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|at| self.close(out, at));
        }
        let item = Item { id, kind, is_done: false };
        let mut object = item.object("in_progress");
        if matches!(item.kind, Kind::Message { .. }) {
            object["content"] = json!([]);
        }
        self.items.push(item);
        self.tell(out, "response.output_item.added", json!({"output_index": at, "item": object}));
        at
    }

    fn close(&mut self, out: &mut BytesMut, at: usize) {
        let Some(item) = self.items.get_mut(at) else { return };
        if std::mem::replace(&mut item.is_done, true) {
            return;
        }
        let (id, object) = (item.id.clone(), item.object("completed"));
        match &item.kind {
            Kind::Message { text } => {
                let part = object::text_part(text);
                let place = json!({"item_id": id, "output_index": at, "content_index": 0});
                let (mut said, mut done) = (place.clone(), place);
                said["text"] = part["text"].clone();
                said["logprobs"] = json!([]);
                done["part"] = part;
                self.tell(out, "response.output_text.done", said);
                self.tell(out, "response.content_part.done", done);
            }
            Kind::Call { name, arguments, .. } => {
                let done = json!({"item_id": id, "output_index": at, "name": name, "arguments": arguments});
                self.tell(out, "response.function_call_arguments.done", done);
            }
        }
        self.tell(out, "response.output_item.done", json!({"output_index": at, "item": object}));
    }

    fn tell(&mut self, out: &mut BytesMut, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        write(out, kind, &data);
    }
}

/// The error that ends a stream which somebody else has told so far.
pub fn broken(sequence_number: u64, code: &str, message: &str) -> Bytes {
    let error = json!({
        "type": "error", "sequence_number": sequence_number, "code": code, "message": message, "param": null,
    });
    let mut out = BytesMut::with_capacity(256);
    write(&mut out, "error", &error);
    out.freeze()
}

fn write(out: &mut BytesMut, kind: &str, data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out.writer(), data);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dialects::openai::responses::request::ResponseRequest;

    fn told(deltas: Vec<Delta>) -> Vec<Value> {
        let request = ResponseRequest::parse(br#"{"model":"m","input":"Hi"}"#).unwrap();
        let mut events = Events::new(Response::new(1, &request));
        let mut body = events.begin().to_vec();
        deltas.into_iter().for_each(|delta| body.extend_from_slice(&events.of(delta)));
        body.extend_from_slice(&events.end(TokenUsage::new(2, 3)));
        let body = String::from_utf8(body).unwrap();
        let read = |event: &str| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
            data
        };
        body.split("\n\n").filter(|event| !event.is_empty()).map(read).collect()
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        events.iter().map(|event| event["type"].as_str().unwrap().strip_prefix("response.").unwrap()).collect()
    }

    #[test]
    fn a_text_is_told_in_order_and_numbered() {
        let events = told(vec![Delta::Text("Hel".into()), Delta::Text("lo".into()), Delta::Finish(FinishReason::Stop)]);
        assert_eq!(
            kinds(&events),
            [
                "created",
                "in_progress",
                "output_item.added",
                "content_part.added",
                "output_text.delta",
                "output_text.delta",
                "output_text.done",
                "content_part.done",
                "output_item.done",
                "completed",
            ]
        );
        assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
        let response = &events.last().unwrap()["response"];
        assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
        assert_eq!(response["usage"]["total_tokens"], 5);
        assert_eq!(response["status"], "completed");
    }

    #[test]
    fn calls_follow_the_text_and_are_told_piece_by_piece() {
        let call = |index, id: Option<&str>, arguments: &str| Delta::ToolCall {
            index,
            id: id.map(str::to_owned),
            name: id.map(|_| "look".to_owned()),
            arguments: arguments.into(),
        };
        let events = told(vec![
            Delta::Text("Wait.".into()),
            call(0, Some("call_a"), ""),
            call(0, None, "{}"),
            call(1, Some("call_b"), "{\"x\":1}"),
            Delta::Finish(FinishReason::ToolCalls),
        ]);
        assert_eq!(
            kinds(&events)[6..],
            [
                "content_part.done",
                "output_item.done",
                "output_item.added",
                "function_call_arguments.delta",
                "output_item.added",
                "function_call_arguments.delta",
                "function_call_arguments.done",
                "output_item.done",
                "function_call_arguments.done",
                "output_item.done",
                "completed",
            ]
        );
        let output = &events.last().unwrap()["response"]["output"];
        assert_eq!(output[1]["call_id"], "call_a");
        assert_eq!(output[2]["arguments"], "{\"x\":1}");
    }

    #[test]
    fn an_answer_that_was_cut_short_is_incomplete() {
        let events = told(vec![Delta::Text("x".into()), Delta::Finish(FinishReason::Length)]);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    }
}
