//! What ends at once, on every replica: the sockets and streams of whoever may not have them any more.
//!
//! The bus tells the other replicas. Where it does not reach, [`App::check_open_doors`] finds the same in the database a moment later.

use std::collections::HashSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::App;
use crate::domain::{AccountId, ApiKeyId};
use crate::shared::{BusEvent, Standing};
use crate::store::{Holding, Proofs, StoreError};

/// The bus' topic.
const TOPIC: &str = "revocations";

/// Whose doors are shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revoked {
    /// All of an account's.
    Account(AccountId),
    /// Those of an account that the database says were opened with what holds no longer.
    Outdated(AccountId),
    /// Those that were opened with an API key of that account.
    Key(AccountId, ApiKeyId),
    /// Those that were opened in a session of that account, by its number.
    Session(AccountId, u64),
}

/// The same on the bus.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "revoked")]
enum Message {
    Account { account: i64 },
    Outdated { account: i64 },
    Key { account: i64, key: i64 },
    Session { account: i64, session: u64 },
}

impl Revoked {
    fn write(self) -> Option<Bytes> {
        let message = match self {
            Self::Account(account) => Message::Account { account: account.get() },
            Self::Outdated(account) => Message::Outdated { account: account.get() },
            Self::Key(account, key) => Message::Key { account: account.get(), key: key.get() },
            Self::Session(account, session) => Message::Session { account: account.get(), session },
        };
        serde_json::to_vec(&message).ok().map(Bytes::from)
    }

    fn read(message: &[u8]) -> Option<Self> {
        Some(match serde_json::from_slice(message).ok()? {
            Message::Account { account } => Self::Account(AccountId::new(account).ok()?),
            Message::Outdated { account } => Self::Outdated(AccountId::new(account).ok()?),
            Message::Key { account, key } => Self::Key(AccountId::new(account).ok()?, ApiKeyId::new(key).ok()?),
            Message::Session { account, session } => Self::Session(AccountId::new(account).ok()?, session),
        })
    }
}

impl App {
    /// Shuts doors here, and tells the other replicas to. What revoked them has been committed. It takes half a second at most.
    pub(super) async fn revoke(&self, revoked: Revoked) {
        self.shut_doors(revoked).await;
        if self.shared.bus.is_shared()
            && let Some(message) = revoked.write()
        {
            self.shared.bus.publish(TOPIC, message).await;
        }
    }

    async fn shut_doors(&self, revoked: Revoked) {
        let checked = match revoked {
            Revoked::Account(account) => {
                self.open_doors.shut(account);
                Ok(())
            }
            Revoked::Key(account, key) => {
                self.open_doors.shut_key(account, key);
                Ok(())
            }
            Revoked::Session(account, session) => {
                self.open_doors.shut_session(account, session);
                Ok(())
            }
            Revoked::Outdated(account) => self.check_doors(self.open_doors.standings_of(account)).await,
        };
        if let Err(error) = checked {
            tracing::warn!(%error, "looking at an account's open connections failed; they are looked at again in a moment");
        }
    }

    /// Shuts what other replicas say is to be shut, for good. Returns at once where there are no others.
    pub async fn hear_revocations(&self) {
        if !self.shared.bus.is_shared() {
            return;
        }
        let mut heard = self.shared.bus.subscribe(TOPIC).await;
        loop {
            match heard.next().await {
                BusEvent::Message(message) => match Revoked::read(&message) {
                    Some(revoked) => self.shut_doors(revoked).await,
                    // A newer replica may say more than this one knows.
                    None => self.check_all_doors().await,
                },
                BusEvent::Gap => self.check_all_doors().await,
            }
        }
    }

    async fn check_all_doors(&self) {
        if let Err(error) = self.check_open_doors().await {
            tracing::warn!(%error, "looking at the accounts behind open connections failed");
        }
    }

    /// Shuts what is open with what holds no longer, or belongs to an account that was changed: by a command, or by another server that
    /// could not say so.
    ///
    /// # Errors
    /// What the database says.
    pub async fn check_open_doors(&self) -> Result<(), StoreError> {
        self.check_doors(self.open_doors.standings()).await
    }

    async fn check_doors(&self, mut standings: HashSet<Standing>) -> Result<(), StoreError> {
        if standings.is_empty() {
            return Ok(());
        }
        let accounts: HashSet<_> = standings.iter().map(|standing| standing.account).collect();
        let api_keys: HashSet<_> = standings.iter().filter_map(|standing| standing.api_key).collect();
        let sessions: HashSet<_> = standings.iter().filter_map(|standing| standing.session.as_deref()).collect();
        let proofs = Proofs {
            accounts: accounts.into_iter().collect(),
            api_keys: api_keys.into_iter().collect(),
            sessions: sessions.into_iter().map(str::to_owned).collect(),
        };
        let holding = self.db.what_holds(proofs, self.clock.now()).await?;
        standings.retain(|standing| !holds(standing, &holding));
        self.open_doors.shut_all(&standings);
        Ok(())
    }
}

fn holds(standing: &Standing, holding: &Holding) -> bool {
    holding.token_versions.get(&standing.account) == Some(&standing.token_version)
        && standing.api_key.is_none_or(|key| holding.api_keys.contains(&key))
        && standing.session.as_deref().is_none_or(|session| !holding.ended_sessions.contains(session))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_revoked_is_read_as_it_was_written() {
        let (account, key) = (AccountId::new(7).unwrap(), ApiKeyId::new(9).unwrap());
        let session = Revoked::Session(account, u64::MAX);
        for revoked in [Revoked::Account(account), Revoked::Outdated(account), Revoked::Key(account, key), session] {
            assert_eq!(Revoked::read(&revoked.write().unwrap()), Some(revoked));
        }
        for other in ["", "{}", r#"{"revoked":"more","account":7}"#, r#"{"revoked":"account","account":0}"#] {
            assert_eq!(Revoked::read(other.as_bytes()), None, "{other}");
        }
    }
}
