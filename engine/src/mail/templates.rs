//! What mails say.

/// A mail, written.
#[derive(Clone)]
pub struct Mail {
    pub(super) to: String,
    pub(super) subject: &'static str,
    pub(super) text: String,
    pub(super) html: String,
}

// A mail holds a link that opens an account, and somebody's address.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// A link that only the reader of the mail knows. The token stands behind `#`, which browsers send to no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Proves that the address is read.
    Verify,
    /// Sets a new password.
    Reset,
}

impl Link {
    /// The mail with this link: `public_url` is where people reach Parlor.
    #[must_use]
    pub fn mail(self, to: &str, public_url: &str, token: &str) -> Mail {
        let (subject, word, what, lasts) = match self {
            Self::Verify => ("Verify your email address", "verify-email", "verify your email address", "24 hours"),
            Self::Reset => ("Reset your password", "reset-password", "choose a new password", "30 minutes"),
        };
        let link = format!("{public_url}/#{word}={token}");
        let close = "If you did not ask for this, ignore this mail: nothing has changed.";
        let text = format!("Hello,\n\nopen this link to {what}:\n\n{link}\n\nIt works once, for {lasts}. {close}\n");
        let href = link.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let html = format!(
            "<p>Hello,</p><p><a href=\"{href}\">Open this link</a> to {what}.</p><p>It works once, for {lasts}. {close}</p>"
        );
        Mail { to: to.to_owned(), subject, text, html }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_holds_its_link_and_shows_neither_it_nor_its_reader() {
        let mail = Link::Reset.mail("user@example.com", "https://chat.example", "s3cret");
        assert!(mail.text.contains("https://chat.example/#reset-password=s3cret\n"));
        assert!(mail.html.contains("href=\"https://chat.example/#reset-password=s3cret\""));
        let shown = format!("{mail:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("user@"), "{shown}");
    }
}
