//! Where an import goes.

use std::collections::HashMap;

use crate::store::{Db, ImportedKind, ImportedRow, StoreError};

/// Where an import goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'d> {
    /// Into that database.
    Store(&'d Db),
    /// Nowhere: it is counted what would go into that database, or into an empty one where there is none yet.
    Plan(Option<&'d Db>),
}

impl<'d> Target<'d> {
    /// The database, to see what is there.
    pub(super) const fn readable(self) -> Option<&'d Db> {
        match self {
            Self::Store(db) => Some(db),
            Self::Plan(db) => db,
        }
    }

    /// The database, to store in it.
    pub(super) const fn writable(self) -> Option<&'d Db> {
        match self {
            Self::Store(db) => Some(db),
            Self::Plan(_) => None,
        }
    }

    /// What earlier runs have brought in.
    pub(super) async fn imported_rows(
        self,
        name: &str,
        kind: ImportedKind,
    ) -> Result<HashMap<String, ImportedRow>, StoreError> {
        match self.readable() {
            Some(db) => db.imported_rows(name.to_owned(), kind).await,
            None => Ok(HashMap::new()),
        }
    }
}
