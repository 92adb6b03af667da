//! TLS to the database servers: whose certificate is accepted, and what is said where it is not.

use super::{err, run};
use crate::kit::databases::with_database;
use crate::support::Setup;

/// A word that must never be seen.
const SECRET_WORD: &str = "s3cret-word";

// Named so that it is left out by name where nothing speaks TLS.
mod tls {
    use crate::kit::databases::{MYSQL, POSTGRES};

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_TLS"]
    async fn postgres_is_known_by_its_certificate() {
        super::known_by_its_certificate(
            POSTGRES,
            "postgresql",
            &[("sslmode=verify-ca", false), ("sslmode=verify-full", true)],
            "sslrootcert",
        )
        .await;
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_TLS"]
    async fn mysql_is_known_by_its_certificate() {
        super::known_by_its_certificate(
            MYSQL,
            "mysql",
            &[("ssl-mode=VERIFY_CA", false), ("ssl-mode=VERIFY_IDENTITY", true)],
            "ssl-ca",
        )
        .await;
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_TLS"]
    async fn the_setting_for_the_certificate_works_for_postgres_and_mysql() {
        for variable in [POSTGRES, MYSQL] {
            super::known_by_the_setting(variable).await;
        }
    }
}

mod mysql {
    use super::{SECRET_WORD, err, run};
    use crate::kit::databases::{MYSQL, execute, is_mariadb, with_database};
    use crate::support::Setup;

    /// MySQL's own way of asking for passwords. It remembers who has signed in, and asks those that come again in a way that needs no TLS; so the
    /// user is a new one.
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
    async fn a_password_that_goes_over_tls_alone_is_told_where_there_is_none() {
        with_database(MYSQL, |url| async move {
            if is_mariadb(&url).await {
                eprintln!("MariaDB asks for passwords in another way");
                return;
            }
            let (_, database) = url.rsplit_once('/').unwrap();
            execute(
                &url,
                &format!(
                    "CREATE USER {database} IDENTIFIED WITH caching_sha2_password BY '{SECRET_WORD}'; GRANT ALL ON {database}.* TO {database}"
                ),
            )
            .await;
            let data = tempfile::tempdir().unwrap();
            let (_, place) = url.split_once('@').unwrap();
            let theirs = format!("mysql://{database}:{SECRET_WORD}@{place}");
            let migrate = |url: &str| run(&Setup::new().env("DATABASE_URL", url), data.path(), &["migrate"]);
            let refused = migrate(&format!("{theirs}?ssl-mode=DISABLED"));
            assert_eq!(refused.status.code(), Some(1));
            let told = err(&refused);
            assert!(told.contains("goes over TLS alone") && told.lines().count() == 1, "{told}");
            assert!(!told.contains(SECRET_WORD), "{told}");
            let right = migrate(&theirs);
            assert!(right.status.success(), "{}", err(&right));
            execute(&url, &format!("DROP USER {database}")).await;
        })
        .await;
    }
}

fn certificate(name: &str) -> String {
    let folder = std::env::var("PARLOR_TEST_TLS").expect("PARLOR_TEST_TLS is not set: see scripts/services");
    format!("{folder}/{name}.pem")
}

/// The URL with its host as the certificate names it, or as it does not.
fn at(url: &str, host: &str, parameters: &str) -> String {
    let host = url.replacen("@127.0.0.1", &format!("@{host}"), 1);
    format!("{host}?{parameters}")
}

async fn known_by_its_certificate(variable: &str, scheme: &str, modes: &[(&str, bool)], names_ca: &str) {
    with_database(variable, |url| async move {
        let data = tempfile::tempdir().unwrap();
        let migrate = |url: &str| run(&Setup::new().env("DATABASE_URL", url), data.path(), &["migrate"]);
        let (ours, other) = (certificate("ca"), certificate("other"));
        for (mode, checks_host) in modes {
            let right = migrate(&at(&url, "localhost", &format!("{mode}&{names_ca}={ours}")));
            assert!(right.status.success(), "{mode}: {}", err(&right));
            let wrong = at(&url, "localhost", &format!("{mode}&{names_ca}={other}"));
            let wrong = wrong.replacen('@', &format!(":{SECRET_WORD}@"), 1);
            let refused = migrate(&wrong);
            assert_eq!(refused.status.code(), Some(1), "{mode}");
            let told = err(&refused);
            assert!(told.contains("not signed by the authority"), "{mode}: {told}");
            assert!(told.lines().count() == 1 && !told.contains(SECRET_WORD), "{mode}: {told}");

            let by_address = migrate(&at(&url, "127.0.0.1", &format!("{mode}&{names_ca}={ours}")));
            if *checks_host {
                assert_eq!(by_address.status.code(), Some(1), "{mode}");
                let told = err(&by_address);
                assert!(told.contains("for another host name") && told.lines().count() == 1, "{mode}: {told}");
            } else {
                assert!(by_address.status.success(), "{mode}: {}", err(&by_address));
            }
        }
        assert!(url.starts_with(scheme));
        // A server that starts says the same.
        let refused = Setup::new()
            .env("DATABASE_URL", &at(&url, "localhost", &format!("{}&{names_ca}={other}", modes[0].0)))
            .command(data.path(), &["serve"])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let told = err(&refused);
        let told: Vec<_> = told.lines().filter(|line| line.starts_with("parlor: ")).collect();
        assert!(told.len() == 1 && told[0].contains("not signed by the authority"), "{told:?}");
    })
    .await;
}

async fn known_by_the_setting(variable: &str) {
    with_database(variable, |url| async move {
        let data = tempfile::tempdir().unwrap();
        let migrate = |ca: &str| {
            let setup = Setup::new().env("DATABASE_URL", &url).env("DB_SSL_CA", ca);
            run(&setup, data.path(), &["migrate"])
        };
        let right = migrate(&certificate("ca"));
        assert!(right.status.success(), "{}", err(&right));
        let wrong = migrate(&certificate("other"));
        assert_eq!(wrong.status.code(), Some(1));
        assert!(err(&wrong).contains("not signed by the authority"), "{}", err(&wrong));
        let absent = migrate("/nowhere/ca.pem");
        assert_eq!(absent.status.code(), Some(1));
        let told = err(&absent);
        assert!(told.contains("/nowhere/ca.pem") && told.lines().count() == 1, "{told}");
        let (file, text) = (data.path().join("ca.txt"), "no certificate at all");
        std::fs::write(&file, text).unwrap();
        let unfit = migrate(file.to_str().unwrap());
        assert_eq!(unfit.status.code(), Some(1));
        let told = err(&unfit);
        assert!(told.contains("holds no certificate in PEM") && !told.contains(text), "{told}");
    })
    .await;
}
