//! Whose the conversations are: accounts with a password, or guests, who are made when their first conversation comes.

use std::collections::{HashMap, HashSet};

use super::tables::{Field, Found, Row};
use super::{ImportError, ImportOptions, ImportReport, Target};
use crate::app::is_known_hash;
use crate::domain::{
    AccountId, Change, Clock, Email, GuestKey, GuestRealm, Preferences, PreferencesChange, Timestamp, Username,
};
use crate::store::{ImportedAccount, ImportedKind, Reader, StoreError};

/// Accounts stored together.
const TOGETHER: usize = 200;

const BROKEN_LIST: StoreError = StoreError::Corrupt { column: 1, expected: "an id" };

/// Who owns what.
pub(super) enum Owners {
    /// The accounts that were brought in, by their ids there.
    Accounts(HashMap<String, Owner>),
    /// Guests of that surface.
    Guests { realm: GuestRealm, known: HashMap<String, Option<AccountId>> },
}

#[derive(Clone, Copy)]
pub(super) enum Owner {
    /// That account.
    Account(AccountId),
    /// It would be brought in.
    Planned,
}

impl Owners {
    pub(super) fn guests(realm: GuestRealm) -> Self {
        Self::Guests { realm, known: HashMap::new() }
    }

    /// The owner of that name, made where it is a guest that is new; `None` when it cannot have anything here.
    pub(super) async fn find(
        &mut self,
        target: Target<'_>,
        user: &str,
        since: Timestamp,
        report: &mut ImportReport,
    ) -> Result<Option<Owner>, StoreError> {
        let (realm, known) = match self {
            Self::Accounts(accounts) => return Ok(accounts.get(user).copied()),
            Self::Guests { realm, known } => (*realm, known),
        };
        let known = match known.get(user) {
            Some(known) => *known,
            None => {
                let Ok(key) = GuestKey::parse(user) else { return Ok(None) };
                let found = match target.readable() {
                    Some(db) => db.guest(realm, key.clone()).await?,
                    None => None,
                };
                let found = match (found, target.writable()) {
                    (None, Some(db)) => Some(db.guest_or_insert(realm, key, since).await?),
                    (found, _) => found,
                };
                report.guests += 1;
                let id = found.map(|account| account.id);
                known.insert(user.to_owned(), id);
                id
            }
        };
        Ok(Some(known.map_or(Owner::Planned, Owner::Account)))
    }
}

/// Brings in the accounts of a backend that has such.
pub(super) async fn import(
    target: Target<'_>,
    reader: &mut Reader,
    users: &Found,
    options: &ImportOptions,
    clock: &Clock,
    report: &mut ImportReport,
) -> Result<Owners, ImportError> {
    let known = target.imported_rows(&options.name, ImportedKind::Account).await?;
    let mut owners = HashMap::new();
    let mut new = Vec::new();
    let (mut seen, mut logins) = (HashSet::new(), HashSet::new());
    let (sql, kinds) = users.query(reader, &[Field::Id]);
    for values in reader.fetch(sql, Vec::new(), &kinds).await.map_err(ImportError::Source)? {
        let row = users.row(&values);
        let Some(id) = row.id(Field::Id) else {
            report.accounts.skipped += 1;
            report.note("an account without an id that can be read is left out, with its conversations", "?");
            continue;
        };
        if !seen.insert(id.to_owned()) {
            report.accounts.skipped += 1;
            report.note("an account of the same id as another is left out", id);
            continue;
        }
        if let Some(known) = known.get(id) {
            report.accounts.known += 1;
            let there = AccountId::new(known.local_id).map_err(|_| BROKEN_LIST)?;
            let account = match target.readable() {
                Some(db) => db.account_by_id(there).await?,
                None => None,
            };
            if account.is_some() {
                owners.insert(id.to_owned(), Owner::Account(there));
            } else {
                report.note("an account that was deleted here since is not brought back", id);
            }
            continue;
        }
        let Some(account) = account(id, row, clock, report) else {
            report.accounts.skipped += 1;
            continue;
        };
        let keys = [account.email.as_ref().map(Email::key), account.username.as_ref().map(Username::key)];
        let keys: Vec<String> = keys.into_iter().flatten().map(str::to_owned).collect();
        let twice = keys.iter().any(|key| logins.contains(key));
        let is_taken = match target.readable() {
            Some(db) if !twice => db.is_login_taken(account.email.clone(), account.username.clone()).await?,
            _ => twice,
        };
        if is_taken {
            taken(report, id);
            continue;
        }
        logins.extend(keys);
        if target.writable().is_none() {
            report.accounts.added += 1;
            owners.insert(id.to_owned(), Owner::Planned);
        } else {
            new.push(account);
        }
    }
    let Some(db) = target.writable() else { return Ok(Owners::Accounts(owners)) };
    for accounts in new.chunks(TOGETHER) {
        let ids = db.import_accounts(options.name.clone(), accounts.to_vec(), clock.now()).await?;
        for (account, id) in accounts.iter().zip(ids) {
            match id {
                Some(id) => {
                    report.accounts.added += 1;
                    owners.insert(account.foreign_id.clone(), Owner::Account(id));
                }
                None => taken(report, &account.foreign_id),
            }
        }
    }
    Ok(Owners::Accounts(owners))
}

