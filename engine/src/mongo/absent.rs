//! In the place of the driver, in a program that was built without it.

use std::convert::Infallible;

use super::{Change, MongoError};
use crate::config::SharedSettings;

/// MongoDB, which this program cannot reach.
#[derive(Debug, Clone)]
pub struct Mongo(Infallible);

impl Mongo {
    /// None, where none is set.
    ///
    /// # Errors
    /// [`MongoError::NotBuilt`] where one is.
    pub fn from_settings(settings: &SharedSettings) -> Result<Option<Self>, MongoError> {
        if settings.mongo_uri.is_some() { Err(MongoError::NotBuilt) } else { Ok(None) }
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub async fn write(&self, _: &[Change]) -> Result<Vec<usize>, MongoError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub async fn ping(&self) -> Result<(), MongoError> {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self.0 {}
    }
}
