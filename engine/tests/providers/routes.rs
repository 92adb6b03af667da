//! Routes and upstreams of one's own, over several fakes.

use parlor_bench::fake::FakeUpstream;
use parlor_engine::config::{ProviderSettings, Settings, SourceText, Sources};
use parlor_engine::providers::Providers;

use crate::kit::{DEAD, ask, models_asked, request};

/// The providers that this `parlor.toml` describes.
fn configured(text: &str) -> Providers {
    Providers::from_settings(&provider_settings(text), "mock-1tok").unwrap()
}

fn provider_settings(text: &str) -> ProviderSettings {
    let text = format!("security.secret_key = 'Zk3-long_and-random.Qw8xB5nT1vYd7c'\nproviders.max_retries = 0\n{text}");
    let file = Some(SourceText { path: "parlor.toml".into(), text });
    Settings::load(&Sources { file, ..Sources::default() }).unwrap().0.providers
}

fn upstream(name: &str, url: &str) -> String {
    format!("[[upstreams]]\nname = {name:?}\nurl = {url:?}\nkeys = [\"key-of-{name}\"]\n")
}

#[tokio::test]
async fn upstreams_live_together_each_with_its_own_key() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let providers = configured(&(upstream("one", &first.base_url()) + &upstream("two", &second.base_url())));
    assert!(!providers.is_mock());
    assert_eq!(ask(&providers, request("two/mock-1tok")).await.provider, "two");
    assert_eq!(ask(&providers, request("")).await.provider, "one");
    assert_eq!(first.last_authorization().as_deref(), Some("Bearer key-of-one"));
    assert_eq!(second.last_authorization().as_deref(), Some("Bearer key-of-two"));
}

#[tokio::test]
async fn a_route_answers_to_its_name_and_its_aliases_with_its_own_models_in_order() {
    let fake = FakeUpstream::start().await;
    let text = upstream("dead", DEAD)
        + &upstream("live", &fake.base_url())
        + "[routes.fast]\naliases = [\"gpt-4o-mini\", \"openai/gpt-4o\"]\ntargets = [\n\
           { provider = \"dead\", model = \"x\" },\n{ provider = \"live\", model = \"mock-2tok\" },\n]\n";
    let providers = configured(&text);
    for name in ["fast", "gpt-4o-mini", "openai/gpt-4o"] {
        let outcome = ask(&providers, request(name)).await;
        assert_eq!((outcome.provider.as_str(), outcome.error), ("live", None), "{name}");
    }
    assert_eq!(models_asked(&fake), ["mock-2tok", "mock-2tok", "mock-2tok"]);
}

#[tokio::test]
async fn a_route_asks_nobody_but_its_targets() {
    let fake = FakeUpstream::start().await;
    let text = upstream("dead", DEAD)
        + &upstream("live", &fake.base_url())
        + "[routes.fast]\ntargets = [{ provider = \"dead\", model = \"x\" }]\n";
    assert!(ask(&configured(&text), request("fast")).await.error.is_some());
    assert_eq!(fake.chat_calls(), 0);
}
