//! How answers are asked for, and how large they may grow.

use std::time::Duration;

use super::reader::Reader;

/// How answers are asked for, and how large they may grow.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// The model that answers unless the caller names another.
    pub model: String,
    /// Models that a caller may name besides; `*` is any.
    pub models: Vec<String>,
    /// What the model is told first.
    pub system_prompt: String,
    /// 0 to 2.
    pub temperature: f64,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// Whether the model gives conversations their titles.
    pub titles: bool,
    /// Models that see pictures; empty for those that are known to.
    pub vision_models: Vec<String>,
    /// Pictures that go with a message and its history.
    pub images: usize,
    /// How large those that are files may be in all, in bytes.
    pub image_bytes: usize,
    /// How much history goes with a message, in tokens.
    pub context_tokens: u32,
    /// The longest message, in characters.
    pub message_max_chars: usize,
    /// An answer is cut off here, in bytes.
    pub answer_max_bytes: usize,
    /// Answers being made at once.
    pub max_running_turns: usize,
    /// How often a running answer is saved.
    pub checkpoint_interval: Duration,
    /// How long an `Idempotency-Key` is remembered.
    pub idempotency_ttl: Duration,
}

impl ChatSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            model: reader.text("chat.model"),
            models: reader.list("chat.models"),
            system_prompt: reader.text("chat.system_prompt"),
            temperature: reader.number("chat.temperature"),
            max_tokens: reader.integer("chat.max_tokens"),
            titles: reader.boolean("chat.titles"),
            vision_models: reader.list("chat.vision_models"),
            images: reader.integer("chat.images"),
            image_bytes: reader.integer("chat.image_bytes"),
            context_tokens: reader.integer("chat.context_tokens"),
            message_max_chars: reader.integer("chat.message_max_chars"),
            answer_max_bytes: reader.integer("chat.answer_max_bytes"),
            max_running_turns: reader.integer("chat.max_running_turns"),
            checkpoint_interval: reader.duration("chat.checkpoint_interval_seconds"),
            idempotency_ttl: reader.duration("chat.idempotency_ttl_hours"),
        }
    }
}
