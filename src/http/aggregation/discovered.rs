//! What the servers behind say they serve, for discovery of the whole cluster.

use serde_json::{Map, Value, json};

use super::super::Api;
use super::backend::Backend;
use super::fetched::fetch;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
/// What the form above is called in an answer's media type.
const AGGREGATED: &str = "as=APIGroupDiscoveryList";
/// The most resources that are taken from one server.
const MOST: usize = 2000;

/// Whether what is known of a server is what it says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Freshness {
    Current,
    Stale,
}

impl Freshness {
    /// As it is told to clients.
    pub(in crate::http) fn as_str(self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::Stale => "Stale",
        }
    }
}

/// The resources that a server serves under its group and version, in the aggregated form.
pub(in crate::http) async fn resources(api: &Api, backend: &Backend) -> (Vec<Value>, Freshness) {
    let (document, is_current) = fetch(api, backend, "/apis", ACCEPT).await;
    let fresh = |is_current| if is_current { Freshness::Current } else { Freshness::Stale };
    match document {
        Some(document) if document.status.is_success() && document.media_type.contains(AGGREGATED) => {
            let parsed: Value = serde_json::from_slice(&document.bytes).unwrap_or_default();
            (of_aggregated(&parsed, backend), fresh(is_current))
        }
        None if !is_current => (Vec::new(), Freshness::Stale),
        // A server that knows the older form only.
        _ => {
            let (document, is_current) = fetch(api, backend, &backend.root(), "application/json").await;
            let list: Option<Value> = document
                .filter(|document| document.status.is_success())
                .and_then(|document| serde_json::from_slice(&document.bytes).ok());
            match list {
                Some(list) => (of_list(&list, backend), fresh(is_current)),
                None => (Vec::new(), Freshness::Stale),
            }
        }
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn of_aggregated(document: &Value, backend: &Backend) -> Vec<Value> {
    let group = items(&document["items"]).find(|group| group["metadata"]["name"] == backend.group.as_str());
    let version =
        group.and_then(|group| items(&group["versions"]).find(|one| one["version"] == backend.version.as_str()));
    let resources = version.into_iter().flat_map(|version| items(&version["resources"])).take(MOST);
    resources.map(resource).collect()
}

/// What of a resource clients may know: nothing but what such documents have.
fn resource(given: &Value) -> Value {
    let mut shown = chosen(given, &["resource", "scope", "singularResource", "verbs", "shortNames", "categories"]);
    shown.insert("responseKind".into(), kind(&given["responseKind"]));
    let below: Vec<Value> = items(&given["subresources"])
        .take(MOST)
        .map(|given| {
            let mut shown = chosen(given, &["subresource", "verbs", "acceptedTypes"]);
            shown.insert("responseKind".into(), kind(&given["responseKind"]));
            shown.into()
        })
        .collect();
    if !below.is_empty() {
        shown.insert("subresources".into(), below.into());
    }
    shown.into()
}

fn chosen(given: &Value, names: &[&str]) -> Map<String, Value> {
    let named = names.iter().filter_map(|name| Some(((*name).to_owned(), given.get(*name)?.clone())));
    named.filter(|(_, value)| value.is_string() || value.is_array()).collect()
}

/// A kind, all of whose parts are there: some clients do not bear that there is none.
fn kind(given: &Value) -> Value {
    let text = |name: &str| given[name].as_str().unwrap_or_default();
    json!({"group": text("group"), "version": text("version"), "kind": text("kind")})
}

/// The aggregated form of an `APIResourceList`.
fn of_list(list: &Value, backend: &Backend) -> Vec<Value> {
    let own_kind = |given: &Value| {
        let or = |name: &str, own: &str| given[name].as_str().filter(|text| !text.is_empty()).unwrap_or(own).to_owned();
        json!({"group": or("group", &backend.group), "version": or("version", &backend.version), "kind": or("kind", "")})
    };
    let name = |given: &Value| given["name"].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<Value> = Vec::new();
    for given in items(&list["resources"]).take(MOST).filter(|given| !name(given).contains('/')) {
        let namespaced = given["namespaced"] == true;
        let mut shown = json!({
            "resource": name(given), "responseKind": own_kind(given),
            "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": given["singularName"].as_str().unwrap_or_default(),
            "verbs": given["verbs"].as_array().cloned().unwrap_or_default(),
        });
        for optional in ["shortNames", "categories"] {
            if given[optional].is_array() {
                shown[optional] = given[optional].clone();
            }
        }
        found.push(shown);
    }
    for given in items(&list["resources"]).take(MOST) {
        let full = name(given);
        let Some((parent, sub)) = full.split_once('/') else { continue };
        let below = json!({
            "subresource": sub, "responseKind": own_kind(given),
            "verbs": given["verbs"].as_array().cloned().unwrap_or_default(),
        });
        let Some(parent) = found.iter_mut().find(|one| one["resource"] == parent) else { continue };
        match parent["subresources"].as_array_mut() {
            Some(all) => all.push(below),
            None => parent["subresources"] = json!([below]),
        }
    }
    found
}
