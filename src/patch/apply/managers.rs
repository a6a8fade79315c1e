//! The managers of an object: who owns which fields, read from and written to `metadata.managedFields`.
//!
//! Entries that nothing changed are written as they were read.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fields;
use super::set::Set;

/// How many managers that do not apply are told apart; the oldest ones beyond that are put together.
const MAX_UPDATERS: usize = 10;
const OLD_UPDATERS: &str = "ancient-changes";

/// Whether fields were set by applying or in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What tells managers apart. Appliers are the same in all versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for appliers.
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    /// The version the paths are of.
    pub(super) api_version: String,
    pub(super) fields: Set,
    pub(super) time: Option<Timestamp>,
    /// The set as it was read, if it has not changed.
    recorded: Option<Value>,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Owned>);

// === impl Operation ===

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

// === impl Owned ===

impl Owned {
    pub(super) fn new(api_version: &str, fields: Set) -> Self {
        Self { api_version: api_version.to_owned(), fields, time: None, recorded: None }
    }

    /// Changes the set; `change` tells whether it did.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Set) -> bool) {
        if change(&mut self.fields) {
            self.recorded = None;
        }
    }
}

// === impl Managers ===

impl Managers {
    /// Reads a list of entries; one that is malformed makes the whole list malformed.
    pub(super) fn decode(entries: Vec<Value>) -> Result<Self, String> {
        let mut managers = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            let Value::Object(entry) = entry else { return Err(format!("managed fields entry {index} is no object")) };
            let (manager, owned) = decode_entry(index, entry)?;
            managers.0.insert(manager, owned);
        }
        Ok(managers)
    }

    /// Writes the entries: appliers first, then by time, then by name.
    pub(super) fn encode(self) -> Vec<Value> {
        let mut entries: Vec<(Manager, Owned)> = self.0.into_iter().collect();
        entries.sort_by(|(a, a_owned), (b, b_owned)| {
            let seconds = |owned: &Owned| owned.time.map_or(0, Timestamp::as_second);
            (a.operation.cmp(&b.operation))
                .then_with(|| seconds(a_owned).cmp(&seconds(b_owned)))
                .then_with(|| a.name.cmp(&b.name))
                .then_with(|| a_owned.api_version.cmp(&b_owned.api_version))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        entries.into_iter().map(|(manager, owned)| encode_entry(manager, owned)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops managers that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Adds to what a manager owns, now.
    pub(super) fn take_over(&mut self, manager: Manager, api_version: &str, fields: Set, now: Option<Timestamp>) {
        let owned = self.0.entry(manager).or_insert_with(|| Owned::new(api_version, Set::default()));
        owned.api_version = api_version.to_owned();
        owned.fields = std::mem::take(&mut owned.fields).union(fields);
        owned.time = now;
        owned.recorded = None;
    }

    /// Puts the oldest managers that do not apply together, those of a version into one, until few enough are left.
    pub(super) fn cap_updaters(&mut self) {
        let mut updaters: Vec<(i64, Manager)> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, owned)| (owned.time.map_or(0, Timestamp::as_second), manager.clone()))
            .collect();
        let mut left = updaters.len();
        if left <= MAX_UPDATERS {
            return;
        }
        updaters.sort();
        let mut sums = BTreeMap::<String, Sum>::new();
        for (_, manager) in updaters {
            if left <= MAX_UPDATERS {
                break;
            }
            match sums.entry(manager.api_version.clone()) {
                Entry::Vacant(sum) => {
                    sum.insert(Sum { first: manager, joined: Vec::new(), time: None });
                }
                Entry::Occupied(mut sum) => {
                    let Some(joining) = self.0.remove(&manager) else { continue };
                    sum.get_mut().joined.push(joining.fields);
                    // The one that joins is the more recent one.
                    sum.get_mut().time = joining.time;
                    left -= 1;
                }
            }
        }
        for (version, sum) in sums {
            self.put_together(&version, sum);
        }
    }

    fn put_together(&mut self, version: &str, sum: Sum) {
        if sum.joined.is_empty() {
            return;
        }
        let bucket = Manager {
            name: OLD_UPDATERS.to_owned(),
            operation: Operation::Update,
            api_version: version.to_owned(),
            subresource: String::new(),
        };
        let known = if self.0.contains_key(&bucket) { &bucket } else { &sum.first };
        let mut fields = sum.joined;
        fields.extend(self.0.remove(known).map(|owned| owned.fields));
        let mut owned = Owned::new(version, Set::union_all(fields));
        owned.time = sum.time;
        self.0.insert(bucket, owned);
    }
}

/// The oldest managers of a version.
struct Sum {
    first: Manager,
    /// What those after the first one own.
    joined: Vec<Set>,
    time: Option<Timestamp>,
}

fn decode_entry(index: usize, mut entry: Map<String, Value>) -> Result<(Manager, Owned), String> {
    let mut text = |field: &str| match entry.remove(field) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(format!("{field} of managed fields entry {index} is no string")),
    };
    let operation = match text("operation")?.as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    let api_version = text("apiVersion")?;
    if api_version.is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType")?.as_str() {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
        other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
    }
    let time = match text("time")?.as_str() {
        "" => None,
        time => Some(time.parse().map_err(|e| format!("time of managed fields entry {index}: {e}"))?),
    };
    let (name, subresource) = (text("manager")?, text("subresource")?);
    let recorded = match entry.remove("fieldsV1") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(fields) => fields,
    };
    // A set of nothing is the whole object to the reader of a branch, but no path.
    let fields = fields::decode(&recorded)?;
    let of_manager = if operation == Operation::Apply { String::new() } else { api_version.clone() };
    let manager = Manager { name, operation, api_version: of_manager, subresource };
    Ok((manager, Owned { api_version, fields, time, recorded: Some(recorded) }))
}

fn encode_entry(manager: Manager, owned: Owned) -> Value {
    let mut entry = Map::new();
    entry.insert("apiVersion".to_owned(), owned.api_version.into());
    entry.insert("fieldsType".to_owned(), "FieldsV1".into());
    entry.insert("fieldsV1".to_owned(), owned.recorded.unwrap_or_else(|| fields::encode(&owned.fields)));
    if !manager.name.is_empty() {
        entry.insert("manager".to_owned(), manager.name.into());
    }
    entry.insert("operation".to_owned(), manager.operation.as_str().into());
    if !manager.subresource.is_empty() {
        entry.insert("subresource".to_owned(), manager.subresource.into());
    }
    if let Some(time) = owned.time {
        entry.insert("time".to_owned(), time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into());
    }
    Value::Object(entry)
}
