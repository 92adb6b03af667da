//! Preferences: how a person wants to be answered, in every dialect.

use super::{App, AppError, Caller};
use crate::domain::{Change, Preferences, PreferencesChange};

/// What happens to the preferences that a change does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unnamed {
    /// They stay.
    Stay,
    /// They go.
    Go,
}

impl App {
    /// Changes the caller's preferences, for all later answers. Returns all of them.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a value outside its bounds or a model that is not offered; nothing has changed then.
    pub async fn change_preferences(
        &self,
        caller: &Caller,
        change: PreferencesChange,
        unnamed: Unnamed,
    ) -> Result<Preferences, AppError> {
        change.check()?;
        if let Change::Set(model) = &change.model {
            self.allowed_model(Some(model))?;
        }
        let apply = move |old: Preferences| match unnamed {
            Unnamed::Stay => change.apply(old),
            Unnamed::Go => change.apply(Preferences::default()),
        };
        let changed = self.db.change_preferences(caller.id(), apply, self.clock.now()).await?;
        changed.ok_or(AppError::Unauthenticated("Could not validate credentials"))
    }
}
