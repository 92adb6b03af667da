//! Everything that is kept of oneself, as one document that streams.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use parlor_engine::app::{AppError, LedgerRow, ModerationEvent, Person, PersonalData, PersonalDataPlace};
use parlor_engine::domain;
use serde::Serialize;
use utoipa::ToSchema;

use super::api_keys::ApiKeyResponse;
use super::consents::ConsentResponse;
use super::conversations::ConversationResponse;
use super::files::FileResponse;
use super::messages::MessageResponse;
use super::sessions::SessionResponse;
use super::shares::ShareResponse;
use super::users::UserResponse;
use super::{Caller, Error, Problem};
use crate::kit::Context;

/// How a person wants to be answered; null is left to the server.
#[derive(Serialize, ToSchema)]
#[schema(as = native::Preferences)]
pub struct PreferencesResponse {
    /// The model, where a message names none.
    model: Option<String>,
    /// How varied answers are: 0 to 2.
    temperature: Option<f64>,
    /// The longest answer, in tokens.
    max_tokens: Option<u32>,
    /// What the model is told after the server's own prompt.
    system_prompt: Option<String>,
    /// The language to answer in.
    language: Option<String>,
}

/// One metered call.
#[derive(Serialize, ToSchema)]
#[schema(as = native::LedgerRow)]
pub struct LedgerRowResponse {
    /// When it was.
    created_at: String,
    /// What it was for, such as `chat` or `title`.
    kind: String,
    /// Who answered.
    provider: Option<String>,
    /// The model that answered.
    model: String,
    /// The conversation that it was for, which may be gone.
    conversation_id: Option<String>,
    /// Tokens asked with.
    prompt_tokens: i64,
    /// Tokens answered with.
    completion_tokens: i64,
    /// Whether the tokens were guessed.
    estimated: bool,
    /// What it cost, in millionths of a dollar; null where no price is known.
    cost_micros: Option<i64>,
}

impl From<LedgerRow> for LedgerRowResponse {
    fn from(row: LedgerRow) -> Self {
        Self {
            created_at: row.created_at.rfc3339(),
            kind: row.kind,
            provider: row.provider,
            model: row.model,
            conversation_id: row.conversation_id.map(|id| id.to_string()),
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            estimated: row.is_estimated,
            cost_micros: row.cost_micros,
        }
    }
}

/// Something that moderation blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = native::BlockedText)]
pub struct BlockedResponse {
    /// When that was.
    created_at: String,
    /// Whether it was a `message`, or an `answer` to one.
    subject: &'static str,
    /// Its conversation, where it has one.
    conversation_id: Option<String>,
    /// The text.
    content: String,
    /// What was found in it.
    category: String,
    /// What an admin made of it: `open`, `confirmed` or `dismissed`.
    state: &'static str,
}

impl From<ModerationEvent> for BlockedResponse {
    fn from(event: ModerationEvent) -> Self {
        Self {
            created_at: event.created_at.rfc3339(),
            subject: event.subject.as_str(),
            conversation_id: event.conversation_id.map(|id| id.to_string()),
            content: event.content,
            category: event.category,
            state: event.state.as_str(),
        }
    }
}

/// A conversation with everything in it.
#[derive(Serialize, ToSchema)]
#[schema(as = native::KeptConversation)]
pub struct KeptConversation {
    #[serde(flatten)]
    conversation: ConversationResponse,
    /// The links to it, without their tokens; newest first.
    shares: Vec<ShareResponse>,
    /// Its messages on all branches, oldest first; `parent_id` makes them a tree.
    messages: Vec<MessageResponse>,
}

/// Everything that is kept of a person. Passwords, tokens and keys are not: what is kept of those are hashes.
#[derive(Serialize, ToSchema)]
#[schema(as = native::PersonalData)]
pub struct PersonalDataResponse {
    /// When this was asked for.
    exported_at: String,
    /// The account.
    account: UserResponse,
    /// How its owner wants to be answered.
    preferences: PreferencesResponse,
    /// Everything that was agreed to or not, oldest first.
    consents: Vec<ConsentResponse>,
    /// Where it is signed in.
    sessions: Vec<SessionResponse>,
    /// Its API keys, without the secret parts; oldest first.
    api_keys: Vec<ApiKeyResponse>,
    /// Its files, newest first; the path in `url` gives a content.
    files: Vec<FileResponse>,
    /// Every metered call, oldest first.
    usage: Vec<LedgerRowResponse>,
    /// What moderation blocked of it and is kept still, oldest first.
    blocked: Vec<BlockedResponse>,
    /// Its conversations.
    conversations: Vec<KeptConversation>,
}

