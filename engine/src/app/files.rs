//! Files: taking them in, reading and deleting one's own, and removing contents that nobody has any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::conversations::{DRAWS, page_size};
use super::{App, AppError, Caller, Noun};
use crate::blobs::{Pieces, Spooled};
use crate::domain::{AccountId, ContentHash, File, FileId, FileName, Invalid, MediaType, Scope, TextCheck, Timestamp};
use crate::store::{FilePlace, FileQuota, StoreError, ThreadMessage};

/// Files that one account has at most, however small they are.
const FILES_AT_MOST: i64 = 10_000;
/// Files on their way in at once.
const UPLOADS_AT_ONCE: usize = 64;
/// How long the next piece of a file may take to arrive, and how long all of it.
const PIECE_WAIT: Duration = Duration::from_secs(30);
const UPLOAD_WAIT: Duration = Duration::from_secs(900);
/// How much of a content is looked at to tell what it is, in bytes.
const HEAD: usize = 1024;
/// Contents that one query looks up to be removed.
const LEFTOVERS_AT_ONCE: i64 = 100;
/// How long a content may be in another server's hands, and how often is looked.
const HOLD_WAIT: Duration = Duration::from_secs(30);
const HOLD_AGAIN: Duration = Duration::from_millis(50);
/// Locks for contents, each for those whose hash begins with the same byte.
const LOCKS: usize = 256;

/// What keeps files in the making in bounds, and out of each other's way.
#[derive(Debug)]
pub(super) struct Uploads {
    places: Semaphore,
    /// Held from the note that a content is about to be put in place until its row is stored, and while a content without a row is removed:
    /// else one could be removed while it comes again. Other servers are kept off by the note, which says who has the content in hand.
    locks: Vec<Arc<Mutex<()>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        let locks = (0..LOCKS).map(|_| Arc::default()).collect();
        Self { places: Semaphore::new(UPLOADS_AT_ONCE), locks }
    }
}

impl Uploads {
    fn lock_of(&self, hash: &ContentHash) -> Arc<Mutex<()>> {
        let byte = usize::from_str_radix(hash.as_str().get(..2).unwrap_or_default(), 16).unwrap_or(0);
        self.locks.get(byte).cloned().unwrap_or_default()
    }
}

/// A file broke off on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenUpload;

/// Some of somebody's files.
#[derive(Debug, Clone)]
pub struct FileList {
    /// Newest first.
    pub items: Vec<File>,
    /// The cursor of the page that follows, when there is one.
    pub next: Option<String>,
}

impl App {
    /// Takes in a file of the caller's. When this returns, it is stored for good.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a name that is none, an empty file, a type that is not taken, and one that breaks off; [`AppError::TooLarge`];
    /// [`AppError::Conflict`] when the account's files fill their room; [`AppError::Overloaded`]; [`AppError::Forbidden`] for an API key
    /// without the scope.
    pub async fn upload_file(
        &self,
        caller: &Caller,
        name: &str,
        pieces: impl Stream<Item = Result<Bytes, BrokenUpload>> + Send + Unpin,
    ) -> Result<File, AppError> {
        caller.allow(Scope::Chat)?;
        let name = FileName::parse(name)?;
        let _place = self.uploads.places.try_acquire().map_err(|_| AppError::Overloaded)?;
        if !self.db.has_room_for_file(caller.id(), 1, self.file_quota()).await? {
            return Err(FULL);
        }
        let taking = tokio::time::timeout(UPLOAD_WAIT, self.take_in(pieces, &name));
        let (content, media_type) = taking.await.map_err(|_| broken())??;
        let (app, owner) = (self.clone(), caller.id());
        // On its own task: a client that leaves half-way leaves no content without a file.
        let stored = self.tasks.spawn(async move { app.store_file(owner, name, media_type, content).await });
        stored.await.map_err(|error| AppError::Internal(format!("storing a file: {error}")))?
    }

