//! How mail leaves.

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::reader::Reader;

/// How mail leaves. With neither password nor URL, mails are written to the log.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The address that mails come from; there is one when there is a server.
    pub from_email: Option<String>,
    /// Gmail's app password for that address.
    pub app_password: Option<SecretString>,
    /// Another server than Gmail's, `smtp://` or `smtps://`.
    pub smtp_url: Option<SecretString>,
}

impl MailSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            from_email: reader.opt_text("mail.from_email"),
            app_password: reader.opt_secret("mail.app_password"),
            smtp_url: reader.opt_secret("mail.smtp_url"),
        };
        if settings.from_email.is_none() && !reader.is_uncertain("mail.from_email") {
            let what = "needs the address that mails come from too (EMAIL__GMAIL_FROM_EMAIL)";
            if settings.smtp_url.is_some() {
                reader.problem("mail.smtp_url", what);
            } else if settings.app_password.is_some() {
                reader.problem("mail.app_password", what);
            }
        }
        settings
    }

    /// The server that mails are given to, as an SMTP URL; `None`: there is none. To another machine the connection is encrypted, unless
    /// the URL itself says `?tls=…`.
    #[must_use]
    pub fn server_url(&self) -> Option<SecretString> {
        if let Some(given) = &self.smtp_url {
            let Ok(mut url) = Url::parse(given.expose_secret()) else { return Some(given.clone()) };
            if url.scheme() == "smtp" && !url.query_pairs().any(|(name, _)| name == "tls") && !is_here(&url) {
                url.query_pairs_mut().append_pair("tls", "required");
            }
            return Some(url.to_string().into());
        }
        let (from, password) = (self.from_email.as_ref()?, self.app_password.as_ref()?);
        let mut url = Url::parse("smtps://smtp.gmail.com").ok()?;
        url.set_username(from).ok()?;
        // Gmail shows its app passwords in groups of four; the spaces are not part of them.
        url.set_password(Some(&password.expose_secret().replace(' ', ""))).ok()?;
        Some(url.to_string().into())
    }
}

fn is_here(url: &Url) -> bool {
    // A scheme that is not the web's leaves an address as a name.
    match url.host() {
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn url(from: Option<&str>, password: Option<&str>, smtp: Option<&str>) -> Option<String> {
        let settings = MailSettings {
            from_email: from.map(Into::into),
            app_password: password.map(Into::into),
            smtp_url: smtp.map(Into::into),
        };
        settings.server_url().map(|url| url.expose_secret().to_owned())
    }

    #[test]
    fn gmail_needs_the_address_and_the_app_password() {
        let gmail = url(Some("me@gmail.com"), Some("abcd efgh ijkl mnop"), None).unwrap();
        assert_eq!(gmail, "smtps://me%40gmail.com:abcdefghijklmnop@smtp.gmail.com");
        assert_eq!(url(Some("me@gmail.com"), None, None), None);
    }

    #[test]
    fn what_leaves_this_machine_is_encrypted_unless_told_otherwise() {
        let of = |given| url(Some("me@example.com"), None, Some(given)).unwrap();
        assert_eq!(of("smtp://u:p@mail.example:587"), "smtp://u:p@mail.example:587?tls=required");
        for stays in [
            "smtp://127.0.0.1:25",
            "smtp://localhost:25",
            "smtp://[::1]:25",
            "smtps://mail.example",
            "smtp://mail.example?tls=opportunistic",
        ] {
            assert_eq!(of(stays), stays);
        }
    }
}
