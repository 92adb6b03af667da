//! `parlor openapi`

use super::{CliError, say};
use crate::router;

/// Prints the API's description.
pub(super) fn run() -> Result<(), CliError> {
    let text = router::description().to_pretty_json().map_err(|error| CliError::Failed(error.to_string()))?;
    say(&text)
}