fn taken(report: &mut ImportReport, id: &str) {
    report.accounts.skipped += 1;
    report.note("an account whose name or address belongs to another here is left out, with its conversations", id);
}

/// The account of a row, without what cannot be kept; `None` when nobody could sign in to it.
fn account(id: &str, row: Row<'_>, clock: &Clock, report: &mut ImportReport) -> Option<ImportedAccount> {
    let field = |field| row.get(field);
    let named = field(Field::Name).filter(|name| !name.trim().is_empty());
    let mut username = named.and_then(|name| Username::parse(name).ok());
    let mut email = field(Field::Email).and_then(|email| Email::parse(email).ok());
    if (named.is_some() || row.is_garbled(Field::Name)) && username.is_none() {
        // Some sign up under their address.
        let as_email = named.and_then(|name| Email::parse(name).ok());
        email = email.or(as_email);
        report.note("a name that is none here is left out; its address remains", id);
    }
    let addressed = field(Field::Email).is_some_and(|text| !text.trim().is_empty());
    if (addressed || row.is_garbled(Field::Email)) && email.is_none() {
        report.note("an address that is none is left out; the name remains", id);
    }
    if email.is_none() && username.is_none() {
        report.note("an account with neither a name nor an address that can be used is left out", id);
        return None;
    }
    let hash = field(Field::Hash).filter(|hash| !hash.is_empty());
    let password_hash = hash.filter(|hash| is_known_hash(hash)).map(str::to_owned);
    if (hash.is_some() || row.is_garbled(Field::Hash)) && password_hash.is_none() {
        report.note("a password's hash of an unknown kind is left out; its owner has to reset the password", id);
    } else if hash.is_none() {
        report.note("an account without a password's hash; its owner has to reset the password", id);
    }
    let preferences = match field(Field::Preferences).map(preferences) {
        None if !row.is_garbled(Field::Preferences) => Preferences::default(),
        Some(Some(preferences)) => preferences,
        _ => {
            report.note("preferences that break a rule here are left out", id);
            Preferences::default()
        }
    };
    let is_active = match field(Field::IsActive) {
        None if !row.is_garbled(Field::IsActive) => true,
        Some(text) if ["1", "t", "true", "yes", "\u{1}"].contains(&text.to_ascii_lowercase().as_str()) => true,
        Some(text) if ["0", "f", "false", "no", "\0"].contains(&text.to_ascii_lowercase().as_str()) => false,
        _ => {
            report.note("an account of which it cannot be read whether it is active comes in deactivated", id);
            false
        }
    };
    let created_at = row.time(Field::Created).unwrap_or_else(|_| {
        report.note("an account without a time that can be read is taken as made now", id);
        None
    });
    Some(ImportedAccount {
        foreign_id: id.to_owned(),
        email: email.take(),
        username: username.take(),
        password_hash,
        is_active,
        preferences,
        created_at: created_at.unwrap_or_else(|| clock.now()),
    })
}

/// Preferences in JSON; the model is left out, as its name means nothing here. `None` when they break a rule.
fn preferences(text: &str) -> Option<Preferences> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let text = |name: &str| json[name].as_str().map_or(Change::Keep, |text| Change::Set(text.to_owned()));
    let change = PreferencesChange {
        model: Change::Keep,
        temperature: json["temperature"].as_f64().map_or(Change::Keep, Change::Set),
        max_tokens: json["max_tokens"].as_i64().map_or(Change::Keep, Change::Set),
        system_prompt: text("system_prompt"),
        language: text("language"),
    };
    change.check().ok()?;
    Some(change.apply(Preferences::default()))
}
