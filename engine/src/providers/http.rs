//! The one HTTP client of all providers, and what it takes to read an answer within bounds.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Response};
use url::Url;

use super::error::{ProviderError, TimeoutPhase};
use crate::config::ProviderSettings;

/// The most that is read of an error's body, in bytes.
pub const MAX_ERROR_BODY: usize = 64 * 1024;
/// The most that is read of a whole answer, in bytes.
pub const MAX_BODY: usize = 8 * 1024 * 1024;
/// How long an error's body is waited for: it only refines what the status says.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(2);
const MAX_IDLE_PER_HOST: usize = 1024;

/// The client that all providers share: no redirects (a key must not follow one), connections
/// kept, TLS by rustls with ring. Where the system has no certificate authorities (a bare
/// container image) it trusts Mozilla's, which are built in.
///
/// # Errors
/// [`ProviderError::Settings`] when the TLS set-up fails.
pub fn client(settings: &ProviderSettings) -> Result<Client, ProviderError> {
    client_with(settings, |builder| builder)
}

/// [`client`], with what `shape` adds to it.
///
/// # Errors
/// As [`client`].
pub fn client_with(
    settings: &ProviderSettings,
    shape: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, ProviderError> {
    // An error only says that the process has one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    shape(builder(settings)).build().or_else(|_| {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root));
        let roots = roots.collect::<Result<Vec<_>, _>>().map_err(|_| TLS_FAILED)?;
        shape(builder(settings)).tls_certs_only(roots).build().map_err(|_| TLS_FAILED)
    })
}

const TLS_FAILED: ProviderError = ProviderError::Settings("TLS cannot be set up");

#[allow(clippy::disallowed_methods, reason = "the one place where clients are made")]
fn builder(settings: &ProviderSettings) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("parlor/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .tcp_nodelay(true)
        .referer(false)
}

/// A provider's address from the settings: http or https, and no credentials in it.
///
/// # Errors
/// [`ProviderError::Settings`], without the address.
pub(super) fn base_url(text: &str) -> Result<Url, ProviderError> {
    let url = Url::parse(text.trim()).map_err(|_| ProviderError::Settings("a base URL is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ProviderError::Settings("a base URL is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ProviderError::Settings("a base URL holds credentials; keys have settings of their own"));
    }
    Ok(url)
}

/// Whether a path's last part is a version, such as `/v1` or `/v1beta`.
pub(super) fn ends_in_version(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Why no response came.
pub(super) fn send_error(error: &reqwest::Error) -> ProviderError {
    if error.is_timeout() { ProviderError::Timeout(TimeoutPhase::Connect) } else { ProviderError::Connect }
}

/// What the response's content type calls the body, in lower case and without parameters.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A whole body of at most [`MAX_BODY`] bytes.
///
/// # Errors
/// [`ProviderError::Protocol`] when it is longer, [`ProviderError::Cut`] when it breaks off.
pub async fn read_body(response: Response) -> Result<Bytes, ProviderError> {
    let mut body = BytesMut::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ProviderError::Cut)?;
        if body.len() + piece.len() > MAX_BODY {
            return Err(ProviderError::Protocol("the answer is too long"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// As much of an error's body as comes within bounds of size and time.
pub(super) async fn read_error_body(response: Response) -> Bytes {
    let mut body = BytesMut::new();
    let mut pieces = response.bytes_stream();
    let read = async {
        while let Some(Ok(piece)) = pieces.next().await {
            let room = MAX_ERROR_BODY.saturating_sub(body.len());
            body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            if body.len() >= MAX_ERROR_BODY {
                break;
            }
        }
    };
    // Running out of time leaves what has come so far.
    let _ = tokio::time::timeout(ERROR_BODY_WAIT, read).await;
    body.freeze()
}

/// How long the response asks us to wait: `retry-after-ms` (OpenAI's), or `Retry-After` in seconds
/// or as a date (RFC 9110, section 10.2.3), which is measured against the response's own `Date`.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|value| value.parse().ok()) {
        return Some(Duration::from_millis(milliseconds));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let sent = DateTime::parse_from_rfc2822(text(DATE.as_str())?).ok()?;
    Some((until - sent).to_std().unwrap_or_default())
}

/// The error that a status other than 200 stands for.
pub(super) fn of_status(status: u16, retry_after: Option<Duration>) -> ProviderError {
    match status {
        401..=403 => ProviderError::Unauthorized,
        404 => ProviderError::UnknownModel,
        408 | 425 => ProviderError::Unavailable { status },
        429 => ProviderError::RateLimited { retry_after },
        400..=499 => ProviderError::bad_request(status),
        300..=399 => ProviderError::Protocol("the provider redirects"),
        500..=599 => ProviderError::Unavailable { status },
        _ => ProviderError::Protocol("an unexpected status"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_wait_is_read_in_all_its_spellings() {
        let wait = |pairs: &[(&'static str, &'static str)]| retry_after(&headers(pairs));
        assert_eq!(wait(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(wait(&[("retry-after", "3"), ("retry-after-ms", "20")]), Some(Duration::from_millis(20)));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), date]), Some(Duration::from_secs(10)));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), None);
        assert_eq!(wait(&[("retry-after", "-1")]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_base_url_is_http_or_https_and_holds_no_credentials() {
        assert!(base_url("https://api.example.com/v1").is_ok());
        assert!(base_url("http://127.0.0.1:9/v1/").is_ok());
        for bad in ["", "api.example.com", "ftp://example.com", "https://user:pass@example.com", "file:///etc/passwd"] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }
}
