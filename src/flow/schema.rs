//! Flow schemas: which requests belong together, and to which priority level.
//!
//! Matching is that of kube-apiserver: the first schema, by precedence and name, one of whose rules names user and request.

use atoll_api::{Object, UserInfo, Value};

use crate::request::RequestInfo;

/// A flow schema, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema {
    /// Its name.
    pub name: String,
    /// Its uid, which answers carry.
    pub uid: String,
    /// Schemas are asked in the order of these, then of their names.
    pub precedence: i64,
    /// The name of its priority level.
    pub level: String,
    /// What tells flows apart.
    pub distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

/// What tells the flows of one schema apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distinguisher {
    /// Nothing: all are one flow.
    None,
    /// The user's name.
    ByUser,
    /// The request's namespace.
    ByNamespace,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ResourceRule {
    verbs: Names,
    groups: Names,
    resources: Names,
    cluster_scope: bool,
    namespaces: Names,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PathRule {
    verbs: Names,
    paths: Vec<String>,
}

/// Some names, or all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    All,
    Some(Vec<String>),
}

// === impl Schema ===

impl Schema {
    /// Reads a `FlowSchema`.
    pub(super) fn parse(object: &Object) -> Self {
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let distinguisher = match text(&spec["distinguisherMethod"]["type"]) {
            "ByUser" => Distinguisher::ByUser,
            "ByNamespace" => Distinguisher::ByNamespace,
            _ => Distinguisher::None,
        };
        Self {
            name: object.name().to_owned(),
            uid: object.uid().to_owned(),
            precedence: spec["matchingPrecedence"].as_i64().unwrap_or(1000),
            level: text(&spec["priorityLevelConfiguration"]["name"]).to_owned(),
            distinguisher,
            rules: list(&spec["rules"]).iter().map(Rule::parse).collect(),
        }
    }

    /// Whether a request of a user belongs here.
    pub(super) fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        self.rules.iter().any(|rule| rule.matches(user, info))
    }

    /// How many names it is made of: what asking it costs at most.
    pub(super) fn size(&self) -> usize {
        self.rules.iter().map(Rule::size).sum()
    }

    /// The flow a request belongs to.
    pub(super) fn flow<'a>(&self, user: &'a UserInfo, info: &'a RequestInfo) -> &'a str {
        match self.distinguisher {
            Distinguisher::None => "",
            Distinguisher::ByUser => &user.name,
            Distinguisher::ByNamespace => &info.namespace,
        }
    }
}

// === impl Rule ===

impl Rule {
    fn parse(rule: &Value) -> Self {
        Self {
            subjects: list(&rule["subjects"]).iter().filter_map(Subject::parse).collect(),
            resources: list(&rule["resourceRules"]).iter().map(ResourceRule::parse).collect(),
            paths: list(&rule["nonResourceRules"]).iter().map(PathRule::parse).collect(),
        }
    }

    fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        self.subjects.iter().any(|subject| subject.is(user))
            && match info.is_resource {
                true => self.resources.iter().any(|rule| rule.matches(info)),
                false => self.paths.iter().any(|rule| rule.matches(info)),
            }
    }

    fn size(&self) -> usize {
        let resources = self
            .resources
            .iter()
            .map(|rule| rule.verbs.len() + rule.groups.len() + rule.resources.len() + rule.namespaces.len());
        let paths = self.paths.iter().map(|rule| rule.verbs.len() + rule.paths.len());
        1 + self.subjects.len() + resources.sum::<usize>() + paths.sum::<usize>()
    }
}

// === impl Subject ===

impl Subject {
    fn parse(subject: &Value) -> Option<Self> {
        let named = |field: &str| subject[field].as_object().map(|_| text(&subject[field]["name"]).to_owned());
        match text(&subject["kind"]) {
            "User" => named("user").map(Self::User),
            "Group" => named("group").map(Self::Group),
            "ServiceAccount" => {
                let namespace = text(&subject["serviceAccount"]["namespace"]).to_owned();
                named("serviceAccount").map(|name| Self::ServiceAccount { namespace, name })
            }
            _ => None,
        }
    }

    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => name == "*" || *name == user.name,
            Self::Group(name) => name == "*" || user.is_in(name),
            Self::ServiceAccount { namespace, name } => {
                let rest = user.name.strip_prefix("system:serviceaccount:");
                let own = rest.and_then(|rest| rest.strip_prefix(namespace.as_str()));
                own.and_then(|rest| rest.strip_prefix(':')).is_some_and(|own| name == "*" || own == name)
            }
        }
    }
}

