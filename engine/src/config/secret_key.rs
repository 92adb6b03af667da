//! Tells weak secret keys.

/// The fewest characters of a secret key.
const MIN_CHARS: usize = 32;
/// Fewer different characters than this are no random secret.
const MIN_DISTINCT: usize = 6;

/// Parts of the placeholders that documents and templates show, in small letters and digits only.
const PLACEHOLDERS: &[&str] = &[
    "yoursecret",
    "yoursecure",
    "yourjwt",
    "yourkey",
    "yoursuper",
    "yourrandom",
    "yourownsecret",
    "changeme",
    "changethis",
    "changein",
    "replaceme",
    "replacethis",
    "replacewith",
    "placeholder",
    "supersecret",
    "secretkeyhere",
    "stringhere",
    "generatewith",
    "insecure",
    "donotuse",
    "examplesecret",
    "mysecretkey",
    "correcthorsebattery",
    // FastAPI's tutorial prints this one.
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
];

/// Why `secret` must not sign tokens; `None` when nothing speaks against it.
pub(super) fn weakness(secret: &str) -> Option<&'static str> {
    let letters: String =
        secret.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    if PLACEHOLDERS.iter().any(|placeholder| letters.contains(placeholder)) {
        return Some("is a placeholder; make one with `openssl rand -base64 48`");
    }
    if secret.trim().chars().count() < MIN_CHARS {
        return Some("is shorter than 32 characters; make one with `openssl rand -base64 48`");
    }
    if is_repetitive(secret) {
        return Some("repeats itself or counts up, and can be guessed; make one with `openssl rand -base64 48`");
    }
    None
}

/// Few different characters, one part over and over, or mostly a run such as `abcdef`.
fn is_repetitive(secret: &str) -> bool {
    let chars: Vec<char> = secret.chars().collect();
    let distinct: std::collections::BTreeSet<char> = chars.iter().copied().collect();
    let is_periodic = (1..=chars.len() / 2)
        .any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(left, right)| left == right));
    let steps = chars.iter().zip(chars.iter().skip(1));
    let in_runs = steps.filter(|(a, b)| u32::from(**a).abs_diff(u32::from(**b)) <= 1).count();
    distinct.len() < MIN_DISTINCT || is_periodic || in_runs * 2 > chars.len()
}
