//! Connections through a resource to what it describes: terminals, logs and ports of pods, and what nodes and services
//! serve. What is decided here is where one leads and whether it can be asked for; nothing in this server reaches nodes.

use std::sync::Arc;

use atoll_api::query::Query;
use atoll_api::{ApiResult, GroupVersionKind, Object};
use serde_json::Value;

use super::forms::forms;
use super::{ObjectName, Registry, Target};
use crate::admission::{self, Attributes, Operation};
use crate::request::RequestContext;

/// A connection that is asked for. The chain has authorized it already.
pub struct Connection<'a> {
    /// Cluster, user, time.
    pub cx: &'a RequestContext,
    /// Reads of stored objects.
    pub registry: &'a Arc<Registry>,
    /// The resource it goes through.
    pub target: &'a Target,
    /// How, such as `exec`.
    pub subresource: &'a str,
    /// The object it goes through.
    pub name: ObjectName<'a>,
    /// What is asked of it.
    pub query: &'a Query,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Nowhere, and there is nothing to tell: a pod that is on no node has no log yet.
    Nowhere,
    /// To this node; empty for a service, which is wherever its pods are.
    Node(String),
}

/// Finds where connections through one resource lead.
pub trait Connector: Send + Sync + 'static {
    /// Checks what is asked for and finds the way, as far as stored objects tell.
    fn find(&self, connection: &Connection<'_>) -> ApiResult<Way>;
}

/// What in the options of connections is on or off.
const FLAGS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];
/// What in them may be given several times, as text and as numbers.
const LISTS: [&str; 1] = ["command"];
const NUMBERS: [&str; 1] = ["ports"];
/// What else there is in them.
const TEXTS: [&str; 2] = ["container", "path"];

impl Registry {
    /// Puts a connection to admission, as the options of the given kind that its query stands for; gives the query as
    /// admission leaves it.
    pub async fn admit_connection(&self, connection: &Connection<'_>, kind: &str) -> ApiResult<Query> {
        let Connection { cx, target, subresource, name, query, .. } = connection;
        let kind = GroupVersionKind { kind: kind.into(), ..target.kind() };
        let attributes = Attributes {
            operation: Operation::Connect,
            resource: target.gvr(),
            subresource: (*subresource).to_owned(),
            namespace: name.namespace.to_owned(),
            name: name.name.to_owned(),
            requested: name.name.to_owned(),
            dry_run: false,
            options: admission::Options::None,
            shapes: forms((*target).clone()),
            rounds: admission::Rounds::default(),
            kind,
        };
        let mut options = options_of(query, &attributes.kind);
        let asked = options.clone();
        self.admission.mutate(cx, &attributes, &mut options, None).await?;
        self.admission.validate(cx, &attributes, Some(&options), None).await?;
        Ok(if options == asked { (*query).clone() } else { query_of(&options) })
    }
}

/// The options that a query stands for; what is not on is left out, as Go leaves it out.
fn options_of(query: &Query, kind: &GroupVersionKind) -> Object {
    let mut options = Object::default();
    options.set_type(&kind.group_version().to_string(), &kind.kind);
    let given = |name: &str| query.all(name).map(Value::from).collect::<Vec<_>>();
    for flag in FLAGS.into_iter().filter(|flag| query.flag(flag)) {
        options.0.insert(flag.to_owned(), true.into());
    }
    for list in LISTS {
        options.0.insert(list.to_owned(), given(list).into());
    }
    for list in NUMBERS {
        let numbers: Vec<Value> = query.all(list).filter_map(|text| Some(text.parse::<i32>().ok()?.into())).collect();
        options.0.insert(list.to_owned(), numbers.into());
    }
    for name in TEXTS {
        options.0.insert(name.to_owned(), query.first(name).unwrap_or_default().into());
    }
    options.0.retain(|_, value| *value != "" && value.as_array().is_none_or(|list| !list.is_empty()));
    options
}

fn query_of(options: &Object) -> Query {
    let pairs =
        options.0.iter().filter(|(name, _)| *name != "apiVersion" && *name != "kind").flat_map(|(name, value)| {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let shown = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            values.into_iter().map(move |value| (name.clone(), shown(value)))
        });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_and_the_options_it_stands_for_turn_into_each_other() {
        let kind = GroupVersionKind { group: "".into(), version: "v1".into(), kind: "PodExecOptions".into() };
        let query = Query::parse("command=ls&command=-l&stdin=false&tty=true&container=c&ports=80&ports=x");
        let options = options_of(&query, &kind);
        let expected = json!({"apiVersion": "v1", "kind": "PodExecOptions",
            "command": ["ls", "-l"], "tty": true, "container": "c", "ports": [80]});
        assert_eq!(options.clone().into_value(), expected);
        assert_eq!(options_of(&query_of(&options), &kind), options);
    }
}
