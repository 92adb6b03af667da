//! Contents in a folder: `ab/cdef…`, the first two digits of the hash and the rest, so that no folder grows too long.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::{BlobError, Pieces, Spooled, make_private};
use crate::domain::ContentHash;

/// How much is read from the disk at once, in bytes.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        let (first, rest) = hash.as_str().split_at(2);
        self.root.join(first).join(rest)
    }

    pub(super) async fn put(&self, content: Spooled) -> Result<(), BlobError> {
        let path = self.path(&content.hash);
        let folder = path.parent().unwrap_or(&self.root);
        make_private(folder).await?;
        content.path.persist(&path).map_err(|error| error.error)?;
        // A name lasts once its folder is on the disk, and the folder's own once the root is.
        sync(folder).await?;
        sync(&self.root).await?;
        Ok(())
    }

    pub(super) async fn read(&self, hash: &ContentHash) -> Result<Option<Pieces>, BlobError> {
        match File::open(self.path(hash)).await {
            Ok(file) => Ok(Some(ReaderStream::with_capacity(file, PIECE).map_err(BlobError::from).boxed())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn remove(&self, hash: &ContentHash) -> Result<(), BlobError> {
        match tokio::fs::remove_file(self.path(hash)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

async fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder).await?.sync_all().await
}
