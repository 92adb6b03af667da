//! Conversations and their messages. The messages come in one stream, sorted by the database, so that no table needs an index.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::people::{Owner, Owners};
use super::tables::{Field, Found, Row, Tables};
use super::{ImportError, ImportOptions, ImportReport, Target};
use crate::domain::{Attachments, Clock, ConversationId, Timestamp};
use crate::store::{
    ImportedAs, ImportedConversation, ImportedKind, ImportedMessage, ImportedRow, Kind, Reader, StoreError, Values,
};

/// Conversations stored together at most, and their messages.
const TOGETHER: usize = 100;
const MESSAGES_TOGETHER: usize = 2_000;
/// Rows that wait between the other backend's database and ours.
const WAITING: usize = 1_000;

/// A conversation there.
struct Talk {
    user: String,
    title: Option<String>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

pub(super) async fn import(
    target: Target<'_>,
    mut reader: Reader,
    tables: &Tables,
    options: &ImportOptions,
    clock: &Clock,
    owners: Owners,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    let talks = talks(&mut reader, &tables.conversations, report).await.map_err(ImportError::Source)?;
    let known = target.imported_rows(&options.name, ImportedKind::Conversation).await?;
    let mut run = Run { target, options, clock, owners, known, report, batch: Vec::new(), size: 0 };
    let (sql, kinds) = tables.messages.query(&reader, &[Field::Conversation, Field::Place, Field::Created, Field::Id]);
    let (send, rows) = mpsc::channel(WAITING);
    let reading = read(&mut reader, sql, kinds, send);
    let storing = run.store_all(rows, &tables.messages, talks);
    let (read, stored) = tokio::join!(reading, storing);
    stored?;
    read.map_err(ImportError::Source)
}

async fn read(
    reader: &mut Reader,
    sql: String,
    kinds: Vec<Kind>,
    rows: mpsc::Sender<Values>,
) -> Result<(), StoreError> {
    reader.send(sql, &kinds, rows).await
}

async fn talks(
    reader: &mut Reader,
    table: &Found,
    report: &mut ImportReport,
) -> Result<HashMap<String, Talk>, StoreError> {
    let (sql, kinds) = table.query(reader, &[Field::Id]);
    let mut talks = HashMap::new();
    for values in reader.fetch(sql, Vec::new(), &kinds).await? {
        let row = table.row(&values);
        let (Some(id), Some(user)) = (row.id(Field::Id), row.get(Field::User)) else {
            report.conversations.skipped += 1;
            let what = "a conversation without an id or a user that can be read is left out, with its messages";
            report.note(what, row.id(Field::Id).unwrap_or("?"));
            continue;
        };
        let (created_at, updated_at) = (row.time(Field::Created), row.time(Field::Updated));
        if created_at.is_err() || updated_at.is_err() {
            report.note("a conversation without times that can be read has those of its messages", id);
        }
        if row.is_garbled(Field::Title) {
            report.note("a title that is not UTF-8 is left out", id);
        }
        let talk = Talk {
            user: user.to_owned(),
            title: row.get(Field::Title).map(shown).filter(|title| !title.is_empty()),
            created_at: created_at.unwrap_or_default(),
            updated_at: updated_at.unwrap_or_default(),
        };
        if talks.insert(id.to_owned(), talk).is_some() {
            report.note("conversations of the same id are taken as one", id);
        }
    }
    Ok(talks)
}

/// A title as titles are here.
fn shown(title: &str) -> String {
    let words: Vec<String> =
        title.split_whitespace().map(|word| word.chars().filter(|letter| !letter.is_control()).collect()).collect();
    words.join(" ").chars().take(crate::domain::TITLE_CHARS).collect::<String>().trim().to_owned()
}

struct Run<'r> {
    target: Target<'r>,
    options: &'r ImportOptions,
    clock: &'r Clock,
    owners: Owners,
    known: HashMap<String, ImportedRow>,
    report: &'r mut ImportReport,
    batch: Vec<ImportedConversation>,
    size: usize,
}

/// A message with its id there.
type Told = (String, ImportedMessage);

