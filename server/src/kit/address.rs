//! Where a request comes from, as far as it can be believed.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use parlor_engine::config::ServerSettings;

/// The address of the socket's other end; put into every request by the listener.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The client's address: the peer's, unless the peer is a trusted proxy; then the last address in `X-Forwarded-For` that is not one of ours.
/// What stands further left in that header was written by the client itself.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, settings: &ServerSettings) -> IpAddr {
    let trusted = |address: IpAddr| settings.trusted_proxies.iter().any(|proxy| proxy.contains(address.to_canonical()));
    let mut address = peer.to_canonical();
    if !trusted(address) {
        return address;
    }
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .collect();
    for hop in forwarded.into_iter().rev() {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        address = hop.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    address
}

/// Whether the request was made on this machine itself, not through a proxy that runs here.
pub fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    peer.to_canonical().is_loopback() && !headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parlor_engine::config::Settings;

    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let mut settings = Settings::for_tests(std::path::Path::new("unused")).server;
        let forwarded = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-forwarded-for"),
            "6.6.6.6, 198.51.100.7, 10.0.0.9".parse().unwrap(),
        )]);
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &forwarded, &settings), peer);
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(client_address(peer, &forwarded, &settings), "198.51.100.7".parse::<IpAddr>().unwrap());
        assert_eq!(client_address(peer, &HeaderMap::new(), &settings), peer);
    }
}
