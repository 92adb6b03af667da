//! Files: a row for each and its owner, and a note of every content that may be left without one.

use super::servers::is_present;
use super::{Db, Param, Row, StoreError, Tx, tx::params};
use crate::domain::{AccountId, ContentHash, File, FileId, FileName, MediaType, ServerId, Timestamp};

/// Files that one query looks up by id.
const LOOKED_UP_AT_ONCE: usize = 32;

/// What [`read_file`] reads.
macro_rules! select_file {
    ($rest:literal) => {
        concat!("SELECT id, hash, name, media_type, bytes, created_at FROM files WHERE ", $rest)
    };
}

fn read_file(row: &Row<'_>) -> Result<File, StoreError> {
    Ok(File {
        id: row.decode(0, "an id", |id: i64| FileId::new(id).ok())?,
        hash: row.decode(1, "a hash", |text: String| ContentHash::parse(&text))?,
        name: FileName::stored(row.get(2)?),
        media_type: MediaType::stored(row.get(3)?),
        bytes: row.decode(4, "a length", |bytes: i64| u64::try_from(bytes).ok())?,
        created_at: Timestamp::from_micros(row.get(5)?),
    })
}

/// What one account may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileQuota {
    /// Files.
    pub files: i64,
    /// Bytes of all of them; a content that it has twice counts twice.
    pub bytes: i64,
}

/// A file's place in its owner's list, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlace {
    /// When it was stored, in microseconds.
    pub created_at: i64,
    /// Its id.
    pub id: i64,
}

impl Db {
    /// Whether that owner has room for `bytes` more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn has_room_for_file(&self, owner: AccountId, bytes: u64, quota: FileQuota) -> Result<bool, StoreError> {
        self.read(move |tx| Box::pin(async move { has_room(tx, owner, bytes, quota).await })).await
    }

    /// Notes that this server is about to put a content into the store, so that it is found again if its file's row never comes, and that no
    /// other server removes it meanwhile. False while another server puts or removes it: ask again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_leftover(&self, hash: ContentHash, now: Timestamp) -> Result<bool, StoreError> {
        let server = self.server;
        self.write(move |tx| {
            Box::pin(async move {
                match holder(tx, &hash).await? {
                    None => {
                        let sql = "INSERT INTO file_leftovers (hash, noted_at, held_by) VALUES (?, ?, ?)";
                        tx.execute(sql, params![hash.as_str(), now.micros(), server.get()]).await?;
                    }
                    Some(holder) if is_anothers(tx, holder, server).await? => return Ok(false),
                    Some(_) => {
                        let sql = "UPDATE file_leftovers SET noted_at = ?, held_by = ? WHERE hash = ?";
                        tx.execute(sql, params![now.micros(), server.get(), hash.as_str()]).await?;
                    }
                }
                Ok(true)
            })
        })
        .await
    }

    /// Takes a leftover in hand to remove it. False when there is nothing to remove: a file has the content, or another server has it in hand.
    ///
    /// # Errors
    /// What the database says.
    pub async fn take_leftover(&self, hash: ContentHash) -> Result<bool, StoreError> {
        let server = self.server;
        self.write(move |tx| {
            Box::pin(async move {
                let Some(holder) = holder(tx, &hash).await? else { return Ok(false) };
                if is_anothers(tx, holder, server).await? {
                    return Ok(false);
                }
                if is_in_use(tx, &hash).await? {
                    tx.execute("DELETE FROM file_leftovers WHERE hash = ?", params![hash.as_str()]).await?;
                    return Ok(false);
                }
                let sql = "UPDATE file_leftovers SET held_by = ? WHERE hash = ?";
                tx.execute(sql, params![server.get(), hash.as_str()]).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Stores a file of that owner's, whose content this server has noted and put into the store; false when there is no room for it.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the id is taken: draw another. [`StoreError::Overloaded`] when the note is no longer this server's, which
    /// was taken for dead: the content may be gone.
    pub async fn insert_file_of_owner(
        &self,
        owner: AccountId,
        file: File,
        quota: FileQuota,
    ) -> Result<bool, StoreError> {
        let server = self.server;
        self.write(move |tx| {
            Box::pin(async move {
                if !has_room(tx, owner, file.bytes, quota).await? {
                    return Ok(false);
                }
                tx.execute(
                    "INSERT INTO files (id, account_id, hash, name, media_type, bytes, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    params![
                        file.id.get(),
                        owner.get(),
                        file.hash.as_str(),
                        file.name.as_str(),
                        file.media_type.as_str(),
                        i64::try_from(file.bytes).unwrap_or(i64::MAX),
                        file.created_at.micros(),
                    ],
                )
                .await?;
                let noted = "DELETE FROM file_leftovers WHERE hash = ? AND held_by = ?";
                match tx.execute(noted, params![file.hash.as_str(), server.get()]).await? {
                    0 => Err(StoreError::Overloaded),
                    _ => Ok(true),
                }
            })
        })
        .await
    }

    /// The owner's files, newest first: `limit` of them at most, those after `after`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn files_of_owner(
        &self,
        owner: AccountId,
        after: Option<FilePlace>,
        limit: i64,
    ) -> Result<Vec<File>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let after = after.unwrap_or(FilePlace { created_at: i64::MAX, id: i64::MAX });
                tx.fetch(
                    select_file!(
                        "account_id = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?"
                    ),
                    params![owner.get(), after.created_at, after.id, limit],
                    read_file,
                )
                .await
            })
        })
        .await
    }

    /// One file of that owner's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn file_of_owner(&self, id: FileId, owner: AccountId) -> Result<Option<File>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch_optional(select_file!("id = ? AND account_id = ?"), params![id.get(), owner.get()], read_file)
                    .await
            })
        })
        .await
    }

    /// Those of these files that are there and that owner's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn files_of_owner_by_id(&self, ids: Vec<FileId>, owner: AccountId) -> Result<Vec<File>, StoreError> {
        self.read(move |tx| Box::pin(async move { files_by_id(tx, &ids, owner).await })).await
    }

    /// Deletes a file of that owner's, and gives it as it was. Its content is noted as a leftover when it was the last with it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn delete_file_of_owner(
        &self,
        id: FileId,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<Option<File>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = select_file!("id = ? AND account_id = ?");
                let Some(file) = tx.fetch_optional(sql, params![id.get(), owner.get()], read_file).await? else {
                    return Ok(None);
                };
                tx.execute("DELETE FROM files WHERE id = ?", params![id.get()]).await?;
                if !is_in_use(tx, &file.hash).await? && holder(tx, &file.hash).await?.is_none() {
                    let sql = "INSERT INTO file_leftovers (hash, noted_at) VALUES (?, ?)";
                    tx.execute(sql, params![file.hash.as_str(), now.micros()]).await?;
                }
                Ok(Some(file))
            })
        })
        .await
    }

    /// Up to `limit` contents that may lie in the store without a file, noted by `until`.
    ///
    /// # Errors
    /// What the database says.
    pub async fn leftovers(
        &self,
        after: Option<ContentHash>,
        until: Timestamp,
        limit: i64,
    ) -> Result<Vec<ContentHash>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let after = after.as_ref().map_or("", ContentHash::as_str);
                tx.fetch(
                    "SELECT hash FROM file_leftovers WHERE hash > ? AND noted_at <= ? ORDER BY hash LIMIT ?",
                    params![after, until.micros(), limit],
                    |row| row.decode(0, "a hash", |text: String| ContentHash::parse(&text)),
                )
                .await
            })
        })
        .await
    }

    /// Whether any file has that content.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_content_in_use(&self, hash: ContentHash) -> Result<bool, StoreError> {
        self.read(move |tx| Box::pin(async move { is_in_use(tx, &hash).await })).await
    }

    /// Forgets a leftover that this server took in hand: it is gone.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_leftover(&self, hash: ContentHash) -> Result<(), StoreError> {
        let server = self.server;
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM file_leftovers WHERE hash = ? AND held_by = ?";
                tx.execute(sql, params![hash.as_str(), server.get()]).await?;
                Ok(())
            })
        })
        .await
    }
}

