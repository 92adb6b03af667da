//! The driver's client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, ConnectionString};
use mongodb::{Client, Database};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::{Change, MongoError, commands};
use crate::config::SharedSettings;

/// The database, where the connection string names none.
const DATABASE: &str = "parlor";
/// How long a server is looked for, and a connection waited for, unless the connection string says otherwise.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a sign of life may take.
const PING_PATIENCE: Duration = Duration::from_secs(6);
/// Connections at most: one writes, one looks whether it is there.
const CONNECTIONS: u32 = 4;

/// MongoDB. Cheap to clone; connects when it is first used.
#[derive(Clone)]
pub struct Mongo {
    inner: Arc<Inner>,
}

struct Inner {
    uri: SecretString,
    database: OnceCell<Database>,
    is_up: AtomicBool,
}

impl std::fmt::Debug for Mongo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mongo").finish_non_exhaustive()
    }
}

impl Mongo {
    /// The one that the settings name, if any.
    ///
    /// # Errors
    /// [`MongoError::Uri`].
    pub fn from_settings(settings: &SharedSettings) -> Result<Option<Self>, MongoError> {
        let Some(uri) = settings.mongo_uri.clone() else { return Ok(None) };
        ConnectionString::parse(uri.expose_secret()).map_err(|_| MongoError::Uri)?;
        let inner = Inner { uri, database: OnceCell::new(), is_up: AtomicBool::new(false) };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// Writes all of it, in this order. Returns the places of those documents that the server refuses, whenever they are written.
    ///
    /// # Errors
    /// When it is not known what was written: all of it is to be written again.
    pub async fn write(&self, changes: &[Change]) -> Result<Vec<usize>, MongoError> {
        let written = self.write_in_order(changes).await;
        self.note(written.is_ok());
        written
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When none comes.
    pub async fn ping(&self) -> Result<(), MongoError> {
        let ping = async { self.run(doc! { "ping": 1 }).await };
        let answer = tokio::time::timeout(PING_PATIENCE, ping).await.unwrap_or(Err(MongoError::TimedOut));
        self.note(answer.is_ok());
        answer.map(drop)
    }

    /// Whether the last that was heard of it was good.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.inner.is_up.load(Ordering::Relaxed)
    }

    fn note(&self, is_up: bool) {
        self.inner.is_up.store(is_up, Ordering::Relaxed);
    }

    async fn write_in_order(&self, changes: &[Change]) -> Result<Vec<usize>, MongoError> {
        let mut refused = Vec::new();
        for command in commands::of(changes) {
            let answer = self.run(command.document).await?;
            if answer.contains_key("writeConcernError") {
                return Err(MongoError::TimedOut);
            }
            let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
            for error in errors.iter().filter_map(|error| error.as_document()) {
                let index = error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
                refused.extend(index.and_then(|index| command.places.get(index)));
            }
        }
        Ok(refused)
    }

    async fn run(&self, command: Document) -> Result<Document, MongoError> {
        let work = async {
            let database = self.inner.database.get_or_try_init(|| self.connect()).await?;
            database.run_command(command).await.map_err(|error| meaning(&error))
        };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(MongoError::TimedOut))
    }

    async fn connect(&self) -> Result<Database, MongoError> {
        // An error only says that there is one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let parsed = ClientOptions::parse(self.inner.uri.expose_secret()).await;
        let mut options = parsed.map_err(|error| meaning(&error))?;
        options.app_name.get_or_insert_with(|| "parlor".to_owned());
        options.server_selection_timeout.get_or_insert(CONNECT_PATIENCE);
        options.connect_timeout.get_or_insert(CONNECT_PATIENCE);
        options.max_pool_size.get_or_insert(CONNECTIONS);
        let client = Client::with_options(options).map_err(|error| meaning(&error))?;
        let database = client.default_database().unwrap_or_else(|| client.database(DATABASE));
        for command in commands::indexes() {
            database.run_command(command).await.map_err(|error| meaning(&error))?;
        }
        Ok(database)
    }
}

/// What the driver's error means; its words may hold parts of documents.
fn meaning(error: &mongodb::error::Error) -> MongoError {
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => MongoError::NotLetIn,
        ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::DnsResolve { .. } => MongoError::Unreachable,
        ErrorKind::Command(refused) => MongoError::Refused(refused.code),
        ErrorKind::InvalidArgument { .. } => MongoError::Uri,
        _ => MongoError::Failed,
    }
}
