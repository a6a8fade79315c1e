//! The parameters of policies: objects of a kind that the policy names, chosen by the binding.

use std::sync::Arc;

use atoll_api::{GroupResource, GroupVersionKind, LogicalClusterName, Object};

use super::compiled::{ParamRef, WhenMissing};
use crate::admission::collection::{Collection, object};
use crate::admission::{Kinds, Served};
use crate::storage::{Entry, Store};

/// Reads parameters.
pub(super) struct Parameters {
    store: Arc<Store>,
    kinds: Arc<dyn Kinds>,
}

/// A parameter, or that a policy takes none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub(super) object: Option<Object>,
}

impl Parameter {
    const NONE: Self = Self { object: None };

    /// What tells it from others of the same binding.
    pub(super) fn id(&self) -> String {
        self.object.as_ref().map(|object| format!("{}/{}", object.namespace(), object.name())).unwrap_or_default()
    }
}

impl Parameters {
    pub(super) fn new(store: &Arc<Store>, kinds: Arc<dyn Kinds>) -> Self {
        Self { store: store.clone(), kinds }
    }

    /// The resource of a kind of parameters, or why there is none.
    pub(super) fn resource_of(&self, cluster: &LogicalClusterName, kind: &GroupVersionKind) -> Result<Served, String> {
        let shown = format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind);
        let found = self.kinds.find(cluster, kind);
        found.ok_or_else(|| format!("failed to find resource referenced by paramKind: '{shown}'"))
    }

    /// The parameters a binding takes, for a write in this namespace.
    pub(super) fn collect(
        &self,
        cluster: &LogicalClusterName,
        served: Option<&Served>,
        reference: Option<&ParamRef>,
        namespace: &str,
    ) -> Result<Vec<Parameter>, String> {
        let (Some(served), Some(reference)) = (served, reference) else { return Ok(vec![Parameter::NONE]) };
        let namespace = match (served.is_namespaced, reference.namespace.is_empty()) {
            (false, false) => {
                return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
            }
            (false, true) => "",
            (true, false) => &reference.namespace,
            (true, true) if namespace.is_empty() => {
                return Err(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
                );
            }
            (true, true) => namespace,
        };
        let GroupResource { group, resource } = &served.stored;
        let objects = Collection::of(&self.store, group, resource);
        let entries: Vec<Arc<Entry>> = match (&reference.selector, reference.name.is_empty()) {
            (Some(_), false) => return Err("paramRef.name and paramRef.selector are mutually exclusive".to_owned()),
            (None, false) => objects.get(cluster, namespace, &reference.name).into_iter().collect(),
            (Some(selector), true) => {
                let mut found = objects.in_namespace(cluster, namespace);
                found.retain(|entry| selector.matches(|label| entry.labels().get(label)));
                found
            }
            (None, true) => return Err("one of name or selector must be provided".to_owned()),
        };
        if entries.is_empty() && reference.when_missing == WhenMissing::Deny {
            return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
        }
        entries.iter().map(|entry| shown(served, entry)).collect()
    }
}

/// A stored parameter as clients of the policy's version see it.
fn shown(served: &Served, entry: &Entry) -> Result<Parameter, String> {
    let shown = served.shapes.show(&object(entry), &served.version);
    let mut shown = shown.map_err(|error| format!("failed to convert object version: {error}"))?;
    shown.set_meta("resourceVersion", &entry.revision.to_string());
    Ok(Parameter { object: Some(shown) })
}
