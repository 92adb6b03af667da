//! The servers at one database: who gives a sign of life, and what those left open that give none.

use super::{Backend, Db, StoreError, Tx, tx::params};
use crate::domain::{AccountId, MessageId, ServerId, Timestamp, TurnId};

/// Whose turns are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeftBy {
    /// Every server's.
    Anybody,
    /// That server's; `None` for turns of which no server is known.
    Server(Option<ServerId>),
}

impl LeftBy {
    /// As the queries compare it: -1 for all, 0 for none.
    pub(super) fn param(self) -> i64 {
        match self {
            Self::Anybody => -1,
            Self::Server(id) => id.map_or(0, ServerId::get),
        }
    }
}

/// What a server learns with its beat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RollCall {
    /// Whether this server was not on the list: it is new, or was taken for dead.
    pub was_absent: bool,
    /// All servers on the list with their beats.
    pub servers: Vec<(ServerId, i64)>,
    /// This server's turns that are open in the database.
    pub open: Vec<OpenTurn>,
}

/// A turn that is open in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTurn {
    /// The turn.
    pub turn_id: TurnId,
    /// Whether somebody asked for it to be stopped.
    pub is_stopped: bool,
}

impl Db {
    /// Who this server is, among those at the database.
    #[must_use]
    pub const fn server(&self) -> ServerId {
        self.server
    }

    /// Whether several servers may be at the database.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        !matches!(self.backend, Backend::Sqlite(_))
    }

    /// Gives this server's sign of life, and calls the roll.
    ///
    /// # Errors
    /// What the database says.
    pub async fn beat(&self, now: Timestamp) -> Result<RollCall, StoreError> {
        let server = self.server;
        self.write_apart(move |tx| Box::pin(async move { beat(tx, server, now).await })).await
    }

    /// Takes this server off the list: what it still has open is nobody's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let server = self.server;
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute("DELETE FROM servers WHERE id = ?", params![server.get()]).await?;
                Ok(())
            })
        })
        .await
    }

    /// Takes a dead server off the list, unless its beat has moved. Whether it was this call that did.
    ///
    /// # Errors
    /// What the database says.
    pub async fn remove_server(&self, id: ServerId, beat: i64) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM servers WHERE id = ? AND beat = ?";
                Ok(tx.execute(sql, params![id.get(), beat]).await? > 0)
            })
        })
        .await
    }

    /// The servers that have turns open or quotas reserved, and are not on the list.
    ///
    /// # Errors
    /// What the database says.
    pub async fn absent_servers(&self) -> Result<Vec<Option<ServerId>>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                tx.fetch(
                    "SELECT COALESCE(t.server_id, 0) FROM turns t LEFT JOIN servers s ON s.id = t.server_id \
                     WHERE t.state IN ('pending', 'streaming') AND s.id IS NULL \
                     UNION SELECT COALESCE(r.server_id, 0) FROM quota_reservations r LEFT JOIN servers s ON s.id = r.server_id \
                     WHERE s.id IS NULL",
                    &[],
                    |row| Ok(ServerId::new(row.get(0)?).ok()),
                )
                .await
            })
        })
        .await
    }

    /// The servers on the list.
    ///
    /// # Errors
    /// What the database says.
    pub async fn servers(&self) -> Result<Vec<ServerId>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move { Ok(roll(tx).await?.into_iter().map(|(server, _)| server).collect()) })
        })
        .await
    }

    /// Asks whichever server runs the turn of that answer to stop it, when it is the owner's. False when it is not open.
    ///
    /// # Errors
    /// What the database says.
    pub async fn request_stop(
        &self,
        answer_id: MessageId,
        owner: AccountId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE turns SET stop_requested_at = ? WHERE answer_message_id = ? AND account_id = ? \
                           AND state IN ('pending', 'streaming')";
                Ok(tx.execute(sql, params![now.micros(), answer_id.get(), owner.get()]).await? > 0)
            })
        })
        .await
    }
}

async fn beat(tx: &mut Tx<'_>, server: ServerId, now: Timestamp) -> Result<RollCall, StoreError> {
    let sql = "UPDATE servers SET beat = beat + 1 WHERE id = ?";
    let was_absent = tx.execute(sql, params![server.get()]).await? == 0;
    if was_absent {
        let sql = "INSERT INTO servers (id, started_at, beat) VALUES (?, ?, 1)";
        tx.execute(sql, params![server.get(), now.micros()]).await?;
    }
    let servers = roll(tx).await?;
    let open = tx
        .fetch(
            "SELECT id, COALESCE(stop_requested_at, 0) FROM turns WHERE state IN ('pending', 'streaming') AND server_id = ?",
            params![server.get()],
            |row| {
                Ok(OpenTurn {
                    turn_id: row.decode(0, "an id", |id: i64| TurnId::new(id).ok())?,
                    is_stopped: row.get::<i64>(1)? != 0,
                })
            },
        )
        .await?;
    Ok(RollCall { was_absent, servers, open })
}

async fn roll(tx: &mut Tx<'_>) -> Result<Vec<(ServerId, i64)>, StoreError> {
    tx.fetch("SELECT id, beat FROM servers ORDER BY id", &[], |row| {
        Ok((row.decode(0, "an id", |id: i64| ServerId::new(id).ok())?, row.get(1)?))
    })
    .await
}

/// Whether that server is on the list.
pub(super) async fn is_present(tx: &mut Tx<'_>, id: i64) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM servers WHERE id = ?";
    Ok(tx.fetch_optional(sql, params![id], |row| row.get::<i64>(0)).await?.is_some())
}
