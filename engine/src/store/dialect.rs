//! What differs by database, and nothing else.
//!
//! Statements are written in what SQLite, PostgreSQL and MySQL have in common, with `?` for parameters, and these words where they differ. To
//! SQLite the words are comments, so its statements go to it as they stand:
//!
//! | word | meaning |
//! |---|---|
//! | `/*lock*/` | at the end of a query: nobody else changes these rows before the transaction ends (SQLite has one writer anyway) |
//! | `/*skip locked*/` | the same, without the rows that somebody else is changing at the moment |
//! | `CAST(… AS BIGINT)` | a sum as an integer |
//! | `/*as words*/ ?` | words with spaces between them, as the index of words takes them |
//! | `message_words MATCH ?` | the index of words has all of what [`Dialect::all_begun`] asks for |
//!
//! The migrations have more words, as types differ everywhere:
//!
//! | word | meaning |
//! |---|---|
//! | `@id` | an integer key that counts up and is never given out twice: for what people hold in their hands |
//! | `@serial` | an integer key that counts up; cheaper where a key of a deleted row may come again |
//! | `@key` | a short text compared byte by byte, fit for a unique index |
//! | `@text` | any text |
//! | `@bytes` | any bytes |
//! | `@open(…)` | the condition of a partial index, where there is such a thing |
//! | `@view` | a view through which nothing can be written |
//! | `@as_text(…)` | an integer as decimal text |
//! | `@as_integer(…)` | decimal text as an integer |
//! | `@on_sqlite(…)`, `@on_postgres(…)`, `@on_mysql(…)` | for that database alone |
//! | `@as_timestamp(…)` | a time in microseconds as `YYYY-MM-DD HH:MM:SS` in UTC |

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A family of databases with one way of saying things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

impl Dialect {
    /// A migration as the database has it.
    pub(super) fn ddl(self, migration: &str) -> String {
        let spelling = self.spelling();
        let mut sql = migration.to_owned();
        for (word, dialect) in
            [("@on_sqlite", Self::Sqlite), ("@on_postgres", Self::Postgres), ("@on_mysql", Self::Mysql)]
        {
            sql = spell(&sql, word, |statements| if self == dialect { statements.to_owned() } else { String::new() });
        }
        let sql = spell(&sql, "@as_text", |integer| (spelling.as_text)(integer));
        let sql = spell(&sql, "@as_integer", |text| (spelling.as_integer)(text));
        let sql = spell(&sql, "@as_timestamp", |micros| (spelling.as_timestamp)(micros));
        let sql = spell(&sql, "@open", |condition| (spelling.open)(condition));
        let sql = sql
            .replace("@id", spelling.id)
            .replace("@serial", spelling.serial)
            .replace("@key", spelling.key)
            .replace("@text", spelling.text)
            .replace("@bytes", spelling.bytes)
            .replace("@view", spelling.view);
        if self == Self::Mysql { with_foreign_keys_apart(&sql) } else { sql }
    }

    /// The collation of MySQL's that compares byte by byte and to the end: `utf8mb4_bin` takes `anna ` for `anna`, and its successor has
    /// another name on either side.
    pub(super) fn mysql_ddl(migration: &str, is_mariadb: bool) -> String {
        let bytewise = if is_mariadb { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
        Self::Mysql.ddl(migration).replace("@bytewise", bytewise)
    }

    /// A name of the schema's, quoted.
    pub(super) fn quoted(self, name: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
        }
    }

    /// What `message_words MATCH ?` is asked for: texts with a word that begins with each of these. The words hold letters, digits and `_` alone.
    pub(super) fn all_begun<'w>(self, words: impl Iterator<Item = &'w String>) -> String {
        let (before, after, between) = match self {
            Self::Sqlite => ("", "*", " AND "),
            Self::Postgres => ("", ":*", " & "),
            Self::Mysql => ("+", "*", " "),
        };
        words.map(|word| format!("{before}{word}{after}")).collect::<Vec<_>>().join(between)
    }

    fn statement(self, sql: &str) -> Cow<'_, str> {
        match self {
            Self::Sqlite => Cow::Borrowed(sql),
            Self::Postgres => {
                let sql = sql
                    .replace("/*lock*/", "FOR UPDATE")
                    .replace("/*skip locked*/", "FOR UPDATE SKIP LOCKED")
                    .replace("/*as words*/ ?", "array_to_tsvector(string_to_array(?, ' '))")
                    .replace("message_words MATCH ?", "words @@ CAST(? AS tsquery)");
                Cow::Owned(numbered(&sql))
            }
            Self::Mysql => Cow::Owned(
                sql.replace("/*lock*/", "FOR UPDATE")
                    .replace("/*skip locked*/", "FOR UPDATE SKIP LOCKED")
                    .replace("message_words MATCH ?", "MATCH (words) AGAINST (? IN BOOLEAN MODE)")
                    .replace(" AS BIGINT)", " AS SIGNED)"),
            ),
        }
    }

    const fn spelling(self) -> &'static Spelling {
        match self {
            Self::Sqlite => &SQLITE,
            Self::Postgres => &POSTGRES,
            Self::Mysql => &MYSQL,
        }
    }
}

