//! What comes in from other backends.

use std::collections::HashMap;

use super::{Db, StoreError, Tx, search::index_now, tx::params};
use crate::domain::{
    AccountId, ConversationId, Email, Preferences, Timestamp, Username, estimate_tokens, preview_of, title_of,
};

/// What the model of an answer is called that somebody else's backend has made.
const MODEL: &str = "imported";

/// An account of another backend's.
#[derive(Clone)]
pub struct ImportedAccount {
    /// Its id there.
    pub foreign_id: String,
    /// Its address.
    pub email: Option<Email>,
    /// Its name.
    pub username: Option<Username>,
    /// Its password's hash, of a kind that verifies here; without one its owner has to reset the password.
    pub password_hash: Option<String>,
    /// Whether it may be used.
    pub is_active: bool,
    /// What its owner prefers.
    pub preferences: Preferences,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A conversation of another backend's, or the rest of one.
#[derive(Debug, Clone)]
pub struct ImportedConversation {
    /// Its id there.
    pub foreign_id: String,
    /// Whose it is here.
    pub owner: AccountId,
    /// Its id here, when an earlier run has brought it in.
    pub known: Option<ConversationId>,
    /// The ids to give it, best first: those that are taken are passed over.
    pub ids: Vec<ConversationId>,
    /// Its title, when it has one of its own.
    pub title: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was changed last, where that is known.
    pub updated_at: Option<Timestamp>,
    /// Its messages, or the new ones, oldest first.
    pub messages: Vec<ImportedMessage>,
    /// The id there of its last message.
    pub last_message: Option<String>,
}

/// A message of another backend's.
#[derive(Debug, Clone)]
pub struct ImportedMessage {
    /// Whether a model said it.
    pub is_answer: bool,
    /// What is said.
    pub content: String,
    /// The name that a client gave it.
    pub client_id: Option<String>,
    /// Addresses that go with it.
    pub attachments: Vec<String>,
    /// How long the answer took.
    pub elapsed_ms: Option<i64>,
    /// Whether it is an error told in an answer's place.
    pub failed: bool,
    /// When it was stored.
    pub at: Timestamp,
}

/// What became of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedAs {
    /// It is new, under that id.
    New(ConversationId),
    /// It was known, and has grown.
    Grown(ConversationId),
    /// It was known, and has been deleted here since.
    Deleted,
}

/// A conversation that was brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportOutcome {
    /// What became of it.
    pub imported: ImportedAs,
    /// Messages stored.
    pub messages: u64,
    /// Answers left out, since no question stands before them.
    pub without_question: u64,
}

/// What an earlier run has brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedRow {
    /// Its id here.
    pub local_id: i64,
    /// Of a conversation: the id there of its last message.
    pub last_message: Option<String>,
}

/// What `imported_rows` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedKind {
    /// Accounts.
    Account,
    /// Conversations.
    Conversation,
}

impl ImportedKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Conversation => "conversation",
        }
    }
}

