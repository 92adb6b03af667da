//! The server's layers: a module may name those before it in the list, never those after it; dialects know nothing of each other, and reach
//! the database only through the application.
#![allow(clippy::unwrap_used)]

#[path = "../../engine/tests/support/scan.rs"]
mod scan;

use std::path::Path;

/// Lowest first. ARCHITECTURE.md shows the same line.
const LAYERS: [&str; 13] = [
    "kit",
    "dialects",
    "web",
    "openapi",
    "root",
    "middleware",
    "router",
    "telemetry",
    "allocator",
    "server",
    "worker",
    "cli",
    "main",
];

const BELOW_THE_APPLICATION: [&str; 5] = ["store", "shared", "providers", "mail", "jobs"];

/// What a dialect may take from the layers under the application: plain rows and values, which do nothing.
const PLAIN: [&str; 1] = ["parlor_engine::store::MessageRow"];

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
    assert!(scan::is_shown(root, "server", &LAYERS), "ARCHITECTURE.md lacks: server: {}", LAYERS.join(" < "));
}

#[test]
fn no_dialect_names_another() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module.len() > 1 && source.module[0] == "dialects") {
        for (line, path) in &source.paths {
            if path.len() > 1 && path[0] == "dialects" && path[1] != source.module[1] {
                wrong.push(format!("{}:{line} names {}", source.file, path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_dialect_reaches_past_the_application() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module.first().is_some_and(|top| top == "dialects")) {
        for (line, path) in scan::paths_into(&source.code, "parlor_engine") {
            let is_below = path.get(1).is_some_and(|layer| BELOW_THE_APPLICATION.contains(&layer.as_str()));
            let name = path.join("::");
            if is_below && !PLAIN.contains(&name.as_str()) {
                wrong.push(format!("{}:{line} names {name}", source.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
