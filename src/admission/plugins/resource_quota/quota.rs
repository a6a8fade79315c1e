//! A ResourceQuota as it is applied: read once for each stored object.

use std::sync::OnceLock;

use atoll_api::Object;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::scopes::Scope;
use crate::admission::amounts::Amounts;
use crate::admission::collection::object;
use crate::admission::read::list;
use crate::storage::Entry;

/// How much of what may be used, and how much is.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) name: String,
    /// What may be used.
    pub(super) hard: Amounts,
    /// What is used, as counted last and kept up since.
    pub(super) used: Amounts,
    /// The limits that were counted for; others have not been counted yet.
    counted_for: Amounts,
    /// Only what all of these hold for counts.
    pub(super) scopes: Vec<Scope>,
    /// When something was refused first since the quota was written last.
    refused_since: OnceLock<Timestamp>,
}

/// How long a quota that refuses must have stayed as it is before it is counted anew. What was charged in the meantime
/// is stored by then, or never will be.
const COUNTED_ANEW_AFTER: SignedDuration = SignedDuration::from_secs(10);

impl Quota {
    pub(super) fn read(entry: &Entry) -> Self {
        Self::of(&object(entry))
    }

    pub(super) fn of(quota: &Object) -> Self {
        let amounts = |path: &[&str]| quota.at(path).map(Amounts::read).unwrap_or_default();
        let spec = quota.get("spec").unwrap_or(&Value::Null);
        let named = list(spec, "scopes").iter().filter_map(Value::as_str).map(Scope::named);
        let selected = list(&spec["scopeSelector"], "matchExpressions").iter().map(Scope::read);
        Self {
            name: quota.name().to_owned(),
            hard: amounts(&["spec", "hard"]),
            used: amounts(&["status", "used"]),
            counted_for: amounts(&["status", "hard"]),
            scopes: named.chain(selected).collect(),
            refused_since: OnceLock::new(),
        }
    }

    /// Whether what is limited under a name has been counted.
    pub(super) fn has_counted(&self, name: &str) -> bool {
        self.counted_for.get(name).is_some() && self.used.get(name).is_some()
    }

    /// Whether all that is limited has been counted, and the status shows today's limits.
    pub(super) fn is_counted(&self) -> bool {
        self.hard == self.counted_for && self.hard.names().all(|name| self.used.get(name).is_some())
    }

    /// Notes that something is refused; tells whether that has gone on for so long that the quota should be counted anew.
    pub(super) fn refuse(&self, now: Timestamp) -> bool {
        let since = *self.refused_since.get_or_init(|| now);
        now.duration_since(since) >= COUNTED_ANEW_AFTER
    }
}

/// The quota with this much used.
pub(super) fn with_used(quota: &Object, used: &Amounts) -> Object {
    let mut changed = quota.clone();
    let hard = quota.at(&["spec", "hard"]).cloned().unwrap_or_else(|| json!({}));
    let status = changed.map_mut("status");
    status.insert("hard".into(), hard);
    status.insert("used".into(), used.to_value());
    changed
}
