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
pub(super) fn sqlite_ddl(migration: &str) -> String {
    migration
        .replace("@id", "INTEGER PRIMARY KEY AUTOINCREMENT")
        .replace("@serial", "INTEGER PRIMARY KEY")
        .replace("@key", "TEXT")
        .replace("@text", "TEXT")
        .replace("@bytes", "BLOB")
        .replace("@open", "WHERE ")
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
}
