//! Password hashing: a bounded number at a time, off the async threads.
//!
//! New hashes are passlib's `bcrypt_sha256` version 2 (or argon2id where the settings say so), in which every byte of a password counts:
//! bcrypt alone reads only 72. <https://passlib.readthedocs.io/en/stable/lib/passlib.hash.bcrypt_sha256.html>
//! Plain `$2a/2b/2y$` hashes, version 1 of `bcrypt_sha256` and argon2id verify too.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::AppError;
use crate::config::{PasswordScheme, SecuritySettings};

/// How long a caller waits for its turn; a queue longer than this answers that the server is busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Hashes waiting or running at most, per thread that may hash.
const WAITING: usize = 32;

/// Hashes and verifies passwords.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    scheme: PasswordScheme,
    rounds: u32,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Verified against when there is no account, so that both cases cost the same.
    decoy: Arc<str>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is another password, or there is none.
    Wrong,
    /// It is this password. The second value is a better hash of it, where the stored one is of an older kind.
    Right(Option<String>),
}

impl Passwords {
    /// # Errors
    /// When the settings' cost is refused by the hash.
    pub(crate) fn new(settings: &SecuritySettings) -> Result<Self, AppError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let decoy = hash(settings.password_hash, settings.bcrypt_rounds, b"no account has this password")?;
        Ok(Self {
            scheme: settings.password_hash,
            rounds: settings.bcrypt_rounds,
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(threads * WAITING)),
            decoy: decoy.into(),
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`AppError::Overloaded`] when too many wait.
    pub(crate) async fn hash(&self, password: Vec<u8>) -> Result<String, AppError> {
        let (scheme, rounds) = (self.scheme, self.rounds);
        self.run(move || hash(scheme, rounds, &password)).await?
    }

    /// Verifies a password against the stored hash of its account; without an account the same work is done for nothing.
    ///
    /// # Errors
    /// [`AppError::Overloaded`] when too many wait.
    pub(crate) async fn verify(&self, password: Vec<u8>, stored: Option<String>) -> Result<Verdict, AppError> {
        let (scheme, rounds) = (self.scheme, self.rounds);
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.to_string());
        self.run(move || {
            if !verify(&password, &stored) || !known {
                return Ok(Verdict::Wrong);
            }
            let better =
                if is_current(scheme, rounds, &stored) { None } else { Some(hash(scheme, rounds, &password)?) };
            Ok(Verdict::Right(better))
        })
        .await?
    }

    #[allow(clippy::disallowed_methods, reason = "bounded by the two semaphores")]
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AppError> {
        let _place = self.waiting.try_acquire().map_err(|_| AppError::Overloaded)?;
        let permit = tokio::time::timeout(PATIENCE, Arc::clone(&self.running).acquire_owned())
            .await
            .map_err(|_| AppError::Overloaded)?
            .map_err(|_| AppError::ShuttingDown)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(|error| AppError::Internal(format!("hashing: {error}")))
    }
}

fn hash(scheme: PasswordScheme, rounds: u32, password: &[u8]) -> Result<String, AppError> {
    match scheme {
        PasswordScheme::BcryptSha256 => {
            let salt: [u8; 16] = rand::random();
            bcrypt_sha256(password, rounds, salt)
        }
        PasswordScheme::Argon2id => argon2::Argon2::default()
            .hash_password(password)
            .map(|hash| hash.to_string())
            .map_err(|error| AppError::Internal(format!("argon2: {error}"))),
    }
}

fn bcrypt_failed(error: bcrypt::BcryptError) -> AppError {
    AppError::Internal(format!("bcrypt: {error}"))
}

/// `$bcrypt-sha256$v=2,t=2b,r=<rounds>$<salt>$<digest>`: bcrypt of base64(HMAC-SHA256(key = the salt as it is written, password)).
fn bcrypt_sha256(password: &[u8], rounds: u32, salt: [u8; 16]) -> Result<String, AppError> {
    // The first pass only writes the salt in bcrypt's own alphabet; its cost is bcrypt's least.
    let written = bcrypt::hash_with_salt(b"", 4, salt).map_err(bcrypt_failed)?.get_salt();
    let parts = bcrypt::hash_with_salt(prehash_v2(password, &written)?, rounds, salt).map_err(bcrypt_failed)?;
    let text = parts.format_for_version(bcrypt::Version::TwoB);
    // `$2b$12$` is followed by 22 characters of salt and 31 of digest.
    let digest = text.get(text.len().saturating_sub(31)..).unwrap_or_default();
    Ok(format!("$bcrypt-sha256$v=2,t=2b,r={rounds}${written}${digest}"))
}

fn prehash_v2(password: &[u8], written_salt: &str) -> Result<String, AppError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(written_salt.as_bytes())
        .map_err(|error| AppError::Internal(format!("hmac: {error}")))?;
    mac.update(password);
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether `password` is the one behind `stored`; false for a hash of an unknown kind.
fn verify(password: &[u8], stored: &str) -> bool {
    if let Some(rest) = stored.strip_prefix("$bcrypt-sha256$") {
        return verify_bcrypt_sha256(password, rest).unwrap_or(false);
    }
    if stored.starts_with("$argon2") {
        return argon2::PasswordHash::new(stored)
            .is_ok_and(|hash| argon2::Argon2::default().verify_password(password, &hash).is_ok());
    }
    bcrypt::verify(password, stored).unwrap_or(false)
}

