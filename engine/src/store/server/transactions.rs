//! Transactions on a database server, whichever it is.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::{Connection as _, Database, Pool, Transaction};

use super::{Again, CONNECT_PATIENCE, Codes, meaning, run};
use crate::store::StoreError;
use crate::store::dialect::{Dialect, Statements};
use crate::store::tx::{Said, Tx};

/// What kinds of servers do differently.
pub(in crate::store) trait Kind: Copy + Send + Sync + 'static {
    type Database: Database;

    const DIALECT: Dialect;
    const CODES: &'static Codes;
    /// Begins a transaction whose changes are another's to see when it is committed.
    const BEGIN_WRITE: &'static str;
    /// Begins one that changes nothing, and sees one state in all of its queries.
    const BEGIN_READ: &'static str;

    /// What `BEGIN_READ` needs said before it.
    fn before_read(
        connection: &mut <Self::Database as Database>::Connection,
    ) -> impl Future<Output = sqlx::Result<()>> + Send {
        let _ = connection;
        std::future::ready(Ok(()))
    }

    fn tx<'c>(connection: &'c mut <Self::Database as Database>::Connection, said: Said<'c>) -> Tx<'c>;
}

/// A server of that kind.
#[derive(Debug)]
pub(in crate::store) struct Server<K: Kind> {
    pub(in crate::store) pool: Pool<K::Database>,
    /// One connection.
    apart: Pool<K::Database>,
    statements: Arc<Statements>,
}

impl<K: Kind> Clone for Server<K> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), apart: self.apart.clone(), statements: self.statements.clone() }
    }
}

impl<K: Kind> Server<K> {
    /// With a pool for everything, and one of a single connection for what must not wait behind that.
    pub(super) fn new(pool: Pool<K::Database>, apart: Pool<K::Database>) -> Self {
        Self { pool, apart, statements: Arc::new(Statements::new(K::DIALECT)) }
    }

    /// Runs a job in a transaction, again where it clashed with another.
    pub(in crate::store) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        self.write_through(&self.pool, job).await
    }

    /// As [`Self::write`], over a connection that is kept for what must not wait behind everything else.
    pub(in crate::store) async fn write_apart<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        self.write_through(&self.apart, job).await
    }

    async fn write_through<T, F>(&self, pool: &Pool<K::Database>, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Clone + Send + 'static,
    {
        let mut again = Again::default();
        loop {
            let outcome = self.once(pool, true, job.clone()).await;
            if !again.after(&outcome).await {
                return outcome;
            }
        }
    }

    /// Runs a job that changes nothing.
    pub(in crate::store) async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.once(&self.pool, false, job).await
    }

    /// Connects once, without the patience that the pool has with a server that is not there.
    pub(in crate::store) async fn reach(&self) -> Result<(), StoreError> {
        let options = self.pool.connect_options();
        let connecting = <K::Database as Database>::Connection::connect_with(&options);
        let connecting = tokio::time::timeout(CONNECT_PATIENCE, connecting).await;
        let connection =
            connecting.map_err(|_| StoreError::Unreachable("it does not answer"))?.map_err(Self::failed)?;
        connection.close().await.map_err(Self::failed)
    }

    pub(in crate::store) async fn close(&self) {
        self.apart.close().await;
        self.pool.close().await;
    }

    async fn once<T, F>(&self, pool: &Pool<K::Database>, commits: bool, job: F) -> Result<T, StoreError>
    where
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send,
    {
        let mut connection = pool.acquire().await.map_err(Self::failed)?;
        let begin = if commits {
            K::BEGIN_WRITE
        } else {
            K::before_read(&mut connection).await.map_err(Self::failed)?;
            K::BEGIN_READ
        };
        // In a box, since the compiler does not find that it is Send where the kind is not known.
        let beginning: BoxFuture<'_, sqlx::Result<Transaction<'_, K::Database>>> =
            Box::pin(connection.begin_with(begin));
        let mut transaction = beginning.await.map_err(Self::failed)?;
        let outcome = run(job(&mut K::tx(&mut transaction, Said(&self.statements)))).await;
        match outcome {
            Ok(value) if commits => {
                transaction.commit().await.map_err(|error| match Self::failed(error) {
                    known @ (StoreError::Clash | StoreError::Unreachable(_)) => known,
                    other => StoreError::Commit(other.to_string()),
                })?;
                Ok(value)
            }
            outcome => {
                // Dropped or rolled back, it is undone either way; a connection that is gone is the pool's to notice.
                let _ = transaction.rollback().await;
                outcome
            }
        }
    }

    fn failed(error: sqlx::Error) -> StoreError {
        meaning(&error, K::CODES)
    }
}
