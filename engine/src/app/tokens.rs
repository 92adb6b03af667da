//! Access tokens (JWT, HMAC-SHA-2) and refresh tokens (random, kept as hashes).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::Rng;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{AppError, jwt_crypto};
use crate::config::{JwtAlgorithm, SecuritySettings};
use crate::domain::{Account, AccountId, Timestamp};

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// The account's id.
    sub: String,
    /// Always `access`: nothing else that we sign opens a door.
    typ: String,
    /// The account's token version when this was issued.
    ver: i64,
    /// The family of refresh tokens that it was issued with: its session. Tokens of older servers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fam: Option<String>,
    /// Seconds since the epoch.
    iat: i64,
    /// Seconds since the epoch.
    exp: i64,
}

/// Makes and reads access tokens.
pub(crate) struct Tokens {
    header: Header,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    ttl_seconds: i64,
}

/// Whom an access token names, before the account itself is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessToken {
    pub(crate) account_id: AccountId,
    pub(crate) token_version: i64,
    pub(crate) family: Option<String>,
}

impl Tokens {
    pub(crate) fn new(settings: &SecuritySettings) -> Self {
        jwt_crypto::install();
        let algorithm = match settings.algorithm {
            JwtAlgorithm::Hs256 => Algorithm::HS256,
            JwtAlgorithm::Hs384 => Algorithm::HS384,
            JwtAlgorithm::Hs512 => Algorithm::HS512,
        };
        let secret = settings.secret_key.expose_secret().as_bytes();
        let mut validation = Validation::new(algorithm);
        // Checked against the application's own clock instead.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "sub"]);
        Self {
            header: Header::new(algorithm),
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            ttl_seconds: i64::try_from(settings.access_token_ttl.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Seconds that an access token lives.
    pub(crate) const fn ttl_seconds(&self) -> i64 {
        self.ttl_seconds
    }

    pub(crate) fn issue(&self, account: &Account, family: &str, now: Timestamp) -> Result<String, AppError> {
        let claims = Claims {
            sub: account.id.to_string(),
            typ: "access".to_owned(),
            ver: account.token_version,
            fam: Some(family.to_owned()),
            iat: now.seconds(),
            exp: now.seconds().saturating_add(self.ttl_seconds),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.encoding)
            .map_err(|error| AppError::Internal(format!("jwt: {error}")))
    }

    /// Reads a token: `None` when it is not ours, not an access token, or expired.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<AccessToken> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        if claims.typ != "access" || claims.exp <= now.seconds() {
            return None;
        }
        let account_id = claims.sub.parse().ok()?;
        Some(AccessToken { account_id, token_version: claims.ver, family: claims.fam })
    }
}

/// A fresh refresh token and its hash: 256 random bits.
pub(crate) fn new_refresh_token() -> (String, String) {
    let token = format!("rt-{}", random_text());
    let hash = hash_of(&token);
    (token, hash)
}

/// A fresh token of a link and its hash: 256 random bits.
pub(crate) fn new_share_token() -> (String, String) {
    let token = random_text();
    let hash = hash_of(&token);
    (token, hash)
}

/// What API keys begin with.
const API_KEY_MARK: &str = "pk-";
/// Characters of an API key that are shown, so that its owner knows it again; the other 35 stay secret.
const API_KEY_SHOWN: usize = 11;

/// Whether a bearer token is an API key rather than a JWT.
pub(crate) fn is_api_key(bearer: &str) -> bool {
    bearer.starts_with(API_KEY_MARK)
}

/// A fresh API key, its hash, and the part of it that may be shown: 256 random bits.
pub(crate) fn new_api_key() -> (String, String, String) {
    let key = format!("{API_KEY_MARK}{}", random_text());
    let (hash, prefix) = (hash_of(&key), key.chars().take(API_KEY_SHOWN).collect());
    (key, hash, prefix)
}

/// 256 random bits, as text that needs no escaping in a URL.
pub(crate) fn random_text() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The SHA-256 of a random token, in hex; such a token needs no slow hash.
pub(crate) fn hash_of(token: &str) -> String {
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    Sha256::digest(token.as_bytes()).into_iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::config::Settings;
    use crate::domain::{AccountRole, Preferences};

    fn tokens() -> (Tokens, Account) {
        let settings = Settings::for_tests(std::path::Path::new("unused"));
        let account = Account {
            id: AccountId::new(7).unwrap(),
            role: AccountRole::User,
            email: None,
            username: None,
            guest_key: None,
            is_active: true,
            token_version: 3,
            preferences: Preferences::default(),
            quotas: Vec::new(),
            created_at: Timestamp::from_micros(0),
        };
        (Tokens::new(&settings.security), account)
    }

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    #[test]
    fn a_token_names_its_account_until_it_expires() {
        let (tokens, account) = tokens();
        let token = tokens.issue(&account, "f", NOW).unwrap();
        let read = tokens.read(&token, NOW).unwrap();
        assert_eq!((read.account_id, read.token_version, read.family.as_deref()), (account.id, 3, Some("f")));
        let last = NOW.plus(Duration::from_secs(30 * 60 - 1));
        assert!(tokens.read(&token, last).is_some());
        assert!(tokens.read(&token, last.plus(Duration::from_secs(1))).is_none());
    }

    #[test]
    fn a_tampered_or_unsigned_token_names_nobody() {
        let (tokens, account) = tokens();
        let token = tokens.issue(&account, "f", NOW).unwrap();
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let claims = r#"{"sub":"1","typ":"access","ver":3,"iat":1,"exp":9999999999}"#;
        parts[1] = URL_SAFE_NO_PAD.encode(claims);
        assert!(tokens.read(&parts.join("."), NOW).is_none());
        for header in [r#"{"alg":"none","typ":"JWT"}"#, r#"{"alg":"None"}"#, r#"{"alg":"HS512"}"#] {
            let header = URL_SAFE_NO_PAD.encode(header);
            for signature in ["", parts[2].as_str()] {
                assert!(tokens.read(&format!("{header}.{}.{signature}", parts[1]), NOW).is_none());
            }
        }
        for garbage in ["", ".", "..", "a.b.c", &token[..token.len() - 2]] {
            assert!(tokens.read(garbage, NOW).is_none(), "{garbage}");
        }
    }

    #[test]
    fn what_we_sign_for_another_purpose_is_no_access_token() {
        let (tokens, _) = tokens();
        let claims = serde_json::json!({"sub": "7", "typ": "refresh", "ver": 3, "iat": 0, "exp": 9_999_999_999_i64});
        let token = jsonwebtoken::encode(&tokens.header, &claims, &tokens.encoding).unwrap();
        assert!(tokens.read(&token, NOW).is_none());
    }
}
