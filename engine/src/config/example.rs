//! Writes the two commented examples out of the table.

use super::sections;
use super::setting::{Kind, Setting, unit_of};
use super::table::{SECTIONS, TABLE};
use super::value::{one_of, unit_name};

const DOTENV_HEAD: &str = "\
# Parlor's settings as environment variables. Copy this file to .env, remove the # before what you set, and keep
# the copy out of version control. Flags and the environment win over .env; .env wins over parlor.toml.
# Lists are a,b or a JSON array. Each setting of parlor.toml also answers to its section and key in capitals:
# host in [server] is SERVER__HOST. `parlor config show` tells what is in force and where it came from.
";

const TOML_HEAD: &str = "\
# Parlor's settings. Copy this file to parlor.toml and remove the # before what you set. Flags, the environment and
# .env win over it. `parlor config show` tells what is in force and where it came from.
";

/// The text of `.env.example`: every setting, commented out, with its default.
#[must_use]
pub fn env_example() -> String {
    example(DOTENV_HEAD, |_| String::new(), env_row)
}

/// The text of `parlor.example.toml`: every setting, commented out, with its default, and an example of every section
/// of several entries.
#[must_use]
pub fn toml_example() -> String {
    values_example() + &sections_example()
}

/// What is one value, of `parlor.example.toml`.
pub(super) fn values_example() -> String {
    example(TOML_HEAD, |section| format!("[{section}]\n"), toml_row)
}

/// What comes in any number, of `parlor.example.toml`: every section's example, commented out.
pub(super) fn sections_example() -> String {
    let mut text = String::new();
    for section in sections::SECTIONS {
        text.push_str("\n\n");
        for line in section.about.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        for line in section.example.trim_end().lines() {
            text.push_str(if line.is_empty() { "" } else { "#" });
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn env_row(setting: &Setting) -> String {
    let names = setting.env_names();
    let preferred = names.first().map_or("", String::as_str);
    let aliases: Vec<String> = setting.env.iter().skip(1).map(|alias| alias_with_unit(preferred, alias)).collect();
    let also = if aliases.is_empty() { String::new() } else { format!("# Also {}.\n", aliases.join(", ")) };
    let quote = if setting.default.contains(' ') { "\"" } else { "" };
    format!("{also}#{}={quote}{}{quote}\n", preferred.replace('#', "1"), setting.default)
}

/// The alias, with what it counts when that differs from what the preferred name counts.
fn alias_with_unit(preferred: &str, alias: &str) -> String {
    match unit_of(alias) {
        Some(unit) if unit_of(preferred) != Some(unit) => format!("{alias} (in {})", unit_name(unit)),
        _ => alias.to_owned(),
    }
}

fn toml_row(setting: &Setting) -> String {
    let (_, name) = setting.section_and_name();
    let quoted = toml::Value::String(setting.default.to_owned());
    let value = match setting.default {
        "" if setting.kind.is_list() => "[]".to_owned(),
        list if setting.kind.is_list() => {
            let items: Vec<String> = list.split(',').map(|item| toml::Value::from(item).to_string()).collect();
            format!("[{}]", items.join(", "))
        }
        bare if setting.kind.is_bare_in_toml() => bare.to_owned(),
        _ => quoted.to_string(),
    };
    format!("#{name} = {value}\n")
}

fn example(head: &str, heading: impl Fn(&str) -> String, row: impl Fn(&Setting) -> String) -> String {
    let mut text = head.to_owned();
    for &(section, about) in SECTIONS {
        text.push_str(&format!("\n\n{}# {about}\n", heading(section)));
        for setting in TABLE.iter().filter(|setting| setting.section_and_name().0 == section) {
            text.push_str(&format!("\n# {}\n", setting.help));
            if let Kind::Choice(names) = setting.kind {
                text.push_str(&format!("# {}.\n", one_of(names)));
            }
            text.push_str(&row(setting));
        }
    }
    text
}
