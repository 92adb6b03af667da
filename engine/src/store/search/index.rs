//! The index of words: made out of the messages after they are stored, a small piece at a time, so that no turn waits for it.

use std::sync::Arc;

use crate::domain::{AccountId, SEARCHED_CHARS, words_of};
use crate::store::{Backend, Db, StoreError, Tx, tx::params};

/// What is searched of a message at most, in estimated tokens of four bytes each: [`SEARCHED_CHARS`] of the longest characters.
pub(super) const SEARCHED_TOKENS: i64 = SEARCHED_CHARS as i64;

/// How far the index has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexState {
    /// It has every message up to this id whose text is there, and none beyond it; 0 before the first.
    pub cursor: i64,
    /// The highest id of a message.
    pub newest: i64,
}

/// How much is indexed in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBatch {
    /// No message beyond this id: below it nothing can appear any more.
    pub up_to: i64,
    /// At most so many messages.
    pub messages: i64,
    /// No more text than that, in bytes, but for the first message.
    pub bytes: i64,
}

/// A message as it goes into the index.
struct Document {
    id: i64,
    words: String,
}

/// What one step does.
struct Step {
    from: i64,
    to: i64,
    documents: Vec<Document>,
}

impl Db {
    /// Whether ids of messages become visible in their order: where there is one writer. Elsewhere a lower one may appear after a higher one.
    #[must_use]
    pub fn shows_ids_in_order(&self) -> bool {
        matches!(self.backend, Backend::Sqlite(_))
    }

    /// How far the index of words has come.
    ///
    /// # Errors
    /// What the database says.
    pub async fn index_state(&self) -> Result<IndexState, StoreError> {
        self.read(|tx| {
            Box::pin(
                async move { Ok(IndexState { cursor: cursor(tx).await?.unwrap_or(0), newest: newest(tx).await? }) },
            )
        })
        .await
    }

    /// Takes the next messages into the index of words, in the order of their ids, up to the first answer that is still being written. Gives
    /// how far the index has come then. Of several who do so at once, one has done it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn index_messages(&self, batch: IndexBatch) -> Result<i64, StoreError> {
        let step = Arc::new(self.read(move |tx| Box::pin(next_step(tx, batch))).await?);
        if step.to <= step.from {
            return Ok(step.from);
        }
        let kept = Arc::clone(&step);
        let stored = self.write(move |tx| Box::pin(async move { keep(tx, &kept).await })).await;
        match stored {
            Ok(to) => Ok(to),
            // Another has made the first step.
            Err(StoreError::Duplicate) => Ok(step.from),
            Err(error) => Err(error),
        }
    }

    /// Takes up to `limit` deleted messages out of the index, where they do not leave it with their rows: on SQLite. False when there was none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_deleted_messages(&self, limit: i64) -> Result<bool, StoreError> {
        if !self.shows_ids_in_order() {
            return Ok(false);
        }
        let sql = "SELECT id FROM deleted_messages ORDER BY id LIMIT ?";
        let read =
            self.read(move |tx| Box::pin(async move { tx.fetch(sql, params![limit], |row| row.get::<i64>(0)).await }));
        let ids = read.await?;
        if ids.is_empty() {
            return Ok(false);
        }
        self.write(move |tx| {
            Box::pin(async move {
                for id in &ids {
                    tx.execute("DELETE FROM message_words WHERE rowid = ?", params![*id]).await?;
                    tx.execute("DELETE FROM deleted_messages WHERE id = ?", params![*id]).await?;
                }
                let sql = "INSERT INTO search_leftovers (id, messages) VALUES (1, ?) \
                           ON CONFLICT (id) DO UPDATE SET messages = messages + excluded.messages";
                tx.execute(sql, params![i64::try_from(ids.len()).unwrap_or(limit)]).await?;
                Ok(true)
            })
        })
        .await
    }

    /// How many messages have been taken out of SQLite's index whose words may still be in it: to be told to [`Db::note_tidied`] when they have gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn search_leftovers(&self) -> Result<Option<i64>, StoreError> {
        if !self.shows_ids_in_order() {
            return Ok(None);
        }
        let sql = "SELECT messages FROM search_leftovers WHERE id = 1";
        self.read(move |tx| Box::pin(async move { tx.fetch_optional(sql, &[], |row| row.get(0)).await })).await
    }

    /// Notes that the words of so many have gone; those of messages that were taken out meanwhile may still be there.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_tidied(&self, messages: i64) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM search_leftovers WHERE id = 1 AND messages = ?";
                tx.execute(sql, params![messages]).await?;
                Ok(())
            })
        })
        .await
    }

    /// Works for a moment on the removal of deleted messages' words from SQLite's index, where they stay behind as long as nothing else is
    /// written there; `begin` on the first call of a series. False when there is nothing left to do.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tidy_index(&self, begin: bool) -> Result<bool, StoreError> {
        /// Pages that one call writes at most.
        const PAGES: i64 = 16;
        if !self.shows_ids_in_order() {
            return Ok(false);
        }
        self.write(move |tx| {
            Box::pin(async move {
                let changes = |tx: &Tx<'_>| match tx {
                    Tx::Sqlite(session) => session.total_changes(),
                    Tx::Postgres(..) | Tx::Mysql(..) => 0,
                };
                let before = changes(tx);
                // Below zero: of all parts of the index, one shall be made.
                let pages = if begin { -PAGES } else { PAGES };
                tx.execute("INSERT INTO message_words (message_words, rank) VALUES ('merge', ?)", params![pages])
                    .await?;
                // <https://sqlite.org/fts5.html#the_merge_command>: what changes less than two rows had nothing to do.
                Ok(changes(tx) - before >= 2)
            })
        })
        .await
    }
}

