//! What applies in one logical cluster: its flow schemas in order, and its priority levels with their parts of the seats.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use atoll_api::{Object, UserInfo, Value};

use super::bootstrap;
use super::deal::Dealer;
use super::schema::Schema;
use crate::request::RequestInfo;

/// The most flow schemas of a cluster's own that are heeded, by precedence: each is asked of each request.
pub(super) const MAX_SCHEMAS: usize = 256;
/// The most names in all of them together.
const MAX_NAMES: usize = 8192;
/// The most priority levels of a cluster's own that are heeded, by name.
pub(super) const MAX_LEVELS: usize = 64;
/// Decks of more queues are dealt as if they had so many.
const MAX_QUEUES: u32 = 1 << 26;

/// Schemas and levels of one cluster.
#[derive(Debug)]
pub(super) struct Policy {
    schemas: Vec<(Arc<Schema>, Arc<Level>)>,
    /// How many seats the levels divide among them.
    seats: u32,
    /// How many of them levels keep for themselves.
    kept: u32,
}

/// A priority level with its part of the seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// Its name.
    pub name: String,
    /// Its uid, which answers carry.
    pub uid: String,
    /// What it does with requests.
    pub manner: Manner,
}

/// What a level does with requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manner {
    /// Lets them through as long as the cluster has seats, before all others.
    Exempt,
    /// Lets so many through at a time.
    Limited(Limits),
}

/// How many seats a level has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    /// Its part of the seats.
    pub nominal: u32,
    /// What of that others cannot have while this level does not need it.
    pub kept: u32,
    /// The most it can have, with what it borrows.
    pub most: u32,
    /// How requests wait; those that cannot are refused.
    pub queues: Option<Queues>,
}

/// How requests wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queues {
    /// Which queues a flow may use.
    pub dealer: Dealer,
    /// How many requests a queue holds.
    pub length: u32,
}

/// A level before it is known how many seats there are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shares {
    name: String,
    uid: String,
    exempt: bool,
    shares: f64,
    lendable: f64,
    borrowing: Option<f64>,
    queues: Option<Queues>,
}

// === impl Policy ===

impl Policy {
    /// The policy of a cluster with schemas and levels of its own beside those that all clusters share, whose levels
    /// divide so many seats. Of the same name, what is first counts.
    pub(super) fn new(own: &Configuration, shared: &Configuration, seats: u32) -> Self {
        let mut levels: Vec<&Shares> = Vec::new();
        let own_levels = own.levels.values().take(MAX_LEVELS);
        let others = shared.levels.values().chain(MANDATORY_ONES.levels.values());
        for level in own_levels.chain(others).filter_map(|level| level.as_ref().as_ref()) {
            if !levels.iter().any(|known| known.name == level.name) {
                levels.push(level);
            }
        }
        let sum: f64 = levels.iter().map(|level| level.shares).sum();
        let levels: Vec<Arc<Level>> = levels.into_iter().map(|level| Arc::new(level.divided(seats, sum))).collect();
        let schemas = schemas(own, shared);
        let with_level = |schema: Arc<Schema>| {
            let level = levels.iter().find(|level| level.name == schema.level)?.clone();
            Some((schema, level))
        };
        let kept = levels.iter().map(|level| level.kept()).sum();
        Self { schemas: schemas.into_iter().filter_map(with_level).collect(), seats, kept }
    }

    /// Where a request of a user belongs.
    pub(super) fn classify(&self, user: &UserInfo, info: &RequestInfo) -> (&Schema, &Arc<Level>) {
        let found = self.schemas.iter().find(|(schema, _)| schema.matches(user, info));
        // The last one is `catch-all`: there is always one, and it takes what no other did.
        let (schema, level) = found.or(self.schemas.last()).expect("the mandatory schemas are always there");
        (schema, level)
    }

    /// The level of that name, if a schema leads to it.
    pub(super) fn level(&self, name: &str) -> Option<&Arc<Level>> {
        self.schemas.iter().map(|(_, level)| level).find(|level| level.name == name)
    }

    /// How many seats each level has by its shares: of those to which a schema leads.
    pub(super) fn nominal_limits(&self) -> BTreeMap<String, u32> {
        let levels = self.schemas.iter().map(|(_, level)| level);
        let nominal = |level: &Level| match &level.manner {
            Manner::Exempt => 0,
            Manner::Limited(limits) => limits.nominal,
        };
        levels.map(|level| (level.name.clone(), nominal(level))).collect()
    }

    /// How many seats the levels divide among them.
    pub(super) fn seats(&self) -> u32 {
        self.seats
    }

    /// The seats that levels keep for themselves, all together.
    pub(super) fn kept_by_all(&self) -> u32 {
        self.kept
    }
}

