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
