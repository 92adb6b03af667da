use std::path::Path;

use super::*;
use crate::config::example::{sections_example, values_example};
use crate::config::sections::SECTIONS;
use crate::config::show::ShownSetting;
use crate::config::table::TABLE;
use crate::config::{env_example, toml_example};

/// Removes the comment from what is an assignment; comments proper have a space after the `#`.
fn uncomment(text: &str) -> String {
    text.lines()
        .map(|line| match line.strip_prefix('#') {
            Some(assignment) if !assignment.starts_with(' ') => assignment,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn assert_committed(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, generated, "{name} is out of date: run this test with UPDATE_EXAMPLES=1");
}

#[test]
fn the_committed_examples_are_what_the_table_says() {
    assert_committed(".env.example", &env_example());
    assert_committed("parlor.example.toml", &toml_example());
}

#[test]
fn every_setting_of_the_toml_example_loads_and_is_the_default() {
    let text = uncomment(&values_example());
    let sources =
        Sources { env: env(&[("SECRET_KEY", SECRET)]), file: Some(source("parlor.toml", &text)), ..Sources::default() };
    let table: toml::Table = text.parse().unwrap();
    for setting in TABLE {
        let (section, name) = setting.section_and_name();
        assert!(table[section].as_table().unwrap().contains_key(name), "{}", setting.key);
    }
    assert_defaults(&sources);
}

#[test]
fn every_setting_of_the_env_example_loads_and_is_the_default() {
    let text = uncomment(&env_example());
    let mut sources = Sources { dotenv: Some(source(".env", &text)), ..Sources::default() };
    sources.flags.insert("security.secret_key".to_owned(), SECRET.to_owned());
    assert_eq!(text.lines().filter(|line| !line.starts_with('#') && line.contains('=')).count(), TABLE.len());
    assert_defaults(&sources);
}

#[test]
fn the_examples_change_nothing_as_they_are() {
    let mut sources = sources();
    let before = provenance(&sources);
    sources.dotenv = Some(source(".env", &env_example()));
    assert_eq!(provenance(&sources), before);
}

#[test]
fn the_examples_of_sections_load_and_each_section_has_one() {
    let text =
        format!("providers.openai_api_key = 'a'\nproviders.groq_api_key = 'a'\n{}", uncomment(&sections_example()));
    let variables = text.split("env:").skip(1).filter_map(|rest| rest.split('"').next());
    let variables: Vec<_> = variables.map(|name| (name, "a-key")).collect();
    let sources = Sources { env: env(&variables), ..with_file(&text) };
    let provenance = provenance(&sources);
    for section in SECTIONS {
        let shown = |line: &ShownSetting| line.key.starts_with(section.name);
        assert!(provenance.settings().iter().any(shown), "{}", section.name);
    }
}

fn assert_defaults(sources: &Sources) {
    let (settings, _) = Settings::load(sources).unwrap();
    let defaults = load(&with_env(&[]));
    assert_eq!(format!("{settings:?}"), format!("{defaults:?}"));
}
