//! Who may call, and how that is proved.

use std::time::Duration;

use secrecy::SecretString;

use super::reader::Reader;
use super::resolve::Source;
use super::secret_key::weakness;
use super::setting::Choose;

/// Who may call, and how that is proved.
#[derive(Debug, Clone)]
pub struct SecuritySettings {
    /// Signs tokens; 32 characters or more.
    pub secret_key: SecretString,
    /// How tokens are signed.
    pub algorithm: JwtAlgorithm,
    /// How long an access token is good.
    pub access_token_ttl: Duration,
    /// How long a refresh token is good; longer than an access token.
    pub refresh_token_ttl: Duration,
    /// bcrypt's work factor, 4 to 16.
    pub bcrypt_rounds: u32,
    /// How new passwords are hashed.
    pub password_hash: PasswordScheme,
    /// Whether callers without a login are served.
    pub guest_access: GuestAccess,
    /// Whether signing in waits for a verified address.
    pub require_verified_email: bool,
    /// The first admin's address; set together with the password.
    pub admin_email: Option<String>,
    /// The first admin's password, 8 to 128 characters.
    pub admin_password: Option<SecretString>,
}

/// How tokens are signed: HMAC with SHA-2 (RFC 7518, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl Choose for JwtAlgorithm {
    const NAMES: &'static [&'static str] = &["HS256", "HS384", "HS512"];
    const ALL: &'static [Self] = &[Self::Hs256, Self::Hs384, Self::Hs512];
}

/// How new passwords are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PasswordScheme {
    /// bcrypt over SHA-256, so that long passwords count in full.
    #[default]
    BcryptSha256,
    /// Argon2id (RFC 9106).
    Argon2id,
}

impl Choose for PasswordScheme {
    const NAMES: &'static [&'static str] = &["bcrypt-sha256", "argon2id"];
    const ALL: &'static [Self] = &[Self::BcryptSha256, Self::Argon2id];
}

/// Whether callers without a login are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuestAccess {
    /// Always.
    On,
    /// Never.
    Off,
    /// Only while the server listens on a loopback address.
    #[default]
    Loopback,
}

impl Choose for GuestAccess {
    const NAMES: &'static [&'static str] = &["on", "off", "loopback"];
    const ALL: &'static [Self] = &[Self::On, Self::Off, Self::Loopback];
}

impl SecuritySettings {
    /// `generated` is a secret key for when none is set, and where it came from.
    pub(super) fn read(reader: &mut Reader, generated: Option<&(String, String)>) -> Self {
        let settings = Self {
            secret_key: secret_key(reader, generated).into(),
            algorithm: reader.choice("security.algorithm"),
            access_token_ttl: reader.duration("security.access_token_expire_minutes"),
            refresh_token_ttl: reader.duration("security.refresh_token_days"),
            bcrypt_rounds: reader.integer("security.bcrypt_rounds"),
            password_hash: reader.choice("security.password_hash"),
            guest_access: reader.choice("security.guest_access"),
            require_verified_email: reader.boolean("security.require_verified_email"),
            admin_email: reader.opt_text("security.admin_email"),
            admin_password: admin_password(reader).map(SecretString::from),
        };
        if settings.refresh_token_ttl <= settings.access_token_ttl {
            let what = "a refresh token must be good for longer than an access token";
            reader.problem("security.refresh_token_days", what);
        }
        match (&settings.admin_email, &settings.admin_password) {
            (Some(_), None) if !reader.is_uncertain("security.admin_password") => {
                reader.problem("security.admin_email", "needs the password too (ADMIN_PASSWORD)");
            }
            (None, Some(_)) if !reader.is_uncertain("security.admin_email") => {
                reader.problem("security.admin_password", "needs the address too (ADMIN_EMAIL)");
            }
            _ => {}
        }
        settings
    }
}

const SECRET_KEY: &str = "security.secret_key";

fn secret_key(reader: &mut Reader, generated: Option<&(String, String)>) -> String {
    let secret = match (reader.opt_text(SECRET_KEY), generated) {
        (Some(secret), _) => secret,
        (None, Some((secret, from))) => {
            let source = Source::Generated(from.clone());
            reader.show_as(SECRET_KEY, "[redacted]".to_owned(), Some(source));
            secret.clone()
        }
        (None, None) => {
            if !reader.is_uncertain(SECRET_KEY) {
                let what = "is not set: set SECRET_KEY to 32 random characters or more, e.g. from \
                            `openssl rand -base64 48`";
                reader.problem(SECRET_KEY, what);
            }
            return String::new();
        }
    };
    if let Some(weakness) = weakness(&secret) {
        reader.problem(SECRET_KEY, weakness);
    }
    secret
}

fn admin_password(reader: &mut Reader) -> Option<String> {
    let password = reader.opt_text("security.admin_password")?;
    if !(8..=128).contains(&password.chars().count()) {
        reader.problem("security.admin_password", "expected 8 to 128 characters");
    }
    Some(password)
}
