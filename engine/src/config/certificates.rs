//! Files of certificates, which those of servers are checked against.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The most that is read of a file.
const BYTES_MAX: u64 = 1024 * 1024;

/// Reads certificates in PEM, of which there is at least one.
///
/// # Errors
///
/// What is wrong with the file.
pub fn read_certificates(path: &Path) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut pem));
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| format!("{} is no file in PEM", path.display()))?;
        roots.add(certificate).map_err(|_| format!("{} holds a certificate that cannot be used", path.display()))?;
    }
    if roots.is_empty() { Err(format!("{} holds no certificate in PEM", path.display())) } else { Ok(pem) }
}