    /// The content, on this server's disk, and what it is.
    async fn take_in(
        &self,
        mut pieces: impl Stream<Item = Result<Bytes, BrokenUpload>> + Send + Unpin,
        name: &FileName,
    ) -> Result<(Spooled, MediaType), AppError> {
        let settings = &self.settings.files;
        let mut spool = self.blobs.spool(self.db.server()).await?;
        let (mut head, mut text) = (Vec::with_capacity(HEAD), TextCheck::default());
        while let Some(piece) = tokio::time::timeout(PIECE_WAIT, pieces.next()).await.map_err(|_| broken())? {
            let piece = piece.map_err(|BrokenUpload| broken())?;
            if spool.bytes() + piece.len() as u64 > settings.max_bytes {
                return Err(AppError::TooLarge(settings.max_bytes));
            }
            head.extend_from_slice(&piece[..piece.len().min(HEAD - head.len())]);
            text.push(&piece);
            spool.push(&piece).await?;
        }
        if spool.bytes() == 0 {
            return Err(Invalid::new("file", "the file is empty").into());
        }
        let media_type = MediaType::of_content(&head, text.is_text(), name);
        if !settings.types.iter().any(|taken| taken == "*" || taken.eq_ignore_ascii_case(media_type.as_str())) {
            let problem = format!("files of this type are not taken: {media_type}");
            return Err(Invalid::new("file", problem).into());
        }
        Ok((spool.finish().await?, media_type))
    }

    async fn store_file(
        &self,
        owner: AccountId,
        name: FileName,
        media_type: MediaType,
        content: Spooled,
    ) -> Result<File, AppError> {
        let (hash, bytes) = (content.hash.clone(), content.bytes);
        let lock = self.uploads.lock_of(&hash);
        let held = lock.lock().await;
        let until = Instant::now() + HOLD_WAIT;
        while !self.db.note_leftover(hash.clone(), self.clock.now()).await? {
            if Instant::now() > until {
                return Err(AppError::Overloaded);
            }
            tokio::time::sleep(HOLD_AGAIN).await;
        }
        self.blobs.put(content).await?;
        for _ in 0..DRAWS {
            let file = File {
                id: FileId::random(&mut rand::rng()),
                hash: hash.clone(),
                name: name.clone(),
                media_type: media_type.clone(),
                bytes,
                created_at: self.clock.now(),
            };
            match self.db.insert_file_of_owner(owner, file.clone(), self.file_quota()).await {
                Err(StoreError::Duplicate) => {}
                Err(error) => return Err(error.into()),
                Ok(true) => return Ok(file),
                Ok(false) => {
                    drop(held);
                    self.release(&hash).await?;
                    return Err(FULL);
                }
            }
        }
        Err(AppError::Internal("no free file id was drawn".to_owned()))
    }

    fn file_quota(&self) -> FileQuota {
        let bytes = i64::try_from(self.settings.files.per_account_bytes).unwrap_or(i64::MAX);
        FileQuota { files: FILES_AT_MOST, bytes }
    }

    /// One page of the caller's files, newest first: `limit` (1 to 100) of them, from the `next` of the page before on.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for another page size or cursor.
    pub async fn list_files(&self, caller: &Caller, before: Option<&str>, limit: u32) -> Result<FileList, AppError> {
        caller.allow(Scope::Read)?;
        let limit = page_size(limit)?;
        let after = before.map(place_of).transpose()?;
        // One more than is shown tells whether the list goes on.
        let mut items = self.db.files_of_owner(caller.id(), after, limit + 1).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let goes_on = items.len() > shown;
        items.truncate(shown);
        let next = items.last().filter(|_| goes_on).map(cursor_of);
        Ok(FileList { items, next })
    }

