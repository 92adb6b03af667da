//! Mail: written here, queued in the process, sent by SMTP; without a server it is written to the log.
//!
//! The queue is bounded and lives in memory: what has not gone when the process ends is lost, and can be asked for again.

mod templates;

use std::time::Duration;

use futures_util::StreamExt as _;
use lettre::message::{Mailbox, MultiPart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use crate::config::MailSettings;
pub use templates::{Link, Mail};

/// Mails that wait at most.
const QUEUE: usize = 1000;
/// Mails under way at once.
const AT_ONCE: usize = 4;
/// How long one conversation with the server may take between two answers of its.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The waits before the further attempts, when the server cannot be reached or says to come again.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// Why no mail can be sent. Shows neither passwords nor anybody's address.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The settings name no server that can be talked to.
    #[error("mail.smtp_url is no SMTP server's address")]
    Address,
    /// The settings' address is none.
    #[error("mail.from_email is no address that mails can come from")]
    From,
    /// Too many wait already.
    #[error("too many mails wait")]
    Full,
}

/// How mail leaves.
enum Transport {
    /// By SMTP.
    Smtp {
        /// Boxed: much larger than the other.
        server: Box<AsyncSmtpTransport<Tokio1Executor>>,
        from: Box<Mailbox>,
    },
    /// Into the log, links included: for trying Parlor out.
    Log,
}

/// Takes mails. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailer {
    queue: mpsc::Sender<Mail>,
    is_configured: bool,
}

impl Mailer {
    /// Starts what the settings say. Needs a running tokio.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub fn from_settings(settings: &MailSettings) -> Result<Self, MailError> {
        let transport = Transport::from_settings(settings)?;
        let is_configured = matches!(transport, Transport::Smtp { .. });
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(deliver(transport, waiting));
        Ok(Self { queue, is_configured })
    }

    /// Whether mails really leave.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Queues a mail.
    ///
    /// # Errors
    /// [`MailError::Full`].
    pub fn send(&self, mail: Mail) -> Result<(), MailError> {
        self.queue.try_send(mail).map_err(|_| MailError::Full)
    }
}

impl Transport {
    fn from_settings(settings: &MailSettings) -> Result<Self, MailError> {
        let Some(url) = settings.server_url() else { return Ok(Self::Log) };
        let from = settings.from_email.as_deref().unwrap_or_default().parse().map_err(|_| MailError::From)?;
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret());
        let server = server.map_err(|_| MailError::Address)?.timeout(Some(TIMEOUT)).build();
        Ok(Self::Smtp { server: Box::new(server), from: Box::new(from) })
    }

    async fn send(&self, mail: &Mail) {
        let Self::Smtp { server, from } = self else {
            tracing::info!(
                to = mail.to,
                subject = mail.subject,
                "mail is not set up; this one was not sent:\n{}",
                mail.text
            );
            return;
        };
        let Some(message) = message(from, mail) else {
            tracing::error!(subject = mail.subject, "a mail could not be written");
            return;
        };
        for attempt in 0..=RETRIES.len() {
            let Err(error) = server.send(message.clone()).await else {
                metrics::counter!("parlor_mails_total", "outcome" => "sent").increment(1);
                return;
            };
            // The server's words may repeat an address; its code does not.
            let code = error.status().map(|code| code.to_string());
            match RETRIES.get(attempt) {
                Some(&wait) if !error.is_permanent() => {
                    tracing::warn!(code, attempt, subject = mail.subject, "a mail could not be sent yet");
                    tokio::time::sleep(wait).await;
                }
                _ => {
                    tracing::error!(code, subject = mail.subject, "a mail was given up");
                    break;
                }
            }
        }
        metrics::counter!("parlor_mails_total", "outcome" => "failed").increment(1);
    }
}

async fn deliver(transport: Transport, waiting: mpsc::Receiver<Mail>) {
    let mails = futures_util::stream::unfold(waiting, async |mut waiting| {
        let mail = waiting.recv().await?;
        Some((mail, waiting))
    });
    let transport = &transport;
    mails.for_each_concurrent(AT_ONCE, async |mail| transport.send(&mail).await).await;
}

fn message(from: &Mailbox, mail: &Mail) -> Option<Message> {
    let body = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
    let to = mail.to.parse().ok()?;
    Message::builder().from(from.clone()).to(to).subject(mail.subject).multipart(body).ok()
}
