#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod database_urls;
mod dotenv;
mod examples;
mod names;
mod precedence;
mod problems;
mod secrets;
mod sections;
mod service_urls;
mod values;

use std::path::PathBuf;

use super::{ConfigErrors, Provenance, Settings, SourceText, Sources};

const SECRET: &str = "Zk3-long_and-random.Qw8xB5nT1vYd7c";

/// Sources that set a good secret key in the weakest place, the file, and nothing else.
fn sources() -> Sources {
    with_file("")
}

fn with_file(text: &str) -> Sources {
    let text = format!("security.secret_key = {SECRET:?}\n{text}");
    Sources { file: Some(source("parlor.toml", &text)), ..Sources::default() }
}

fn with_env(pairs: &[(&str, &str)]) -> Sources {
    Sources { env: env(pairs), ..sources() }
}

fn with_dotenv(text: &str) -> Sources {
    Sources { dotenv: Some(source(".env", text)), ..sources() }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn source(path: &str, text: &str) -> SourceText {
    SourceText { path: PathBuf::from(path), text: text.to_owned() }
}

fn load(sources: &Sources) -> Settings {
    Settings::load(sources).unwrap().0
}

fn provenance(sources: &Sources) -> Provenance {
    Settings::load(sources).unwrap().1
}

/// The value and the source of `key`, as shown.
fn shown(sources: &Sources, key: &str) -> (String, String) {
    let provenance = provenance(sources);
    let line = provenance.settings().iter().find(|line| line.key == key).unwrap();
    (line.value.clone(), line.source.clone())
}

fn errors(sources: &Sources) -> ConfigErrors {
    Settings::load(sources).unwrap_err()
}

/// The one problem of `sources`.
fn problem(sources: &Sources) -> String {
    let errors = errors(sources);
    assert_eq!(errors.problems().len(), 1, "{errors}");
    errors.problems()[0].clone()
}
