//! Contents of files, each stored once under its SHA-256: in a folder, or in a bucket.
//!
//! A content is spooled to a file of this server's first, since its name is known only at its end; then it is put in place.

mod bucket;
mod folder;
mod spool;

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::config::Settings;
use crate::domain::{ContentHash, ServerId};

use bucket::Bucket;
use folder::Folder;
pub use spool::{Spool, Spooled};

/// How long the next piece of a content may take.
const PIECE_WAIT: Duration = Duration::from_secs(30);

/// A content, piece by piece.
pub type Pieces = BoxStream<'static, Result<Bytes, BlobError>>;

/// Why a content could not be put, read or removed. Says nothing of keys.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The folder.
    #[error("the folder for files: {0}")]
    Folder(#[from] std::io::Error),
    /// The bucket.
    #[error("the bucket for files: {0}")]
    Bucket(String),
    /// Nothing came for too long.
    #[error("the store for files does not answer")]
    Silent,
    /// The HTTP client cannot be made.
    #[error("the client for the bucket: {0}")]
    Client(String),
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    place: Place,
    spooled: std::path::PathBuf,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

impl Blobs {
    /// The store that the settings name. Touches neither disk nor network.
    ///
    /// # Errors
    /// When the bucket's client cannot be made of its settings.
    pub fn from_settings(settings: &Settings) -> Result<Self, BlobError> {
        let files = &settings.files;
        let place = match &files.bucket {
            Some(bucket) => Place::Bucket(Bucket::new(bucket, &settings.providers)?),
            None => Place::Folder(Folder::new(files.folder.clone())),
        };
        Ok(Self { place, spooled: files.folder.join("incoming") })
    }

    /// Begins to take a content in, in the folder of that server's own: several may share the one above it.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn spool(&self, server: ServerId) -> Result<Spool, BlobError> {
        Spool::begin(&self.spooled.join(server.to_string())).await
    }

    /// Removes what had been half taken in, but for that of the servers which are `present`.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn clear_spool(&self, present: &[ServerId]) -> Result<(), BlobError> {
        let mut entries = match tokio::fs::read_dir(&self.spooled).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            if present.iter().any(|server| name.to_str() == Some(server.to_string().as_str())) {
                continue;
            }
            let removed = if entry.file_type().await?.is_dir() {
                tokio::fs::remove_dir_all(entry.path()).await
            } else {
                tokio::fs::remove_file(entry.path()).await
            };
            match removed {
                // Another server that starts removes the same.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts a content in place. When this returns, it is there for good. One that is there already is replaced by its equal.
    ///
    /// # Errors
    /// What disk or network say; then it may be there or not.
    pub async fn put(&self, content: Spooled) -> Result<(), BlobError> {
        match &self.place {
            Place::Folder(folder) => folder.put(content).await,
            Place::Bucket(bucket) => bucket.put(content).await,
        }
    }

    /// Reads a content piece by piece; `None` when it is not there.
    ///
    /// # Errors
    /// What disk or network say.
    pub async fn read(&self, hash: &ContentHash) -> Result<Option<Pieces>, BlobError> {
        match &self.place {
            Place::Folder(folder) => folder.read(hash).await,
            Place::Bucket(bucket) => bucket.read(hash).await,
        }
    }

    /// Reads a content of at most `most` bytes; `None` when it is not there, or is longer.
    ///
    /// # Errors
    /// What disk or network say.
    pub async fn read_whole(&self, hash: &ContentHash, most: usize) -> Result<Option<Bytes>, BlobError> {
        let Some(mut pieces) = self.read(hash).await? else { return Ok(None) };
        let mut whole = BytesMut::new();
        while let Some(piece) = tokio::time::timeout(PIECE_WAIT, pieces.next()).await.map_err(|_| BlobError::Silent)? {
            let piece = piece?;
            if whole.len() + piece.len() > most {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.freeze()))
    }

    /// Removes a content; one that is not there is no error.
    ///
    /// # Errors
    /// What disk or network say.
    pub async fn remove(&self, hash: &ContentHash) -> Result<(), BlobError> {
        match &self.place {
            Place::Folder(folder) => folder.remove(hash).await,
            Place::Bucket(bucket) => bucket.remove(hash).await,
        }
    }
}

/// Makes a folder that only its owner may look into.
async fn make_private(folder: &Path) -> std::io::Result<()> {
    tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await
}
