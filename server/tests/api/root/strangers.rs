//! Every operation of the API's description, called by everybody: what it declares as its right is what holds.
//!
//! `x-parlor-right` is `public`; `guest-or-token`, where guests may be let in; `user` (every account), `owner` (whose the thing in the path is; to
//! others it is not there), `editor` or `admin`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::kit::form::uploaded;
use crate::kit::{Answer, send};
use crate::support::{PASSWORD, Setup, TestServer};

const RIGHTS: [&str; 6] = ["public", "guest-or-token", "user", "owner", "editor", "admin"];
const UNKNOWN: &str = "1234567890123456";

struct Operation {
    method: Method,
    path: String,
    right: String,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether its path names something that belongs to somebody.
    fn is_of_somebody(&self) -> bool {
        self.right == "owner" || ["{conversation_id}", "{message_id}"].iter().any(|name| self.path.contains(name))
    }
}

fn operations() -> Vec<Operation> {
    let data = tempfile::tempdir().unwrap();
    let output = Setup::new().command(data.path(), &["openapi"]).output().unwrap();
    let description: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let right = operation["x-parlor-right"].as_str().unwrap_or_default().to_owned();
            operations.push(Operation { method: method.to_uppercase().parse().unwrap(), path: path.clone(), right });
        }
    }
    operations
}

/// Somebody with a token.
struct Somebody {
    id: i64,
    token: String,
}

async fn somebody(server: &TestServer, name: &str, role: &str) -> Somebody {
    let email = format!("{name}@example.com");
    let body = json!({"email": email, "password": PASSWORD});
    let id = send(server.post("/api/auth/register", &body)).await.expect(201)["id"].as_i64().unwrap();
    let changed = server.database().execute("UPDATE accounts SET role = ?1 WHERE id = ?2", (role, id)).unwrap();
    assert_eq!(changed, 1);
    Somebody { id, token: server.sign_in(&email).await }
}

/// What the owner has, and who else there is; made anew for each operation, since some of them end what they are called on.
struct World {
    server: TestServer,
    owner: Somebody,
    user: Somebody,
    editor: Somebody,
    admin: Somebody,
    conversation: String,
    message: String,
    share: String,
    file: String,
}

impl World {
    async fn new(setup: Setup) -> Self {
        let server = setup.start();
        let owner = somebody(&server, "owner", "user").await;
        let request = server.post("/api/chat", &json!({"message": "Hi"})).bearer_auth(&owner.token);
        let answer = send(request).await.expect(200);
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let path = format!("/api/v1/conversations/{}/shares", text("session_id"));
        let share = send(server.post(&path, &json!({})).bearer_auth(&owner.token)).await.expect(201);
        let file = uploaded(&server, &owner.token, "a.txt", b"text").await;
        Self {
            file: file["id"].as_str().unwrap().to_owned(),
            conversation: text("session_id"),
            message: text("message_id"),
            share: share["id"].as_str().unwrap().to_owned(),
            user: somebody(&server, "user", "user").await,
            editor: somebody(&server, "editor", "editor").await,
            admin: somebody(&server, "admin", "admin").await,
            owner,
            server,
        }
    }

    /// The path with the owner's things in it, or with what does not exist.
    fn path(&self, operation: &Operation, caller: Option<&Somebody>, is_known: bool) -> String {
        let known = |text: &str| if is_known { text.to_owned() } else { UNKNOWN.to_owned() };
        let mut path = operation.path.replace("{message_id}", &known(&self.message));
        path = path.replace("{conversation_id}", &known(&self.conversation));
        path = path.replace("{share_id}", &known(&self.share));
        path = path.replace("{file_id}", &known(&self.file));
        path = path.replace("{user_id}", &caller.map_or_else(|| "anna".to_owned(), |caller| caller.id.to_string()));
        let of_path = match () {
            () if path.contains("/admin/users/") => known(&self.user.id.to_string()),
            () if path.contains("/conversations/") => known(&self.conversation),
            () if path.contains("/messages/") => known(&self.message),
            () => UNKNOWN.to_owned(),
        };
        path.split('/').map(|part| if part.starts_with('{') { &of_path } else { part }).collect::<Vec<_>>().join("/")
    }

