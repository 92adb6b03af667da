//! `/api/auth/…`, `/api/chat…`, `/api/history`.

mod auth;
mod chat;
mod history;
mod login_limits;
mod overload;
mod passwords;
mod socket;
mod socket_opening;
pub mod stream;
mod stream_faults;
mod stream_resume;
mod tokens;
mod users;
