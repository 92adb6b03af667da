//! What differs by database, and nothing else.

/// The words of the migrations that each database spells its own way.
///
/// | word | meaning |
/// |---|---|
/// | `@id` | an integer key that counts up and is never given out twice: for what people hold in their hands |
/// | `@serial` | an integer key that counts up; cheaper where a key of a deleted row may come again |
/// | `@key` | a short text compared byte by byte, fit for a unique index |
/// | `@text` | any text |
/// | `@bytes` | any bytes |
/// | `@open(…)` | the condition of a partial index, where there is such a thing |
/// | `@view` | a view through which nothing can be written |
/// | `@as_text(…)` | an integer as decimal text |
/// | `@as_integer(…)` | decimal text as an integer |
/// | `@as_timestamp(…)` | a time in microseconds as `YYYY-MM-DD HH:MM:SS` in UTC |
/// | `@search_index` | what keeps titles and messages findable by their words |
pub(super) fn sqlite_ddl(migration: &str) -> String {
    let sql = spell(migration, "@as_text", |integer| format!("CAST({integer} AS TEXT)"));
    let sql = spell(&sql, "@as_integer", |text| format!("CAST({text} AS INTEGER)"));
    let sql = spell(&sql, "@as_timestamp", |micros| format!("datetime({micros} / 1000000, 'unixepoch')"));
    sql.replace("@id", "INTEGER PRIMARY KEY AUTOINCREMENT")
        .replace("@serial", "INTEGER PRIMARY KEY")
        .replace("@key", "TEXT")
        .replace("@text", "TEXT")
        .replace("@bytes", "BLOB")
        .replace("@open", "WHERE ")
        .replace("@view", "VIEW")
        .replace("@search_index", SQLITE_SEARCH_INDEX)
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

/// An FTS5 index without the text itself. A message's row has its id, a title's row its conversation's id below zero; `owner` keeps each
/// search within what one account has. Part of a migration: what is written here has been applied, and stays as it is.
const SQLITE_SEARCH_INDEX: &str = "
CREATE VIRTUAL TABLE search_index USING fts5(owner, words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');
INSERT INTO search_index (rowid, owner, words)
  SELECT m.id, 'a' || c.account_id, m.content FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.content <> '';
INSERT INTO search_index (rowid, owner, words)
  SELECT -id, 'a' || account_id, title FROM conversations WHERE title IS NOT NULL;
CREATE TRIGGER messages_found_insert AFTER INSERT ON messages WHEN new.content <> '' BEGIN
  INSERT INTO search_index (rowid, owner, words)
    VALUES (new.id, 'a' || (SELECT account_id FROM conversations WHERE id = new.conversation_id), new.content);
END;
CREATE TRIGGER messages_found_update AFTER UPDATE OF content ON messages WHEN new.content <> old.content BEGIN
  INSERT OR REPLACE INTO search_index (rowid, owner, words)
    VALUES (new.id, 'a' || (SELECT account_id FROM conversations WHERE id = new.conversation_id), new.content);
END;
CREATE TRIGGER messages_found_delete AFTER DELETE ON messages WHEN old.content <> '' BEGIN
  DELETE FROM search_index WHERE rowid = old.id;
END;
CREATE TRIGGER conversations_found_insert AFTER INSERT ON conversations WHEN new.title IS NOT NULL BEGIN
  INSERT INTO search_index (rowid, owner, words) VALUES (-new.id, 'a' || new.account_id, new.title);
END;
CREATE TRIGGER conversations_found_update AFTER UPDATE OF title ON conversations WHEN new.title IS NOT old.title BEGIN
  INSERT OR REPLACE INTO search_index (rowid, owner, words) VALUES (-new.id, 'a' || new.account_id, new.title);
END;
CREATE TRIGGER conversations_found_delete AFTER DELETE ON conversations WHEN old.title IS NOT NULL BEGIN
  DELETE FROM search_index WHERE rowid = -old.id;
END;
";

/// The conversations in whose title or in one of whose messages words are found: the newest thousand of each. Takes what to look for, as
/// [`sqlite_search`] writes it, twice.
macro_rules! sqlite_found {
    () => {
        "(SELECT -rowid FROM (SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid < 0 LIMIT 1000) \
         UNION \
         SELECT conversation_id FROM messages WHERE id IN \
         (SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid > 0 ORDER BY rowid DESC LIMIT 1000))"
    };
}
pub(super) use sqlite_found;

/// What a search looks for: every one of the words (letters and digits only), or a longer word that begins so, among what the owner has.
pub(super) fn sqlite_search(words: &[String], owner: i64) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\" *")).collect();
    format!("owner : a{owner} AND words : ({})", words.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_spelt_out() {
        let sql = sqlite_ddl(
            "CREATE TABLE t (id @id, s @serial, k @key, t @text, b @bytes); CREATE INDEX i ON t (k) @open(k = 'a');",
        );
        assert_eq!(
            sql,
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, s INTEGER PRIMARY KEY, k TEXT, t TEXT, b BLOB); CREATE INDEX i ON t (k) WHERE (k = 'a');"
        );
    }

    #[test]
    fn words_with_an_expression_are_spelt_around_it() {
        let sql =
            sqlite_ddl("CREATE @view v AS SELECT @as_text(id), @as_integer((k)), @as_timestamp(MAX(a, b)) FROM t");
        let expected = "CREATE VIEW v AS SELECT CAST(id AS TEXT), CAST((k) AS INTEGER), \
                        datetime(MAX(a, b) / 1000000, 'unixepoch') FROM t";
        assert_eq!(sql, expected);
    }
}