    async fn call(&self, operation: &Operation, caller: Option<&Somebody>, is_known: bool) -> Answer {
        let token = caller.map(|caller| caller.token.as_str());
        self.call_with(operation, &self.path(operation, caller, is_known), token).await
    }

    async fn call_with(&self, operation: &Operation, path: &str, token: Option<&str>) -> Answer {
        let mut request = self.server.request(operation.method.clone(), path);
        if ![Method::GET, Method::DELETE].contains(&operation.method) {
            let mut body = json!({"message": "Hi", "user_id": "anna", "message_id": self.message, "rating": "up", "verdict": "confirmed"});
            if path == "/chat-message" {
                body = json!({"message": "Hi", "user_id": 1, "message_id": "first", "message_count": 1});
            }
            request = request.json(&body);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        send(request).await
    }
}

#[test]
fn every_operation_declares_who_may_call_it() {
    let undeclared: Vec<String> = operations()
        .iter()
        .filter(|operation| !RIGHTS.contains(&operation.right.as_str()))
        .map(|operation| format!("{} ({:?})", operation.name(), operation.right))
        .collect();
    assert!(undeclared.is_empty(), "without a right in `x-parlor-right`:\n{}", undeclared.join("\n"));
}

#[tokio::test]
async fn nobody_gets_further_than_what_is_declared_without_a_token() {
    let world = World::new(Setup::new()).await;
    let closed = World::new(Setup::new().env("GUEST_ACCESS", "off")).await;
    for operation in operations() {
        let name = operation.name();
        let guest = world.call(&operation, None, true).await.status.as_u16();
        let nobody = closed.call(&operation, None, true).await.status.as_u16();
        match operation.right.as_str() {
            // A login's own refusal is 401.
            "public" => assert!([guest, nobody].iter().all(|status| *status != 403), "{name}: {guest} {nobody}"),
            "guest-or-token" => {
                assert!(![401, 403].contains(&guest), "{name}: {guest}");
                assert_eq!(nobody, 401, "{name}");
            }
            _ => assert_eq!((guest, nobody), (401, 401), "{name}"),
        }
    }
}

#[tokio::test]
async fn a_bad_token_opens_nothing_and_is_never_taken_for_a_guest() {
    let world = World::new(Setup::new()).await;
    for operation in operations().iter().filter(|operation| operation.right != "public") {
        let path = world.path(operation, None, true);
        let answer = world.call_with(operation, &path, Some("garbage")).await;
        assert_eq!(answer.status, 401, "{}", operation.name());
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{}", operation.name());
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there_whatever_the_callers_role() {
    for operation in operations().iter().filter(|operation| operation.is_of_somebody()) {
        let (world, name) = (World::new(Setup::new()).await, operation.name());
        let strangers = [Some(&world.user), Some(&world.editor), Some(&world.admin)];
        let guest = [None];
        let is_open_to_guests = operation.right == "guest-or-token";
        for stranger in strangers.into_iter().chain(guest.into_iter().filter(|_| is_open_to_guests)) {
            let (known, unknown) =
                (world.call(operation, stranger, true).await, world.call(operation, stranger, false).await);
            assert_eq!(known.status, 404, "{name}: {known:?}");
            assert_eq!(known.comparable(), unknown.comparable(), "{name}");
        }
        let own = world.call(operation, Some(&world.owner), true).await;
        assert!(![401, 403, 404].contains(&own.status.as_u16()), "{name}: {own:?}");
    }
}

#[tokio::test]
async fn roles_open_what_is_declared_for_them_and_no_more() {
    for operation in operations() {
        let lowest = match operation.right.as_str() {
            "editor" => 1,
            "admin" => 2,
            _ => 0,
        };
        if operation.is_of_somebody() || operation.right == "public" {
            continue;
        }
        let (world, name) = (World::new(Setup::new()).await, operation.name());
        for (rank, caller) in [&world.owner, &world.editor, &world.admin].into_iter().enumerate() {
            let status = world.call(&operation, Some(caller), true).await.status.as_u16();
            if rank < lowest {
                assert_eq!(status, 403, "{name} for rank {rank}");
            } else {
                assert!(![401, 403].contains(&status), "{name} for rank {rank}: {status}");
            }
        }
    }
}