/// Whether a hash is of a kind that [`Passwords::verify`] reads. Looks at its form alone.
pub(crate) fn is_known(stored: &str) -> bool {
    let is_of = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte))
    };
    if let Some(rest) = stored.strip_prefix("$bcrypt-sha256$") {
        let fields: Vec<&str> = rest.split('$').collect();
        return matches!(fields.as_slice(), [_, salt, digest] if is_of(salt, 22) && is_of(digest, 31));
    }
    if stored.starts_with("$argon2") {
        return argon2::PasswordHash::new(stored).is_ok();
    }
    let fields: Vec<&str> = stored.split('$').collect();
    matches!(fields.as_slice(), ["", "2a" | "2b" | "2x" | "2y", rounds, rest]
        if rounds.parse::<u32>().is_ok_and(|rounds| (4..=31).contains(&rounds)) && is_of(rest, 53))
}

/// `rest` is what follows the scheme: `v=2,t=2b,r=12$salt$digest`, or version 1's `2b,12$salt$digest`.
fn verify_bcrypt_sha256(password: &[u8], rest: &str) -> Option<bool> {
    let mut fields = rest.split('$');
    let (options, salt, digest) = (fields.next()?, fields.next()?, fields.next()?);
    let (rounds, prehashed) = match options.strip_prefix("v=2,") {
        Some(options) => {
            let rounds = options.split(',').find_map(|option| option.strip_prefix("r="))?;
            (rounds, prehash_v2(password, salt).ok()?)
        }
        None => (options.split_once(',')?.1, STANDARD.encode(Sha256::digest(password))),
    };
    let rounds: u32 = rounds.parse().ok().filter(|rounds| (4..=31).contains(rounds))?;
    let full = format!("$2b${rounds:02}${salt}{digest}");
    bcrypt::verify(prehashed, &full).ok()
}

/// Whether a stored hash is what would be made today.
fn is_current(scheme: PasswordScheme, rounds: u32, stored: &str) -> bool {
    match scheme {
        PasswordScheme::BcryptSha256 => {
            let wanted = format!("$bcrypt-sha256$v=2,t=2b,r={rounds}$");
            bool::from(stored.as_bytes().get(..wanted.len()).unwrap_or_default().ct_eq(wanted.as_bytes()))
        }
        PasswordScheme::Argon2id => stored.starts_with("$argon2id$"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// From passlib's documentation (its password is "password") and from passlib 1.7.4 itself.
    const KNOWN: [(&str, &str); 4] = [
        ("password", "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2"),
        ("password", "$bcrypt-sha256$2b,12$LrmaIX5x4TRtAwEfwJZa1.$2ehnw6LvuIUTM0iz4iz9hTxv21B6KFO"),
        ("password", "$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m"),
        ("password", "$2a$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m"),
    ];

    #[test]
    fn hashes_of_the_documents_backends_verify() {
        for (password, stored) in KNOWN {
            assert!(verify(password.as_bytes(), stored), "{stored}");
            assert!(!verify(b"passwore", stored), "{stored}");
        }
    }

    #[test]
    fn every_byte_of_a_long_password_counts() {
        let long = "a".repeat(127);
        let stored = hash(PasswordScheme::BcryptSha256, 4, format!("{long}x").as_bytes()).unwrap();
        assert!(verify(format!("{long}x").as_bytes(), &stored));
        assert!(!verify(format!("{long}y").as_bytes(), &stored));
    }

    #[test]
    fn what_is_made_verifies_and_is_current() {
        for scheme in [PasswordScheme::BcryptSha256, PasswordScheme::Argon2id] {
            let stored = hash(scheme, 4, b"SuperSecret123!").unwrap();
            assert!(verify(b"SuperSecret123!", &stored), "{stored}");
            assert!(is_current(scheme, 4, &stored));
        }
        assert!(!is_current(PasswordScheme::BcryptSha256, 12, KNOWN[2].1));
        assert!(!is_current(PasswordScheme::BcryptSha256, 10, KNOWN[0].1));
    }

    #[test]
    fn garbage_is_no_hash() {
        for stored in ["", "$", "$bcrypt-sha256$", "$bcrypt-sha256$v=2,t=2b,r=99$a$b", "$argon2id$x", "plain"] {
            assert!(!verify(b"password", stored), "{stored}");
            assert!(!is_known(stored), "{stored}");
        }
    }

    #[test]
    fn what_verifies_is_known_by_its_form() {
        for (_, stored) in KNOWN {
            assert!(is_known(stored), "{stored}");
        }
        assert!(is_known(&hash(PasswordScheme::Argon2id, 4, b"SuperSecret123!").unwrap()));
        for stored in ["$5$rounds=1000$salt$digest", "pbkdf2:sha256:260000$salt$digest", "$2b$99$x", "5f4dcc3b5aa765d6"]
        {
            assert!(!is_known(stored), "{stored}");
        }
    }
}
