//! A closer look at an address where Redis cannot be asked: several mistakes look the same from within a connection. It tells nobody a password.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionAddr;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};

use super::reason::Reason;

/// The longest look.
const PATIENCE: Duration = Duration::from_secs(2);
/// How the records begin with which a server of TLS answers: an alert, a handshake.
const TLS_RECORDS: [u8; 2] = [21, 22];

/// What `reason` is more exactly.
pub(super) async fn look_closer(address: &ConnectionAddr, reason: Reason) -> Reason {
    if !reason.is_vague() {
        return reason;
    }
    tokio::time::timeout(PATIENCE, look(address)).await.ok().flatten().unwrap_or(reason)
}

async fn look(address: &ConnectionAddr) -> Option<Reason> {
    let (host, port, expects_tls) = match address {
        ConnectionAddr::Tcp(host, port) => (host, *port, false),
        ConnectionAddr::TcpTls { host, port, .. } => (host, *port, true),
        _ => return None,
    };
    let Ok(addresses) = lookup_host((host.as_str(), port)).await else { return Some(Reason::UnknownHost) };
    let addresses: Vec<_> = addresses.collect();
    let mut stream = match TcpStream::connect(addresses.as_slice()).await {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                ErrorKind::ConnectionRefused => Some(Reason::NobodyListens),
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Reason::Unreachable),
                _ => None,
            };
        }
    };
    let greeting = if expects_tls { b"PING\r\n".to_vec() } else { client_hello(host)? };
    stream.write_all(&greeting).await.ok()?;
    let first = stream.read_u8().await.ok()?;
    match expects_tls {
        // An answer to PING, or that one has to log in first.
        true if b"+-".contains(&first) => Some(Reason::NoTls),
        false if TLS_RECORDS.contains(&first) => Some(Reason::WantsTls),
        _ => None,
    }
}

/// How a client of TLS begins.
fn client_hello(host: &str) -> Option<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).ok()?;
    Some(hello)
}
