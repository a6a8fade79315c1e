//! May somebody do something in a logical cluster: the question, the answer, and who gives it.
//!
//! Recognising who asks is `authn`'s matter; reading policy objects from the store is the server's.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use atoll_api::{LogicalClusterName, UserInfo};
use futures::future::{BoxFuture, join_all};

use crate::request::RequestInfo;

pub mod forbidden;
pub mod impersonation;
pub mod rbac;
pub mod reviews;
pub mod stored;

use rbac::{Binding, Rule};

/// What somebody wants to do, in the words of Kubernetes' `authorizer.Attributes`.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// The logical cluster whose policy decides; the system cluster for requests that span all.
    pub cluster: &'a LogicalClusterName,
    /// Who.
    pub user: &'a UserInfo,
    /// The verb, such as `list`; the method in lower case for plain paths.
    pub verb: &'a str,
    /// The API group, empty for the core group.
    pub group: &'a str,
    /// The version; RBAC does not look at it.
    pub version: &'a str,
    /// The plural resource name.
    pub resource: &'a str,
    /// The subresource, empty if none.
    pub subresource: &'a str,
    /// The namespace, empty at the cluster scope.
    pub namespace: &'a str,
    /// The object's name, empty if none is named.
    pub name: &'a str,
    /// The path below the cluster's prefix.
    pub path: &'a str,
    /// Whether this is about a resource; else it is about the path.
    pub is_resource: bool,
}

/// What an authorizer thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, whatever others think.
    Allow,
    /// No, whatever others think.
    Deny,
    /// Somebody else may allow it; if nobody does, it is refused.
    NoOpinion,
}

/// Why an authorizer thinks so; becomes text only when it is shown.
#[derive(Debug, Clone, Default)]
pub struct Reason(Because);

#[derive(Debug, Clone, Default)]
enum Because {
    #[default]
    Nothing,
    Text(String),
    Granted {
        binding: Arc<Binding>,
        subject: usize,
    },
}

/// An authorizer's answer.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What it thinks.
    pub verdict: Verdict,
    /// Why; shown to the client, and in access reviews.
    pub reason: Reason,
    /// What went wrong while deciding, if something did; shown in access reviews.
    pub error: Option<String>,
}

/// What somebody may do in a namespace, as far as it can be listed.
#[derive(Debug, Clone, Default)]
pub struct RuleList {
    /// Rules for resources and for plain paths.
    pub rules: Vec<Rule>,
    /// Whether there may be more that cannot be listed.
    pub incomplete: bool,
    /// What went wrong while listing, each text once.
    pub errors: Vec<String>,
}

/// Decides what users may do.
///
/// Called for every request after authentication and before anything is read, again when a watch is re-checked, and by
/// access reviews. It works from memory and must not block; what it must ask elsewhere it asks in [`ask`](Self::ask).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide what users may do",
    note = "implement `atoll::authz::Authorizer`: one method, from the attributes of a request to a decision"
)]
pub trait Authorizer: Send + Sync {
    /// Decides about one request.
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;

    /// Asks elsewhere for what [`authorize`](Self::authorize) will be asked next, and remembers the answer for a while.
    ///
    /// Awaited for every request, and when a watch is re-checked, before `authorize`; not for access reviews, nor for
    /// rights that only come up while a request is handled, about which `authorize` says what it knows. The default knows
    /// everything already.
    fn ask<'a>(&'a self, attributes: &'a Attributes<'a>) -> Option<BoxFuture<'a, ()>> {
        let _ = attributes;
        None
    }

    /// Lists what `user` may do in `namespace` (empty: at the cluster scope).
    fn rules_for(&self, cluster: &LogicalClusterName, user: &UserInfo, namespace: &str) -> RuleList {
        let _ = (cluster, user, namespace);
        RuleList { incomplete: true, ..RuleList::default() }
    }
}

/// Several authorizers in order: the first that allows or denies decides.
pub struct Chain(Vec<Box<dyn Authorizer>>);