impl Db {
    /// What earlier runs have brought in from that source, by its id there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn imported_rows(
        &self,
        source: String,
        kind: ImportedKind,
    ) -> Result<HashMap<String, ImportedRow>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let rows = tx
                    .fetch(
                        "SELECT foreign_id, local_id, last_message FROM imported_rows WHERE source = ? AND kind = ?",
                        params![&source, kind.as_str()],
                        |row| {
                            let imported = ImportedRow { local_id: row.get(1)?, last_message: row.get(2)? };
                            Ok((row.get::<String>(0)?, imported))
                        },
                    )
                    .await?;
                Ok(rows.into_iter().collect())
            })
        })
        .await
    }

    /// Whether that address or name belongs to an account.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_login_taken(&self, email: Option<Email>, username: Option<Username>) -> Result<bool, StoreError> {
        self.read(move |tx| Box::pin(async move { is_taken(tx, email.as_ref(), username.as_ref()).await })).await
    }

    /// Stores accounts, and that they came from `source`. Gives their ids, in the same order; `None` where the address or name belongs to another account.
    ///
    /// # Errors
    /// What the database says.
    pub async fn import_accounts(
        &self,
        source: String,
        accounts: Vec<ImportedAccount>,
        now: Timestamp,
    ) -> Result<Vec<Option<AccountId>>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut ids = Vec::with_capacity(accounts.len());
                for account in &accounts {
                    ids.push(import_account(tx, &source, account, now).await?);
                }
                Ok(ids)
            })
        })
        .await
    }

    /// Stores conversations with their messages, and that they came from `source`.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Duplicate`] when all of a conversation's ids are taken.
    pub async fn import_conversations(
        &self,
        source: String,
        conversations: Vec<ImportedConversation>,
    ) -> Result<Vec<ImportOutcome>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut outcomes = Vec::with_capacity(conversations.len());
                for conversation in &conversations {
                    outcomes.push(import_conversation(tx, &source, conversation).await?);
                }
                Ok(outcomes)
            })
        })
        .await
    }
}

async fn is_taken(tx: &mut Tx<'_>, email: Option<&Email>, username: Option<&Username>) -> Result<bool, StoreError> {
    let found = tx
        .fetch_optional(
            "SELECT id FROM accounts WHERE email_key = ? OR username_key = ?",
            params![email.map(Email::key), username.map(Username::key)],
            |row| row.get::<i64>(0),
        )
        .await?;
    Ok(found.is_some())
}

async fn import_account(
    tx: &mut Tx<'_>,
    source: &str,
    account: &ImportedAccount,
    now: Timestamp,
) -> Result<Option<AccountId>, StoreError> {
    let (email, username) = (account.email.as_ref(), account.username.as_ref());
    if is_taken(tx, email, username).await? {
        return Ok(None);
    }
    let preferences = match &account.preferences {
        none if *none == Preferences::default() => None,
        some => {
            Some(serde_json::to_string(some).map_err(|_| StoreError::Corrupt { column: 0, expected: "preferences" })?)
        }
    };
    let id = tx
        .insert(
            "INSERT INTO accounts (role, email, email_key, username, username_key, password_hash, is_active, preferences, created_at, \
             updated_at) VALUES ('user', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                email.map(Email::as_str),
                email.map(Email::key),
                username.map(Username::as_str),
                username.map(Username::key),
                account.password_hash.as_ref(),
                i64::from(account.is_active),
                preferences.as_ref(),
                account.created_at.micros(),
                now.micros(),
            ],
        )
        .await?;
    note(tx, source, ImportedKind::Account, &account.foreign_id, id, None).await?;
    let id = AccountId::new(id).map_err(|_| StoreError::Corrupt { column: 0, expected: "an id" })?;
    Ok(Some(id))
}

async fn note(
    tx: &mut Tx<'_>,
    source: &str,
    kind: ImportedKind,
    foreign_id: &str,
    local_id: i64,
    last_message: Option<&String>,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO imported_rows (source, kind, foreign_id, local_id, last_message) VALUES (?, ?, ?, ?, ?)",
        params![source, kind.as_str(), foreign_id, local_id, last_message],
    )
    .await?;
    Ok(())
}

