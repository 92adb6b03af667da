//! MongoDB's connection string, which lists several hosts and so is no URL by RFC 3986.

/// Checks all of it that can be checked without a server.
///
/// # Errors
///
/// What was expected instead, without repeating the text (it may hold a password).
pub(super) fn check(text: &str) -> Result<(), String> {
    if is_valid(text) {
        return Ok(());
    }
    Err("mongodb://user:password@host:port/database, or mongodb+srv://, where special characters in user and password \
         are percent-encoded (`#` is %23, `@` is %40, `/` is %2F), with no options but those of MongoDB's drivers"
        .to_owned())
}

#[cfg(feature = "mongodb")]
fn is_valid(text: &str) -> bool {
    mongodb::options::ConnectionString::parse(text).is_ok()
}

/// The scheme alone: without the driver it is refused anyway.
#[cfg(not(feature = "mongodb"))]
fn is_valid(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| matches!(scheme, "mongodb" | "mongodb+srv") && !rest.is_empty())
}
