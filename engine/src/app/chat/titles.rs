//! Titles: a few words by the model, after a conversation's first answer. Whatever goes wrong, the title made from the first message stays.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::live::LiveTurn;
use crate::app::{App, AppError};
use crate::domain::{Role, TokenUsage, estimate_tokens, title_of};
use crate::providers::{ChatMessage, ChatRequest, Delta};
use crate::store::LedgerEntry;

/// Titles asked for at once; further conversations keep the title made from their first message.
pub(in crate::app) const AT_ONCE: usize = 16;
/// How long a title may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of the question and of the answer the model is shown, in characters each.
const EXCERPT: usize = 1_000;
const TOKENS_MAX: u32 = 64;
/// What is said of a title is cut off here, in bytes.
const SAID_MAX: usize = 4_096;
const INSTRUCTIONS: &str = "Give the conversation that follows a title: at most six words, in the conversation's own language, without \
     quotation marks. Answer with the title alone.";

/// Gives the conversation whose first turn this was its title, on a task of its own.
pub(super) fn give(app: &App, live: &Arc<LiveTurn>, question: &str, answer: &str) {
    if !app.settings.chat.titles || app.providers.is_mock() || app.is_shutting_down() {
        return;
    }
    let Ok(place) = Arc::clone(&app.titles).try_acquire_owned() else { return };
    let talk = format!("User: {}\n\nAssistant: {}", excerpt(question), excerpt(answer));
    let (app, live) = (app.clone(), Arc::clone(live));
    app.clone().tasks.spawn(async move {
        let given = tokio::select! {
            given = tokio::time::timeout(PATIENCE, app.give_title(&live, talk)) => given,
            _ = live.stopped() => return,
        };
        match given {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, turn = %live.ids.turn_id, "a conversation got no title"),
            Err(_) => tracing::warn!(turn = %live.ids.turn_id, "a conversation's title took too long"),
        }
        drop(place);
    });
}

impl App {
    async fn give_title(&self, live: &LiveTurn, talk: String) -> Result<(), AppError> {
        let messages = vec![ChatMessage::text(Role::System, INSTRUCTIONS), ChatMessage::text(Role::User, talk)];
        let request = ChatRequest {
            model: live.model.clone(),
            messages,
            temperature: Some(self.settings.chat.temperature),
            max_tokens: Some(TOKENS_MAX),
            ..ChatRequest::default()
        };
        let prompt_tokens = request.estimated_tokens();
        let down = |error: crate::providers::ProviderError| AppError::ProviderDown { code: error.code().to_owned() };
        let mut answer = self.providers.chat(request).await.map_err(down)?;
        let (mut said, mut usage, mut failure) = (String::new(), None, None);
        while let Some(delta) = answer.deltas.next().await {
            match delta {
                Ok(Delta::Text(text)) if said.len() + text.len() <= SAID_MAX => said.push_str(&text),
                Ok(Delta::Text(_)) => break,
                Ok(Delta::Model(name)) => answer.model = name,
                Ok(Delta::Usage(counted)) => usage = Some(counted),
                Ok(Delta::Finish(_) | Delta::ToolCall { .. } | Delta::Cost(_)) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let ledger = LedgerEntry {
            account_id: live.owner,
            provider: answer.provider,
            model: answer.model,
            usage: usage.unwrap_or(TokenUsage::new(prompt_tokens, estimate_tokens(&said))),
            is_estimated: usage.is_none(),
        };
        // What broke off is no title, and has its price all the same.
        let title = failure.is_none().then(|| title_in(&said)).flatten();
        self.db.give_title(live.ids, title, ledger, self.clock.now()).await?;
        failure.map_or(Ok(()), |error| Err(down(error)))
    }
}

fn excerpt(text: &str) -> &str {
    text.char_indices().nth(EXCERPT).map_or(text, |(end, _)| &text[..end])
}

/// The title in what a model says: its first line without the signs that models put around titles.
fn title_in(said: &str) -> Option<String> {
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    let around = |c: char| c.is_whitespace() || "\"'`*#“”„«»‘’".contains(c);
    let bare = line.trim_matches(around).trim_end_matches('.').trim_matches(around);
    let clean: String = bare.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let title = title_of(&clean);
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_taken_out_of_what_a_model_puts_around_it() {
        assert_eq!(title_in("\n**\"A Fox in Zürich.\"**\nHope this helps!").as_deref(), Some("A Fox in Zürich"));
        assert_eq!(title_in("# Tea").as_deref(), Some("Tea"));
        assert_eq!(title_in(" \n \"\" "), None);
        assert_eq!(title_in(&"word ".repeat(40)).map(|title| title.chars().count() <= 60), Some(true));
    }
}
