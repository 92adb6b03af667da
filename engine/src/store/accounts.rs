//! Accounts.

use super::outbox::Happened;
use super::{Db, Row, StoreError, Tx, tx::params};
use crate::domain::{
    Account, AccountId, AccountQuota, AccountRole, Email, GuestKey, GuestRealm, PersonName, Preferences, Timestamp,
    Username,
};

/// What [`read_account`] reads.
macro_rules! select_account {
    ($condition:literal) => {
        concat!(
            "SELECT id, role, email, username, guest_key, is_active, token_version, created_at, password_hash, preferences, \
             quotas ",
            "FROM accounts WHERE ",
            $condition
        )
    };
}

pub(super) use select_account;

/// How many columns those are.
pub(super) const ACCOUNT_COLUMNS: usize = 11;

/// An account with its password's hash.
#[derive(Clone)]
pub struct AccountRecord {
    /// The account.
    pub account: Account,
    /// The stored hash; guests have none.
    pub password_hash: Option<String>,
}

/// What registering stores.
#[derive(Clone)]
pub struct NewAccount {
    /// Its role.
    pub role: AccountRole,
    /// Its address, unique whatever its case.
    pub email: Option<Email>,
    /// Its name, unique whatever its case.
    pub username: Option<Username>,
    /// First name.
    pub first_name: Option<PersonName>,
    /// Last name.
    pub last_name: Option<PersonName>,
    /// The password's hash.
    pub password_hash: String,
}

pub(super) fn read_account(row: &Row<'_>) -> Result<AccountRecord, StoreError> {
    Ok(AccountRecord {
        account: Account {
            id: row.decode(0, "an id", |id: i64| AccountId::new(id).ok())?,
            role: row.decode(1, "a role", |word: String| AccountRole::from_word(&word))?,
            email: row.get(2)?,
            username: row.get(3)?,
            guest_key: row.get(4)?,
            is_active: row.get::<i64>(5)? == 1,
            token_version: row.get(6)?,
            preferences: preferences(row)?,
            quotas: quotas(row)?,
            created_at: Timestamp::from_micros(row.get(7)?),
        },
        password_hash: row.get(8)?,
    })
}

fn preferences(row: &Row<'_>) -> Result<Preferences, StoreError> {
    match row.get::<Option<String>>(9)? {
        Some(text) => {
            serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { column: 9, expected: "preferences" })
        }
        None => Ok(Preferences::default()),
    }
}

fn quotas(row: &Row<'_>) -> Result<Vec<AccountQuota>, StoreError> {
    match row.get::<Option<String>>(10)? {
        Some(text) => serde_json::from_str(&text).map_err(|_| StoreError::Corrupt { column: 10, expected: "quotas" }),
        None => Ok(Vec::new()),
    }
}

