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

/// Whether the client speaks TLS: with a trusted proxy, which says so in `X-Forwarded-Proto`.
pub fn is_tls(peer: IpAddr, headers: &HeaderMap, settings: &ServerSettings) -> bool {
    let trusted = settings.trusted_proxies.iter().any(|proxy| proxy.contains(peer.to_canonical()));
    let said = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    trusted
        && said.and_then(|list| list.rsplit(',').next()).is_some_and(|last| last.trim().eq_ignore_ascii_case("https"))
}

/// Whether the request was made on this machine itself, not through a proxy that runs here.
pub fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    peer.to_canonical().is_loopback() && !headers.contains_key("x-forwarded-for") && !headers.contains_key("forwarded")
}

/// Whether the request names this machine itself as its host. A page of another site that makes a browser look its own name up as a
/// loopback address still names itself here. Programs that name no host are no browsers.
pub fn host_is_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(http::header::HOST) else { return true };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<http::uri::Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use parlor_engine::config::Settings;

    use super::*;

    #[test]
    fn a_foreign_name_for_this_machine_is_told_from_its_own() {
        let host = |name: &str| HeaderMap::from_iter([(http::header::HOST, name.parse().unwrap())]);
        for own in ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "app.localhost", "LOCALHOST"] {
            assert!(host_is_loopback(&host(own)), "{own}");
        }
        for foreign in ["evil.example:8000", "127.0.0.1.evil.example", "192.0.2.1", "localhost.evil.example", ""] {
            assert!(!host_is_loopback(&host(foreign)), "{foreign}");
        }
    }

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

    #[test]
    fn only_a_trusted_proxy_says_that_there_is_tls() {
        let mut settings = Settings::for_tests(std::path::Path::new("unused")).server;
        let of = |text: &str| {
            HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-proto"), text.parse().unwrap())])
        };
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        assert!(!is_tls(peer, &of("https"), &settings));
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        assert!(is_tls(peer, &of("http, HTTPS"), &settings));
        assert!(!is_tls(peer, &of("https, http"), &settings));
        assert!(!is_tls(peer, &HeaderMap::new(), &settings));
    }
}
