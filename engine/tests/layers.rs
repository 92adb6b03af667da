//! The engine's layers: a module may name those before it in the list, never those after it, so that cycles cannot arise.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "support/scan.rs"]
mod scan;

use std::path::Path;

/// Lowest first. ARCHITECTURE.md shows the same line.
const LAYERS: [&str; 14] = [
    "domain",
    "config",
    "store",
    "shared",
    "providers",
    "outbound",
    "moderation",
    "tools",
    "blobs",
    "mail",
    "mongo",
    "app",
    "import",
    "jobs",
];

fn sources() -> Vec<scan::Source> {
    scan::sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn no_module_names_one_above_it() {
    let wrong = scan::upward(&sources(), &LAYERS);
    assert!(wrong.is_empty(), "upward imports:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_place_in_the_list() {
    assert_eq!(scan::unlisted(&sources(), &LAYERS), Vec::<String>::new());
}

#[test]
fn the_architecture_shows_the_same_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert!(scan::is_shown(root, "engine", &LAYERS), "ARCHITECTURE.md lacks: engine: {}", LAYERS.join(" < "));
}

#[test]
fn the_engine_knows_no_http_server() {
    let serves = ["axum", "hyper", "hyper_util", "tower", "tower_http", "utoipa"];
    for source in sources() {
        for name in serves {
            assert!(!source.code.contains(&format!("{name}::")), "{} names {name}", source.file);
        }
    }
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
    for name in serves {
        assert!(!dependencies.lines().any(|line| line.starts_with(&format!("{name}."))), "{name} is a dependency");
    }
}

#[test]
fn the_scanner_sees_every_way_of_naming_a_module() {
    let code = "use crate::{app::App, store::{Db, tx::Tx as T}};\nfn f() { super::super::jobs::run(crate::mail::X) } $crate::no::Y";
    let module = ["app".to_owned(), "chat".to_owned()];
    let mut found: Vec<String> = scan::paths(code, &module).into_iter().map(|(_, path)| path.join("::")).collect();
    found.sort();
    assert_eq!(found, ["app::App", "jobs::run", "mail::X", "store::Db", "store::tx::Tx"]);
}