/// Statements as one database server has them; each is spelt out once.
#[derive(Debug)]
pub(super) struct Statements {
    dialect: Dialect,
    spelt: Mutex<HashMap<&'static str, Arc<str>>>,
    insertions: Mutex<HashMap<&'static str, Arc<str>>>,
}

impl Statements {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, spelt: Mutex::default(), insertions: Mutex::default() }
    }

    /// The insertion `sql`, made to answer with the new row's id where the driver does not tell.
    pub(super) fn insertion(&self, sql: &'static str) -> Arc<str> {
        let mut insertions = self.insertions.lock().unwrap_or_else(PoisonError::into_inner);
        let spelt = || format!("{} RETURNING id", self.dialect.statement(sql)).into();
        Arc::clone(insertions.entry(sql).or_insert_with(spelt))
    }

    /// The statement `sql`.
    pub(super) fn get(&self, sql: &'static str) -> Arc<str> {
        let mut spelt = self.spelt.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(spelt.entry(sql).or_insert_with(|| self.dialect.statement(sql).into()))
    }
}

struct Spelling {
    id: &'static str,
    serial: &'static str,
    key: &'static str,
    text: &'static str,
    bytes: &'static str,
    view: &'static str,
    open: fn(&str) -> String,
    as_text: fn(&str) -> String,
    as_integer: fn(&str) -> String,
    as_timestamp: fn(&str) -> String,
}

const SQLITE: Spelling = Spelling {
    id: "INTEGER PRIMARY KEY AUTOINCREMENT",
    serial: "INTEGER PRIMARY KEY",
    key: "TEXT",
    text: "TEXT",
    bytes: "BLOB",
    view: "VIEW",
    open: |condition| format!("WHERE ({condition})"),
    as_text: |integer| format!("CAST({integer} AS TEXT)"),
    as_integer: |text| format!("CAST({text} AS INTEGER)"),
    as_timestamp: |micros| format!("datetime({micros} / 1000000, 'unixepoch')"),
};

const POSTGRES: Spelling = Spelling {
    id: "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    serial: "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    key: "TEXT COLLATE \"C\"",
    text: "TEXT",
    bytes: "BYTEA",
    view: "VIEW",
    open: |condition| format!("WHERE ({condition})"),
    as_text: |integer| format!("CAST({integer} AS TEXT)"),
    as_integer: |text| format!("CAST({text} AS BIGINT)"),
    as_timestamp: |micros| {
        format!("to_char(to_timestamp({micros} / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')")
    },
};

const MYSQL: Spelling = Spelling {
    id: "BIGINT AUTO_INCREMENT PRIMARY KEY",
    serial: "BIGINT AUTO_INCREMENT PRIMARY KEY",
    key: "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE @bytewise",
    text: "LONGTEXT CHARACTER SET utf8mb4 COLLATE @bytewise",
    bytes: "LONGBLOB",
    view: "ALGORITHM = TEMPTABLE VIEW",
    open: |_| String::new(),
    as_text: |integer| format!("CAST({integer} AS CHAR) COLLATE @bytewise"),
    as_integer: |text| format!("CAST({text} AS SIGNED)"),
    as_timestamp: |micros| {
        format!("DATE_FORMAT(TIMESTAMPADD(SECOND, {micros} DIV 1000000, '1970-01-01'), '%Y-%m-%d %H:%i:%s')")
    },
};

/// MySQL reads a foreign key that stands with its column, and forgets it: each gets a line of its own.
fn with_foreign_keys_apart(sql: &str) -> String {
    let mut apart = String::with_capacity(sql.len());
    for line in sql.split_inclusive('\n') {
        let (Some((column, key)), Some(name)) = (line.split_once(" REFERENCES "), line.split_whitespace().next())
        else {
            apart.push_str(line);
            continue;
        };
        apart.push_str(&format!("{column},\n  FOREIGN KEY ({name}) REFERENCES {key}"));
    }
    apart
}

