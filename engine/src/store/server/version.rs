//! The oldest servers that the schema and the statements work on.

use crate::store::StoreError;

/// PostgreSQL's is the oldest that the tests run on.
const POSTGRES: [u32; 3] = [15, 0, 0];
/// MySQL's has the collation `utf8mb4_0900_bin`: <https://dev.mysql.com/doc/relnotes/mysql/8.0/en/news-8-0-17.html>
const MYSQL: [u32; 3] = [8, 0, 17];
/// MariaDB's is the oldest that the tests run on.
const MARIADB: [u32; 3] = [10, 11, 0];

/// Refuses what is older than Parlor can use. `version` is what `SHOW server_version` answers.
pub(in crate::store) fn check_postgres(version: &str) -> Result<(), StoreError> {
    check("PostgreSQL", version, POSTGRES)
}

/// As [`check_postgres`]; `version` is what `SELECT VERSION()` answers, which names MariaDB.
pub(in crate::store) fn check_mysql(version: &str) -> Result<(), StoreError> {
    if version.contains("MariaDB") {
        // Proxies say it as the protocol does: <https://mariadb.com/kb/en/connection/#initial-handshake-packet>
        check("MariaDB", version.strip_prefix("5.5.5-").unwrap_or(version), MARIADB)
    } else {
        check("MySQL", version, MYSQL)
    }
}

fn check(server: &str, version: &str, oldest: [u32; 3]) -> Result<(), StoreError> {
    let end = version.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(version.len());
    let (number, _) = version.split_at(end);
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
    let found: [u32; 3] = std::array::from_fn(|_| parts.next().unwrap_or(0));
    // One that says nothing of the kind, a proxy say, is given a try.
    if number.is_empty() || found >= oldest {
        return Ok(());
    }
    let [major, minor, patch] = oldest;
    let oldest = match (minor, patch) {
        (0, 0) => format!("{major}"),
        (_, 0) => format!("{major}.{minor}"),
        _ => format!("{major}.{minor}.{patch}"),
    };
    Err(StoreError::Open(format!("the server is {server} {number}, and {oldest} is the oldest that will do")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn servers_that_are_new_enough_are_taken() {
        for version in ["15.0", "15.18 (Debian 15.18-0+deb12u1)", "18beta1", "unknown"] {
            assert_eq!(check_postgres(version).map_err(|error| error.to_string()), Ok(()));
        }
        for version in ["8.0.17", "8.4.3-commercial", "9.7.4-2", "10.11.14-MariaDB-0+deb12u2", "5.5.5-12.0.1-MariaDB"] {
            assert_eq!(check_mysql(version).map_err(|error| error.to_string()), Ok(()));
        }
    }

    #[test]
    fn older_ones_are_refused_with_what_will_do() {
        let problem = |outcome: Result<(), StoreError>| outcome.unwrap_err().to_string();
        let expected =
            "the database cannot be opened: the server is PostgreSQL 14.11, and 15 is the oldest that will do";
        assert_eq!(problem(check_postgres("14.11 (Ubuntu 14.11-0ubuntu0.22.04.1)")), expected);
        let expected =
            "the database cannot be opened: the server is MySQL 8.0.16, and 8.0.17 is the oldest that will do";
        assert_eq!(problem(check_mysql("8.0.16")), expected);
        let expected =
            "the database cannot be opened: the server is MariaDB 10.6.18, and 10.11 is the oldest that will do";
        assert_eq!(problem(check_mysql("10.6.18-MariaDB-0ubuntu0.22.04.1")), expected);
    }
}
