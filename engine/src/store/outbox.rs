//! What happened, kept in the very transaction in which it did, for whoever is told of it later. Rows hold ids; what people say is read where it
//! is stored, when it is told, so that it is erased in one place.

use serde::{Deserialize, Serialize};

use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{Timestamp, TurnId};

/// How long after an account was erased its documents are erased a second time: a process that was telling of it when it lost its lease has come
/// to its end by then.
const ERASED_AGAIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happened {
    /// A turn came to its end, whatever that was.
    TurnFinished {
        /// The turn.
        turn_id: i64,
    },
    /// An answer was rated, or a rating taken back.
    FeedbackGiven {
        /// By whom.
        account_id: i64,
        /// Where.
        conversation_id: i64,
        /// The answer.
        message_id: i64,
        /// `up` or `down`; nothing when it was taken back.
        rating: Option<String>,
    },
    /// Somebody registered.
    AccountRegistered {
        /// Who.
        account_id: i64,
        /// As what.
        role: String,
    },
    /// An account was erased with all that was its own.
    AccountErased {
        /// Which.
        account_id: i64,
    },
    /// A conversation was deleted with its messages.
    ConversationDeleted {
        /// Whose it was.
        account_id: i64,
        /// Which.
        conversation_id: i64,
    },
    /// Moderation blocked a message or an answer.
    MessageBlocked {
        /// Who said it, or whom it was an answer to.
        account_id: i64,
        /// Where, if anywhere.
        conversation_id: Option<i64>,
        /// `message` or `answer`.
        subject: String,
        /// Who found something in it.
        source: String,
        /// What.
        category: String,
    },
    /// Something that a newer version knows.
    #[serde(other)]
    Unknown,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place in the outbox.
    pub id: i64,
    /// What makes it one and the same event, however often it is told.
    pub key: String,
    /// What happened.
    pub happened: Happened,
    /// How often telling of it failed.
    pub attempts: i64,
    /// When it happened.
    pub at: Timestamp,
}

/// A finished turn with what was said in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedTurn {
    /// The turn.
    pub turn_id: i64,
    /// Whose it is.
    pub account_id: i64,
    /// Its conversation.
    pub conversation_id: i64,
    /// The person's message.
    pub question_id: i64,
    /// What the person said.
    pub question: String,
    /// The answer's message.
    pub answer_id: i64,
    /// The answer.
    pub answer: String,
    /// How it ended.
    pub state: String,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// What went wrong.
    pub error_code: Option<String>,
    /// The model that was asked for.
    pub requested_model: String,
    /// Who answered.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens read.
    pub prompt_tokens: i64,
    /// Tokens written.
    pub completion_tokens: i64,
    /// Whether they were counted here.
    pub is_estimated: bool,
    /// What it cost, in millionths of a US dollar; nothing where that is not known.
    pub cost_micros: Option<i64>,
    /// From the message to the end.
    pub elapsed_ms: Option<i64>,
    /// From the message to the first words.
    pub first_token_ms: Option<i64>,
    /// When the message was stored.
    pub started_at: Timestamp,
    /// When the answer was.
    pub ended_at: Option<Timestamp>,
}

/// How much waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxState {
    /// Rows.
    pub rows: i64,
    /// When the oldest of those that could be told happened.
    pub oldest: Option<Timestamp>,
}

/// Whether anybody reads the outbox; else nothing is written to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outbox(pub(super) bool);