/// `?` outside of quotes as `$1`, `$2` and so on.
fn numbered(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 16);
    let (mut number, mut quoted) = (0, false);
    for letter in sql.chars() {
        match letter {
            '?' if !quoted => {
                number += 1;
                text.push_str(&format!("${number}"));
            }
            letter => {
                quoted ^= letter == '\'';
                text.push(letter);
            }
        }
    }
    text
}

/// Writes each `word(expression)` as `into` has it.
fn spell(sql: &str, word: &str, into: impl Fn(&str) -> String) -> String {
    let mut spelt = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(word) {
        spelt.push_str(before);
        let (argument, behind) = argument(after);
        spelt.push_str(&into(argument));
        rest = behind;
    }
    spelt + rest
}

/// What stands in the parentheses that `text` begins with, and what follows them.
fn argument(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return (&text[1..at], &text[at + 1..]),
            ')' => depth -= 1,
            _ => {}
        }
    }
    ("", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_migration_is_spelt_out() {
        let migration =
            "CREATE TABLE t (id @id, s @serial, k @key, t @text, b @bytes); CREATE INDEX i ON t (k) @open(k = 'a');";
        assert_eq!(
            Dialect::Sqlite.ddl(migration),
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, s INTEGER PRIMARY KEY, k TEXT, t TEXT, b BLOB); CREATE INDEX i ON t (k) WHERE (k = 'a');"
        );
        for spelt in [Dialect::Postgres.ddl(migration), Dialect::mysql_ddl(migration, true)] {
            assert!(!spelt.contains('@'), "{spelt}");
        }
    }

    #[test]
    fn words_with_an_expression_are_spelt_around_it() {
        let sql = Dialect::Sqlite
            .ddl("CREATE @view v AS SELECT @as_text(id), @as_integer((k)), @as_timestamp(MAX(a, b)) FROM t");
        let expected = "CREATE VIEW v AS SELECT CAST(id AS TEXT), CAST((k) AS INTEGER), \
                        datetime(MAX(a, b) / 1000000, 'unixepoch') FROM t";
        assert_eq!(sql, expected);
    }

    #[test]
    fn what_is_for_one_database_is_left_out_elsewhere() {
        let sql = "@on_sqlite(a (b);)@on_postgres(c;)@on_mysql(d;)";
        let spelt = [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql].map(|dialect| dialect.ddl(sql));
        assert_eq!(spelt, ["a (b);", "c;", "d;"]);
    }

    #[test]
    fn words_are_asked_for_as_each_database_is_asked() {
        let words = ["1_to".to_owned(), "1_be".to_owned()];
        let asked = [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql].map(|dialect| dialect.all_begun(words.iter()));
        assert_eq!(asked, ["1_to* AND 1_be*", "1_to:* & 1_be:*", "+1_to* +1_be*"]);
    }

    #[test]
    fn mysql_gets_its_foreign_keys_on_lines_of_their_own() {
        let sql = Dialect::Mysql
            .ddl("CREATE TABLE t (\n  a BIGINT NOT NULL REFERENCES o (id) ON DELETE CASCADE,\n  b BIGINT\n);");
        let expected = "CREATE TABLE t (\n  a BIGINT NOT NULL,\n  FOREIGN KEY (a) REFERENCES o (id) ON DELETE CASCADE,\n  b BIGINT\n);";
        assert_eq!(sql, expected);
    }

    #[test]
    fn statements_are_said_as_each_database_says_them() {
        let sql = "SELECT CAST(SUM(n) AS BIGINT) FROM t WHERE a = ? AND b <> '?' AND message_words MATCH ? /*lock*/";
        assert_eq!(Dialect::Sqlite.statement(sql), sql);
        assert_eq!(
            Dialect::Postgres.statement(sql),
            "SELECT CAST(SUM(n) AS BIGINT) FROM t WHERE a = $1 AND b <> '?' AND words @@ CAST($2 AS tsquery) FOR UPDATE"
        );
        assert_eq!(
            Dialect::Mysql.statement(sql),
            "SELECT CAST(SUM(n) AS SIGNED) FROM t WHERE a = ? AND b <> '?' AND MATCH (words) AGAINST (? IN BOOLEAN MODE) FOR UPDATE"
        );
    }
}
