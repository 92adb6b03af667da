//! Titles: a few words by the model, after a conversation's first answer. Whatever goes wrong, the title made from the first message stays.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::live::LiveTurn;
use crate::app::metering::{Estimate, Payer, Spent};
use crate::app::{App, AppError};
use crate::domain::{LedgerKind, Role, TokenUsage, title_of};
use crate::providers::{Answer, ChatMessage, ChatRequest, Delta, ProviderError};
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

/// Gives the conversation whose first turn this was its title, on a task of its own. Whoever paid for the turn pays for it; a quota that has no
/// room for it leaves things as they are.
pub(super) fn give(app: &App, live: &Arc<LiveTurn>, payer: Payer, question: &str, answer: &str) {
    if !app.settings.chat.titles || app.providers.is_mock() || app.is_shutting_down() {
        return;
    }
    let Ok(place) = Arc::clone(&app.titles).try_acquire_owned() else { return };
    let talk = format!("User: {}\n\nAssistant: {}", excerpt(question), excerpt(answer));
    let (app, live) = (app.clone(), Arc::clone(live));
    app.clone().tasks.spawn(async move {
        match app.give_title(&live, payer, talk).await {
            Ok(()) => {}
            Err(AppError::QuotaExceeded(over)) => {
                tracing::debug!(%over, turn = %live.ids.turn_id, "a conversation got no title");
            }
            Err(error) => tracing::warn!(%error, turn = %live.ids.turn_id, "a conversation got no title"),
        }
        drop(place);
    });
}

/// What has come of a title so far.
#[derive(Default)]
struct Talk {
    said: String,
    /// Who answers: provider and model.
    by: Option<(String, String)>,
    usage: Option<TokenUsage>,
    /// What was counted here in its stead.
    counted: TokenUsage,
    cost: Option<u64>,
}

impl App {
    async fn give_title(&self, live: &LiveTurn, payer: Payer, talk: String) -> Result<(), AppError> {
        let messages = vec![ChatMessage::text(Role::System, INSTRUCTIONS), ChatMessage::text(Role::User, talk)];
        let request = ChatRequest {
            model: live.model.clone(),
            messages,
            temperature: Some(self.settings.chat.temperature),
            max_tokens: Some(TOKENS_MAX),
            ..ChatRequest::default()
        };
        let (prompt_tokens, attempts) = (request.estimated_tokens(), request.attempts.clone());
        let asked = request.messages.clone();
        let estimate = Estimate { model: live.model.clone(), prompt_tokens, completion_tokens: u64::from(TOKENS_MAX) };
        let (payer, at, reserved) = self.reserve_for(payer, estimate).await?.into_parts();
        let mut talk = Talk::default();
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(PATIENCE, self.ask_for_title(request, &mut talk)) => match outcome {
                Ok(outcome) => outcome.map_err(|error| error.code()),
                Err(_) => Err("title_timeout"),
            },
            _ = live.stopped() => Err("cancelled"),
        };
        if let (Some((_, model)), None) = (&talk.by, talk.usage) {
            talk.counted = self.count_tokens(model, &asked, &talk.said).await;
        }
        let lost = attempts.take().into_iter().map(Spent::from);
        let answer = talk.by.map(|(provider, model)| Spent {
            provider,
            model,
            usage: talk.usage.unwrap_or(talk.counted),
            is_estimated: talk.usage.is_none(),
            provider_cost: talk.cost,
        });
        let ledger: Vec<LedgerEntry> =
            lost.chain(answer).map(|spent| self.entry(&payer, LedgerKind::Title, spent, at)).collect();
        // What broke off is no title, and has its price all the same.
        let title = outcome.is_ok().then(|| title_in(&talk.said)).flatten();
        if !ledger.is_empty() || reserved.is_some() {
            self.db.give_title(live.ids, title, live.owner, ledger, reserved).await?;
        }
        outcome.map_err(|code| AppError::ProviderDown { code: code.to_owned() })
    }

    async fn ask_for_title(&self, request: ChatRequest, talk: &mut Talk) -> Result<(), ProviderError> {
        let Answer { provider, model, mut deltas } = self.providers.chat(request).await?;
        let (_, model) = talk.by.insert((provider, model));
        while let Some(delta) = deltas.next().await {
            match delta? {
                Delta::Text(text) if talk.said.len() + text.len() <= SAID_MAX => talk.said.push_str(&text),
                Delta::Text(_) => break,
                Delta::Model(name) => *model = name,
                Delta::Usage(counted) => talk.usage = Some(counted),
                Delta::Cost(micros) => talk.cost = Some(micros),
                // What is asked for whole is not continued.
                Delta::Finish(_) | Delta::ToolCall { .. } | Delta::Continued { .. } => {}
            }
        }
        Ok(())
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
