//! Acting as somebody else: what the `Impersonate-*` headers ask for, and whether the requestor may.
//!
//! Kubernetes 1.36 knows five ways to be allowed to: four constrained ones, whose verbs name whom and for which request,
//! and the old one, the verb `impersonate` for everything. They are tried in that order, but for the one that served last. Headers come as plain text.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use atoll_api::field::go_quote;
use atoll_api::user::{ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, ANONYMOUS, SYSTEM_MASTERS};
use atoll_api::validation::{dns1123_label, dns1123_subdomain};
use atoll_api::{ApiError, ApiResult, LogicalClusterName, UserInfo};
use parking_lot::Mutex;

use super::forbidden::forbidden_because;
use super::{Attributes, Authorizer};
use crate::request::percent_decode;

const PREFIX: &str = "impersonate-";
const EXTRA_PREFIX: &str = "impersonate-extra-";
const GROUP: &str = "authentication.k8s.io";
/// The attribute of a service account's token that names its node.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// From this many groups or extra values on, one check for all of them is tried first.
const MANY: usize = 4;

/// Who the requestor may act as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonated {
    /// The user to act as.
    pub user: UserInfo,
    /// The verb of the constrained way by which it was allowed, for audit; none for the old way.
    pub constraint: Option<String>,
}

/// Whether a header (in lower case) is one of those read here; they are taken off a request before it goes on.
pub fn is_impersonation_header(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Who the headers, given by their names in lower case and values, ask to act as; `None` if nobody.
///
/// The result is as it was asked for: nothing is allowed yet and nothing is filled in.
pub fn requested<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> ApiResult<Option<UserInfo>> {
    let mut wanted = UserInfo::default();
    for (name, value) in headers {
        match name {
            "impersonate-user" if wanted.name.is_empty() => wanted.name = value.to_owned(),
            "impersonate-uid" if wanted.uid.is_empty() => wanted.uid = value.to_owned(),
            "impersonate-group" => wanted.groups.push(value.to_owned()),
            _ => {
                if let Some(key) = name.strip_prefix(EXTRA_PREFIX) {
                    // A key that is not well encoded is taken as it stands.
                    let key = percent_decode(key).map_or_else(|| key.to_owned(), |key| key.into_owned());
                    wanted.extra.entry(key).or_default().push(value.to_owned());
                }
            }
        }
    }
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    if only_name_set(&wanted) {
        return Ok(None);
    }
    Err(ApiError::bad_request(format!("requested {} without impersonating a user name", go_syntax(&wanted))))
}

/// Lets the user of `request` act as `wanted` for that request, or refuses with what the first way lacked that was tried:
/// the one by which the user was last let, then the others in their order.
pub fn authorize(
    authorizer: &dyn Authorizer,
    habits: &Habits,
    request: &Attributes<'_>,
    wanted: &UserInfo,
) -> ApiResult<Impersonated> {
    let mut first_refusal = None;
    let habit = habits.of(request.cluster, &request.user.name);
    let others = MODES.into_iter().filter(|mode| Some(*mode) != habit);
    for mode in habit.into_iter().chain(others).filter(|mode| mode.applies(wanted, request.user)) {
        match mode.check(authorizer, request, wanted) {
            Ok(user) => {
                habits.note(request.cluster, &request.user.name, mode);
                return Ok(Impersonated { user, constraint: mode.is_constrained().then(|| mode.verb()) });
            }
            Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
        }
    }
    Err(first_refusal.unwrap_or_else(|| ApiError::internal("all impersonation modes failed")))
}

/// By which way users were last let, which is tried first (constrained_impersonation.go, 1.36). A matter of order and of
/// what a refusal tells: no right comes from it.
#[derive(Debug, Default)]
pub struct Habits {
    hasher: RandomState,
    last: Mutex<HashMap<u64, Mode>>,
}

/// Of how many users the way is remembered; when there are more, all are forgotten.
const MOST_HABITS: usize = 10_000;

// === impl Habits ===

impl Habits {
    fn of(&self, cluster: &LogicalClusterName, user: &str) -> Option<Mode> {
        self.last.lock().get(&self.key(cluster, user)).copied()
    }

    fn note(&self, cluster: &LogicalClusterName, user: &str, mode: Mode) {
        let mut last = self.last.lock();
        if last.len() >= MOST_HABITS {
            last.clear();
        }
        last.insert(self.key(cluster, user), mode);
    }

    fn key(&self, cluster: &LogicalClusterName, user: &str) -> u64 {
        self.hasher.hash_one((cluster.as_str(), user))
    }
}

/// A way to be allowed to act as somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A service account acts as the node it runs on.
    AssociatedNode,
    /// Anybody acts as any node.
    ArbitraryNode,
    /// Anybody acts as a service account.
    ServiceAccount,
    /// Anybody acts as a user who is neither.
    UserInfo,
    /// The old way, which knows no bounds.
    Legacy,
}

