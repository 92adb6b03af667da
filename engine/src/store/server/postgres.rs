//! PostgreSQL.

use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

use super::transactions::{Kind, Server};
use super::{Codes, POSTGRES, check_certificate, pool};
use crate::config::DatabaseSettings;
use crate::store::StoreError;
use crate::store::dialect::Dialect;
use crate::store::tx::{Said, Tx};

pub(in crate::store) type Postgres = Server<IsPostgres>;

#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct IsPostgres;

impl Kind for IsPostgres {
    type Database = sqlx::Postgres;

    const DIALECT: Dialect = Dialect::Postgres;
    const CODES: &'static Codes = &POSTGRES;
    const BEGIN_WRITE: &'static str = "BEGIN ISOLATION LEVEL READ COMMITTED";
    const BEGIN_READ: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

    fn tx<'c>(connection: &'c mut PgConnection, said: Said<'c>) -> Tx<'c> {
        Tx::Postgres(connection, said)
    }
}

impl Postgres {
    /// Reads the URL; connects with the first transaction.
    pub(in crate::store) fn open(url: &SecretString, settings: &DatabaseSettings) -> Result<Self, StoreError> {
        check_certificate(url, None)?;
        let unusable = |_| StoreError::Open("the PostgreSQL URL cannot be used".to_owned());
        let milliseconds = settings.busy_timeout.as_millis().to_string();
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(unusable)?
            .application_name("parlor")
            .options([
                ("lock_timeout", milliseconds.as_str()),
                ("statement_timeout", "60000"),
                // What it has to say about a table that is there already is no news.
                ("client_min_messages", "warning"),
            ])
            .disable_statement_logging();
        let apart = pool(settings).max_connections(1).connect_lazy_with(options.clone());
        Ok(Self::new(pool(settings).connect_lazy_with(options), apart))
    }
}