async fn has_room(tx: &mut Tx<'_>, owner: AccountId, bytes: u64, quota: FileQuota) -> Result<bool, StoreError> {
    let used = tx
        .fetch_optional(
            "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM files WHERE account_id = ?",
            params![owner.get()],
            |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)),
        )
        .await?;
    let (files, used) = used.unwrap_or_default();
    Ok(files < quota.files && used.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX)) <= quota.bytes)
}

async fn is_in_use(tx: &mut Tx<'_>, hash: &ContentHash) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM files WHERE hash = ? LIMIT 1";
    Ok(tx.fetch_optional(sql, params![hash.as_str()], |row| row.get::<i64>(0)).await?.is_some())
}

/// Who has a leftover in hand, 0 for nobody; `None` when there is no such leftover.
async fn holder(tx: &mut Tx<'_>, hash: &ContentHash) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT COALESCE(held_by, 0) FROM file_leftovers WHERE hash = ? /*lock*/";
    tx.fetch_optional(sql, params![hash.as_str()], |row| row.get(0)).await
}

/// Whether `holder` is another server that is there.
async fn is_anothers(tx: &mut Tx<'_>, holder: i64, server: ServerId) -> Result<bool, StoreError> {
    Ok(holder != 0 && holder != server.get() && is_present(tx, holder).await?)
}

/// Those of these files that are there and that owner's; for other store functions too.
pub(super) async fn files_by_id(tx: &mut Tx<'_>, ids: &[FileId], owner: AccountId) -> Result<Vec<File>, StoreError> {
    const SQL: &str = select_file!(
        "account_id = ? AND id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(LOOKED_UP_AT_ONCE) {
        let mut params = vec![Param::Int(owner.get())];
        params.extend(some.iter().map(|id| Param::Int(id.get())));
        params.resize(LOOKED_UP_AT_ONCE + 1, Param::NoInt);
        found.extend(tx.fetch(SQL, &params, read_file).await?);
    }
    Ok(found)
}

/// Notes the contents of all files of that owner's: for whoever is about to delete them.
pub(super) async fn note_leftovers_of_owner(
    tx: &mut Tx<'_>,
    owner: AccountId,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO file_leftovers (hash, noted_at) SELECT DISTINCT hash, ? FROM files WHERE account_id = ? \
         AND hash NOT IN (SELECT hash FROM file_leftovers)",
        params![now.micros(), owner.get()],
    )
    .await?;
    Ok(())
}
