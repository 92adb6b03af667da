//! `/api/v1/files` over a bucket: a server of somebody else's that speaks S3's protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::Method;

use super::assert_problem;
use crate::kit::form::{PNG, upload, uploaded};
use crate::kit::python::packages;
use crate::kit::send;
use crate::support::{Setup, TestServer};

/// Says its port when it listens, on the system's choice of one.
const SERVER: &str = "
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server('127.0.0.1', 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
";

/// moto's S3. Killed when dropped.
struct Bucket {
    process: Child,
    endpoint: String,
}

impl Bucket {
    async fn start(server: &reqwest::Client) -> Self {
        let folder = packages("moto", &["moto[s3]==5.*", "flask", "flask-cors"]);
        let mut command = Command::new("python3");
        command.args(["-c", SERVER]).env("PYTHONPATH", folder).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let endpoint = format!("http://127.0.0.1:{}", port.trim());
        let made = server.request(Method::PUT, format!("{endpoint}/parlor")).header("authorization", SIGNED);
        assert!(made.send().await.unwrap().status().is_success());
        Self { process, endpoint }
    }

    /// The names in it.
    async fn names(&self, server: &TestServer) -> Vec<String> {
        let list = server.client.get(format!("{}/parlor?list-type=2", self.endpoint)).header("authorization", SIGNED);
        let text = list.send().await.unwrap().text().await.unwrap();
        text.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }
}

/// moto takes any signature.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn setup(endpoint: &str) -> Setup {
    Setup::new()
        .env("FILES__URL", "s3://parlor/of/tests")
        .env("FILES__ENDPOINT", endpoint)
        .env("FILES__ACCESS_KEY_ID", "an-id")
        .env("FILES__SECRET_ACCESS_KEY", "hunter2-the-key")
}

#[tokio::test]
async fn files_come_and_go_in_a_bucket_small_ones_and_ones_in_parts() {
    let client = Setup::new().start().client.clone();
    let bucket = Bucket::start(&client).await;
    let server = setup(&bucket.endpoint).start();
    let (anna, ben) = (server.sign_up("a@example.com").await, server.sign_up("b@example.com").await);
    // Longer than what is sent at once.
    let long: Vec<u8> = (0..19_000_000u32).map(|n| b'a' + u8::try_from(n % 7).unwrap()).collect();
    let mut files = Vec::new();
    for (token, name, content) in [(&anna, "a.png", PNG), (&ben, "b.png", PNG), (&anna, "long.txt", &long)] {
        let file = uploaded(&server, token, name, content).await;
        let served = server.get(file["url"].as_str().unwrap()).bearer_auth(token).send().await.unwrap();
        assert_eq!(served.status(), 200);
        assert!(served.bytes().await.unwrap() == content, "{name}");
        files.push((token.to_owned(), file["id"].as_str().unwrap().to_owned()));
    }
    let names = bucket.names(&server).await;
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.starts_with("of/tests/") && name.len() == 9 + 64), "{names:?}");
    for (left, (token, id)) in [2, 1, 0].into_iter().zip(&files) {
        assert_eq!(send(server.delete(&format!("/api/v1/files/{id}")).bearer_auth(token)).await.status, 204);
        assert_eq!(bucket.names(&server).await.len(), left);
    }
    assert!(!server.log().join("\n").contains("hunter2"));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_our_failure_and_takes_nothing() {
    let client = Setup::new().start().client.clone();
    let bucket = Bucket::start(&client).await;
    let server = setup(&bucket.endpoint).env("FILES__URL", "s3://nobodys").start();
    let token = server.sign_up("a@example.com").await;
    let refused = upload(&server, &token, "a.png", PNG).await;
    assert_eq!(assert_problem(&refused, 500), "Internal server error");
    assert_eq!(server.count("SELECT COUNT(*) FROM files"), 0);
    assert_eq!(server.count("SELECT COUNT(*) FROM file_leftovers"), 1);
}
