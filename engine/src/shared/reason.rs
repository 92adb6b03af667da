//! Why Redis did not do what it was asked, in words of our own: the server's may repeat what it was sent.

use std::error::Error;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rustls::CertificateError;

/// Why Redis did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("nobody listens there")]
    NobodyListens,
    #[error("no such host is known")]
    UnknownHost,
    #[error("no network leads there")]
    Unreachable,
    #[error("it did not answer in time")]
    TimedOut,
    #[error("the connection broke")]
    Broke,
    #[error("what answers there is no Redis")]
    NoRedis,
    #[error("it is older than Redis 6")]
    TooOld,
    #[error("it speaks no TLS there: rediss:// is for TLS, redis:// for a connection without")]
    NoTls,
    #[error("it wants TLS: rediss:// instead of redis://")]
    WantsTls,
    #[error(
        "its certificate is not accepted: it was signed by nobody whom we know (REDIS_SSL_CA, or the system's authorities)"
    )]
    UnknownIssuer,
    #[error("its certificate is not accepted: it is not made out for the host that REDIS_URL names")]
    WrongName,
    #[error("its certificate is not accepted: it has expired")]
    Expired,
    #[error("its certificate is not accepted: it is not valid yet")]
    NotValidYet,
    #[error("its certificate is not accepted")]
    Certificate,
    #[error("it wants a certificate of its clients, and Parlor has none")]
    WantsCertificate,
    #[error("no TLS connection came about")]
    Handshake,
    #[error("it refuses the user or the password")]
    Login,
    #[error("it has no database of this number (REDIS_DB, or the URL's path)")]
    NoDatabase,
    #[error("it has as many clients as it takes")]
    TooManyClients,
    #[error("it is still loading its data")]
    Loading,
    #[error("its user lacks the right to do this (ACL)")]
    NoRight,
    #[error("its memory is full")]
    Full,
    #[error("it takes no writes, as a replica of another")]
    ReadOnly,
    #[error("it refuses what it was asked")]
    Refuses,
}

impl Reason {
    /// What an error means.
    pub(super) fn of(error: &RedisError) -> Self {
        if let Some(error) = tls_error(error) {
            return Self::of_tls(error);
        }
        match error.kind() {
            ErrorKind::Io if error.is_connection_refusal() => Self::NobodyListens,
            ErrorKind::Io if error.is_timeout() => Self::TimedOut,
            ErrorKind::Io => Self::Broke,
            ErrorKind::Parse => Self::NoRedis,
            ErrorKind::AuthenticationFailed => Self::Login,
            ErrorKind::RESP3NotSupported => Self::TooOld,
            ErrorKind::Server(ServerErrorKind::BusyLoading) => Self::Loading,
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::NoRight,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            // These have no code of their own.
            ErrorKind::Server(ServerErrorKind::ResponseError) => match error.detail() {
                Some(detail) if detail.contains("DB index") => Self::NoDatabase,
                Some(detail) if detail.contains("max number of clients") => Self::TooManyClients,
                _ => Self::Refuses,
            },
            _ => match error.code() {
                Some("WRONGPASS" | "NOAUTH") => Self::Login,
                Some("NOPERM") => Self::NoRight,
                Some("OOM") => Self::Full,
                _ => Self::Refuses,
            },
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use rustls::AlertDescription as Alert;
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                // An authority of the same name has another key.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotValidYet,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
                _ => Self::Certificate,
            },
            rustls::Error::InvalidMessage(_) => Self::NoTls,
            rustls::Error::AlertReceived(
                Alert::CertificateRequired | Alert::BadCertificate | Alert::UnknownCA | Alert::NoCertificate,
            ) => Self::WantsCertificate,
            _ => Self::Handshake,
        }
    }

    /// Whether it may be true of one command while others are done.
    pub(super) fn may_be_one_commands(self) -> bool {
        matches!(self, Self::NoRight | Self::Full | Self::ReadOnly | Self::Refuses)
    }

    /// Whether it could have several causes that a look at the address tells apart.
    pub(super) fn is_vague(self) -> bool {
        matches!(self, Self::TimedOut | Self::Broke | Self::NoRedis | Self::Handshake)
    }

    /// Whether it is there and refuses, which no trying again changes soon.
    pub(super) fn is_refusal(self) -> bool {
        !matches!(self, Self::NobodyListens | Self::Unreachable | Self::TimedOut | Self::Broke | Self::Loading)
    }
}

/// The error of TLS within one of the connection.
fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
    // The driver shows its causes as they are kept, within an `Arc`.
    let cause = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()
}