// === impl ResourceRule ===

impl ResourceRule {
    fn parse(rule: &Value) -> Self {
        Self {
            verbs: Names::parse(&rule["verbs"]),
            groups: Names::parse(&rule["apiGroups"]),
            resources: Names::parse(&rule["resources"]),
            cluster_scope: rule["clusterScope"].as_bool().unwrap_or_default(),
            namespaces: Names::parse(&rule["namespaces"]),
        }
    }

    fn matches(&self, info: &RequestInfo) -> bool {
        self.verbs.have(&info.verb)
            && self.resources.have_resource(&info.resource, &info.subresource)
            && self.groups.have(&info.group)
            && match info.namespace.as_str() {
                "" => self.cluster_scope,
                namespace => self.namespaces.have(namespace),
            }
    }
}

// === impl PathRule ===

impl PathRule {
    fn parse(rule: &Value) -> Self {
        let paths = list(&rule["nonResourceURLs"]).iter().map(|path| text(path).to_owned());
        Self { verbs: Names::parse(&rule["verbs"]), paths: paths.collect() }
    }

    fn matches(&self, info: &RequestInfo) -> bool {
        self.verbs.have(&info.verb) && self.paths.iter().any(|path| covers(path, &info.path))
    }
}

/// Whether a path of a rule is that of a request, or above it.
fn covers(rule: &str, path: &str) -> bool {
    if rule == "*" || rule == path {
        return true;
    }
    let stem = rule.strip_suffix('*').unwrap_or(rule);
    let stem = stem.strip_suffix('/').unwrap_or(stem);
    path.strip_prefix(stem).is_some_and(|below| below.starts_with('/'))
}

// === impl Names ===

impl Names {
    fn parse(names: &Value) -> Self {
        match list(names) {
            [only] if text(only) == "*" => Self::All,
            names => Self::Some(names.iter().map(|name| text(name).to_owned()).collect()),
        }
    }

    fn have(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.iter().any(|own| own == name),
        }
    }

    fn have_resource(&self, resource: &str, subresource: &str) -> bool {
        let is = |own: &String| match subresource {
            "" => own == resource,
            sub => own.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')) == Some(sub),
        };
        match self {
            Self::All => true,
            Self::Some(names) => names.iter().any(is),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::All => 1,
            Self::Some(names) => names.len(),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::bootstrap;
    use crate::request;

    fn check(user: &UserInfo, method: &str, path: &str, expected: &str) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let info = request::parse(method, path, query).expect("parses");
        let mut schemas: Vec<Schema> = bootstrap::schemas().iter().map(Schema::parse).collect();
        schemas.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
        let found = schemas.iter().find(|schema| schema.matches(user, &info)).map(|schema| schema.name.as_str());
        assert_eq!(found, Some(expected), "{} {method} {path}", user.name);
    }

    #[test]
    fn requests_match_the_servers_own_schemas_as_in_kubernetes() {
        let user =
            |name: &str, groups: &[&str]| UserInfo::named(name, groups.iter().copied().chain(["system:authenticated"]));
        let anonymous = UserInfo::named("system:anonymous", ["system:unauthenticated"]);
        let account = user("system:serviceaccount:a:b", &["system:serviceaccounts", "system:serviceaccounts:a"]);
        let own = user("system:serviceaccount:kube-system:b", &["system:serviceaccounts"]);
        let node = user("system:node:a", &["system:nodes"]);
        let leases = "/apis/coordination.k8s.io/v1/namespaces/a/leases";
        check(&user("admin", &["system:masters"]), "GET", "/api/v1/pods", "exempt");
        check(&user("alice", &[]), "GET", "/api/v1/pods", "global-default");
        check(&anonymous, "GET", "/readyz/ping", "probes");
        check(&anonymous, "POST", "/readyz", "global-default");
        check(&anonymous, "GET", "/readyzz", "global-default");
        check(&own, "GET", &format!("{leases}/x"), "system-leader-election");
        check(&own, "GET", leases, "kube-system-service-accounts");
        check(&account, "GET", leases, "service-accounts");
        check(&node, "PATCH", "/api/v1/nodes/a/status", "system-node-high");
        check(&node, "GET", "/api/v1/nodes/a/proxy", "system-nodes");
        check(&user("system:kube-controller-manager", &[]), "GET", "/api/v1/pods", "kube-controller-manager");
    }
}
