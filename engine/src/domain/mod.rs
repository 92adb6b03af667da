//! Values and their rules. No I/O, no async.

mod accounts;
mod api_keys;
mod attachments;
mod clock;
mod conversations;
mod feedback;
mod files;
mod ids;
mod invalid;
mod jobs;
mod language;
mod messages;
mod metering;
mod moderation;
mod money;
mod preferences;
mod profiles;
mod quotas;
mod schedules;
mod search;
mod turns;

pub use accounts::{
    Account, AccountRole, Email, GuestKey, GuestRealm, NewPassword, PASSWORD_MAX, PASSWORD_MIN, Username,
};
pub use api_keys::{ApiKey, ApiKeyName, Scope, Scopes};
pub use attachments::{Attachments, is_web_picture, listed_beneath};
pub use clock::{Clock, Timestamp};
pub use conversations::{Conversation, PREVIEW_CHARS, TITLE_CHARS, Title, preview_of, title_of};
pub use feedback::{Comment, Feedback, Rating};
pub use files::{ContentHash, File, FileName, MediaType, SHOWN_TEXT_MAX, TextCheck};
pub use ids::{AccountId, ApiKeyId, ConversationId, FileId, ID_LIMIT, MessageId, ServerId, ShareId, TurnId};
pub use invalid::Invalid;
pub use jobs::JobState;
pub use language::Language;
pub use messages::{IMAGE_TOKENS, Message, MessageText, Role, estimate_tokens};
pub use metering::LedgerKind;
pub use moderation::{ModerationState, ModerationSubject};
pub use money::{Price, parse_usd, usd};
pub use preferences::{Change, Preferences, PreferencesChange};
pub use profiles::{Consent, NewConsent, PersonName, Profile};
pub use quotas::{AccountQuota, Amounts, Quota, QuotaLimits, QuotaMetric, QuotaScope, QuotaWindow};
pub use schedules::{NoSchedule, Schedule};
pub use search::{INDEXED_WORDS, SEARCH_WORDS, SEARCHED_CHARS, Search, WORD_BYTES, words_of};
pub use turns::{FinishReason, IdempotencyKey, TokenUsage, TurnState};
