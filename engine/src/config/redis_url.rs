//! Redis' URL, and the certificates that its own is checked against.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

/// The most that is read of a file of certificates.
const CERTIFICATES_MAX: u64 = 1024 * 1024;

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

/// Reads certificates in PEM, of which there is at least one.
///
/// # Errors
///
/// What is wrong with the file.
pub fn read_certificates(path: &Path) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(CERTIFICATES_MAX).read_to_end(&mut pem));
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| format!("{} is no file in PEM", path.display()))?;
        roots.add(certificate).map_err(|_| format!("{} holds a certificate that cannot be used", path.display()))?;
    }
    if roots.is_empty() { Err(format!("{} holds no certificate in PEM", path.display())) } else { Ok(pem) }
}
