use secrecy::ExposeSecret;

use super::*;
use crate::config::{UpstreamKind, render};

const TWO: &str = r#"
[[upstreams]]
name = "ollama"
url = "http://localhost:11434/v1/"

[[upstreams]]
name = "lab"
kind = "openai"
url = "https://lab.example/v1"
keys = ["env:LAB_KEY", "hunter2"]
"#;

fn two() -> Sources {
    Sources { env: env(&[("LAB_KEY", "from-env")]), ..with_file(TWO) }
}

#[test]
fn entries_are_read_in_their_order_with_their_defaults() {
    let upstreams = load(&two()).providers.upstreams;
    let names: Vec<_> = upstreams.iter().map(|upstream| upstream.name.0.as_str()).collect();
    assert_eq!(names, ["ollama", "lab"]);
    assert_eq!((upstreams[0].kind, upstreams[0].url.0.as_str()), (UpstreamKind::OpenAi, "http://localhost:11434/v1"));
    let keys: Vec<_> = upstreams[1].keys.iter().map(|key| key.secret().expose_secret()).collect();
    assert_eq!(keys, ["from-env", "hunter2"]);
    assert!(load(&sources()).providers.upstreams.is_empty());
}

#[test]
fn a_key_is_found_in_the_dotenv_too_and_the_environment_wins() {
    let key = |sources: &Sources| load(sources).providers.upstreams[1].keys[0].secret().expose_secret().to_owned();
    let mut sources = Sources { dotenv: Some(source(".env", "LAB_KEY=from-dotenv")), ..with_file(TWO) };
    assert_eq!(key(&sources), "from-dotenv");
    sources.env = env(&[("LAB_KEY", "from-env")]);
    assert_eq!(key(&sources), "from-env");
}

#[test]
fn every_value_is_shown_and_no_key() {
    assert_eq!(shown(&two(), "upstreams[0].kind"), ("openai".to_owned(), "parlor.toml".to_owned()));
    assert_eq!(shown(&two(), "upstreams[1].keys").0, "env:LAB_KEY, [redacted]");
    let (settings, provenance) = Settings::load(&two()).unwrap();
    for text in [render(&provenance), format!("{settings:?}"), format!("{provenance:?}")] {
        assert!(!text.contains("hunter2") && !text.contains("from-env"), "{text}");
    }
}

#[test]
fn all_problems_of_all_entries_are_told_with_their_paths_and_without_values() {
    let text = r#"
[server]
port = 70000
[[upstreams]]
name = "two words"
url = "http://a/v1"
[[upstreams]]
name = "a"
ulr = "http://a/v1"
[[upstreams]]
name = "b"
[[upstreams]]
name = "c"
url = "http://me:hunter2@a/v1"
[[upstreams]]
name = "d"
url = "http://a/v1"
keys = ["env:NOWHERE", "env:BAD"]
[[upstreams]]
name = "e"
url = "http://a/v1"
keys = [["hunter2"]]
[[upstreams]]
name = "f"
url = "http://a/v1"
kind = "hunter2"
[[upstreams]]
name = "openai"
url = "http://a/v1"
[[upstreams]]
name = "g"
kind = "generate"
url = "http://a/g"
keys = ["x"]
[[upstreams]]
name = "d"
url = "http://a/v1"
"#;
    let sources = Sources { env: env(&[("BAD", "hunter2 hunter2")]), ..with_file(text) };
    let expected = [
        "server.port (parlor.toml): expected a whole number from 0 to 65535, got \"70000\"",
        "upstreams[0].name (parlor.toml): expected 1 to 64 letters, digits, -, _ or .",
        "upstreams[1].ulr (parlor.toml): unknown field \"ulr\", expected one of \"name\", \"kind\", \"url\", \
         \"connect_timeout_seconds\", \"keys\"",
        "upstreams[2] (parlor.toml): missing field \"url\"",
        "upstreams[3].url (parlor.toml): expected an http:// or https:// URL without user, query or fragment (keys \
         have settings of their own)",
        "upstreams[4].keys[0] (parlor.toml): the environment has no NOWHERE",
        "upstreams[4].keys[1] (parlor.toml): environment BAD: expected a key without spaces, line breaks or accented \
         characters",
        "upstreams[5].keys[0] (parlor.toml): expected a string",
        "upstreams[6].kind (parlor.toml): expected one of openai, anthropic, gemini, generate",
        "upstreams[7].name (parlor.toml): \"openai\" is a provider with settings of its own",
        "upstreams[8].keys (parlor.toml): a generate endpoint takes none",
        "upstreams (parlor.toml): two are named \"d\"",
    ];
    assert_eq!(errors(&sources).problems(), expected);
}

