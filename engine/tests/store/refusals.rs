//! Servers that do not take us: told by what an operator can mend.

use parlor_engine::config::{DatabaseSettings, DatabaseUrl};
use parlor_engine::store::{Db, OpenAs};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::kit::{Fixture, at, on_server};

mod postgres {
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
    async fn a_server_that_refuses_says_what_can_be_mended() {
        super::on_server("PARLOR_TEST_POSTGRES_URL", super::a_server_that_refuses_says_what_can_be_mended).await;
    }
}

mod mysql {
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MYSQL_URL"]
    async fn a_server_that_refuses_says_what_can_be_mended() {
        super::on_server("PARLOR_TEST_MYSQL_URL", super::a_server_that_refuses_says_what_can_be_mended).await;
    }
}

async fn a_server_that_refuses_says_what_can_be_mended(fixture: Fixture) {
    let url = match &fixture.settings.database.url {
        DatabaseUrl::Postgres(url) | DatabaseUrl::Mysql { url, .. } => Url::parse(url.expose_secret()).unwrap(),
        DatabaseUrl::Sqlite(_) => panic!("a file refuses nobody"),
    };
    let mut elsewhere = url.clone();
    elsewhere.set_path("/parlor_no_such_database");
    let problem = refusal(&fixture, &elsewhere).await;
    assert!(problem.contains("it has no such database"), "{problem}");

    let mut stranger = url;
    stranger.set_username("parlor_nobody").unwrap();
    stranger.set_password(Some("a wrong one")).unwrap();
    let problem = refusal(&fixture, &stranger).await;
    assert!(problem.contains("it does not let this user in"), "{problem}");
    assert!(!problem.contains("wrong"), "{problem}");
}

async fn refusal(fixture: &Fixture, url: &Url) -> String {
    let url = DatabaseUrl::parse(url.as_str(), None).unwrap();
    let settings = DatabaseSettings { url, ..fixture.settings.database.clone() };
    let db = Db::open(&settings, OpenAs::Server).unwrap();
    let problem = db.migrate(at(0)).await.unwrap_err().to_string();
    db.close().await;
    problem
}