impl Run<'_> {
    async fn store_all(
        &mut self,
        mut rows: mpsc::Receiver<Values>,
        table: &Found,
        mut talks: HashMap<String, Talk>,
    ) -> Result<(), ImportError> {
        let mut current: Option<(String, Vec<Told>)> = None;
        while let Some(values) = rows.recv().await {
            let row = table.row(&values);
            let Some(id) = row.id(Field::Conversation) else {
                self.skip("a message without a conversation that can be read is left out", row.id(Field::Id));
                continue;
            };
            if current.as_ref().is_none_or(|(known, _)| known != id)
                && let Some((id, messages)) = current.replace((id.to_owned(), Vec::new()))
            {
                self.talk(&id, talks.remove(&id), messages).await?;
            }
            let before = current.as_ref().and_then(|(_, messages)| messages.last()).map(|(_, message)| message.at);
            if let Some(message) = self.message(row, before)
                && let Some((_, messages)) = &mut current
            {
                self.append(messages, message);
            }
        }
        if let Some((id, messages)) = current {
            self.talk(&id, talks.remove(&id), messages).await?;
        }
        let mut silent: Vec<(String, Talk)> = talks.into_iter().collect();
        silent.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (id, talk) in silent {
            self.talk(&id, Some(talk), Vec::new()).await?;
        }
        self.flush().await
    }

    fn skip(&mut self, what: &'static str, id: Option<&str>) {
        self.report.messages.skipped += 1;
        self.report.note(what, id.unwrap_or("?"));
    }

    /// The message of a row, unless it is none here.
    fn message(&mut self, row: Row<'_>, before: Option<Timestamp>) -> Option<Told> {
        let field = |field| row.get(field);
        // By its id the next run knows it again.
        let Some(id) = row.id(Field::Id) else {
            self.skip("a message without an id that can be read is left out", None);
            return None;
        };
        let role = field(Field::Role).unwrap_or_default().trim().to_ascii_lowercase();
        let is_answer = match role.as_str() {
            "user" => false,
            "assistant" => true,
            _ => {
                self.skip("a message that is neither a user's nor an assistant's is left out", Some(id));
                return None;
            }
        };
        if row.is_garbled(Field::Content) {
            self.skip("a message whose text is not UTF-8 is left out", Some(id));
            return None;
        }
        let mut content = field(Field::Content).unwrap_or_default().to_owned();
        if content.trim().is_empty() {
            self.skip("a message without a text is left out", Some(id));
            return None;
        }
        if content.contains('\0') {
            content = content.replace('\0', "\u{fffd}");
            self.report.note("NUL characters, which no database here stores, are replaced in a message", id);
        }
        let at = row.time(Field::Created).unwrap_or_default().unwrap_or_else(|| {
            self.report
                .note("a message without a time that can be read has that of the one before it, or of the import", id);
            before.unwrap_or_else(|| self.clock.now())
        });
        let client_id = row.id(Field::ClientId).filter(|id| !is_answer && id.len() <= 255);
        let elapsed_ms = field(Field::Elapsed).and_then(|text| text.parse().ok()).filter(|ms| *ms >= 0);
        if elapsed_ms.is_none() && (field(Field::Elapsed).is_some() || row.is_garbled(Field::Elapsed)) {
            self.report.note("an elapsed time that is no number of milliseconds is left out", id);
        }
        if row.is_garbled(Field::ClientId) || row.is_garbled(Field::Status) {
            self.report.note("a status or a name of a message that is no text is left out", id);
        }
        if row.is_garbled(Field::Attachments) {
            self.report.note(NO_ATTACHMENTS, id);
        }
        let message = ImportedMessage {
            is_answer,
            content,
            client_id: client_id.map(str::to_owned),
            attachments: field(Field::Attachments).map(|text| self.attachments(id, text)).unwrap_or_default(),
            elapsed_ms,
            failed: field(Field::Status).is_some_and(|status| status.eq_ignore_ascii_case("error")),
            at,
        };
        Some((id.to_owned(), message))
    }

    fn attachments(&mut self, id: &str, text: &str) -> Vec<String> {
        if ["", "null", "[]"].contains(&text.trim()) {
            return Vec::new();
        }
        let listed = serde_json::from_str::<Vec<String>>(text).ok();
        match listed.and_then(|listed| Attachments::parse(listed, "").ok()) {
            Some(attachments) => attachments.into_inner(),
            None => {
                self.report.note(NO_ATTACHMENTS, id);
                Vec::new()
            }
        }
    }

    /// Adds a message to its conversation: answers that follow each other become one.
    fn append(&mut self, messages: &mut Vec<Told>, (id, message): Told) {
        match messages.last_mut() {
            Some((last, before)) if before.is_answer && message.is_answer => {
                before.content.push_str("\n\n");
                before.content.push_str(&message.content);
                before.failed |= message.failed;
                self.report.note("an answer that follows another is joined to it", &id);
                *last = id;
            }
            _ => messages.push((id, message)),
        }
    }

    /// Decides about one conversation.
    async fn talk(&mut self, id: &str, talk: Option<Talk>, mut messages: Vec<Told>) -> Result<(), ImportError> {
        let count = messages.len() as u64;
        let Some(talk) = talk else {
            self.report.messages.skipped += count;
            self.report.note("the messages of a conversation that is not there are left out", id);
            return Ok(());
        };
        let began = talk.created_at.or(messages.first().map(|(_, message)| message.at));
        let began = began.unwrap_or_else(|| self.clock.now());
        let owner = self.owners.find(self.target, &talk.user, began, self.report).await?;
        let Some(owner) = owner else {
            self.report.conversations.skipped += 1;
            self.report.messages.skipped += count;
            self.report.note("a conversation whose user is not here is left out, with its messages", id);
            return Ok(());
        };
        let known = self.known.get(id).cloned();
        if let Some(known) = &known {
            self.report.conversations.known += 1;
            let seen = messages.iter().position(|(id, _)| known.last_message.as_deref() == Some(id.as_str()));
            let old = match (seen, &known.last_message) {
                (Some(at), _) => at + 1,
                (None, None) => 0,
                (None, Some(_)) => {
                    self.report.note("a conversation whose last known message is gone there is left as it is", id);
                    messages.len()
                }
            };
            self.report.messages.known += old as u64;
            messages.drain(..old);
            if messages.is_empty() {
                return Ok(());
            }
        }
        let owner = match owner {
            Owner::Account(owner) if self.target.writable().is_some() => owner,
            Owner::Account(_) | Owner::Planned => {
                self.plan(known.is_some(), &messages);
                return Ok(());
            }
        };
        let wanted = id.parse::<ConversationId>().ok().filter(|_| !self.options.new_ids);
        let spare = ConversationId::random(&mut rand::rng());
        let conversation = ImportedConversation {
            foreign_id: id.to_owned(),
            owner,
            known: known.as_ref().and_then(|known| ConversationId::new(known.local_id).ok()),
            ids: wanted.into_iter().chain([spare]).collect(),
            title: talk.title,
            created_at: began,
            updated_at: talk.updated_at,
            last_message: messages.last().map(|(id, _)| id.clone()),
            messages: messages.into_iter().map(|(_, message)| message).collect(),
        };
        self.size += conversation.messages.len();
        self.batch.push(conversation);
        if self.batch.len() >= TOGETHER || self.size >= MESSAGES_TOGETHER {
            self.flush().await?;
        }
        Ok(())
    }

    /// Counts what would be stored.
    fn plan(&mut self, is_known: bool, messages: &[Told]) {
        let count = messages.len() as u64;
        // A conversation that begins with an answer: it has no question.
        let without = u64::from(!is_known && messages.first().is_some_and(|(_, message)| message.is_answer));
        self.report.conversations.added += u64::from(!is_known);
        self.report.messages.added += count - without;
        if without > 0 {
            let id = messages.first().map(|(id, _)| id.clone());
            self.skip(WITHOUT_QUESTION, id.as_deref());
        }
    }

    async fn flush(&mut self) -> Result<(), ImportError> {
        self.size = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        // What is planned is in no batch.
        let Some(db) = self.target.writable() else { return Ok(()) };
        let outcomes = db.import_conversations(self.options.name.clone(), batch.clone()).await?;
        for (conversation, outcome) in batch.iter().zip(outcomes) {
            let id = &conversation.foreign_id;
            self.report.messages.added += outcome.messages;
            for _ in 0..outcome.without_question {
                self.skip(WITHOUT_QUESTION, Some(id));
            }
            match outcome.imported {
                ImportedAs::New(given) => {
                    self.report.conversations.added += 1;
                    self.report.renamed += u64::from(given.to_string() != *id);
                }
                ImportedAs::Grown(_) => {}
                ImportedAs::Deleted => {
                    self.report.messages.skipped += conversation.messages.len() as u64;
                    self.report.note("a conversation that was deleted here since is not brought back", id);
                }
            }
        }
        Ok(())
    }
}

const NO_ATTACHMENTS: &str = "attachments that are no addresses on the web are left out";
const WITHOUT_QUESTION: &str = "an answer without a question before it is left out";