/// Allows the members of one group everything, as Kubernetes allows `system:masters`.
pub struct PrivilegedGroup(pub &'static str);

/// Allows everybody everything: for servers that are a library's own test bed.
pub struct AlwaysAllow;

// === impl Attributes ===

impl<'a> Attributes<'a> {
    /// What a request asks for.
    pub fn of(info: &'a RequestInfo, cluster: &'a LogicalClusterName, user: &'a UserInfo) -> Self {
        Self {
            cluster,
            user,
            verb: &info.verb,
            group: &info.group,
            version: &info.version,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            path: &info.path,
            is_resource: info.is_resource,
        }
    }

    /// A verb on a resource at the cluster scope, of no object in particular; fill in the rest with `..`.
    pub fn resource(
        cluster: &'a LogicalClusterName,
        user: &'a UserInfo,
        verb: &'a str,
        group: &'a str,
        resource: &'a str,
    ) -> Self {
        Self {
            cluster,
            user,
            verb,
            group,
            version: "*",
            resource,
            subresource: "",
            namespace: "",
            name: "",
            path: "",
            is_resource: true,
        }
    }

    /// A verb on a plain path.
    pub fn path(cluster: &'a LogicalClusterName, user: &'a UserInfo, verb: &'a str, path: &'a str) -> Self {
        Self { path, is_resource: false, version: "", ..Self::resource(cluster, user, verb, "", "") }
    }
}

// === impl Reason ===

impl Reason {
    /// No reason is given.
    pub fn none() -> Self {
        Self::default()
    }

    /// A reason in words.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Because::Text(text.into()))
    }

    /// A binding grants it, by its subject at this index.
    pub fn granted(binding: Arc<Binding>, subject: usize) -> Self {
        Self(Because::Granted { binding, subject })
    }

    /// Whether no reason is given.
    pub fn is_none(&self) -> bool {
        matches!(&self.0, Because::Nothing)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Because::Nothing => Ok(()),
            Because::Text(text) => f.write_str(text),
            Because::Granted { binding, subject } => write!(f, "RBAC: allowed by {}", binding.grant(*subject)),
        }
    }
}

// === impl Decision ===

impl Decision {
    /// Yes.
    pub fn allow(reason: Reason) -> Self {
        Self { verdict: Verdict::Allow, reason, error: None }
    }

    /// Not from here.
    pub fn no_opinion(reason: Reason) -> Self {
        Self { verdict: Verdict::NoOpinion, reason, error: None }
    }

    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }
}

// === impl Chain ===

impl Chain {
    /// Authorizers in the order in which they are asked.
    pub fn new(authorizers: Vec<Box<dyn Authorizer>>) -> Self {
        Self(authorizers)
    }
}

impl Authorizer for Chain {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut reasons = Vec::new();
        let mut errors = Vec::new();
        for authorizer in &self.0 {
            let decision = authorizer.authorize(attributes);
            if decision.verdict != Verdict::NoOpinion {
                return decision;
            }
            if !decision.reason.is_none() {
                reasons.push(decision.reason.to_string());
            }
            errors.extend(decision.error);
        }
        let reason = if reasons.is_empty() { Reason::none() } else { Reason::text(reasons.join("\n")) };
        Decision { error: join_errors(&errors), ..Decision::no_opinion(reason) }
    }

    fn ask<'a>(&'a self, attributes: &'a Attributes<'a>) -> Option<BoxFuture<'a, ()>> {
        let mut asking: Vec<_> = self.0.iter().filter_map(|authorizer| authorizer.ask(attributes)).collect();
        match asking.len() {
            0 | 1 => asking.pop(),
            _ => Some(Box::pin(async move { drop(join_all(asking).await) })),
        }
    }

    fn rules_for(&self, cluster: &LogicalClusterName, user: &UserInfo, namespace: &str) -> RuleList {
        let mut all = RuleList::default();
        for list in self.0.iter().map(|authorizer| authorizer.rules_for(cluster, user, namespace)) {
            all.rules.extend(list.rules);
            all.incomplete |= list.incomplete;
            all.errors.extend(list.errors);
        }
        all
    }
}

impl<A: Authorizer + ?Sized> Authorizer for Arc<A> {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        (**self).authorize(attributes)
    }

    fn ask<'a>(&'a self, attributes: &'a Attributes<'a>) -> Option<BoxFuture<'a, ()>> {
        (**self).ask(attributes)
    }

    fn rules_for(&self, cluster: &LogicalClusterName, user: &UserInfo, namespace: &str) -> RuleList {
        (**self).rules_for(cluster, user, namespace)
    }
}

impl Authorizer for PrivilegedGroup {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.is_in(self.0) {
            Decision::allow(Reason::none())
        } else {
            Decision::no_opinion(Reason::none())
        }
    }

    /// The group's rights are listed through the role that is bound to it.
    fn rules_for(&self, _: &LogicalClusterName, _: &UserInfo, _: &str) -> RuleList {
        RuleList::default()
    }
}

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &Attributes<'_>) -> Decision {
        Decision::allow(Reason::none())
    }

    fn rules_for(&self, _: &LogicalClusterName, _: &UserInfo, _: &str) -> RuleList {
        RuleList { rules: Rule::everything(), ..RuleList::default() }
    }
}

/// Errors as Kubernetes joins them: one stands alone, several in brackets, each text once.
pub(crate) fn join_errors(errors: &[String]) -> Option<String> {
    let mut seen = HashSet::with_capacity(errors.len());
    let texts: Vec<&str> = errors.iter().map(String::as_str).filter(|text| seen.insert(*text)).collect();
    match texts.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}
