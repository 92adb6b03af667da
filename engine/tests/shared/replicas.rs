//! Two applications at one PostgreSQL and one Redis: what one ends, the other shuts; what one counts, the other knows.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use parlor_engine::app::{ApiKeyRequest, App, AppError, Caller, IssuedApiKey, Login, Registration, Session};
use parlor_engine::config::{DatabaseUrl, Settings};
use parlor_engine::domain::Clock;
use parlor_engine::providers::Providers;
use parlor_engine::shared::LinkState;
use parlor_engine::shared::OpenDoor;
use parlor_engine::store::{Db, OpenAs};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

use crate::database::with_database;
use crate::kit::{PATIENCE, RedisProcess, until};

const PASSWORD: &str = "SuperSecret123!";
const EMAIL: &str = "ann@example.org";

struct Replicas {
    one: App,
    two: App,
    redis: Option<RedisProcess>,
    _folder: TempDir,
}

async fn replicas(database: &str) -> Replicas {
    replicas_at(database, Some(RedisProcess::start())).await
}

async fn replicas_at(database: &str, redis: Option<RedisProcess>) -> Replicas {
    let folder = TempDir::new().unwrap();
    let mut settings = Settings::for_tests(folder.path());
    settings.database.url = DatabaseUrl::parse(database, None).unwrap();
    settings.database.pool_size = 4;
    settings.limits.login_attempts_per_account = 3;
    settings.shared.redis_url = redis.as_ref().map(|redis| SecretString::from(redis.url()));
    let open = async || {
        let db = Db::open(&settings.database, OpenAs::Server).unwrap();
        db.migrate(Clock::System.now()).await.unwrap();
        let providers = Providers::from_settings(&settings.providers, &settings.chat.model).unwrap();
        App::new(settings.clone(), db, Clock::System, providers).unwrap()
    };
    let (one, two) = (open().await, open().await);
    Replicas { one, two, redis, _folder: folder }
}

impl Replicas {
    async fn sign_up(&self) -> Session {
        let registration = Registration { email: Some(EMAIL.to_owned()), username: None, password: PASSWORD.into() };
        self.one.register(registration).await.unwrap();
        login(&self.one, PASSWORD).await.unwrap()
    }

    /// Hears revocations in the first replica. Nothing else looks after its doors.
    async fn hear(&self) {
        let app = self.one.clone();
        tokio::spawn(async move { app.hear_revocations().await });
        until("the first replica listens", || async { self.one.shared().bus.topics() == 1 }).await;
        // Joins it, and so returns when Redis has confirmed.
        drop(self.one.shared().bus.subscribe("revocations").await);
    }
}

async fn login(app: &App, password: &str) -> Result<Session, AppError> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    app.login(Login { login: EMAIL.to_owned(), password: password.into(), address }).await
}

async fn caller(app: &App, token: &str) -> Caller {
    app.authenticate(token).await.unwrap()
}

async fn a_key(app: &App, owner: &Caller) -> IssuedApiKey {
    let request = ApiKeyRequest { name: "key".to_owned(), scopes: vec!["chat".to_owned()], expires_at: None };
    app.create_api_key(owner, request).await.unwrap()
}

/// Without Redis nobody says anything: what ends them is found in the database.
async fn what_was_ended_elsewhere_is_found_without_redis(database: &str) {
    let replicas = replicas_at(database, None).await;
    let session = replicas.sign_up().await;
    let (one, two) = (&replicas.one, &replicas.two);
    let owner = caller(one, &session.access_token).await;
    let (key, other) = (a_key(two, &owner).await, login(two, PASSWORD).await.unwrap());
    let of_key = one.open_socket(&caller(one, key.secret.expose_secret()).await);
    let of_other = one.open_socket(&caller(one, &other.access_token).await);
    let of_owner = one.open_socket(&owner);
    one.check_open_doors().await.unwrap();
    for door in [&of_key, &of_other, &of_owner] {
        is_open(door).await;
    }
    two.delete_api_key(&owner, key.key.id).await.unwrap();
    one.check_open_doors().await.unwrap();
    is_shut(&of_key).await;
    is_open(&of_other).await;
    two.logout(&other.refresh_token).await.unwrap();
    one.check_open_doors().await.unwrap();
    is_shut(&of_other).await;
    is_open(&of_owner).await;
    two.deactivate_account(owner.id()).await.unwrap();
    one.check_open_doors().await.unwrap();
    is_shut(&of_owner).await;
    for app in [one, two] {
        app.close().await;
    }
}

async fn is_shut(door: &OpenDoor) {
    assert!(tokio::time::timeout(PATIENCE, door.shut()).await.is_ok(), "it stayed open");
}

