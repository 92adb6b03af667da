//! How mail leaves.

use secrecy::SecretString;

use super::reader::Reader;

/// How mail leaves. With neither password nor URL, mails are written to the log.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The address that mails come from.
    pub from_email: Option<String>,
    /// Gmail's app password for that address.
    pub app_password: Option<SecretString>,
    /// Another server than Gmail's, `smtp://` or `smtps://`.
    pub smtp_url: Option<SecretString>,
}

impl MailSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            from_email: reader.opt_text("mail.from_email"),
            app_password: reader.opt_secret("mail.app_password"),
            smtp_url: reader.opt_secret("mail.smtp_url"),
        }
    }
}