async fn import_conversation(
    tx: &mut Tx<'_>,
    source: &str,
    conversation: &ImportedConversation,
) -> Result<ImportOutcome, StoreError> {
    let (id, mut thread, imported) = match conversation.known {
        Some(id) => {
            let head = tx
                .fetch_optional(
                    "SELECT head_message_id FROM conversations WHERE id = ? AND account_id = ? /*lock*/",
                    params![id.get(), conversation.owner.get()],
                    |row| row.get::<Option<i64>>(0),
                )
                .await?;
            let Some(head) = head else {
                return Ok(ImportOutcome { imported: ImportedAs::Deleted, messages: 0, without_question: 0 });
            };
            let question = open_question(tx, head).await?;
            (id, Growing { head, question, ..Growing::default() }, ImportedAs::Grown(id))
        }
        None => {
            let id = insert_conversation(tx, conversation).await?;
            note(
                tx,
                source,
                ImportedKind::Conversation,
                &conversation.foreign_id,
                id.get(),
                conversation.last_message.as_ref(),
            )
            .await?;
            (id, Growing::default(), ImportedAs::New(id))
        }
    };
    for message in &conversation.messages {
        thread.add(tx, id, conversation.owner, message).await?;
    }
    thread.leave_open(tx, id, conversation.owner).await?;
    let last = conversation.messages.last();
    let changed = conversation.updated_at.or(last.map(|message| message.at)).unwrap_or(conversation.created_at);
    tx.execute(
        "UPDATE conversations SET head_message_id = ?, last_message = COALESCE(?, last_message), message_count = message_count + ?, \
         updated_at = CASE WHEN updated_at < ? THEN ? ELSE updated_at END WHERE id = ?",
        params![
            thread.head,
            last.map(|message| preview_of(&message.content)),
            thread.added,
            changed.micros(),
            changed.micros(),
            id.get()
        ],
    )
    .await?;
    if conversation.known.is_some() {
        tx.execute(
            "UPDATE imported_rows SET last_message = ? WHERE source = ? AND kind = 'conversation' AND foreign_id = ?",
            params![conversation.last_message.as_ref(), source, &conversation.foreign_id],
        )
        .await?;
    }
    let messages = u64::try_from(thread.added).unwrap_or(0);
    Ok(ImportOutcome { imported, messages, without_question: thread.without_question })
}

async fn insert_conversation(
    tx: &mut Tx<'_>,
    conversation: &ImportedConversation,
) -> Result<ConversationId, StoreError> {
    let question = conversation.messages.iter().find(|message| !message.is_answer);
    let title = conversation.title.clone().or_else(|| question.map(|message| title_of(&message.content)));
    let title_source = if conversation.title.is_some() { "owner" } else { "message" };
    for id in &conversation.ids {
        let taken = "SELECT id FROM conversations WHERE id = ?";
        if tx.fetch_optional(taken, params![id.get()], |row| row.get::<i64>(0)).await?.is_some() {
            continue;
        }
        tx.execute(
            "INSERT INTO conversations (id, account_id, title, title_source, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            params![
                id.get(),
                conversation.owner.get(),
                title.as_ref(),
                title_source,
                conversation.created_at.micros(),
                conversation.created_at.micros()
            ],
        )
        .await?;
        return Ok(*id);
    }
    Err(StoreError::Duplicate)
}

/// The question whose answer did not come in with it, when the thread ends in one: with the empty answer that was put in its place.
async fn open_question(tx: &mut Tx<'_>, head: Option<i64>) -> Result<Option<Question>, StoreError> {
    let Some(head) = head else { return Ok(None) };
    tx.fetch_optional(
        "SELECT t.user_message_id, t.started_at FROM turns t JOIN messages m ON m.id = t.answer_message_id \
         WHERE t.answer_message_id = ? AND t.state = 'interrupted' AND t.requested_model = ? AND m.content = ''",
        params![head, MODEL],
        |row| Ok(Question { id: row.get(0)?, at: row.get(1)?, empty_answer: Some(head) }),
    )
    .await
}

struct Question {
    id: i64,
    at: i64,
    /// The answer that stands there already.
    empty_answer: Option<i64>,
}

/// A thread to which messages are added: questions with their answers, so that it can be continued here like any other.
#[derive(Default)]
struct Growing {
    head: Option<i64>,
    question: Option<Question>,
    added: i64,
    without_question: u64,
}