const MODES: [Mode; 5] =
    [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Legacy];

// === impl Mode ===

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::AssociatedNode => "associated-node",
            Self::ArbitraryNode => "arbitrary-node",
            Self::ServiceAccount => "serviceaccount",
            Self::UserInfo => "user-info",
            Self::Legacy => "",
        }
    }

    fn is_constrained(self) -> bool {
        self != Self::Legacy
    }

    /// The verb for each attribute of the user to act as.
    fn verb(self) -> String {
        if self.is_constrained() { format!("impersonate:{}", self.name()) } else { "impersonate".to_owned() }
    }

    /// Whether this way is meant for such a user at all.
    fn applies(self, wanted: &UserInfo, requestor: &UserInfo) -> bool {
        match self {
            Self::AssociatedNode => {
                only_name_set(wanted)
                    && node_name(&wanted.name).is_some_and(|node| is_service_account_on(requestor, node))
            }
            Self::ArbitraryNode => only_name_set(wanted) && node_name(&wanted.name).is_some(),
            Self::ServiceAccount => only_name_set(wanted) && service_account(&wanted.name).is_some(),
            Self::UserInfo => node_name(&wanted.name).is_none() && service_account(&wanted.name).is_none(),
            Self::Legacy => true,
        }
    }

    fn check(self, authorizer: &dyn Authorizer, request: &Attributes<'_>, wanted: &UserInfo) -> ApiResult<UserInfo> {
        if self.is_constrained() {
            let verb = format!("impersonate-on:{}:{}", self.name(), request.verb);
            allow(authorizer, &Attributes { verb: &verb, ..*request })?;
        }
        let verb = self.verb();
        let base =
            Attributes { version: "v1", ..Attributes::resource(request.cluster, request.user, &verb, GROUP, "uids") };
        let mut user = wanted.clone();
        self.check_name(authorizer, &base, wanted, &mut user)?;
        if !wanted.uid.is_empty() {
            allow(authorizer, &Attributes { name: &wanted.uid, ..base })?;
        }
        self.check_groups(authorizer, &base, &wanted.groups)?;
        self.check_extra(authorizer, &base, &wanted.extra)?;
        complete(&mut user);
        Ok(user)
    }

    /// The group of the resources `users`, `groups` and so on, which moved with the constrained ways.
    fn group(self) -> &'static str {
        if self.is_constrained() { GROUP } else { "" }
    }

    fn check_name(
        self,
        authorizer: &dyn Authorizer,
        base: &Attributes<'_>,
        wanted: &UserInfo,
        user: &mut UserInfo,
    ) -> ApiResult<()> {
        let base = Attributes { group: self.group(), ..*base };
        if let Some(node) = node_name(&wanted.name).filter(|_| self.is_constrained()) {
            user.groups = vec!["system:nodes".to_owned()];
            // A service account acts as whichever node it runs on, so the right cannot be for one node.
            let name = if self == Self::AssociatedNode { "*" } else { node };
            return allow(authorizer, &Attributes { resource: "nodes", name, ..base });
        }
        if let Some((namespace, name)) = service_account(&wanted.name) {
            if wanted.groups.is_empty() {
                user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            }
            return allow(authorizer, &Attributes { resource: "serviceaccounts", namespace, name, ..base });
        }
        allow(authorizer, &Attributes { resource: "users", name: &wanted.name, ..base })
    }

    fn check_groups(self, authorizer: &dyn Authorizer, base: &Attributes<'_>, groups: &[String]) -> ApiResult<()> {
        let base = Attributes { group: self.group(), resource: "groups", ..*base };
        if self.is_constrained() && !groups.is_empty() {
            if groups.iter().any(String::is_empty) {
                return Err(forbidden_because(&base, "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|group| group == SYSTEM_MASTERS) {
                let why = "impersonating the system:masters group is not allowed";
                return Err(forbidden_because(&Attributes { name: SYSTEM_MASTERS, ..base }, why));
            }
            if groups.len() >= MANY && allow(authorizer, &Attributes { name: "*", ..base }).is_ok() {
                return Ok(());
            }
        }
        groups.iter().try_for_each(|group| allow(authorizer, &Attributes { name: group, ..base }))
    }

    fn check_extra(
        self,
        authorizer: &dyn Authorizer,
        base: &Attributes<'_>,
        extra: &BTreeMap<String, Vec<String>>,
    ) -> ApiResult<()> {
        let base = Attributes { resource: "userextras", ..*base };
        if self.is_constrained() && !extra.is_empty() {
            check_extra_form(extra).map_err(|why| forbidden_because(&base, &why))?;
            let values: usize = extra.values().map(Vec::len).sum();
            let all = Attributes { subresource: "*", name: "*", ..base };
            if values >= MANY && allow(authorizer, &all).is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for value in values {
                allow(authorizer, &Attributes { subresource: key, name: value, ..base })?;
            }
        }
        Ok(())
    }
}

fn allow(authorizer: &dyn Authorizer, attributes: &Attributes<'_>) -> ApiResult<()> {
    let decision = authorizer.authorize(attributes);
    if decision.is_allowed() {
        return Ok(());
    }
    let reason = decision.reason.to_string();
    let why = match decision.error {
        Some(error) if reason.is_empty() => error,
        Some(error) => format!("{error}: {reason}"),
        None => reason,
    };
    Err(forbidden_because(attributes, &why))
}

/// Everybody is authenticated or not; whoever acts as somebody by name is, unless the headers say otherwise.
fn complete(user: &mut UserInfo) {
    let group = if user.name == ANONYMOUS { ALL_UNAUTHENTICATED } else { ALL_AUTHENTICATED };
    if !user.is_in(group) && !user.is_in(ALL_UNAUTHENTICATED) {
        user.groups.push(group.to_owned());
    }
}

fn only_name_set(user: &UserInfo) -> bool {
    user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty()
}

/// The namespace and name in `system:serviceaccount:<namespace>:<name>`.
pub fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (dns1123_label(namespace).is_empty() && dns1123_subdomain(name).is_empty()).then_some((namespace, name))
}

