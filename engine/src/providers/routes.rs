//! Who answers to which model's name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Provider;
use super::clock::RetryClock;
use super::route::{Hop, Patience, Route};
use super::target::{Target, TargetRules};
use crate::config::{ProviderSettings, Strategy, TargetSettings};

/// The route of every name.
pub(super) struct Routes {
    /// By name and by alias.
    named: HashMap<String, Arc<Route>>,
    /// Those of single providers, by the provider's name.
    single: HashMap<String, Arc<Route>>,
    /// Every provider in turn: of any other name.
    all: Arc<Route>,
}

/// The targets while they are made: one for each provider, and one for each model of it that a route names.
pub(super) struct Targets {
    rules: TargetRules,
    clock: Arc<dyn RetryClock>,
    all: Vec<Arc<Target>>,
}

impl Targets {
    pub(super) fn new(rules: TargetRules, clock: Arc<dyn RetryClock>) -> Self {
        Self { rules, clock, all: Vec::new() }
    }

    fn make(&mut self, provider: &Arc<dyn Provider>, model: Option<&str>) -> Arc<Target> {
        let known = model.and_then(|model| self.all.iter().find(|target| target.is(provider.name(), model)));
        if let Some(target) = known {
            return Arc::clone(target);
        }
        let model = model.map(str::to_owned);
        let target = Target::new(Arc::clone(provider), model, self.rules, Arc::clone(&self.clock));
        self.all.push(Arc::clone(&target));
        target
    }
}

impl Routes {
    /// The routes, and all targets. Targets at providers that there are not are left out: the settings have been
    /// checked.
    pub(super) fn new(
        settings: &ProviderSettings,
        providers: &[Arc<dyn Provider>],
        mut targets: Targets,
    ) -> (Self, Vec<Arc<Target>>) {
        let patience = Patience {
            first_token: settings.first_token_timeout,
            whole: settings.whole_timeout,
            idle: settings.idle_timeout,
            total: settings.total_timeout,
        };
        let plain = |hops: Vec<Hop>| {
            let total = settings.total_timeout;
            Arc::new(Route { hops, strategy: Strategy::Ordered, hedge_after: None, continues: false, total })
        };
        let general: Vec<Hop> = providers
            .iter()
            .map(|provider| Hop { target: targets.make(provider, None), model: None, weight: 1, patience })
            .collect();
        let mut single: HashMap<String, Vec<Hop>> = HashMap::new();
        for hop in &general {
            single.entry(hop.target.provider.name().to_owned()).or_default().push(hop.clone());
        }
        let mut named = HashMap::new();
        for (name, route) in &settings.routes {
            let patience = patience.with(&route.timeouts);
            let mut hop = |wanted: &TargetSettings| {
                let provider = providers.iter().find(|provider| provider.name() == wanted.provider)?;
                Some(Hop {
                    target: targets.make(provider, Some(&wanted.model)),
                    model: Some(wanted.model.clone()),
                    weight: wanted.weight.0,
                    patience: patience.with(&wanted.timeouts),
                })
            };
            let made = Arc::new(Route {
                hops: route.targets.iter().filter_map(&mut hop).collect(),
                strategy: route.strategy,
                hedge_after: route.hedge_after_ms.map(|wait| Duration::from_millis(wait.0.into())),
                continues: route.continues,
                total: patience.total,
            });
            for name in route.aliases.iter().chain([name]) {
                named.insert(name.clone(), Arc::clone(&made));
            }
        }
        let single = single.into_iter().map(|(name, hops)| (name, plain(hops))).collect();
        (Self { named, single, all: plain(general) }, targets.all)
    }

    /// Who is asked for a model, and what is left of its name where a part of it said so: a route of that name; else
    /// `provider/model` picks one provider, and any other name may be answered by all.
    pub(super) fn of<'a>(&self, model: &'a str) -> (Arc<Route>, Option<&'a str>) {
        if let Some(route) = self.named.get(model) {
            return (Arc::clone(route), None);
        }
        if let Some((name, rest)) = model.split_once('/').filter(|(_, rest)| !rest.is_empty())
            && let Some(route) = self.single.get(name)
        {
            return (Arc::clone(route), Some(rest));
        }
        (Arc::clone(&self.all), None)
    }

    /// Every name and alias of a route.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// Whether a route answers to this name.
    pub(super) fn has(&self, model: &str) -> bool {
        self.named.contains_key(model)
    }
}
