//! The tables of the documents, and the names that their columns go by.

use chrono::Datelike as _;

use super::{ImportError, ImportKind};
use crate::domain::Timestamp;
use crate::store::{Kind, Reader, StoreError, Value, Values};

/// The longest id that is listed.
const ID_CHARS: usize = 255;

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    User,
    Conversation,
    Place,
    Name,
    Email,
    Hash,
    IsActive,
    Preferences,
    Title,
    Role,
    Content,
    ClientId,
    Attachments,
    Elapsed,
    Status,
    Created,
    Updated,
}

/// The table that `mvp` has and the others have not.
const USERS: &str = "users";

/// A field, the names that its column may have, and whether there must be one.
type Wanted = (Field, &'static [&'static str], bool);

const CLASSIC_CONVERSATIONS: &[Wanted] =
    &[(Field::Id, &["id"], true), (Field::User, &["user_id"], true), (Field::Created, &["created_at"], false)];
const CLASSIC_MESSAGES: &[Wanted] = &[
    (Field::Id, &["id"], true),
    (Field::Conversation, &["conversation_id"], true),
    (Field::Role, &["role"], true),
    (Field::Content, &["content"], true),
    (Field::Created, &["created_at"], false),
];
const STORE_CONVERSATIONS: &[Wanted] = &[
    (Field::Id, &["conv_id"], true),
    (Field::User, &["user_id"], true),
    (Field::Title, &["chat_name"], false),
    (Field::Created, &["created_at"], false),
    (Field::Updated, &["updated_at"], false),
];
const STORE_MESSAGES: &[Wanted] = &[
    (Field::Id, &["id"], true),
    (Field::Conversation, &["conv_id"], true),
    (Field::Place, &["message_no"], false),
    (Field::Role, &["role"], true),
    (Field::Content, &["message"], true),
    (Field::ClientId, &["message_id"], false),
    (Field::Elapsed, &["elapsed_time"], false),
    (Field::Status, &["status"], false),
    (Field::Created, &["created_at"], false),
];
// This document names its tables and leaves their columns to its code.
const MVP_USERS: &[Wanted] = &[
    (Field::Id, &["id", "user_id"], true),
    (Field::Name, &["username", "name"], false),
    (Field::Email, &["email"], false),
    (Field::Hash, &["password_hash", "hashed_password", "password"], false),
    (Field::IsActive, &["is_active"], false),
    (Field::Preferences, &["preferences"], false),
    (Field::Created, &["created_at"], false),
];
const MVP_CONVERSATIONS: &[Wanted] = &[
    (Field::Id, &["id", "conversation_id"], true),
    (Field::User, &["user_id", "owner_id"], true),
    (Field::Title, &["title", "name"], false),
    (Field::Created, &["created_at"], false),
    (Field::Updated, &["updated_at"], false),
];
const MVP_MESSAGES: &[Wanted] = &[
    (Field::Id, &["id", "message_id"], true),
    (Field::Conversation, &["conversation_id"], true),
    (Field::Role, &["role"], true),
    (Field::Content, &["content", "message"], true),
    (Field::Attachments, &["attachments"], false),
    (Field::Created, &["created_at", "timestamp"], false),
];

/// A table that is there, with the columns that were found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    name: &'static str,
    columns: Vec<(Field, String)>,
}

impl Found {
    /// A query for all of its fields as texts, in the order of `order`.
    pub(super) fn query(&self, reader: &Reader, order: &[Field]) -> (String, Vec<Kind>) {
        let list: Vec<String> = self.columns.iter().map(|(_, column)| reader.as_text(column)).collect();
        let order: Vec<String> =
            order.iter().filter_map(|field| self.column(*field)).map(|column| reader.quoted(column)).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {}", list.join(", "), reader.quoted(self.name), order.join(", "));
        (sql, vec![Kind::TextOrBytes; self.columns.len()])
    }

    fn column(&self, field: Field) -> Option<&str> {
        self.columns.iter().find(|(known, _)| *known == field).map(|(_, column)| column.as_str())
    }

    /// A row that its query gave.
    pub(super) const fn row<'r>(&'r self, values: &'r Values) -> Row<'r> {
        Row { table: self, values }
    }
}

/// A row of the other backend's, whose fields are texts; anything may stand in them.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    table: &'r Found,
    values: &'r Values,
}

impl<'r> Row<'r> {
    fn value(&self, field: Field) -> Option<&'r Value> {
        let at = self.table.columns.iter().position(|(known, _)| *known == field)?;
        self.values.get(at)
    }

    /// What a field says; `None` where it says nothing, or nothing that is text.
    pub(super) fn get(&self, field: Field) -> Option<&'r str> {
        self.value(field)?.text()
    }

    /// Whether a field holds what is no text.
    pub(super) fn is_garbled(&self, field: Field) -> bool {
        matches!(self.value(field), Some(Value::Bytes(_)))
    }

    /// An id that can be listed and told: short, and of printable characters.
    pub(super) fn id(&self, field: Field) -> Option<&'r str> {
        let id = self.get(field)?;
        let is_usable = !id.is_empty() && id.chars().count() <= ID_CHARS && !id.chars().any(char::is_control);
        is_usable.then_some(id)
    }

    /// A time; an error where the field holds something that is none.
    pub(super) fn time(&self, field: Field) -> Result<Option<Timestamp>, NoTime> {
        match self.get(field) {
            Some(text) => time(text).map(Some).ok_or(NoTime),
            None if self.is_garbled(field) => Err(NoTime),
            None => Ok(None),
        }
    }
}

