//! ResourceQuota: a namespace holds and uses no more than its quotas permit.
//!
//! What is used is charged before a write is stored, with compare-and-set on the quota's status: several servers over one store
//! agree on it. Kubernetes leaves it to a controller to count first and to give back what was deleted; here a quota is counted
//! when it is made, and what goes is given back at once. What a crash leaves charged for is found when it is in the way.

mod ledger;
mod quota;
mod scopes;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

use atoll_api::{ApiError, ApiResult, GroupResource, LogicalClusterName, Object, Reason};
use futures::future::BoxFuture;
use jiff::Timestamp;

use self::ledger::{Account, Ledger, Outcome};
use self::quota::Quota;
use self::usage::{Counting, Facts, left_out};
use crate::admission::amounts::Amounts;
use crate::admission::{AdmissionPlugin, Attributes, Ending, Operation, StoredForm, at_once};
use crate::request::RequestContext;
use crate::storage::Store;

/// How often charging is begun anew because somebody else wrote to a quota first: another server, or a user.
const ATTEMPTS: usize = 16;

/// Charges quotas.
pub struct ResourceQuota {
    ledger: Ledger,
}

/// What a write does to what a namespace uses.
struct Change {
    counting: Counting,
    resource: GroupResource,
    new: Option<Facts>,
    old: Option<Facts>,
}

/// Why a write cannot be charged.
enum Refusal {
    /// Not because of what is used.
    Fault(String),
    /// Because this quota has not enough left, as it was counted last.
    Exceeded { quota: String, why: String },
}

impl Change {
    fn of(attributes: &Attributes, object: Option<&Object>, old: Option<&Object>) -> Option<Self> {
        let resource = attributes.resource.group_resource();
        let counting = Counting::of(&resource)?;
        let facts = |object: &Object| counting.facts(&resource, object);
        Some(Self { counting, new: object.map(facts), old: old.map(facts), resource: resource.clone() })
    }

    /// Whether a write like this can change what is used.
    fn matters(&self, attributes: &Attributes) -> bool {
        let is_new = attributes.operation == Operation::Create;
        match (self.counting, attributes.subresource.as_str()) {
            (Counting::Plain | Counting::Pods, "") if is_new => true,
            (Counting::Plain, _) => false,
            (Counting::Pods, "resize") => true,
            // Only the deadline decides, of what can change, what a pod counts as.
            (Counting::Pods, "") => {
                let is_terminating = |facts: &Option<Facts>| {
                    facts.as_ref().and_then(|facts| facts.pod.as_ref()).is_some_and(|pod| pod.is_terminating)
                };
                is_terminating(&self.new) != is_terminating(&self.old)
            }
            (Counting::Pods, _) => false,
            (Counting::DeviceClaims, subresource) => subresource.is_empty(),
            (Counting::Services | Counting::Claims, _) => true,
        }
    }

    /// What a quota counts of an object.
    fn counted(&self, quota: &Quota, facts: Option<&Facts>, now: Timestamp) -> Amounts {
        let counts = |facts: &&Facts| quota.scopes.iter().all(|scope| scope.holds(facts));
        let usage = facts.filter(counts).map(|facts| facts.usage(now)).unwrap_or_default();
        usage.only(|name| quota.hard.get(name).is_some())
    }

    /// What the write uses more of.
    fn more(&self, quota: &Quota, now: Timestamp) -> Amounts {
        let before = self.counted(quota, self.old.as_ref(), now);
        self.counted(quota, self.new.as_ref(), now).beyond(&before).without_zeros()
    }

    /// What the write uses less of.
    fn less(&self, quota: &Quota, now: Timestamp) -> Amounts {
        let after = self.counted(quota, self.new.as_ref(), now);
        self.counted(quota, self.old.as_ref(), now).beyond(&after).without_zeros()
    }

    fn is_limited_by(&self, quota: &Quota) -> bool {
        quota.hard.names().any(|name| self.counting.uses(&self.resource, name))
            && self.new.as_ref().is_some_and(|new| quota.scopes.iter().all(|scope| scope.holds(new)))
    }
}

