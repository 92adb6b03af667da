//! A content on its way in: written to a file of its own while it is counted and hashed.

use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::{BlobError, make_private};
use crate::domain::ContentHash;

/// A content that is being taken in. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Spool {
    file: File,
    path: TempPath,
    hash: Sha256,
    bytes: u64,
}

/// A content that has been taken in and lies on this server's disk. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Spooled {
    pub(super) path: TempPath,
    /// Its SHA-256.
    pub hash: ContentHash,
    /// How long it is.
    pub bytes: u64,
}

impl Spool {
    pub(super) async fn begin(folder: &Path) -> Result<Self, BlobError> {
        make_private(folder).await?;
        // For its owner alone, as temporary files are.
        let (file, path) = tempfile::Builder::new().prefix("file-").tempfile_in(folder)?.into_parts();
        Ok(Self { file: File::from_std(file), path, hash: Sha256::new(), bytes: 0 })
    }

    /// How much has been taken in.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes in the next piece.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn push(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(self.file.write_all(piece).await?)
    }

    /// Takes in the end. When this returns, the content is on the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn finish(mut self) -> Result<Spooled, BlobError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Spooled { path: self.path, hash: ContentHash::of_bytes(&self.hash.finalize()), bytes: self.bytes })
    }
}
