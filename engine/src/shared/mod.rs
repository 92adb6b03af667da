//! What replicas share, through Redis; without it, what the parts of one process share.

mod bus;
mod cache;
mod counters;
mod link;
mod look;
mod open_doors;
mod pseudonyms;
mod reason;
mod troubles;

use std::sync::Arc;

pub use bus::{Bus, BusEvent, Subscription};
pub use cache::Cache;
pub use counters::{Counted, Counters, Limit, Refused, Subject};
pub use link::{LinkError, LinkState};
pub use open_doors::{OpenDoor, OpenDoors, Standing, session_number};

use secrecy::SecretString;

use crate::config::SharedSettings;
use link::Link;
use pseudonyms::Pseudonyms;

/// Everything that replicas share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared {
    /// What one replica tells the others.
    pub bus: Bus,
    /// What has been counted against limits.
    pub counters: Arc<Counters>,
    /// What need not be found out twice.
    pub cache: Arc<Cache>,
    link: Option<Arc<Link>>,
}

impl Shared {
    /// Puts together what the settings name: Redis where there is a URL, else this process's memory. It connects when something is first
    /// shared, and needs no Redis to be there. `secret` is the same on all replicas; Redis sees names under it, not whom they stand for.
    ///
    /// # Errors
    /// [`LinkError`] for settings that cannot work.
    pub fn from_settings(settings: &SharedSettings, secret: &SecretString) -> Result<Self, LinkError> {
        let Some(link) = Link::from_settings(settings)?.map(Arc::new) else { return Ok(Self::memory()) };
        let names = Pseudonyms::new(secret);
        Ok(Self {
            bus: Bus::redis(Arc::clone(&link)),
            counters: Arc::new(Counters::redis(Arc::clone(&link), names.clone())),
            cache: Arc::new(Cache::redis(Arc::clone(&link), names)),
            link: Some(link),
        })
    }

    /// What the parts of one process share.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            bus: Bus::memory(),
            counters: Arc::new(Counters::memory()),
            cache: Arc::new(Cache::memory()),
            link: None,
        }
    }

    /// Tries Redis at once, beside whatever is done meanwhile, so that one that is away or refuses is told before anybody needs it.
    pub fn try_redis(&self) {
        if let Some(link) = self.link.clone() {
            tokio::spawn(async move { link.try_now().await });
        }
    }

    /// Whether Redis did what it was asked last; `None` without one. Asks nothing.
    #[must_use]
    pub fn works(&self) -> Option<bool> {
        self.link.as_ref().map(|link| link.works())
    }

    /// How Redis is now; asks it, for less than a second.
    pub async fn state(&self) -> LinkState {
        match &self.link {
            Some(link) => link.state().await,
            None => LinkState::Off,
        }
    }
}