impl ResourceQuota {
    /// Keeps quotas in this store, written in this form.
    pub fn new(store: &Arc<Store>, stored_form: StoredForm) -> Self {
        Self { ledger: Ledger::new(store, stored_form) }
    }

    async fn charge(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: &Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let namespace = attributes.namespace.as_str();
        if self.ledger.accounts(&cx.cluster, namespace).is_empty() {
            return Ok(());
        }
        let Some(change) = Change::of(attributes, Some(object), old).filter(|change| change.matters(attributes)) else {
            return Ok(());
        };
        let refuse = |refusal: Refusal| attributes.forbidden(Some(object), &refusal.into_words());
        if attributes.dry_run {
            let accounts = self.ledger.accounts(&cx.cluster, namespace);
            let used = |account: &Account| self.ledger.used(account, cx.now);
            return weigh(&accounts, used, &change, object, cx.now).map(drop).map_err(refuse);
        }
        let _turn = self.ledger.turn(&cx.cluster, namespace).await;
        for _ in 0..ATTEMPTS {
            let accounts = self.ledger.accounts(&cx.cluster, namespace);
            let used = |account: &Account| self.ledger.used(account, cx.now);
            match weigh(&accounts, used, &change, object, cx.now) {
                Ok(changes) => match self.ledger.write(&changes).await? {
                    Outcome::Written => return Ok(()),
                    Outcome::Outrun => {}
                },
                Err(refusal) => {
                    if !self.correct(&accounts, &refusal, cx.now).await? {
                        return Err(refuse(refusal));
                    }
                }
            }
        }
        let message = "the quotas of the namespace change too fast; try again";
        Err(ApiError::new(Reason::ServiceUnavailable, message))
    }

    /// Counts the quota that refuses anew, if it has refused for a while: what a crash left charged for is given back
    /// so. Tells whether there is less used than was thought, so that it is worth trying again.
    async fn correct(&self, accounts: &[Account], refusal: &Refusal, now: Timestamp) -> ApiResult<bool> {
        let Refusal::Exceeded { quota, .. } = refusal else { return Ok(false) };
        let Some(account) = accounts.iter().find(|account| account.quota.name == *quota) else { return Ok(false) };
        if !account.quota.refuse(now) {
            return Ok(false);
        }
        let counted = self.ledger.count_all(account, now);
        if counted == account.quota.used {
            return Ok(false);
        }
        self.ledger.write(&[(account, counted)]).await?;
        Ok(true)
    }

    /// Gives back what a write uses less of, or all that one uses that was not stored after all.
    async fn give_back(&self, cx: &RequestContext, namespace: &str, change: &Change, ending: Ending) {
        let freed = |quota: &Quota| match ending {
            Ending::Withdrawn => change.more(quota, cx.now),
            Ending::Stored | Ending::Removed => change.less(quota, cx.now),
        };
        if self.ledger.accounts(&cx.cluster, namespace).iter().all(|account| freed(&account.quota).is_empty()) {
            return;
        }
        let _turn = self.ledger.turn(&cx.cluster, namespace).await;
        for _ in 0..ATTEMPTS {
            let accounts = self.ledger.accounts(&cx.cluster, namespace);
            let counted = accounts.iter().filter(|account| account.quota.is_counted());
            let changes: Vec<(&Account, Amounts)> = counted
                .map(|account| {
                    let mut used = account.quota.used.clone();
                    used.take(&freed(&account.quota));
                    (account, used)
                })
                .filter(|(account, used)| *used != account.quota.used)
                .collect();
            match self.ledger.write(&changes).await {
                Ok(Outcome::Written) => return,
                Ok(Outcome::Outrun) => {}
                Err(error) => {
                    // It is counted anew when it is in the way.
                    tracing::warn!(cluster = %cx.cluster, namespace, %error, "what was freed was not given back to quotas");
                    return;
                }
            }
        }
    }