async fn is_open(door: &OpenDoor) {
    assert!(tokio::time::timeout(Duration::from_millis(50), door.shut()).await.is_err(), "it was shut");
}

mod postgres {
    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_POSTGRES_URL"]
    async fn what_was_ended_elsewhere_is_found_without_redis() {
        let test = async |database: String| super::what_was_ended_elsewhere_is_found_without_redis(&database).await;
        super::with_database("PARLOR_TEST_POSTGRES_URL", test).await;
    }

    mod redis {
        use super::super::*;

        #[tokio::test]
        #[ignore = "needs PARLOR_TEST_POSTGRES_URL and PARLOR_TEST_REDIS_URL"]
        async fn what_one_replica_ends_the_other_shuts_at_once() {
            with_database("PARLOR_TEST_POSTGRES_URL", async |database: String| {
                let replicas = replicas(&database).await;
                let session = replicas.sign_up().await;
                replicas.hear().await;
                let (one, two) = (&replicas.one, &replicas.two);
                let owner = caller(one, &session.access_token).await;
                let key = a_key(two, &owner).await;

                let (of_key, of_session) =
                    (one.open_socket(&caller(one, key.secret.expose_secret()).await), one.open_socket(&owner));
                two.delete_api_key(&owner, key.key.id).await.unwrap();
                is_shut(&of_key).await;
                is_open(&of_session).await;
                let other = login(two, PASSWORD).await.unwrap();
                let of_other = one.open_socket(&caller(one, &other.access_token).await);
                two.logout(&other.refresh_token).await.unwrap();
                is_shut(&of_other).await;
                is_open(&of_session).await;
                two.end_all_sessions(&owner).await.unwrap();
                is_shut(&of_session).await;

                let session = login(two, PASSWORD).await.unwrap();
                let door = one.open_socket(&caller(one, &session.access_token).await);
                two.set_account_password(owner.id(), &"AnotherSecret123!".into()).await.unwrap();
                is_shut(&door).await;
                for app in [one, two] {
                    app.close().await;
                }
            })
            .await;
        }

        #[tokio::test]
        #[ignore = "needs PARLOR_TEST_POSTGRES_URL and PARLOR_TEST_REDIS_URL"]
        async fn what_was_ended_while_redis_was_away_is_shut_when_it_is_back() {
            with_database("PARLOR_TEST_POSTGRES_URL", async |database: String| {
                let mut replicas = replicas(&database).await;
                let session = replicas.sign_up().await;
                replicas.hear().await;
                let owner = caller(&replicas.one, &session.access_token).await;
                replicas.redis.as_mut().unwrap().stop();
                until("its absence is noticed", || async { replicas.one.shared().state().await == LinkState::Down })
                    .await;
                let (one, two) = (&replicas.one, &replicas.two);
                let (key, other) = (a_key(two, &owner).await, login(two, PASSWORD).await.unwrap());
                let of_key = one.open_socket(&caller(one, key.secret.expose_secret()).await);
                let of_other = one.open_socket(&caller(one, &other.access_token).await);
                let stays = one.open_socket(&owner);
                two.delete_api_key(&owner, key.key.id).await.unwrap();
                two.logout(&other.refresh_token).await.unwrap();
                replicas.redis.as_mut().unwrap().go_on();
                is_shut(&of_key).await;
                is_shut(&of_other).await;
                is_open(&stays).await;
                for app in [one, two] {
                    app.close().await;
                }
            })
            .await;
        }

        #[tokio::test]
        #[ignore = "needs PARLOR_TEST_POSTGRES_URL and PARLOR_TEST_REDIS_URL"]
        async fn failed_logins_count_on_every_replica_and_an_outage_opens_nothing() {
            with_database("PARLOR_TEST_POSTGRES_URL", async |database: String| {
                let mut replicas = replicas(&database).await;
                replicas.sign_up().await;
                for app in [&replicas.one, &replicas.two, &replicas.one] {
                    assert!(matches!(login(app, "wrong password").await, Err(AppError::Unauthenticated(_))));
                }
                for app in [&replicas.one, &replicas.two] {
                    assert!(matches!(login(app, PASSWORD).await, Err(AppError::TooMany(_))));
                }
                replicas.redis.as_mut().unwrap().stop();
                for app in [&replicas.one, &replicas.two] {
                    assert!(
                        matches!(login(app, PASSWORD).await, Err(AppError::TooMany(_))),
                        "it goes on from what it has seen"
                    );
                }
                replicas.redis.as_mut().unwrap().go_on();
                for app in [&replicas.one, &replicas.two] {
                    until("Redis is back", || async { app.shared().state().await == LinkState::Up }).await;
                    assert!(matches!(login(app, PASSWORD).await, Err(AppError::TooMany(_))), "empty as it came back");
                    app.close().await;
                }
            })
            .await;
        }
    }
}