impl Outbox {
    /// Keeps what happened.
    pub(super) async fn tell(self, tx: &mut Tx<'_>, happened: &Happened, now: Timestamp) -> Result<(), StoreError> {
        if !self.0 {
            return Ok(());
        }
        let key = match happened {
            Happened::TurnFinished { turn_id } => format!("turn:{turn_id}"),
            _ => format!("{:032x}", rand::random::<u128>()),
        };
        insert(tx, &key, happened, now, now).await?;
        if matches!(happened, Happened::AccountErased { .. }) {
            insert(tx, &key, happened, now, now.plus(ERASED_AGAIN)).await?;
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Payload {
    key: String,
    #[serde(flatten)]
    happened: Happened,
}

async fn insert(
    tx: &mut Tx<'_>,
    key: &str,
    happened: &Happened,
    now: Timestamp,
    not_before: Timestamp,
) -> Result<(), StoreError> {
    let payload = Payload { key: key.to_owned(), happened: happened.clone() };
    let payload =
        serde_json::to_string(&payload).map_err(|_| StoreError::Corrupt { column: 0, expected: "an event" })?;
    tx.insert(
        "INSERT INTO outbox (topic, payload, created_at, not_before) VALUES (?, ?, ?, ?)",
        params!["mongo", &payload, now.micros(), not_before.micros()],
    )
    .await?;
    Ok(())
}

impl Db {
    pub(super) fn outbox(&self) -> Outbox {
        Outbox(self.has_outbox)
    }

    /// Up to `limit` of what is to be told now, in the order in which it was kept.
    ///
    /// # Errors
    /// What the database says.
    pub async fn read_outbox(&self, now: Timestamp, limit: i64) -> Result<Vec<Told>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch(
                    "SELECT id, payload, attempts, created_at FROM outbox WHERE not_before <= ? ORDER BY id LIMIT ?",
                    params![now.micros(), limit],
                    |row| {
                        let payload: String = row.get(1)?;
                        let id = row.get(0)?;
                        let unknown = || Payload { key: format!("unknown:{id}"), happened: Happened::Unknown };
                        let payload = serde_json::from_str(&payload).unwrap_or_else(|_| unknown());
                        Ok(Told {
                            id,
                            key: payload.key,
                            happened: payload.happened,
                            attempts: row.get(2)?,
                            at: Timestamp::from_micros(row.get(3)?),
                        })
                    },
                )
                .await
            })
        })
        .await
    }

    /// These turns with their texts, those that are still there, in this order; after `bytes` of text no more.
    /// Returns them, and how many of the ids were looked at.
    ///
    /// # Errors
    /// What the database says.
    pub async fn finished_turns(
        &self,
        ids: Vec<TurnId>,
        bytes: usize,
    ) -> Result<(Vec<FinishedTurn>, usize), StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let (mut turns, mut size) = (Vec::with_capacity(ids.len()), 0);
                for (looked_at, id) in ids.iter().enumerate() {
                    if size >= bytes {
                        return Ok((turns, looked_at));
                    }
                    let turn = tx
                        .fetch_optional(
                            "SELECT t.id, t.account_id, t.conversation_id, t.user_message_id, q.content, t.answer_message_id, a.content, \
                             t.state, t.finish_reason, t.error_code, t.requested_model, t.provider, t.model, t.prompt_tokens, \
                             t.completion_tokens, t.tokens_estimated, t.cost_micros, t.elapsed_ms, t.first_token_ms, t.started_at, t.ended_at \
                             FROM turns t JOIN messages q ON q.id = t.user_message_id JOIN messages a ON a.id = t.answer_message_id \
                             WHERE t.id = ?",
                            params![id.get()],
                            finished_turn,
                        )
                        .await?;
                    size += turn.as_ref().map_or(0, |turn: &FinishedTurn| turn.question.len() + turn.answer.len());
                    turns.extend(turn);
                }
                let all = ids.len();
                Ok((turns, all))
            })
        })
        .await
    }

    /// Removes what was told.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_told(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for id in &ids {
                    tx.execute("DELETE FROM outbox WHERE id = ?", params![*id]).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Leaves what could not be told for later.
    ///
    /// # Errors
    /// What the database says.
    pub async fn postpone_told(&self, id: i64, not_before: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE outbox SET attempts = attempts + 1, not_before = ? WHERE id = ?";
                tx.execute(sql, params![not_before.micros(), id]).await?;
                Ok(())
            })
        })
        .await
    }

    /// How much waits.
    ///
    /// # Errors
    /// What the database says.
    pub async fn outbox_state(&self, now: Timestamp) -> Result<OutboxState, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let rows = tx.fetch_optional("SELECT COUNT(*) FROM outbox", &[], |row| row.get::<i64>(0)).await?;
                let oldest = "SELECT created_at FROM outbox WHERE not_before <= ? ORDER BY id LIMIT 1";
                let oldest = tx.fetch_optional(oldest, params![now.micros()], |row| row.get::<i64>(0)).await?;
                Ok(OutboxState { rows: rows.unwrap_or_default(), oldest: oldest.map(Timestamp::from_micros) })
            })
        })
        .await
    }
}

fn finished_turn(row: &Row<'_>) -> Result<FinishedTurn, StoreError> {
    Ok(FinishedTurn {
        turn_id: row.get(0)?,
        account_id: row.get(1)?,
        conversation_id: row.get(2)?,
        question_id: row.get(3)?,
        question: row.get(4)?,
        answer_id: row.get(5)?,
        answer: row.get(6)?,
        state: row.get(7)?,
        finish_reason: row.get(8)?,
        error_code: row.get(9)?,
        requested_model: row.get(10)?,
        provider: row.get(11)?,
        model: row.get(12)?,
        prompt_tokens: row.get(13)?,
        completion_tokens: row.get(14)?,
        is_estimated: row.get::<i64>(15)? != 0,
        cost_micros: row.get(16)?,
        elapsed_ms: row.get(17)?,
        first_token_ms: row.get(18)?,
        started_at: Timestamp::from_micros(row.get(19)?),
        ended_at: row.get::<Option<i64>>(20)?.map(Timestamp::from_micros),
    })
}
