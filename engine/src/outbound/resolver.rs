//! Resolves names for connections, and keeps what is not public from being connected to.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::addresses::is_public;
use super::{Hosts, OutboundError};

/// What the client resolves names with. Address literals never come here: `Hosts::check` looks at them.
pub(super) struct GuardedResolver {
    hosts: Arc<Hosts>,
}

impl GuardedResolver {
    pub(super) const fn new(hosts: Arc<Hosts>) -> Self {
        Self { hosts }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let hosts = Arc::clone(&self.hosts);
        Box::pin(async move {
            let host = name.as_str().to_lowercase();
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            // One address inside is enough to refuse: which of them would be connected to is not known here.
            if !hosts.names(&host) && !addresses.iter().all(|address| is_public(address.ip())) {
                return Err(OutboundError::NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