    /// Counts a quota that is new or has changed.
    async fn observe(&self, cx: &RequestContext, cluster: &LogicalClusterName, quota: &Object) {
        let (namespace, name) = (quota.namespace(), quota.name());
        let _turn = self.ledger.turn(cluster, namespace).await;
        for _ in 0..ATTEMPTS {
            let Some(account) = self.ledger.account(cluster, namespace, name) else { return };
            if account.quota.is_counted() {
                return;
            }
            let used = self.ledger.used(&account, cx.now);
            match self.ledger.write(&[(&account, used)]).await {
                Ok(Outcome::Written) => return,
                Ok(Outcome::Outrun) => {}
                Err(error) => {
                    // The next write that the quota limits counts it.
                    tracing::warn!(%cluster, namespace, name, %error, "a quota could not be counted");
                    return;
                }
            }
        }
    }
}

impl Refusal {
    fn into_words(self) -> String {
        match self {
            Self::Fault(why) | Self::Exceeded { why, .. } => why,
        }
    }
}

/// What the accounts have used after a write; only those that change. Nothing is changed by a write that one of them
/// has too little left for.
fn weigh<'a>(
    accounts: &'a [Account],
    used: impl Fn(&Account) -> Amounts,
    change: &Change,
    object: &Object,
    now: Timestamp,
) -> Result<Vec<(&'a Account, Amounts)>, Refusal> {
    let mut changes = Vec::new();
    for account in accounts.iter().filter(|account| change.is_limited_by(&account.quota)) {
        let quota = &*account.quota;
        if change.counting == Counting::Pods {
            let limited: Vec<&str> = quota.hard.names().collect();
            if let Some(why) = left_out(object, &limited) {
                return Err(Refusal::Fault(format!("failed quota: {}: {why}", quota.name)));
            }
        }
        let requested = change.more(quota, now);
        if requested.is_empty() {
            continue;
        }
        let used = used(account);
        let mut after = used.clone();
        after.add(&requested);
        let is_exceeded = |name: &str| {
            requested.get(name).is_some()
                && after.get(name).zip(quota.hard.get(name)).is_some_and(|(after, hard)| after > hard)
        };
        let (requested, used, hard) =
            (requested.only(is_exceeded), used.only(is_exceeded), quota.hard.only(is_exceeded));
        if !requested.is_empty() {
            let why = format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name,
                requested.shown(),
                used.shown(),
                hard.shown()
            );
            return Err(Refusal::Exceeded { quota: quota.name.clone(), why });
        }
        changes.push((account, after));
    }
    Ok(changes)
}

impl AdmissionPlugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        if attributes.namespace.is_empty() {
            return false;
        }
        match attributes.operation {
            Operation::Create => attributes.subresource.is_empty(),
            // Of most objects a change uses nothing more.
            Operation::Update => {
                let resource = &attributes.resource;
                match &*resource.group {
                    "" => matches!(&*resource.resource, "pods" | "services" | "persistentvolumeclaims"),
                    group => group == "resource.k8s.io" && *resource.resource == *"resourceclaims",
                }
            }
            Operation::Delete | Operation::Connect => false,
        }
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        match object {
            Some(object) => Box::pin(self.charge(cx, attributes, object, old)),
            None => at_once(Ok(())),
        }
    }

    fn follows(&self, cx: &RequestContext, attributes: &Attributes) -> bool {
        !attributes.namespace.is_empty()
            && !attributes.dry_run
            && !self.ledger.accounts(&cx.cluster, &attributes.namespace).is_empty()
    }

    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        ending: Ending,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if attributes.concerns("", "resourcequotas")
                && ending == Ending::Stored
                && let Some(quota) = object
            {
                self.observe(cx, &cx.cluster, quota).await;
            }
            let may_free = ending == Ending::Withdrawn || old.is_some();
            if may_free
                && let Some(change) = Change::of(attributes, object, old)
                && (ending != Ending::Withdrawn || change.matters(attributes))
            {
                self.give_back(cx, &attributes.namespace, &change, ending).await;
            }
        })
    }
}
