//! A conversation as the services want it that know two speakers only, who take turns, the person first.

use crate::domain::Role;
use crate::providers::{ChatMessage, ChatRequest, Image, ToolCall};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What one speaker says until it is the other's turn; at least one part.
pub(super) struct Turn<P> {
    pub(super) is_model: bool,
    pub(super) parts: Vec<P>,
}

/// What stands first where a conversation's beginning has been left out.
const LEFT_OUT: &str = "…";

/// The instructions, and the turns made of each message's parts. What a tool gave is the person's.
pub(super) fn turns<'a, P>(
    request: &'a ChatRequest,
    text: impl Fn(&'a str) -> P,
    parts_of: impl Fn(&'a ChatMessage, &mut Vec<P>),
) -> (Vec<&'a str>, Vec<Turn<P>>) {
    let mut instructions = Vec::new();
    let mut turns: Vec<Turn<P>> = Vec::new();
    for message in &request.messages {
        if message.role == Role::System {
            instructions.push(message.content.as_str());
            continue;
        }
        let is_model = message.role == Role::Assistant;
        let mut parts = Vec::new();
        parts_of(message, &mut parts);
        if parts.is_empty() {
            continue;
        }
        if turns.is_empty() && is_model {
            turns.push(Turn { is_model: false, parts: vec![text(LEFT_OUT)] });
        }
        match turns.last_mut().filter(|last| last.is_model == is_model) {
            Some(last) => last.parts.append(&mut parts),
            None => turns.push(Turn { is_model, parts }),
        }
    }
    instructions.retain(|text| !text.is_empty());
    (instructions, turns)
}

/// A call's arguments, which these services want as an object.
pub(super) fn arguments_of(call: &ToolCall) -> Map<String, Value> {
    serde_json::from_str(&call.arguments).unwrap_or_default()
}

/// A picture that goes along: its media type, and its bytes in base64. `None` for one that is on the web.
pub(super) fn inline(image: &Image) -> Option<(&str, Cow<'_, str>)> {
    match image {
        Image::Bytes { media_type, data } => Some((media_type, Cow::Owned(STANDARD.encode(data)))),
        Image::Url(url) => {
            let (media_type, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
            Some((media_type, Cow::Borrowed(data)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(messages: &[(Role, &str)]) -> (Vec<String>, Vec<(bool, String)>) {
        let messages = messages.iter().map(|(role, text)| ChatMessage::text(*role, *text)).collect();
        let request = ChatRequest { messages, ..ChatRequest::default() };
        let (instructions, turns) = turns(&request, str::to_owned, |message, parts| {
            if !message.content.is_empty() {
                parts.push(message.content.clone());
            }
        });
        let turns = turns.into_iter().map(|turn| (turn.is_model, turn.parts.join("|"))).collect();
        (instructions.into_iter().map(str::to_owned).collect(), turns)
    }

    #[test]
    fn who_speaks_twice_in_a_row_has_one_turn() {
        use Role::{Assistant, System, Tool, User};
        let (instructions, turns) = said(&[
            (System, "be brief"),
            (User, "a"),
            (Assistant, ""),
            (User, "b"),
            (Assistant, "c"),
            (Tool, "d"),
            (Tool, "e"),
            (System, "now in verse"),
            (Assistant, "f"),
        ]);
        assert_eq!(instructions, ["be brief", "now in verse"]);
        let said: Vec<_> = turns.iter().map(|(is_model, text)| (*is_model, text.as_str())).collect();
        assert_eq!(said, [(false, "a|b"), (true, "c"), (false, "d|e"), (true, "f")]);
    }

    #[test]
    fn the_person_speaks_first_where_the_beginning_is_left_out() {
        let (_, turns) = said(&[(Role::Assistant, "as I said"), (Role::User, "go on")]);
        assert_eq!(turns.first(), Some(&(false, LEFT_OUT.to_owned())));
        assert_eq!(turns.len(), 3);
    }

    #[test]
    fn a_picture_in_a_data_url_goes_along() {
        let image = Image::Url("data:image/png;base64,iVBORw==".into());
        assert_eq!(inline(&image), Some(("image/png", Cow::Borrowed("iVBORw=="))));
        assert_eq!(inline(&Image::Url("https://pictures.example/cat.png".into())), None);
    }
}
