//! The tables of the documents, and the names that their columns go by.

use super::{ImportError, ImportKind};
use crate::domain::Timestamp;
use crate::store::{Kind, Reader, Values};

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
        (sql, vec![Kind::Text; self.columns.len()])
    }

    fn column(&self, field: Field) -> Option<&str> {
        self.columns.iter().find(|(known, _)| *known == field).map(|(_, column)| column.as_str())
    }

    /// The field of a row that its query gave.
    pub(super) fn get<'r>(&self, row: &'r Values, field: Field) -> Option<&'r str> {
        let at = self.columns.iter().position(|(known, _)| *known == field)?;
        row.get(at)?.text()
    }
}

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
        let unlike = |problem: String| ImportError::Unlike { kind: kind.as_str(), problem };
        let mut there = reader.tables().await.map_err(ImportError::Source)?;
        if there.iter().any(|table| table == "schema_migrations") {
            let problem = "it is Parlor's own; `parlor transfer` moves everything to another database".to_owned();
            return Err(unlike(problem));
        }
        let wanted: &[(&'static str, &'static [Wanted])] = match kind {
            ImportKind::Classic => &[("conversations", CLASSIC_CONVERSATIONS), ("messages", CLASSIC_MESSAGES)],
            ImportKind::FullChatbot => {
                &[("conversation_store", STORE_CONVERSATIONS), ("message_store", STORE_MESSAGES)]
            }
            ImportKind::Mvp => {
                &[("users", MVP_USERS), ("conversations", MVP_CONVERSATIONS), ("messages", MVP_MESSAGES)]
            }
        };
        let mut found = Vec::new();
        for (name, fields) in wanted {
            let columns = reader.columns(name).await.map_err(ImportError::Source)?;
            if columns.is_empty() {
                return Err(unlike(format!("it has no table {name}")));
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
                        return Err(unlike(format!("its table {name} has no column {names}")));
                    }
                    None => {}
                }
            }
            found.push(Found { name, columns: known });
            there.retain(|table| table != name);
        }
        let mut found = found.into_iter();
        let users = if kind == ImportKind::Mvp { found.next() } else { None };
        let (Some(conversations), Some(messages)) = (found.next(), found.next()) else {
            return Err(unlike("it has no tables".to_owned()));
        };
        Ok(Self { users, conversations, messages, left_alone: there })
    }
}

/// A time as databases write it, in UTC where it names no zone.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    let text = text?.trim();
    if let Ok(zoned) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp::from_micros(zoned.timestamp_micros()));
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(zoned) = chrono::DateTime::parse_from_str(text, format) {
            return Some(Timestamp::from_micros(zoned.timestamp_micros()));
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(naive) = chrono::NaiveDateTime::parse_from_str(text, format) {
            return Some(Timestamp::from_micros(naive.and_utc().timestamp_micros()));
        }
    }
    None
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
            assert_eq!(time(Some(text)), wanted, "{text}");
        }
        for text in [None, Some(""), Some("yesterday"), Some("0000-00-00 00:00:00")] {
            assert_eq!(time(text), None, "{text:?}");
        }
    }
}
