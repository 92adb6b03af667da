//! `GET /docs`, `/redoc` and `/openapi.json`: all from the binary, nothing from another host.

use serde_json::Value;

use super::pages::files_of;
use crate::kit::send;
use crate::support::Setup;

/// The addresses of other hosts that a page or a style sheet would load something from.
fn loaded_from_elsewhere(text: &str) -> Vec<&str> {
    let marks = [
        "src=\"http",
        "src='http",
        "src=\"//",
        "href=\"http",
        "href=\"//",
        "url(http",
        "url(\"http",
        "url(//",
        "@import",
    ];
    marks.into_iter().filter(|mark| text.contains(mark)).collect()
}

#[tokio::test]
async fn the_documentation_pages_load_nothing_from_another_host() {
    let server = Setup::new().start();
    for path in ["/docs", "/redoc"] {
        let page = send(server.get(path)).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(loaded_from_elsewhere(&page.body).is_empty(), "{path}: {:?}", loaded_from_elsewhere(&page.body));
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("http") && !policy.contains('*'), "{path}: {policy}");
        let files = files_of(&page.body);
        assert!(!files.is_empty());
        for file in files {
            let asset = send(server.get(&file)).await;
            assert_eq!(asset.status, 200, "{file}");
            if file.ends_with(".css") {
                assert!(loaded_from_elsewhere(&asset.body).is_empty(), "{file}");
            }
            for network in ["cdn.jsdelivr.net", "unpkg.com", "cdnjs.cloudflare.com", "fonts.googleapis.com"] {
                let loading = format!("https://{network}");
                assert!(!asset.body.contains(&loading), "{file} names {network}");
            }
        }
    }
}

#[tokio::test]
async fn the_description_is_openapi_3_1_and_what_the_command_line_prints() {
    let server = Setup::new().start();
    let answer = send(server.get("/openapi.json")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let served = answer.expect(200);
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    let printed: Value = serde_json::from_slice(&server.run(&["openapi"]).stdout).unwrap();
    assert_eq!(served, printed);
}