    /// What is known of a file of the caller's.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn read_file(&self, caller: &Caller, id: FileId) -> Result<File, AppError> {
        caller.allow(Scope::Read)?;
        self.db.file_of_owner(id, caller.id()).await?.ok_or(AppError::NotFound(Noun::File))
    }

    /// Those files that go with these messages, and are there and the caller's still.
    ///
    /// # Errors
    /// Only ours.
    pub async fn files_of_messages(
        &self,
        caller: &Caller,
        messages: &[ThreadMessage],
    ) -> Result<HashMap<FileId, File>, AppError> {
        let ids: HashSet<FileId> = messages.iter().flat_map(|row| row.message.attachments.files()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let files = self.db.files_of_owner_by_id(ids.into_iter().collect(), caller.id()).await?;
        Ok(files.into_iter().map(|file| (file.id, file)).collect())
    }

    /// A file of the caller's with its content, piece by piece.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn open_file(&self, caller: &Caller, id: FileId) -> Result<(File, Pieces), AppError> {
        let file = self.read_file(caller, id).await?;
        let lost = || AppError::Internal(format!("the content of file {id} is not in the store"));
        let pieces = self.blobs.read(&file.hash).await?.ok_or_else(lost)?;
        Ok((file, pieces))
    }

    /// Deletes a file of the caller's. Messages that it went with keep its address, under which there is nothing any more.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn delete_file(&self, caller: &Caller, id: FileId) -> Result<(), AppError> {
        caller.allow(Scope::Chat)?;
        let deleted = self.db.delete_file_of_owner(id, caller.id(), self.clock.now()).await?;
        let file = deleted.ok_or(AppError::NotFound(Noun::File))?;
        // The file is gone whatever becomes of its content, which the next round looks after.
        if let Err(error) = self.release(&file.hash).await {
            tracing::warn!(%error, "the content of a deleted file was not removed yet");
        }
        Ok(())
    }

    /// Removes the contents that no file has: of deleted files and accounts, and of files that were never stored. What cannot be removed
    /// now is tried again the next time.
    pub async fn release_leftovers(&self) {
        self.release_leftovers_of(self.clock.now()).await;
    }

    /// [`App::release_leftovers`], those alone that were noted before `until`: another process may be taking in what was noted since.
    pub async fn release_leftovers_of(&self, until: Timestamp) {
        let mut after = None;
        loop {
            let found = match self.db.leftovers(after, until, LEFTOVERS_AT_ONCE).await {
                Ok(found) => found,
                Err(error) => return tracing::warn!(%error, "contents without a file were not looked for"),
            };
            for hash in &found {
                if let Err(error) = self.release(hash).await {
                    tracing::warn!(%error, "a content without a file was not removed yet");
                }
            }
            after = found.last().cloned();
            if after.is_none() {
                return;
            }
        }
    }

    /// Removes what stopped servers had half taken in. Only for a server that has taken up its work, before it takes anything.
    ///
    /// # Errors
    /// Only ours.
    pub async fn clear_uploads(&self) -> Result<(), AppError> {
        let present = if self.db.is_shared() { self.db.servers().await? } else { Vec::new() };
        Ok(self.blobs.clear_spool(&present).await?)
    }

    /// Removes a content unless a file has it.
    async fn release(&self, hash: &ContentHash) -> Result<(), AppError> {
        let lock = self.uploads.lock_of(hash);
        let _held = lock.lock().await;
        if self.db.take_leftover(hash.clone()).await? {
            self.blobs.remove(hash).await?;
            self.db.forget_leftover(hash.clone()).await?;
        }
        Ok(())
    }
}

const FULL: AppError = AppError::Conflict("This account's files fill their room: delete some first");

fn broken() -> AppError {
    Invalid::new("file", "the file broke off on its way").into()
}

/// The place after which the next page begins, as a text that clients pass back and do not read.
fn cursor_of(last: &File) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", last.created_at.micros(), last.id))
}

fn place_of(cursor: &str) -> Result<FilePlace, Invalid> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (created_at, id) = text.split_once('.')?;
        Some(FilePlace { created_at: created_at.parse().ok()?, id: id.parse().ok()? })
    };
    read().ok_or_else(|| Invalid::new("before", "before is not a cursor of this list"))
}