impl Growing {
    async fn add(
        &mut self,
        tx: &mut Tx<'_>,
        conversation: ConversationId,
        owner: AccountId,
        message: &ImportedMessage,
    ) -> Result<(), StoreError> {
        if message.is_answer && self.question.is_none() {
            self.without_question += 1;
            return Ok(());
        }
        self.added += 1;
        if message.is_answer {
            return self.answer(tx, conversation, owner, Some(message)).await;
        }
        self.leave_open(tx, conversation, owner).await?;
        let id = insert_message(tx, conversation, self.head, message).await?;
        self.question = Some(Question { id, at: message.at.micros(), empty_answer: None });
        self.head = Some(id);
        Ok(())
    }

    /// Gives a question that got no answer an empty one.
    async fn leave_open(
        &mut self,
        tx: &mut Tx<'_>,
        conversation: ConversationId,
        owner: AccountId,
    ) -> Result<(), StoreError> {
        match &self.question {
            Some(question) if question.empty_answer.is_none() => self.answer(tx, conversation, owner, None).await,
            _ => Ok(()),
        }
    }

    async fn answer(
        &mut self,
        tx: &mut Tx<'_>,
        conversation: ConversationId,
        owner: AccountId,
        message: Option<&ImportedMessage>,
    ) -> Result<(), StoreError> {
        let Some(question) = self.question.take() else { return Ok(()) };
        let at = message.map_or(question.at, |message| message.at.micros());
        let (state, reason) = match message {
            None => ("interrupted", "error"),
            Some(message) if message.failed => ("incomplete", "error"),
            Some(_) => ("complete", "stop"),
        };
        let elapsed = message.and_then(|message| message.elapsed_ms);
        if let (Some(answer), Some(message)) = (question.empty_answer, message) {
            tx.execute(
                "UPDATE messages SET content = ?, tokens = ?, created_at = ?, updated_at = ? WHERE id = ?",
                params![&message.content, tokens(&message.content), at, at, answer],
            )
            .await?;
            index_now(tx, answer, owner, &message.content).await?;
            tx.execute(
                "UPDATE turns SET state = ?, finish_reason = ?, elapsed_ms = ?, ended_at = ? WHERE answer_message_id = ?",
                params![state, reason, elapsed, at, answer],
            )
            .await?;
            return Ok(());
        }
        let empty = ImportedMessage {
            is_answer: true,
            content: String::new(),
            client_id: None,
            attachments: Vec::new(),
            elapsed_ms: None,
            failed: false,
            at: Timestamp::from_micros(at),
        };
        let answer = insert_message(tx, conversation, Some(question.id), message.unwrap_or(&empty)).await?;
        tx.insert(
            "INSERT INTO turns (account_id, conversation_id, user_message_id, answer_message_id, state, requested_model, finish_reason, \
             elapsed_ms, started_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![owner.get(), conversation.get(), question.id, answer, state, MODEL, reason, elapsed, question.at, at],
        )
        .await?;
        self.head = Some(answer);
        Ok(())
    }
}

async fn insert_message(
    tx: &mut Tx<'_>,
    conversation: ConversationId,
    parent: Option<i64>,
    message: &ImportedMessage,
) -> Result<i64, StoreError> {
    let attachments = match message.attachments.as_slice() {
        [] => None,
        urls => Some(
            serde_json::to_string(urls)
                .map_err(|_| StoreError::Corrupt { column: 0, expected: "a list of attachments" })?,
        ),
    };
    tx.insert(
        "INSERT INTO messages (conversation_id, parent_id, role, content, attachments, client_id, tokens, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            conversation.get(),
            parent,
            if message.is_answer { "assistant" } else { "user" },
            &message.content,
            attachments.as_ref(),
            message.client_id.as_ref(),
            tokens(&message.content),
            message.at.micros(),
            message.at.micros(),
        ],
    )
    .await
}

fn tokens(text: &str) -> i64 {
    i64::try_from(estimate_tokens(text)).unwrap_or(i64::MAX)
}