#[test]
fn a_section_of_the_wrong_shape_or_name_is_told() {
    for (text, expected) in [
        ("routes = [1]", "\"routes\" has entries of its own: write [routes.NAME]"),
        ("upstreams = 1", "\"upstreams\" has entries of its own: write [[upstreams]]"),
        ("[upstreams.a]\nurl = 'http://a'", "\"upstreams\" has entries of its own: write [[upstreams]]"),
        ("[[upstream]]\nname = 'a'", "unknown key \"upstream\"; did you mean \"upstreams\"?"),
    ] {
        assert_eq!(problem(&with_file(text)), format!("parlor.toml: {expected}"));
    }
}

#[test]
fn routes_are_read_by_name_and_may_end_at_ones_own_providers() {
    let text =
        format!("{TWO}\n[routes.\"my model\"]\naliases = ['a/b']\ntargets = [{{ provider = 'lab', model = 'x' }}]");
    let sources = Sources { env: env(&[("LAB_KEY", "from-env")]), ..with_file(&text) };
    let routes = load(&sources).providers.routes;
    let route = &routes["my model"];
    assert_eq!((route.aliases.as_slice(), route.targets[0].provider.as_str()), (["a/b".to_owned()].as_slice(), "lab"));
    assert_eq!(shown(&sources, "routes.my model.targets[0].model").0, "x");
}

#[test]
fn the_worked_example_of_the_documentation_loads() {
    let page = include_str!("../../../../docs/routing.md");
    let text = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let keys = ["SECRET_KEY", "OPENAI_API_KEY", "AI_SERVICES__GROQ_API_KEY", "OPENAI_EU_KEY_1", "OPENAI_EU_KEY_2"];
    let sources = Sources {
        env: env(&keys.map(|name| (name, SECRET))),
        file: Some(source("parlor.toml", text)),
        ..Sources::default()
    };
    assert_eq!(load(&sources).providers.routes.len(), 3);
}

#[test]
fn what_is_wrong_with_routes_is_told_with_its_path() {
    let text = r#"
providers.openai_api_key = "sk"
[routes.a]
aliases = ["b", "x", "x"]
targets = []
[routes.b]
targets = [{ provider = "openai", model = "m" }, { provider = "nowhere", model = "" }]
[routes.c]
targets = [{ provider = "openai", model = "m" }, { provider = "openai", modle = "m" }]
[routes.d]
[routes.e]
targets = [{ provider = "openai", model = "m", weight = 0 }]
[routes.f]
targets = [{ provider = "openai", model = "m", timeouts = { idle_seconds = -1 } }]
[routes.g]
strategy = "best"
targets = []
[routes.h]
hedge_after_ms = 0
targets = []
"#;
    let expected = [
        "routes.a.targets (parlor.toml): expected one target or more",
        "routes.b.targets[1].model (parlor.toml): expected a model's name",
        "routes.c.targets[1].modle (parlor.toml): unknown field \"modle\", expected one of \"provider\", \"model\", \
         \"weight\", \"timeouts\"",
        "routes.d (parlor.toml): missing field \"targets\"",
        "routes.e.targets[0].weight (parlor.toml): expected a whole number from 1 to 1000",
        "routes.f.targets[0].timeouts.idle_seconds (parlor.toml): expected a number of seconds above 0, up to 86400",
        "routes.g.strategy (parlor.toml): expected ordered or weighted",
        "routes.h.hedge_after_ms (parlor.toml): expected a whole number from 1 to 3600000",
        "routes.a.aliases[0] (parlor.toml): \"b\" is taken",
        "routes.a.aliases[2] (parlor.toml): \"x\" is taken",
        "routes.b.targets[1].provider (parlor.toml): no provider \"nowhere\" is configured; there are: openai",
    ];
    assert_eq!(errors(&with_file(text)).problems(), expected);
}