impl Db {
    /// Stores an account.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the address or the name is taken.
    pub async fn insert_account(&self, new: NewAccount, now: Timestamp) -> Result<Account, StoreError> {
        let outbox = self.outbox();
        self.write(move |tx| {
            Box::pin(async move {
                let email = new.email.as_ref();
                let username = new.username.as_ref();
                let id = tx
                    .insert(
                        "INSERT INTO accounts (role, email, email_key, username, username_key, first_name, last_name, password_hash, \
                         created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        params![
                            new.role.as_str(),
                            email.map(Email::as_str),
                            email.map(Email::key),
                            username.map(Username::as_str),
                            username.map(Username::key),
                            new.first_name.as_ref().map(PersonName::as_str),
                            new.last_name.as_ref().map(PersonName::as_str),
                            &new.password_hash,
                            now.micros(),
                            now.micros(),
                        ],
                    )
                    .await?;
                let role = new.role.as_str().to_owned();
                outbox.tell(tx, &Happened::AccountRegistered { account_id: id, role }, now).await?;
                let stored = account_by_id(tx, id).await?;
                stored.map(|record| record.account).ok_or(StoreError::Corrupt { column: 0, expected: "the row just stored" })
            })
        })
        .await
    }

    /// The account of that id.
    ///
    /// # Errors
    /// What the database says.
    pub async fn account_by_id(&self, id: AccountId) -> Result<Option<AccountRecord>, StoreError> {
        self.look_up(move |tx| Box::pin(async move { account_by_id(tx, id.get()).await })).await
    }

    /// An account by its id, unless the session of that family has been ended. One of which nothing is stored any more has not: its refresh tokens
    /// have expired.
    ///
    /// # Errors
    /// What the database says.
    pub async fn account_in_session(
        &self,
        id: AccountId,
        family: Option<String>,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let Some(family) = family else { return self.account_by_id(id).await };
        self.look_up_caller(
            |callers| &callers.sessions,
            (id, family.clone()),
            move |tx| {
                Box::pin(async move {
                    tx.fetch_optional(
                        select_account!(
                            "id = ? AND (EXISTS (SELECT 1 FROM refresh_tokens WHERE family = ? AND revoked_at IS NULL) \
                         OR NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE family = ?))"
                        ),
                        params![id.get(), &family, &family],
                        read_account,
                    )
                    .await
                })
            },
        )
        .await
    }

    /// The account that signs in under that e-mail address (by its key) or that name (by its key).
    ///
    /// # Errors
    /// What the database says.
    pub async fn account_by_login(&self, login_key: String) -> Result<Option<AccountRecord>, StoreError> {
        self.read(move |tx| {
            Box::pin(async move {
                let sql = if login_key.contains('@') {
                    select_account!("email_key = ?")
                } else {
                    select_account!("username_key = ?")
                };
                tx.fetch_optional(sql, params![&login_key], read_account).await
            })
        })
        .await
    }

    /// The guest of that name on that surface, if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn guest(&self, realm: GuestRealm, key: GuestKey) -> Result<Option<Account>, StoreError> {
        self.look_up_caller(
            |callers| &callers.guests,
            (realm, key.clone()),
            move |tx| Box::pin(async move { guest(tx, realm, &key).await }),
        )
        .await
    }

    /// The guest of that name on that surface, made when there is none.
    ///
    /// # Errors
    /// What the database says.
    pub async fn guest_or_insert(
        &self,
        realm: GuestRealm,
        key: GuestKey,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(found) = guest(tx, realm, &key).await? {
                    return Ok(found);
                }
                let id = tx
                    .insert(
                        "INSERT INTO accounts (role, guest_realm, guest_key, created_at, updated_at) VALUES ('guest', ?, ?, ?, ?)",
                        params![realm.as_str(), key.as_str(), now.micros(), now.micros()],
                    )
                    .await?;
                let stored = account_by_id(tx, id).await?;
                stored.map(|record| record.account).ok_or(StoreError::Corrupt { column: 0, expected: "the row just stored" })
            })
        })
        .await
    }

    /// Notes a login, and replaces the password's hash when a better one is given.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_login(
        &self,
        id: AccountId,
        better_hash: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.execute(
                    "UPDATE accounts SET last_login_at = ?, password_hash = COALESCE(?, password_hash) WHERE id = ?",
                    params![now.micros(), better_hash.as_ref(), id.get()],
                )
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Makes an account's preferences what `change` makes of them. Returns them; `None` when there is no such account.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_preferences(
        &self,
        id: AccountId,
        change: impl FnOnce(Preferences) -> Preferences + Clone + Send + 'static,
        now: Timestamp,
    ) -> Result<Option<Preferences>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = select_account!("id = ? /*lock*/");
                let Some(record) = tx.fetch_optional(sql, params![id.get()], read_account).await? else {
                    return Ok(None);
                };
                let changed = change(record.account.preferences);
                let text = serde_json::to_string(&changed)
                    .map_err(|_| StoreError::Corrupt { column: 9, expected: "preferences" })?;
                tx.execute(
                    "UPDATE accounts SET preferences = ?, updated_at = ? WHERE id = ?",
                    params![&text, now.micros(), id.get()],
                )
                .await?;
                Ok(Some(changed))
            })
        })
        .await
    }

    /// Whether any account but guests exists.
    ///
    /// # Errors
    /// What the database says.
    pub async fn has_accounts(&self) -> Result<bool, StoreError> {
        self.read(|tx| {
            Box::pin(async move {
                let found = tx
                    .fetch_optional("SELECT id FROM accounts WHERE role <> 'guest' LIMIT 1", &[], |row| {
                        row.get::<i64>(0)
                    })
                    .await?;
                Ok(found.is_some())
            })
        })
        .await
    }
}

pub(super) async fn account_by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<AccountRecord>, StoreError> {
    tx.fetch_optional(select_account!("id = ?"), params![id], read_account).await
}

async fn guest(tx: &mut Tx<'_>, realm: GuestRealm, key: &GuestKey) -> Result<Option<Account>, StoreError> {
    let found = tx
        .fetch_optional(
            select_account!("guest_realm = ? AND guest_key = ?"),
            params![realm.as_str(), key.as_str()],
            read_account,
        )
        .await?;
    Ok(found.map(|record| record.account))
}