/// A field does not hold the time that should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no time")]
pub(super) struct NoTime;

/// What is read of the other backend's database.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) users: Option<Found>,
    pub(super) conversations: Found,
    pub(super) messages: Found,
    /// What is there besides.
    pub(super) left_alone: Vec<String>,
}

impl Tables {
    pub(super) async fn find(reader: &mut Reader, kind: ImportKind) -> Result<Self, ImportError> {
        let mut there = reader.tables().await.map_err(ImportError::Source)?;
        if there.iter().any(|table| table == "schema_migrations") {
            let problem = "it is Parlor's own; `parlor transfer` moves everything to another database".to_owned();
            return Err(ImportError::Unlike { kind: kind.as_str(), problem });
        }
        let found = match found(reader, kind).await.map_err(ImportError::Source)? {
            // Its tables are there in `mvp` too, where a conversation's user is an account's number.
            Ok(_) if kind == ImportKind::Classic && has(reader, USERS).await.map_err(ImportError::Source)? => {
                return Err(unlike(reader, kind, format!("it has a table {USERS}")).await);
            }
            Ok(found) => found,
            Err(problem) => return Err(unlike(reader, kind, problem).await),
        };
        there.retain(|name| found.iter().all(|table| table.name != name));
        let mut found = found.into_iter();
        let users = if kind == ImportKind::Mvp { found.next() } else { None };
        let (Some(conversations), Some(messages)) = (found.next(), found.next()) else {
            return Err(ImportError::Unlike { kind: kind.as_str(), problem: "it has no tables".to_owned() });
        };
        Ok(Self { users, conversations, messages, left_alone: there })
    }
}

/// The tables of a kind's document, with the columns that are read of them.
const fn wanted(kind: ImportKind) -> &'static [(&'static str, &'static [Wanted])] {
    match kind {
        ImportKind::Classic => &[("conversations", CLASSIC_CONVERSATIONS), ("messages", CLASSIC_MESSAGES)],
        ImportKind::FullChatbot => &[("conversation_store", STORE_CONVERSATIONS), ("message_store", STORE_MESSAGES)],
        ImportKind::Mvp => &[(USERS, MVP_USERS), ("conversations", MVP_CONVERSATIONS), ("messages", MVP_MESSAGES)],
    }
}

/// The tables of that kind, or what is missing for them.
async fn found(reader: &mut Reader, kind: ImportKind) -> Result<Result<Vec<Found>, String>, StoreError> {
    let mut found = Vec::new();
    for (name, fields) in wanted(kind) {
        let columns = reader.columns(name).await?;
        if columns.is_empty() {
            return Ok(Err(format!("it has no table {name}")));
        }
        let column = |names: &[&str]| {
            names.iter().find_map(|name| columns.iter().find(|column| column.eq_ignore_ascii_case(name)))
        };
        let mut known = Vec::new();
        for (field, names, is_needed) in *fields {
            match column(names) {
                Some(column) => known.push((*field, column.clone())),
                None if *is_needed => {
                    let names = names.join(" or ");
                    return Ok(Err(format!("its table {name} has no column {names}")));
                }
                None => {}
            }
        }
        found.push(Found { name, columns: known });
    }
    Ok(Ok(found))
}

async fn has(reader: &mut Reader, table: &str) -> Result<bool, StoreError> {
    Ok(!reader.columns(table).await?.is_empty())
}

/// Says that a database is not of that kind, and of which it seems to be.
async fn unlike(reader: &mut Reader, kind: ImportKind, problem: String) -> ImportError {
    // Those first that have all tables of another, and more.
    for other in [ImportKind::Mvp, ImportKind::FullChatbot, ImportKind::Classic] {
        if other == kind {
            continue;
        }
        let alike = match found(reader, other).await {
            Ok(Ok(_)) if other == ImportKind::Classic => has(reader, USERS).await.map(|has_users| !has_users),
            outcome => outcome.map(|found| found.is_ok()),
        };
        match alike {
            Ok(true) => return ImportError::OfAnother { kind: kind.as_str(), problem, other: other.as_str() },
            Ok(false) => {}
            Err(error) => return ImportError::Source(error),
        }
    }
    ImportError::Unlike { kind: kind.as_str(), problem }
}

/// A time as databases write it, in UTC where it names no zone.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    let zoned = zoned.iter().find_map(|format| chrono::DateTime::parse_from_str(text, format).ok());
    let time = match chrono::DateTime::parse_from_rfc3339(text).ok().or(zoned) {
        Some(zoned) => zoned.naive_utc(),
        None => ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
            .iter()
            .find_map(|format| chrono::NaiveDateTime::parse_from_str(text, format).ok())?,
    };
    // Years beyond these have no RFC 3339, in which times are told.
    (1..=9999).contains(&time.year()).then(|| Timestamp::from_micros(time.and_utc().timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_databases_write_them() {
        let wanted = Timestamp::from_rfc3339("2025-08-15T10:30:00.250Z");
        for text in [
            "2025-08-15 10:30:00.25",
            "2025-08-15T10:30:00.250000",
            "2025-08-15 10:30:00.25+00",
            "2025-08-15 12:30:00.25+02:00",
            "2025-08-15T10:30:00.25Z",
        ] {
            assert_eq!(time(text), wanted, "{text}");
        }
        for text in ["", "yesterday", "0000-00-00 00:00:00", "+12025-01-01 00:00:00", "1755254400", "infinity"] {
            assert_eq!(time(text), None, "{text:?}");
        }
    }
}
