//! Databases on the servers that the environment names, one for each test.

use std::future::Future;

use sqlx::Connection as _;

/// Runs a test with the URL of a database of its own, made on the server that the environment variable names and dropped after it.
pub async fn with_database<F: Future<Output = ()>>(variable: &str, test: impl FnOnce(String) -> F) {
    let server = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: see scripts/services"));
    drop(rustls::crypto::ring::default_provider().install_default());
    let name = format!("parlor_test_{}_{:08x}", std::process::id(), rand::random::<u32>());
    let admin = |statement: String| {
        let server = server.clone();
        async move {
            let statement = sqlx::AssertSqlSafe(statement);
            if server.starts_with("mysql") {
                let mut connection = sqlx::MySqlConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
            } else {
                let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
                sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
            }
        }
    };
    admin(format!("CREATE DATABASE {name}")).await;
    let (host, _) = server.rsplit_once('/').unwrap();
    test(format!("{host}/{name}")).await;
    // Whoever was killed in a test may still be connected.
    let force = if server.starts_with("mysql") { "" } else { " WITH (FORCE)" };
    admin(format!("DROP DATABASE {name}{force}")).await;
}