/// Flow schemas and priority levels, in the order in which they count.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Configuration {
    /// By precedence and name.
    schemas: BTreeMap<(i64, String), Arc<Schema>>,
    /// The precedence of each, by name.
    precedences: HashMap<String, i64>,
    /// By name.
    levels: BTreeMap<String, Arc<Said>>,
}

/// What a priority level says; nothing if no server would take it.
pub(super) type Said = Option<Shares>;

/// What holds even if it is not stored.
static MANDATORY_ONES: LazyLock<Configuration> = LazyLock::new(|| {
    let is_mandatory = |object: &&Object| bootstrap::MANDATORY.contains(&object.name());
    Configuration::of(bootstrap::schemas().iter().filter(is_mandatory), bootstrap::levels().iter().filter(is_mandatory))
});

// === impl Configuration ===

impl Configuration {
    /// What these objects say.
    pub(super) fn of<'a>(
        schemas: impl IntoIterator<Item = &'a Object>,
        levels: impl IntoIterator<Item = &'a Object>,
    ) -> Self {
        let mut configuration = Self::default();
        for schema in schemas {
            configuration.set_schema(schema.name(), Some(Arc::new(Schema::parse(schema))));
        }
        for level in levels {
            configuration.set_level(level.name(), Some(Arc::new(Shares::parse(level))));
        }
        configuration
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.schemas.is_empty() && self.levels.is_empty()
    }

    /// From now on the schema of that name is this one, or there is none; whether that is otherwise than before.
    pub(super) fn set_schema(&mut self, name: &str, schema: Option<Arc<Schema>>) -> bool {
        let before = self.precedences.remove(name).and_then(|at| self.schemas.remove(&(at, name.to_owned())));
        let is_other = before != schema;
        if let Some(schema) = schema {
            self.precedences.insert(name.to_owned(), schema.precedence);
            self.schemas.insert((schema.precedence, name.to_owned()), schema);
        }
        is_other
    }

    /// From now on the level of that name is this one, or there is none; whether that is otherwise than before.
    pub(super) fn set_level(&mut self, name: &str, level: Option<Arc<Said>>) -> bool {
        let level = level.filter(|level| level.is_some());
        let before = self.levels.remove(name);
        let is_other = before != level;
        if let Some(level) = level {
            self.levels.insert(name.to_owned(), level);
        }
        is_other
    }
}

fn schemas(own: &Configuration, shared: &Configuration) -> Vec<Arc<Schema>> {
    let mut names = 0;
    let mut heeded = |schema: &&Arc<Schema>| {
        names += schema.size();
        names <= MAX_NAMES
    };
    let own = own.schemas.values().take_while(|schema| heeded(schema)).take(MAX_SCHEMAS);
    let mut all: Vec<Arc<Schema>> = own.cloned().collect();
    for schema in shared.schemas.values().chain(MANDATORY_ONES.schemas.values()) {
        if !all.iter().any(|known| known.name == schema.name) {
            all.push(Arc::clone(schema));
        }
    }
    // A cluster's own come before those of the server at the same precedence only by name, as in Kubernetes.
    all.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
    // Nothing is asked after what takes everything.
    if let Some(last) = all.iter().position(|schema| schema.name == "catch-all") {
        let catch_all = all.remove(last);
        all.push(catch_all);
    }
    all
}

// === impl Level ===

impl Level {
    /// The seats it keeps for itself.
    fn kept(&self) -> u32 {
        match &self.manner {
            Manner::Exempt => 0,
            Manner::Limited(limits) => limits.kept,
        }
    }

    /// The most seats that one request may take: such a request must not have to wait for all others to end.
    pub(super) fn widest(&self) -> u32 {
        self.kept().max(1)
    }
}

// === impl Shares ===

impl Shares {
    /// Reads a `PriorityLevelConfiguration`; one that no server would take is none.
    pub(super) fn parse(object: &Object) -> Said {
        let spec = object.get("spec")?;
        let exempt = match spec["type"].as_str()? {
            "Exempt" if object.name() == "exempt" => true,
            "Limited" if object.name() != "exempt" => false,
            _ => return None,
        };
        let settings = if exempt { &spec["exempt"] } else { &spec["limited"] };
        let number = |value: &Value| value.as_f64().filter(|number| *number >= 0.0);
        let response = &settings["limitResponse"];
        let queues = match response["type"].as_str() {
            Some("Queue") => Some(queues(&response["queuing"])?),
            _ => None,
        };
        Some(Self {
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            exempt,
            shares: number(&settings["nominalConcurrencyShares"]).unwrap_or_default(),
            lendable: number(&settings["lendablePercent"]).unwrap_or_default().min(100.0),
            borrowing: number(&settings["borrowingLimitPercent"]),
            queues,
        })
    }