fn node_name(user: &str) -> Option<&str> {
    user.strip_prefix("system:node:").filter(|name| dns1123_subdomain(name).is_empty())
}

fn is_service_account_on(requestor: &UserInfo, node: &str) -> bool {
    let known = requestor.extra.get(NODE_NAME).map(Vec::as_slice);
    service_account(&requestor.name).is_some() && matches!(known, Some([name]) if name == node)
}

/// The constrained ways take extra attributes in good form only.
fn check_extra_form(extra: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    for (key, values) in extra {
        if key.is_empty() {
            return Err("impersonating the empty string key in extra is not allowed".to_owned());
        }
        let well_formed = key.split_once('/').is_some_and(|(host, path)| {
            dns1123_subdomain(host).is_empty() && !path.is_empty() && path.chars().all(is_path)
        });
        if !well_formed {
            return Err(format!(
                "impersonating an invalid key in extra is not allowed: extra.key: Invalid value: {}: must be a domain-prefixed path (such as \"acme.io/foo\")",
                go_quote(key)
            ));
        }
        if key.chars().any(char::is_uppercase) {
            return Err(format!("impersonating a non-lowercase key in extra is not allowed: {}", go_quote(key)));
        }
        if values.iter().any(String::is_empty) {
            return Err("impersonating the empty string value in extra is not allowed".to_owned());
        }
    }
    Ok(())
}

/// A user as Go prints the value, which is what Kubernetes shows in this error.
fn go_syntax(user: &UserInfo) -> String {
    let texts = |texts: &[String]| {
        let quoted: Vec<String> = texts.iter().map(|text| go_quote(text)).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if user.groups.is_empty() { "[]string(nil)".to_owned() } else { texts(&user.groups) };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries = user.extra.iter().map(|(key, values)| format!("{}:{}", go_quote(key), texts(values)));
        format!("map[string][]string{{{}}}", entries.collect::<Vec<_>>().join(", "))
    };
    let (name, uid) = (go_quote(&user.name), go_quote(&user.uid));
    format!("&user.DefaultInfo{{Name:{name}, UID:{uid}, Groups:{groups}, Extra:{extra}}}")
}

#[cfg(test)]
mod tests;
