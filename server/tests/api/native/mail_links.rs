//! Mails: verifying an address, and setting a forgotten password anew. The mail server is a real conversation away.

use parlor_bench::fake::smtp::{FakeSmtp, ReceivedMail};
use reqwest::Method;
use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::{Answer, send, wait};
use crate::support::{PASSWORD, Setup, TestServer};

const NEW_PASSWORD: &str = "another-password";

fn with_mail(smtp: &FakeSmtp) -> Setup {
    Setup::new()
        .env("EMAIL__SMTP_URL", &smtp.url())
        .env("EMAIL__GMAIL_FROM_EMAIL", "parlor@example.com")
        .env("PUBLIC_URL", "https://chat.example/")
}

async fn register(server: &TestServer, email: &str) {
    let body = json!({"email": email, "password": PASSWORD});
    send(server.post("/api/v1/auth/register", &body)).await.expect(201);
}

async fn login(server: &TestServer, password: &str) -> Answer {
    send(server.post("/api/v1/auth/login", &json!({"email": "user@example.com", "password": password}))).await
}

async fn forgot(server: &TestServer, email: &str) -> Answer {
    send(server.post("/api/v1/auth/password/forgot", &json!({"email": email}))).await
}

async fn reset(server: &TestServer, token: &str, password: &str) -> Answer {
    send(server.post("/api/v1/auth/password/reset", &json!({"token": token, "password": password}))).await
}

async fn verify(server: &TestServer, token: &str) -> Answer {
    send(server.post("/api/v1/auth/verify-email", &json!({"token": token}))).await
}

async fn mail(smtp: &FakeSmtp, number: usize) -> ReceivedMail {
    wait::until("a mail comes", || smtp.mails().len() >= number).await;
    smtp.mails()[number - 1].clone()
}

/// The token in a link, wherever it stands.
fn token_in(text: &str, word: &str) -> String {
    let (_, after) = text.split_once(&format!("/#{word}=")).unwrap_or_else(|| panic!("no {word} in {text}"));
    after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

fn ok(answer: &Answer, status: u16) {
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (status, ""), "{answer:?}");
}

async fn account(server: &TestServer) -> Value {
    let token = server.sign_in("user@example.com").await;
    send(server.get("/api/v1/users/me").bearer_auth(token)).await.expect(200)
}

#[tokio::test]
async fn registering_sends_a_link_that_verifies_the_address_once() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    assert_eq!(account(&server).await["email_verified"], false);
    let mail = mail(&smtp, 1).await;
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("parlor@example.com", &["user@example.com".to_owned()][..]));
    assert!(mail.data.contains("Subject: Verify your email address"), "{}", mail.data);
    assert!(mail.data.contains("text/plain") && mail.data.contains("text/html"), "{}", mail.data);
    assert!(mail.readable().contains("\nhttps://chat.example/#verify-email="), "{}", mail.data);
    let token = token_in(&mail.readable(), "verify-email");
    ok(&verify(&server, &token).await, 204);
    assert_eq!(account(&server).await["email_verified"], true);
    assert_problem(&verify(&server, &token).await, 400);
    assert_problem(&verify(&server, "unknown").await, 400);
    assert!(!server.log().join("\n").contains(&token));
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_a_link_and_the_old_one_opens_nothing() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    mail(&smtp, 1).await;
    let pair = login(&server, PASSWORD).await.expect(200);
    let access = pair["access_token"].as_str().unwrap();
    let key = send(server.post("/api/v1/api-keys", &json!({"name": "n", "scopes": ["read"]})).bearer_auth(access));
    let key = key.await.expect(201);

    ok(&forgot(&server, "USER@example.com").await, 202);
    let mail = mail(&smtp, 2).await;
    assert!(mail.data.contains("Subject: Reset your password"), "{}", mail.data);
    let token = token_in(&mail.readable(), "reset-password");
    let hidden = format!("SELECT COUNT(*) FROM mail_tokens WHERE token_hash LIKE '%{}%'", &token[..20]);
    assert_eq!(server.count(&hidden), 0);
    assert_problem(&reset(&server, &token, "short").await, 400);
    assert_problem(&verify(&server, &token).await, 400);
    ok(&reset(&server, &token, NEW_PASSWORD).await, 204);

    for old in [access, key["key"].as_str().unwrap()] {
        send(server.get("/api/v1/users/me").bearer_auth(old)).await.expect(401);
    }
    let body = json!({"refresh_token": pair["refresh_token"]});
    assert_problem(&send(server.post("/api/v1/auth/refresh", &body)).await, 401);
    assert_problem(&login(&server, PASSWORD).await, 401);
    login(&server, NEW_PASSWORD).await.expect(200);
    assert_eq!(
        assert_problem(&reset(&server, &token, PASSWORD).await, 400),
        "this link is unknown, used or expired: ask for another"
    );
    login(&server, NEW_PASSWORD).await.expect(200);
    assert!(!server.log().join("\n").contains(&token));
}

#[tokio::test]
async fn of_many_uses_of_a_link_at_once_one_counts() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    forgot(&server, "user@example.com").await;
    wait::until("both mails come", || smtp.mails().len() == 2).await;
    let mails = smtp.mails();
    let text = mails.iter().find(|mail| mail.data.contains("Reset your password")).unwrap().readable();
    let token = token_in(&text, "reset-password");
    let passwords: Vec<String> = (0..8).map(|number| format!("new-password-{number}")).collect();
    let answers = passwords.iter().map(|password| reset(&server, &token, password));
    let answers = futures_util::future::join_all(answers).await;
    let won: Vec<usize> = (0..8).filter(|&at| answers[at].status == 204).collect();
    assert_eq!(won.len(), 1);
    login(&server, &passwords[won[0]]).await.expect(200);
}

