//! Requests to addresses that are not those of a configured provider: the one door through which they leave.
//!
//! An address that somebody else chose must not lead into the operator's own network. So nothing follows redirects, and a host that the
//! configuration does not name has to be one of `server.outbound_hosts` (where that lists any), on a web port, and at a public
//! address. The address is looked at where the connection is made, after the name has been resolved: a name that is resolved twice, once
//! for a check and once for the connection, could change between the two.

mod addresses;
mod resolver;

use std::collections::BTreeSet;
use std::sync::Arc;

use reqwest::{Client, Method, RequestBuilder};
use url::{Host, Url};

use crate::config::ProviderSettings;
use crate::providers::{ProviderError, http};
use addresses::is_public;
use resolver::GuardedResolver;

/// The ports of a host that the configuration does not name.
const WEB_PORTS: [u16; 2] = [80, 443];

/// Why a request may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// It is not one that this server asks.
    #[error("the address must be an http:// or https:// URL without user and password")]
    Address,
    /// `server.outbound_hosts` lists others.
    #[error("this host is not among those that the server may ask")]
    Host,
    /// Only the web's own, 80 and 443.
    #[error("this port is not among those that the server may ask")]
    Port,
    /// Loopback, private, link-local and the like.
    #[error("the address is not a public one")]
    NotPublic,
}

/// The client for such requests. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    client: Client,
    hosts: Arc<Hosts>,
}

/// Which hosts may be asked.
struct Hosts {
    /// By the configuration, in lower case: asked on any port and at any address.
    named: BTreeSet<String>,
    /// Whether no others are.
    only_named: bool,
}

impl Hosts {
    fn new<'a>(listed: &[String], named: impl IntoIterator<Item = &'a str>) -> Self {
        let listed_hosts = listed.iter().map(|host| host.trim_end_matches('.').to_lowercase());
        let named = named.into_iter().filter_map(|url| host_of(&Url::parse(url).ok()?)).chain(listed_hosts).collect();
        Self { named, only_named: !listed.is_empty() }
    }

    fn names(&self, host: &str) -> bool {
        self.named.contains(host.trim_end_matches('.'))
    }

    fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let host = host_of(url).filter(|_| plain).ok_or(OutboundError::Address)?;
        if self.names(&host) {
            return Ok(());
        }
        if self.only_named {
            return Err(OutboundError::Host);
        }
        if !url.port_or_known_default().is_some_and(|port| WEB_PORTS.contains(&port)) {
            return Err(OutboundError::Port);
        }
        // A name is looked at when it has been resolved.
        let public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(address.into()),
            Some(Host::Ipv6(address)) => is_public(address.into()),
            Some(Host::Domain(_)) | None => true,
        };
        if public { Ok(()) } else { Err(OutboundError::NotPublic) }
    }
}

impl Outbound {
    /// `listed` is `server.outbound_hosts`; `named` are addresses that stand in the configuration for another reason, such as tools'.
    ///
    /// # Errors
    /// [`ProviderError::Settings`] when TLS cannot be set up.
    pub fn new<'a>(
        settings: &ProviderSettings,
        listed: &[String],
        named: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ProviderError> {
        let hosts = Arc::new(Hosts::new(listed, named));
        // A proxy would resolve names itself, out of the guard's sight.
        let shape =
            |builder: reqwest::ClientBuilder| builder.no_proxy().dns_resolver(GuardedResolver::new(Arc::clone(&hosts)));
        Ok(Self { client: http::client_with(settings, shape)?, hosts })
    }

    /// A request to `url`, if it may leave. Whoever sends it sets its timeout, and bounds what it reads.
    ///
    /// # Errors
    /// [`OutboundError`]. That a host's name leads to an address which is not public shows only in sending it, as a failure to connect.
    pub fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, OutboundError> {
        self.hosts.check(url)?;
        Ok(self.client.request(method, url.clone()))
    }

    /// The client itself, for a protocol's library. Its requests are checked where they connect alone.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

/// The host in lower case; an IPv6 address without its brackets.
fn host_of(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.trim_end_matches('.').to_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Settings;

    fn outbound(listed: &[&str], named: &[&str]) -> Outbound {
        let settings = Settings::for_tests(Path::new("unused"));
        let listed: Vec<String> = listed.iter().map(|&host| host.to_owned()).collect();
        Outbound::new(&settings.providers, &listed, named.iter().copied()).unwrap()
    }

    fn refused(outbound: &Outbound, url: &str) -> Option<OutboundError> {
        outbound.request(Method::GET, &Url::parse(url).unwrap()).err()
    }

    #[test]
    fn an_address_literal_is_looked_at_however_it_is_written() {
        let outbound = outbound(&[], &[]);
        let inside = [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "https://[fd00:ec2::254]/",
        ];
        for url in inside {
            assert_eq!(refused(&outbound, url), Some(OutboundError::NotPublic), "{url}");
        }
        assert_eq!(refused(&outbound, "https://93.184.215.14/"), None);
        assert_eq!(refused(&outbound, "https://[2606:4700::1111]/"), None);
    }

    #[test]
    fn what_is_no_plain_web_address_is_refused() {
        let outbound = outbound(&[], &[]);
        for url in ["ftp://example.com/", "file:///etc/passwd", "http://user@example.com/", "https://:pw@example.com/"]
        {
            assert_eq!(refused(&outbound, url), Some(OutboundError::Address), "{url}");
        }
        for url in ["http://example.com:22/", "https://example.com:6379/", "http://example.com:8080/"] {
            assert_eq!(refused(&outbound, url), Some(OutboundError::Port), "{url}");
        }
        assert_eq!(refused(&outbound, "http://example.com:443/"), None);
    }

    #[test]
    fn a_host_that_the_configuration_names_is_asked_wherever_it_is() {
        let outbound = outbound(&[], &["http://127.0.0.1:9000/tool", "http://Tools.Internal:7000/"]);
        for url in ["http://127.0.0.1:9000/other", "http://tools.internal:7000/", "http://TOOLS.internal.:1/"] {
            assert_eq!(refused(&outbound, url), None, "{url}");
        }
        assert_eq!(refused(&outbound, "http://127.0.0.2/"), Some(OutboundError::NotPublic));
    }

    #[test]
    fn where_hosts_are_listed_no_others_are_asked() {
        let outbound = outbound(&["api.example.com", "10.1.2.3"], &[]);
        assert_eq!(refused(&outbound, "https://API.example.com/x"), None);
        assert_eq!(refused(&outbound, "http://10.1.2.3:8080/"), None);
        assert_eq!(refused(&outbound, "https://example.com/"), Some(OutboundError::Host));
    }

    /// A listener that answers every connection with a redirect, and its port.
    async fn redirector() -> (u16, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 1024]).await;
                let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        (port, task)
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_where_the_connection_is_made() {
        let (port, server) = redirector().await;
        // The client alone, as if the name had been a public one when it was looked at first.
        let sent = outbound(&[], &[]).client().get(format!("http://localhost:{port}/")).send().await;
        assert!(sent.is_err_and(|error| error.is_connect()));
        server.abort();
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (port, server) = redirector().await;
        let url = Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let outbound = outbound(&[], &[url.as_str()]);
        let response = outbound.request(Method::GET, &url).unwrap().send().await.unwrap();
        assert_eq!(response.status(), 302);
        server.abort();
    }
}