/// Everything that is kept of the caller, as one JSON document: account, preferences, consents, sessions, API keys, files (without their
/// contents), usage, what moderation blocked, and all conversations with all messages and what was said of answers. It streams; one that breaks off is no JSON.
#[utoipa::path(get, path = "/api/v1/users/me/export", tag = "native", extensions(("x-parlor-right" = json!("user"))), responses(
    (status = 200, description = "The document", body = PersonalDataResponse),
    (status = 403, description = "The API key lacks the scope `account`", body = Problem, content_type = "application/problem+json"),
))]
pub async fn export(State(context): State<Context>, caller: Caller) -> Result<Response, Error> {
    let caller = caller.into_inner();
    // The first piece before the status goes out.
    let first = context.app.personal_data(&caller, PersonalDataPlace::start()).await?;
    let now = context.app.clock().now().rfc3339();
    let pieces = stream::try_unfold((Some(first), Document::default()), move |(read, mut document)| {
        let (context, caller, now) = (context.clone(), caller.clone(), now.clone());
        async move {
            let Some(read) = read else { return Ok(None) };
            let Some((piece, place)) = read else {
                return Ok(Some((document.end(), (None, document))));
            };
            let text = document.piece(piece, &now).map_err(std::io::Error::other)?;
            let next = context.app.personal_data(&caller, place).await.map_err(broken)?;
            Ok::<_, std::io::Error>(Some((text, (Some(next), document))))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"parlor-export.json\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// The status has gone out; breaking off says that the document is not whole.
fn broken(error: AppError) -> std::io::Error {
    tracing::warn!(%error, "an export broke off");
    std::io::Error::other("the export broke off")
}

/// Which lists of the document are open, and whether anything stands in them.
#[derive(Default)]
struct Document {
    section: Section,
    has_items: bool,
    has_messages: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Section {
    #[default]
    Person,
    Files,
    Usage,
    Blocked,
    Conversations,
    Conversation,
}

impl Document {
    fn piece(&mut self, piece: PersonalData, now: &str) -> serde_json::Result<Bytes> {
        let mut text = Vec::new();
        match piece {
            PersonalData::Person(person) => write_person(*person, now, &mut text)?,
            PersonalData::Files(files) => {
                self.enter(Section::Files, &mut text);
                self.items(files.into_iter().map(FileResponse::from), &mut text)?;
            }
            PersonalData::Usage(rows) => {
                self.enter(Section::Usage, &mut text);
                self.items(rows.into_iter().map(LedgerRowResponse::from), &mut text)?;
            }
            PersonalData::Blocked(events) => {
                self.enter(Section::Blocked, &mut text);
                self.items(events.into_iter().map(BlockedResponse::from), &mut text)?;
            }
            PersonalData::Conversation(conversation, shares) => {
                self.enter(Section::Conversations, &mut text);
                let kept = KeptConversation {
                    conversation: conversation.into(),
                    shares: shares.into_iter().map(Into::into).collect(),
                    messages: Vec::new(),
                };
                self.items([kept].into_iter(), &mut text)?;
                // Its messages follow: the list and the object stay open.
                text.truncate(text.len() - "]}".len());
                self.section = Section::Conversation;
                self.has_messages = false;
            }
            PersonalData::Messages(messages, files) => {
                for message in messages {
                    if std::mem::replace(&mut self.has_messages, true) {
                        text.push(b',');
                    }
                    serde_json::to_writer(&mut text, &MessageResponse::new(message, &files))?;
                }
            }
        }
        Ok(text.into())
    }

    fn end(&mut self) -> Bytes {
        let mut text = Vec::new();
        self.enter(Section::Conversations, &mut text);
        text.extend_from_slice(b"]}");
        text.into()
    }

    /// Closes what is open, and begins the section unless it is open.
    fn enter(&mut self, section: Section, text: &mut Vec<u8>) {
        if self.section == Section::Conversation {
            text.extend_from_slice(b"]}");
            self.section = Section::Conversations;
        }
        if self.section == section {
            return;
        }
        let name = match section {
            Section::Person | Section::Conversation => return,
            Section::Files => ",\"files\":[",
            Section::Usage => "],\"usage\":[",
            Section::Blocked => "],\"blocked\":[",
            Section::Conversations => "],\"conversations\":[",
        };
        text.extend_from_slice(name.as_bytes());
        self.section = section;
        self.has_items = false;
    }

    fn items<T: Serialize>(&mut self, items: impl Iterator<Item = T>, text: &mut Vec<u8>) -> serde_json::Result<()> {
        for item in items {
            if std::mem::replace(&mut self.has_items, true) {
                text.push(b',');
            }
            serde_json::to_writer(&mut *text, &item)?;
        }
        Ok(())
    }
}

/// The document up to its lists that may be long.
fn write_person(person: Person, now: &str, text: &mut Vec<u8>) -> serde_json::Result<()> {
    let domain::Preferences { model, temperature, max_tokens, system_prompt, language } =
        person.account.preferences.clone();
    let whole = PersonalDataResponse {
        exported_at: now.to_owned(),
        account: UserResponse::new(&person.account, person.profile),
        preferences: PreferencesResponse { model, temperature, max_tokens, system_prompt, language },
        consents: person.consents.iter().map(Into::into).collect(),
        sessions: person.sessions.into_iter().map(Into::into).collect(),
        api_keys: person.api_keys.into_iter().map(Into::into).collect(),
        files: Vec::new(),
        usage: Vec::new(),
        blocked: Vec::new(),
        conversations: Vec::new(),
    };
    serde_json::to_writer(&mut *text, &whole)?;
    let rest = ",\"files\":[],\"usage\":[],\"blocked\":[],\"conversations\":[]}";
    text.truncate(text.len() - rest.len());
    Ok(())
}
