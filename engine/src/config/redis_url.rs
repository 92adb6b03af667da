//! Redis' URL.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use url::Url;

/// Reads a URL.
///
/// # Errors
///
/// What was expected instead, without repeating the text (it may hold a password).
pub fn parse(text: &str) -> Result<ConnectionInfo, String> {
    let form = || {
        "redis://user:password@host:port/number, or rediss:// for TLS, where special characters in user and password \
         are percent-encoded (`#` is %23, `@` is %40, `/` is %2F)"
            .to_owned()
    };
    let url = match Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "redis" | "rediss") && url.host_str().is_some_and(|host| !host.is_empty()) =>
        {
            url
        }
        _ => return Err(form()),
    };
    let number = url.path().trim_matches('/');
    if !number.is_empty() && number.parse::<u32>().is_err() {
        return Err("the number of a database, or nothing, after the host: redis://host:6379/0".to_owned());
    }
    match url.fragment() {
        None => {}
        Some("insecure") => {
            return Err("a URL without #insecure, as the server's certificate is always checked; name its CA in \
                        REDIS_SSL_CA"
                .to_owned());
        }
        Some(_) => return Err(form()),
    }
    url.as_str().into_connection_info().map_err(|_| form())
}

/// Whether the URL asks for TLS.
pub(super) fn is_tls(text: &str) -> bool {
    parse(text).is_ok_and(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
}
