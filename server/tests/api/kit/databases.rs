//! Databases on the servers that `scripts/services` names.

use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection};

pub const POSTGRES: &str = "PARLOR_TEST_POSTGRES_URL";
pub const MYSQL: &str = "PARLOR_TEST_MYSQL_URL";

/// Runs a test with the URL of an empty database of its own, made on the server that the environment variable names and dropped after it.
pub async fn with_database<F: Future<Output = ()>>(variable: &str, test: impl FnOnce(String) -> F) {
    let server = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: see scripts/services"));
    drop(rustls::crypto::ring::default_provider().install_default());
    let name = format!("parlor_api_{}_{:08x}", std::process::id(), rand::random::<u32>());
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    let (host, _) = server.rsplit_once('/').unwrap();
    test(format!("{host}/{name}")).await;
    let force = if server.starts_with("mysql") { "" } else { " WITH (FORCE)" };
    execute(&server, &format!("DROP DATABASE {name}{force}")).await;
}

/// Runs statements on the database of that URL.
pub async fn execute(url: &str, sql: &str) {
    if url.starts_with("mysql") {
        let mut connection = MySqlConnection::connect(url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }
}

/// Whether a MySQL URL's server is MariaDB.
pub async fn is_mariadb(url: &str) -> bool {
    let mut connection = MySqlConnection::connect(url).await.unwrap();
    let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut connection).await.unwrap();
    version.contains("MariaDB")
}
