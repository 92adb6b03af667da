//! Names for what Redis must not be told: who called from where, and what was said.

use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// Makes names under the installation's secret key, so that nobody without it can tell or guess what they stand for. All replicas make the
/// same ones.
#[derive(Clone)]
pub(super) struct Pseudonyms {
    keyed: Option<Hmac<Sha256>>,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl Pseudonyms {
    pub(super) fn new(secret: &SecretString) -> Self {
        // HMAC takes keys of any length.
        Self { keyed: Hmac::new_from_slice(secret.expose_secret().as_bytes()).ok() }
    }

    /// The name of `parts` within `space`; no other list of parts has it.
    pub(super) fn name(&self, space: &str, parts: &[&str]) -> Option<String> {
        let mut mac = self.keyed.clone()?;
        for part in [space].iter().chain(parts) {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let name: String = mac.finalize().into_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(format!("parlor:{space}:{name}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_tell_lists_apart_and_show_nothing_of_them() {
        let names = Pseudonyms::new(&SecretString::from("a secret"));
        let name = names.name("count", &["login", "ann@example.org"]).unwrap();
        assert!(name.starts_with("parlor:count:") && !name.contains("ann"), "{name}");
        assert_eq!(names.name("count", &["login", "ann@example.org"]).unwrap(), name);
        for other in [&["login", "ben@example.org"][..], &["logi", "nann@example.org"], &["loginann@example.org"]] {
            assert_ne!(names.name("count", other).unwrap(), name);
        }
        assert_ne!(names.name("cache", &["login", "ann@example.org"]).unwrap(), name);
        let others = Pseudonyms::new(&SecretString::from("another secret"));
        assert_ne!(others.name("count", &["login", "ann@example.org"]).unwrap(), name);
    }
}