    /// The level, with its part of the seats.
    fn divided(&self, seats: u32, sum: f64) -> Level {
        let Self { name, uid, exempt, shares, lendable, borrowing, queues } = self.clone();
        if exempt {
            return Level { name, uid, manner: Manner::Exempt };
        }
        let whole = f64::from(seats);
        // Rounded up, as by kube-apiserver: together they may be a little more than there are.
        let nominal = if sum > 0.0 { (whole * shares / sum).ceil() } else { 0.0 };
        let kept = nominal - (nominal * lendable / 100.0).round();
        let most = match borrowing {
            Some(percent) => nominal + (nominal * percent / 100.0).round(),
            None => whole,
        };
        let limits = Limits { nominal: nominal as u32, kept: kept as u32, most: (most as u32).min(seats), queues };
        Level { name, uid, manner: Manner::Limited(limits) }
    }
}

fn queues(queuing: &Value) -> Option<Queues> {
    let number = |name: &str| queuing[name].as_u64().and_then(|number| u32::try_from(number).ok());
    let (queues, hand) = (number("queues")?.min(MAX_QUEUES), number("handSize")?);
    Some(Queues { dealer: Dealer::new(queues, hand)?, length: number("queueLengthLimit")? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request;

    fn own(schemas: &[(&str, i64, &str)], levels: &[(&str, i64)]) -> Configuration {
        let schema = |(name, precedence, level): &(&str, i64, &str)| {
            json!({"metadata": {"name": name}, "spec": {
                "matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": level},
                "rules": [{"subjects": [{"kind": "User", "user": {"name": "alice"}}],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}],
            }})
        };
        let level = |(name, shares): &(&str, i64)| {
            json!({"metadata": {"name": name}, "spec": {"type": "Limited", "limited": {
                "nominalConcurrencyShares": shares, "limitResponse": {"type": "Reject"},
            }}})
        };
        let object = |value| Object::from_value(value).expect("an object");
        let schemas: Vec<Object> = schemas.iter().map(schema).map(object).collect();
        let levels: Vec<Object> = levels.iter().map(level).map(object).collect();
        Configuration::of(&schemas, &levels)
    }

    fn shared() -> Configuration {
        Configuration::of(bootstrap::schemas(), bootstrap::levels())
    }

    fn alice(policy: &Policy) -> (String, String) {
        let info = request::parse("GET", "/version", "").expect("parses");
        let user = UserInfo::named("alice", ["system:authenticated"]);
        let (schema, level) = policy.classify(&user, &info);
        (schema.name.clone(), level.name.clone())
    }

    #[test]
    fn levels_divide_the_seats_as_in_kubernetes() {
        let policy = Policy::new(&Configuration::default(), &shared(), 600);
        let limits = |name: &str| match &policy.level(name).expect("a level").manner {
            Manner::Limited(limits) => (limits.nominal, limits.kept, limits.most),
            Manner::Exempt => (0, 0, 0),
        };
        assert_eq!(limits("workload-low"), (245, 24, 600));
        assert_eq!(limits("global-default"), (49, 24, 600));
        assert_eq!(limits("leader-election"), (25, 25, 600));
        assert_eq!(limits("catch-all"), (13, 13, 600));
        assert_eq!(limits("exempt"), (0, 0, 0));
    }

    #[test]
    fn own_schemas_come_in_the_order_of_precedence_and_only_with_a_level() {
        let check = |schemas: &[(&str, i64, &str)], levels: &[(&str, i64)], schema: &str, level: &str| {
            let policy = Policy::new(&own(schemas, levels), &shared(), 100);
            assert_eq!(alice(&policy), (schema.to_owned(), level.to_owned()));
        };
        check(&[], &[], "global-default", "global-default");
        check(&[("mine", 500, "mine")], &[("mine", 10)], "mine", "mine");
        check(&[("mine", 500, "mine")], &[], "global-default", "global-default");
        check(&[("mine", 500, "system")], &[], "mine", "system");
        check(&[("b", 500, "system"), ("a", 500, "mine")], &[("mine", 10)], "a", "mine");
        check(&[("late", 9901, "mine")], &[("mine", 10)], "global-default", "global-default");
    }

    #[test]
    fn what_is_mandatory_is_there_even_if_it_is_not_stored() {
        let policy = Policy::new(&Configuration::default(), &Configuration::default(), 10);
        assert_eq!(alice(&policy), ("catch-all".to_owned(), "catch-all".to_owned()));
    }

    #[test]
    fn only_so_many_names_of_a_cluster_are_heeded() {
        let many: Vec<(String, i64)> = (0..1000).map(|n| (format!("s{n:04}"), 500)).collect();
        let many: Vec<(&str, i64, &str)> = many.iter().map(|(name, p)| (name.as_str(), *p, "system")).collect();
        let policy = Policy::new(&own(&many, &[]), &shared(), 10);
        assert_eq!(policy.schemas.len(), MAX_SCHEMAS + bootstrap::SCHEMA_NAMES.len());
    }
}
