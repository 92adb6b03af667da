//! Where Parlor listens, and what it lets in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::setting::Choose;
use super::trusted_proxy::TrustedProxy;

/// Where Parlor listens, and what it lets in.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// An IP address or a host name to listen on.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// The folder for what Parlor keeps.
    pub data_dir: PathBuf,
    /// Where people reach Parlor, without a `/` at the end.
    pub public_url: String,
    /// Web origins that may call with credentials, as browsers write them. Never `*`.
    pub cors_origins: Vec<String>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The only hosts that addresses from elsewhere may lead to; empty: any public one.
    pub outbound_hosts: Vec<String>,
    /// Whose answer `GET /health` gives.
    pub health_dialect: HealthDialect,
    /// Log more.
    pub debug: bool,
    /// Connections open at once.
    pub max_connections: usize,
    /// The largest request body in bytes.
    pub max_body_bytes: usize,
    /// How long running answers may take to finish after a stop signal.
    pub shutdown_grace: Duration,
    /// After this much silence a stream sends a comment.
    pub keep_alive_interval: Duration,
}

/// Whose answer `GET /health` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HealthDialect {
    /// `{"status":"healthy", …}` with checks.
    #[default]
    Classic,
    /// `{"status":"Healthy"}`.
    FullChatbot,
}

impl Choose for HealthDialect {
    const NAMES: &'static [&'static str] = &["classic", "full_chatbot"];
    const ALL: &'static [Self] = &[Self::Classic, Self::FullChatbot];
}

impl ServerSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let proxies = reader.list("server.trusted_proxies");
        let (host, port) = (reader.text("server.host"), reader.integer("server.port"));
        Self {
            public_url: reader.opt_text("server.public_url").unwrap_or_else(|| local_url(&host, port)),
            host,
            port,
            data_dir: reader.opt_path("server.data_dir").unwrap_or_default(),
            cors_origins: reader.list("server.cors_origins"),
            trusted_proxies: proxies.iter().filter_map(|proxy| proxy.parse().ok()).collect(),
            outbound_hosts: reader.list("server.outbound_hosts"),
            health_dialect: reader.choice("server.health_dialect"),
            debug: reader.boolean("server.debug"),
            max_connections: reader.integer("server.max_connections"),
            max_body_bytes: reader.integer("server.max_body_bytes"),
            shutdown_grace: reader.duration("server.shutdown_grace_seconds"),
            keep_alive_interval: reader.duration("server.keep_alive_seconds"),
        }
    }

    /// Whether only this machine can reach the server.
    pub(super) fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>().map(|address| address.to_canonical());
        address.map_or(self.host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
    }
}

/// Where a browser on this machine finds the server.
fn local_url(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => format!("http://localhost:{port}"),
        Ok(IpAddr::V6(address)) => format!("http://[{address}]:{port}"),
        _ => format!("http://{host}:{port}"),
    }
}
