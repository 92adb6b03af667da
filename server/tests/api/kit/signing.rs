//! Tokens that the server did not issue.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A JWT of these parts, signed by HMAC-SHA-256.
pub fn sign(header: &Value, claims: &Value, secret: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// What a JWT claims.
pub fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// A JWT's part.
pub fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// Tokens made from a good one that must open nothing, each with what is wrong with it.
pub fn bad_tokens(good: &str, secret: &str) -> Vec<(&'static str, String)> {
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let with = |name: &str, value: Value| {
        let mut claims = claims_of(good);
        claims[name] = value;
        claims
    };
    let parts: Vec<&str> = good.split('.').collect();
    let none = encode(&json!({"alg": "none", "typ": "JWT"}));
    let flipped: String = {
        let (first, rest) = parts[2].split_at(1);
        format!("{}{rest}", if first == "A" { "B" } else { "A" })
    };
    vec![
        ("expired", sign(&header, &with("exp", json!(1_700_000_000)), secret)),
        ("of another kind", sign(&header, &with("typ", json!("refresh")), secret)),
        ("of an unknown account", sign(&header, &with("sub", json!("999999")), secret)),
        ("of an older version", sign(&header, &with("ver", json!(-1)), secret)),
        ("signed with another secret", sign(&header, &claims_of(good), "another-secret-of-forty-characters-xyz12")),
        ("with another signature", format!("{}.{}.{flipped}", parts[0], parts[1])),
        ("with other claims", format!("{}.{}.{}", parts[0], encode(&with("sub", json!("1000"))), parts[2])),
        ("without a signature", format!("{}.{}.", parts[0], parts[1])),
        ("of algorithm none", format!("{none}.{}.", parts[1])),
        ("of algorithm none, with a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("of no form", "garbage".to_owned()),
        ("of a key's form", "pk-0123456789abcdef0123456789abcdef".to_owned()),
    ]
}
