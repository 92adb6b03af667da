//! `/api/v1/admin/jobs` and `/api/v1/admin/schedules`

use serde_json::{Value, json};

use super::assert_problem;
use crate::kit::wait::until;
use crate::kit::{Answer, assert_fields, assert_time, send};
use crate::support::{PASSWORD, Setup, TestServer};

const FIELDS: [&str; 11] = [
    "id",
    "kind",
    "state",
    "payload",
    "attempts",
    "max_attempts",
    "run_at",
    "last_error",
    "created_at",
    "started_at",
    "ended_at",
];

/// A server that does no jobs, with an admin, and jobs of kinds that nobody knows.
async fn start() -> (TestServer, String) {
    let setup = Setup::new().env("JOBS__IN_SERVER", "off");
    let server = setup.env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD).start();
    let token = server.sign_in("admin@example.com").await;
    let insert = "INSERT INTO jobs (id, kind, payload, state, attempts, max_attempts, run_at, last_error, created_at, started_at, ended_at) VALUES \
        (1, 'mail', '{\"account_id\":7}', 'queued', 0, 5, 4102444800000000, NULL, 1, NULL, NULL), \
        (2, 'mail', '{}', 'dead', 5, 5, 1, 'it took longer than 300 s', 1, 2, 3), \
        (3, 'sweep', '{}', 'done', 1, 5, 1, NULL, 1, 2, 3), \
        (4, 'sweep', '{}', 'running', 1, 5, 1, NULL, 1, 2, NULL)";
    server.database().execute(insert, []).unwrap();
    (server, token)
}

async fn get(server: &TestServer, token: &str, path: &str) -> Answer {
    send(server.get(&format!("/api/v1/admin/{path}")).bearer_auth(token)).await
}

async fn act(server: &TestServer, token: &str, path: &str) -> Answer {
    send(server.post(&format!("/api/v1/admin/jobs/{path}"), &json!({})).bearer_auth(token)).await
}

fn ids(page: &Value) -> Vec<i64> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page_by_state_and_by_kind() {
    let (server, admin) = start().await;
    let page = get(&server, &admin, "jobs?limit=2").await.expect(200);
    assert_fields(&page, &["items", "has_more"]);
    assert_eq!((ids(&page), &page["has_more"]), (vec![4, 3], &json!(true)));
    assert_fields(&page["items"][0], &FIELDS);
    let rest = get(&server, &admin, "jobs?before=3").await.expect(200);
    assert_eq!((ids(&rest), &rest["has_more"]), (vec![2, 1], &json!(false)));
    assert_eq!(ids(&get(&server, &admin, "jobs?state=dead").await.expect(200)), [2]);
    assert_eq!(ids(&get(&server, &admin, "jobs?kind=sweep").await.expect(200)), [4, 3]);
    assert_eq!(ids(&get(&server, &admin, "jobs?kind=sweep&state=done").await.expect(200)), [3]);
    assert_eq!(ids(&get(&server, &admin, "jobs?kind=none").await.expect(200)), Vec::<i64>::new());
    for bad in ["limit=0", "limit=101", "state=new", "kind=a%20b", "before=9007199254740992"] {
        assert_problem(&get(&server, &admin, &format!("jobs?{bad}")).await, 400);
    }
    for bad in ["limit=x", "before=x"] {
        assert_problem(&get(&server, &admin, &format!("jobs?{bad}")).await, 422);
    }
    let one = get(&server, &admin, "jobs/2").await.expect(200);
    assert_eq!(one, rest["items"][0]);
    assert_eq!((&one["attempts"], &one["last_error"]), (&json!(5), &json!("it took longer than 300 s")));
    assert_time(&one["ended_at"]);
    assert_eq!(rest["items"][1]["payload"], json!({"account_id": 7}));
}

