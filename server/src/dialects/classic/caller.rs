//! Who calls.

use parlor_engine::app::Caller;
use parlor_engine::domain::GuestRealm;

use crate::kit::guest::Guests;

/// Those who call without a token.
pub(super) const GUESTS: Guests = Guests(GuestRealm::Classic);

/// The name under which this dialect shows an account: a guest's own, or the account's id.
pub(super) fn user_id(caller: &Caller) -> String {
    caller.account().guest_key.clone().unwrap_or_else(|| caller.id().to_string())
}
