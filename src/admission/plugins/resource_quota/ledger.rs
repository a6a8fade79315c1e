//! What quotas have counted: read from the store, kept up by compare-and-set, and counted anew where it is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use atoll_api::quantity::Quantity;
use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName, Reason};
use jiff::Timestamp;

use super::quota::{Quota, with_used};
use super::usage::{Counting, Facts, counted_resource};
use crate::admission::StoredForm;
use crate::admission::amounts::Amounts;
use crate::admission::collection::{Collection, object};
use crate::admission::turns::{Turn, Turns};
use crate::storage::{Action, CommitError, Entry, Expect, Store, Txn};

/// The quotas of all namespaces.
pub(super) struct Ledger {
    store: Arc<Store>,
    quotas: Collection,
    stored_form: StoredForm,
    /// Writers of one namespace take turns, so that they do not fail each other.
    turns: Turns,
}

/// A quota as it was read.
pub(super) struct Account {
    entry: Arc<Entry>,
    pub(super) quota: Arc<Quota>,
}

/// Whether what was to be written was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// Somebody else wrote first.
    Outrun,
}

#[cfg(test)]
impl Account {
    /// Which revision of the quota this is.
    pub(super) fn revision(&self) -> u64 {
        self.entry.revision
    }
}

impl Ledger {
    pub(super) fn new(store: &Arc<Store>, stored_form: StoredForm) -> Self {
        let quotas = Collection::of(store, "", "resourcequotas");
        Self { store: store.clone(), quotas, stored_form, turns: Turns::new(1) }
    }

    /// The quotas of a namespace.
    pub(super) fn accounts(&self, cluster: &LogicalClusterName, namespace: &str) -> Vec<Account> {
        let entries = self.quotas.in_namespace(cluster, namespace);
        entries.into_iter().map(|entry| Account { quota: entry.derived(Quota::read), entry }).collect()
    }

    /// One quota.
    pub(super) fn account(&self, cluster: &LogicalClusterName, namespace: &str, name: &str) -> Option<Account> {
        let entry = self.quotas.get(cluster, namespace, name)?;
        Some(Account { quota: entry.derived(Quota::read), entry })
    }

    /// Waits for one's turn to write to a namespace's quotas.
    pub(super) async fn turn(&self, cluster: &LogicalClusterName, namespace: &str) -> Turn {
        self.turns.wait(cluster, namespace).await
    }

    /// Writes what each account now has used: all or none.
    pub(super) async fn write(&self, changes: &[(&Account, Amounts)]) -> ApiResult<Outcome> {
        let mut txn = Txn::default();
        for (Account { entry, .. }, used) in changes {
            let bytes = (self.stored_form)(&with_used(&object(entry), used))?;
            let key = self.quotas.key(entry.cluster(), entry.namespace(), entry.name());
            txn = txn.and(key, Expect::Revision(entry.revision), Action::Put(bytes));
        }
        if txn.ops.is_empty() {
            return Ok(Outcome::Written);
        }
        match self.store.commit(txn).await {
            Ok(_) => Ok(Outcome::Written),
            Err(CommitError::Conflict { .. }) => Ok(Outcome::Outrun),
            Err(error) => {
                let message = "the quota could not be charged; try again";
                Err(ApiError::new(Reason::ServiceUnavailable, message).caused_by(error))
            }
        }
    }

    /// What a namespace uses of what a quota limits: as it was kept up, and counted now where it never was.
    ///
    /// What was kept up is not counted again, since it holds what is charged already and will be stored in a moment.
    pub(super) fn used(&self, account: &Account, now: Timestamp) -> Amounts {
        let quota = &account.quota;
        let mut used = quota.used.only(|name| quota.hard.get(name).is_some() && quota.has_counted(name));
        used.add(&self.count(account, &quota.hard.only(|name| !quota.has_counted(name)), now));
        used
    }

    /// Counts what a namespace uses of all that a quota limits.
    pub(super) fn count_all(&self, account: &Account, now: Timestamp) -> Amounts {
        self.count(account, &account.quota.hard, now)
    }

    fn count(&self, account: &Account, limited: &Amounts, now: Timestamp) -> Amounts {
        let mut used = Amounts::default();
        for resource in resources_limited_by(limited) {
            let Some(counting) = Counting::of(&resource) else { continue };
            used.add(&self.count_one(account, limited, &resource, counting, now));
        }
        used
    }

    fn count_one(
        &self,
        account: &Account,
        limited: &Amounts,
        resource: &GroupResource,
        counting: Counting,
        now: Timestamp,
    ) -> Amounts {
        let (cluster, namespace) = (account.entry.cluster(), account.entry.namespace());
        let names = limited.names().filter(|name| counting.uses(resource, name));
        let mut used = Amounts::from_iter(names.map(|name| (name, Quantity::ZERO)));
        let entries = Collection::of(&self.store, &resource.group, &resource.resource).in_namespace(cluster, namespace);
        if counting == Counting::Plain {
            // They are all alike, and need not be read.
            if account.quota.scopes.is_empty() {
                let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
                let names: Vec<String> = used.names().map(str::to_owned).collect();
                names.iter().for_each(|name| used.set(name, Quantity::from_units(count)));
            }
            return used;
        }
        for entry in entries {
            let facts: Arc<Facts> = entry.derived(|entry| counting.facts(resource, &object(entry)));
            if account.quota.scopes.iter().all(|scope| scope.holds(&facts)) {
                used.add(&facts.usage(now).only(|name| limited.get(name).is_some()));
            }
        }
        used
    }
}

/// The resources whose objects use what is limited.
fn resources_limited_by(hard: &Amounts) -> BTreeSet<GroupResource> {
    let special = [
        GroupResource::new("", "pods"),
        GroupResource::new("", "services"),
        GroupResource::new("", "persistentvolumeclaims"),
        GroupResource::new("resource.k8s.io", "resourceclaims"),
    ];
    let mut found: BTreeSet<GroupResource> = hard.names().filter_map(counted_resource).collect();
    for resource in special {
        if let Some(counting) = Counting::of(&resource)
            && hard.names().any(|name| counting.uses(&resource, name))
        {
            found.insert(resource);
        }
    }
    found
}