/// A word as the index has it: nobody else's words are like it.
pub(super) fn owned(owner: AccountId, word: &str) -> String {
    format!("{owner}_{word}")
}

/// All words of a text as the index has them; nothing when it has none.
fn document(owner: AccountId, text: &str) -> Option<String> {
    let mut words: Vec<String> = words_of(text).iter().map(|word| owned(owner, word)).collect();
    words.sort_unstable();
    (!words.is_empty()).then(|| words.join(" "))
}

/// How far the index has come; nothing before its first step.
pub(super) async fn cursor(tx: &mut Tx<'_>) -> Result<Option<i64>, StoreError> {
    tx.fetch_optional("SELECT message_id FROM search_cursor WHERE id = 1", &[], |row| row.get(0)).await
}

/// The highest id of a message; 0 when there is none.
pub(super) async fn newest(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let newest = tx.fetch_optional("SELECT MAX(id) FROM messages", &[], |row| row.get::<Option<i64>>(0)).await?;
    Ok(newest.flatten().unwrap_or(0))
}

/// Reads and takes apart what comes next.
async fn next_step(tx: &mut Tx<'_>, batch: IndexBatch) -> Result<Step, StoreError> {
    let from = cursor(tx).await?.unwrap_or(0);
    let open = tx
        .fetch_optional(
            "SELECT MIN(answer_message_id) FROM turns WHERE state IN ('pending', 'streaming')",
            &[],
            |row| row.get::<Option<i64>>(0),
        )
        .await?
        .flatten();
    let end = open.map_or(batch.up_to, |open| batch.up_to.min(open - 1));
    // Their sizes first, without their texts.
    let sizes = tx
        .fetch(
            "SELECT id, tokens FROM messages WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            params![from, end, batch.messages],
            |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)),
        )
        .await?;
    let mut bytes = 0;
    let fits = |(at, (_, tokens)): &(usize, &(i64, i64))| {
        bytes += tokens.min(&SEARCHED_TOKENS) * 4;
        bytes <= batch.bytes || *at == 0
    };
    let fitting = sizes.iter().enumerate().take_while(fits).count();
    let all = fitting == sizes.len() && i64::try_from(fitting).is_ok_and(|count| count < batch.messages);
    let last = sizes[..fitting].last().map(|(id, _)| *id);
    let to = if all { end } else { last.unwrap_or(from) };
    let texts = tx
        .fetch(
            "SELECT m.id, c.account_id, SUBSTR(m.content, 1, 262144) FROM messages m JOIN conversations c ON c.id = m.conversation_id \
             WHERE m.id > ? AND m.id <= ? ORDER BY m.id",
            params![from, last.unwrap_or(from)],
            |row| {
                let owner = row.decode(1, "an id", |id: i64| AccountId::new(id).ok())?;
                Ok((row.get::<i64>(0)?, owner, row.get::<String>(2)?))
            },
        )
        .await?;
    let mut documents = Vec::with_capacity(texts.len());
    for (id, owner, text) in texts {
        documents.extend(document(owner, &text).map(|words| Document { id, words }));
        let_others_run(tx).await;
    }
    Ok(Step { from, to, documents })
}

/// Between two texts that are taken apart: that is work for the processor, and on a database server's client others' streams wait for it. SQLite's
/// jobs have threads of their own.
pub(super) async fn let_others_run(tx: &mut Tx<'_>) {
    if !matches!(tx, Tx::Sqlite(_)) {
        tokio::task::yield_now().await;
    }
}

async fn keep(tx: &mut Tx<'_>, step: &Step) -> Result<i64, StoreError> {
    let sql = "SELECT message_id FROM search_cursor WHERE id = 1 /*lock*/";
    let cursor = tx.fetch_optional(sql, &[], |row| row.get::<i64>(0)).await?;
    if cursor.unwrap_or(0) != step.from {
        return Ok(cursor.unwrap_or(0));
    }
    for document in &step.documents {
        insert(tx, document.id, &document.words).await?;
    }
    let moved = match cursor {
        Some(_) => "UPDATE search_cursor SET message_id = ? WHERE id = 1",
        None => "INSERT INTO search_cursor (message_id, id) VALUES (?, 1)",
    };
    tx.execute(moved, params![step.to]).await?;
    Ok(step.to)
}

/// Takes a message that the indexer may have passed into the index at once: for text that is put into one later.
pub(in crate::store) async fn index_now(
    tx: &mut Tx<'_>,
    id: i64,
    owner: AccountId,
    text: &str,
) -> Result<(), StoreError> {
    match document(owner, text) {
        Some(words) => insert(tx, id, &words).await,
        None => Ok(()),
    }
}

/// A message that went meanwhile is left out, and so is one that is there already.
async fn insert(tx: &mut Tx<'_>, id: i64, words: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO message_words (rowid, words) SELECT m.id, /*as words*/ ? FROM messages m \
         WHERE m.id = ? AND NOT EXISTS (SELECT 1 FROM message_words w WHERE w.rowid = m.id) /*lock*/",
        params![words, id],
    )
    .await?;
    Ok(())
}
