//! Whose the conversations are: accounts with a password, or guests, who are made when their first conversation comes.

use std::collections::{HashMap, HashSet};

use super::tables::{Field, Tables, time};
use super::{ImportError, ImportKind, ImportOptions, ImportReport};
use crate::app::is_known_hash;
use crate::domain::{
    AccountId, Change, Clock, Email, GuestKey, GuestRealm, Preferences, PreferencesChange, Timestamp, Username,
};
use crate::store::{Db, ImportedAccount, ImportedKind, Reader, StoreError};

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
    /// The owner of that name, made where it is a guest that is new; `None` when it cannot have anything here.
    pub(super) async fn find(
        &mut self,
        db: &Db,
        user: &str,
        since: Timestamp,
        dry_run: bool,
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
                let found = match db.guest(realm, key.clone()).await? {
                    None if !dry_run => Some(db.guest_or_insert(realm, key, since).await?),
                    found => found,
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

/// Brings in the accounts, where the backend has such.
pub(super) async fn import(
    db: &Db,
    reader: &mut Reader,
    tables: &Tables,
    options: &ImportOptions,
    clock: &Clock,
    report: &mut ImportReport,
) -> Result<Owners, ImportError> {
    let Some(users) = &tables.users else {
        let realm = if options.kind == ImportKind::Classic { GuestRealm::Classic } else { GuestRealm::FullChatbot };
        return Ok(Owners::Guests { realm, known: HashMap::new() });
    };
    let mut known = db.imported_rows(options.source.clone(), ImportedKind::Account).await?;
    let mut owners = HashMap::new();
    let mut new = Vec::new();
    let mut logins = HashSet::new();
    let (sql, kinds) = users.query(reader, &[Field::Id]);
    for row in reader.fetch(sql, Vec::new(), &kinds).await.map_err(ImportError::Source)? {
        let Some(id) = users.get(&row, Field::Id).filter(|id| id.chars().count() <= 255) else { continue };
        if let Some(known) = known.remove(id) {
            report.accounts.known += 1;
            let there = AccountId::new(known.local_id).map_err(|_| BROKEN_LIST)?;
            if db.account_by_id(there).await?.is_some() {
                owners.insert(id.to_owned(), Owner::Account(there));
            } else {
                report.note("an account that was deleted here since is not brought back", id);
            }
            continue;
        }
        let field = |field| users.get(&row, field);
        let Some(account) = account(id, field, clock, report) else {
            report.accounts.skipped += 1;
            continue;
        };
        let keys = [account.email.as_ref().map(Email::key), account.username.as_ref().map(Username::key)];
        let twice = keys.into_iter().flatten().any(|key| !logins.insert(key.to_owned()));
        if twice || db.is_login_taken(account.email.clone(), account.username.clone()).await? {
            taken(report, id);
        } else if options.dry_run {
            report.accounts.added += 1;
            owners.insert(id.to_owned(), Owner::Planned);
        } else {
            new.push(account);
        }
    }
    for accounts in new.chunks(TOGETHER) {
        let ids = db.import_accounts(options.source.clone(), accounts.to_vec(), clock.now()).await?;
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
fn account<'r>(
    id: &str,
    field: impl Fn(Field) -> Option<&'r str>,
    clock: &Clock,
    report: &mut ImportReport,
) -> Option<ImportedAccount> {
    let named = field(Field::Name).filter(|name| !name.trim().is_empty());
    let mut username = named.and_then(|name| Username::parse(name).ok());
    let mut email = field(Field::Email).and_then(|email| Email::parse(email).ok());
    if named.is_some() && username.is_none() {
        // Some sign up under their address.
        let as_email = named.and_then(|name| Email::parse(name).ok());
        email = email.or(as_email);
        report.note("a name that is none here is left out; its address remains", id);
    }
    if field(Field::Email).is_some_and(|text| !text.trim().is_empty()) && email.is_none() {
        report.note("an address that is none is left out; the name remains", id);
    }
    if email.is_none() && username.is_none() {
        report.note("an account with neither a name nor an address that can be used is left out", id);
        return None;
    }
    let hash = field(Field::Hash).filter(|hash| !hash.is_empty());
    let password_hash = hash.filter(|hash| is_known_hash(hash)).map(str::to_owned);
    if hash.is_some() && password_hash.is_none() {
        report.note("a password's hash of an unknown kind is left out; its owner has to reset the password", id);
    } else if hash.is_none() {
        report.note("an account without a password's hash; its owner has to reset the password", id);
    }
    let preferences = match field(Field::Preferences).map(preferences) {
        None => Preferences::default(),
        Some(Some(preferences)) => preferences,
        Some(None) => {
            report.note("preferences that break a rule here are left out", id);
            Preferences::default()
        }
    };
    let is_active = !field(Field::IsActive)
        .is_some_and(|text| ["0", "f", "false", "no"].contains(&text.to_ascii_lowercase().as_str()));
    Some(ImportedAccount {
        foreign_id: id.to_owned(),
        email: email.take(),
        username: username.take(),
        password_hash,
        is_active,
        preferences,
        created_at: time(field(Field::Created)).unwrap_or_else(|| clock.now()),
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