#[tokio::test]
async fn a_link_stops_working_when_it_expires_or_the_address_changes() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    let first = token_in(&mail(&smtp, 1).await.readable(), "verify-email");
    forgot(&server, "user@example.com").await;
    let second = token_in(&mail(&smtp, 2).await.readable(), "reset-password");
    server.database().execute("UPDATE mail_tokens SET expires_at = created_at WHERE purpose = 'reset'", []).unwrap();
    assert_problem(&reset(&server, &second, NEW_PASSWORD).await, 400);
    let token = server.sign_in("user@example.com").await;
    let body = json!({"email": "new@example.com", "password": PASSWORD});
    send(server.request(Method::PATCH, "/api/v1/users/me").json(&body).bearer_auth(&token)).await.expect(200);
    assert_problem(&verify(&server, &first).await, 400);
    let mail = mail(&smtp, 3).await;
    assert_eq!(mail.to, ["new@example.com"]);
    ok(&verify(&server, &token_in(&mail.readable(), "verify-email")).await, 204);
}

#[tokio::test]
async fn asking_for_a_link_says_nothing_of_who_is_known() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    mail(&smtp, 1).await;
    let known = forgot(&server, "user@example.com").await;
    let unknown = forgot(&server, "nobody@example.com").await;
    assert_eq!(known.comparable(), unknown.comparable());
    mail(&smtp, 2).await;
    let resend = |email: &str| send(server.post("/api/v1/auth/verify-email/resend", &json!({"email": email})));
    assert_eq!(resend("user@example.com").await.comparable(), resend("nobody@example.com").await.comparable());
    let again = mail(&smtp, 3).await;
    assert!(smtp.mails().iter().all(|mail| mail.to == ["user@example.com"]));
    ok(&verify(&server, &token_in(&again.readable(), "verify-email")).await, 204);
    assert_problem(&forgot(&server, "none").await, 400);
    assert_problem(&send(server.post("/api/v1/auth/password/forgot", &json!({}))).await, 422);
}

#[tokio::test]
async fn links_are_limited_alike_whoever_is_known() {
    let server = Setup::new().start();
    register(&server, "user@example.com").await;
    for email in ["user@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            ok(&forgot(&server, email).await, 202);
        }
        let limited = forgot(&server, email).await;
        assert_problem(&limited, 429);
        assert!(!limited.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let smtp = FakeSmtp::start().await;
    smtp.refuse(&[451]);
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    mail(&smtp, 1).await;
    assert_eq!(smtp.refused(), 1);
    smtp.refuse(&[550]);
    ok(&forgot(&server, "user@example.com").await, 202);
    let given_up = || server.log().into_iter().find(|line| line.contains("a mail was given up"));
    wait::until("the mail is given up", || given_up().is_some()).await;
    let line = given_up().unwrap();
    assert!(line.contains("550") && !line.contains("user@example.com"), "{line}");
    assert_eq!((smtp.refused(), smtp.mails().len()), (2, 1));
}

#[tokio::test]
async fn parlor_signs_in_to_its_mail_server() {
    let smtp = FakeSmtp::start_with_login("mailer", "mail-pass-word").await;
    let url = smtp.url().replace("smtp://", "smtp://mailer:mail-pass-word@");
    let server = with_mail(&smtp).env("EMAIL__SMTP_URL", &url).start();
    register(&server, "user@example.com").await;
    assert_eq!(mail(&smtp, 1).await.user.as_deref(), Some("mailer"));
    assert!(!server.log().join("\n").contains("mail-pass-word"));
}

#[tokio::test]
async fn without_a_mail_server_links_stand_in_the_log() {
    let server = Setup::new().start();
    register(&server, "user@example.com").await;
    ok(&forgot(&server, "user@example.com").await, 202);
    let token = token_in(&server.wait_for_log("reset-password="), "reset-password");
    assert!(!server.log().join("\n").contains("verify-email="), "registering sends nothing");
    ok(&reset(&server, &token, NEW_PASSWORD).await, 204);
    login(&server, NEW_PASSWORD).await.expect(200);
}

#[tokio::test]
async fn signing_in_can_wait_for_a_verified_address() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp)
        .env("SECURITY__REQUIRE_VERIFIED_EMAIL", "true")
        .env("ADMIN_EMAIL", "admin@example.com")
        .env("ADMIN_PASSWORD", PASSWORD)
        .start();
    server.sign_in("admin@example.com").await;
    register(&server, "user@example.com").await;
    assert_problem(&login(&server, "wrong-one").await, 401);
    assert_eq!(assert_problem(&login(&server, PASSWORD).await, 403), "Verify your email address first");
    let nameless = json!({"username": "anna", "password": PASSWORD});
    assert_problem(&send(server.post("/api/v1/auth/register", &nameless)).await, 400);
    ok(&verify(&server, &token_in(&mail(&smtp, 1).await.readable(), "verify-email")).await, 204);
    login(&server, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn a_deactivated_account_is_sent_no_link() {
    let smtp = FakeSmtp::start().await;
    let server = with_mail(&smtp).start();
    register(&server, "user@example.com").await;
    mail(&smtp, 1).await;
    server.database().execute("UPDATE accounts SET is_active = 0", []).unwrap();
    ok(&forgot(&server, "user@example.com").await, 202);
    register(&server, "other@example.com").await;
    assert_eq!(mail(&smtp, 2).await.to, ["other@example.com"]);
    assert_eq!(server.count("SELECT COUNT(*) FROM mail_tokens WHERE purpose = 'reset'"), 0);
}