#[tokio::test]
async fn a_dead_job_is_tried_again_and_a_waiting_one_is_cancelled() {
    let (server, admin) = start().await;
    let job = act(&server, &admin, "2/retry").await.expect(200);
    assert_eq!((&job["state"], &job["attempts"], &job["ended_at"]), (&json!("queued"), &json!(0), &Value::Null));
    let job = act(&server, &admin, "1/cancel").await.expect(200);
    assert_eq!(job["state"], "cancelled");
    assert_time(&job["ended_at"]);
    assert_eq!(act(&server, &admin, "1/cancel").await.expect(200), job, "twice is as once");
    assert_eq!(act(&server, &admin, "4/cancel").await.expect(200)["state"], "cancelled");
    for refused in ["3/retry", "3/cancel"] {
        assert_problem(&act(&server, &admin, refused).await, 409);
    }
    let job = act(&server, &admin, "1/retry").await.expect(200);
    assert_eq!(job["state"], "queued");
    let count = "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND run_at < 4102444800000000";
    assert_eq!(server.count(count), 2);
}

#[tokio::test]
async fn a_job_that_is_not_there_and_whoever_is_no_admin_are_refused() {
    let (server, admin) = start().await;
    for unknown in ["999", "none", "-1"] {
        assert_problem(&get(&server, &admin, &format!("jobs/{unknown}")).await, 404);
        assert_problem(&act(&server, &admin, &format!("{unknown}/retry")).await, 404);
        assert_problem(&act(&server, &admin, &format!("{unknown}/cancel")).await, 404);
    }
    let user = server.sign_up("user@example.com").await;
    for path in ["jobs", "jobs/1", "schedules"] {
        assert_problem(&get(&server, &user, path).await, 403);
    }
    for path in ["1/retry", "1/cancel", "../schedules/remove_expired/run"] {
        assert_problem(&act(&server, &user, path).await, 403);
    }
    assert_eq!(server.count("SELECT COUNT(*) FROM jobs WHERE state = 'queued'"), 1);
}

#[tokio::test]
async fn what_recurs_is_listed_with_its_next_time_and_goes_by_the_settings() {
    let setup = Setup::new().env("SCHEDULES__RELEASE_FILES", "off").env("SCHEDULES__REMOVE_ENDED_JOBS", "5 4 * * *");
    let server = setup.env("ADMIN_EMAIL", "admin@example.com").env("ADMIN_PASSWORD", PASSWORD).start();
    let admin = server.sign_in("admin@example.com").await;
    until("there are schedules", || server.count("SELECT COUNT(*) FROM schedules") > 0).await;
    let schedules = get(&server, &admin, "schedules").await.expect(200);
    let named = |name: &str| schedules["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap();
    assert_fields(named("remove_expired"), &["name", "expression", "last_at", "next_at"]);
    assert_eq!(named("remove_expired")["expression"], "*/15 * * * *");
    assert_time(&named("remove_expired")["next_at"]);
    let off = named("release_files");
    assert_eq!((&off["expression"], &off["next_at"]), (&json!("off"), &Value::Null));
    assert!(named("remove_ended_jobs")["next_at"].as_str().unwrap().contains("T04:05:00"));
}

#[tokio::test]
async fn a_server_does_jobs_unless_it_is_told_not_to_and_counts_them() {
    let (mut server, _) = start().await;
    assert!(server.log().iter().any(|line| line.contains("no jobs are done")));
    server.restart_with(|setup| setup.env("JOBS__IN_SERVER", "on"));
    until("there are schedules", || server.count("SELECT COUNT(*) FROM schedules") > 0).await;
    let admin = server.sign_in("admin@example.com").await;
    let run = async |name: &str| {
        send(server.post(&format!("/api/v1/admin/schedules/{name}/run"), &json!({})).bearer_auth(&admin)).await
    };
    assert_problem(&run("nothing").await, 404);
    let schedule = run("remove_expired").await.expect(200);
    assert_eq!(schedule["name"], "remove_expired");
    let done = "SELECT COUNT(*) FROM jobs WHERE kind = 'remove_expired' AND state = 'done'";
    until("the job is done", || server.count(done) == 1).await;
    let counted = "parlor_jobs_total{kind=\"remove_expired\",outcome=\"done\"} 1";
    let metrics = send(server.get("/metrics")).await.body;
    assert!(metrics.contains(counted), "{metrics}");
}
