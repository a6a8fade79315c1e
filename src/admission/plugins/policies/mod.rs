//! Admission policies: expressions of a cluster's users that decide about its writes, or change what is written.

mod compiled;
mod judgement;
mod mutating;
mod parameters;
#[cfg(test)]
mod tests;
mod validating;

use std::collections::HashMap;
use std::sync::Arc;

use atoll_api::{GroupVersion, LogicalClusterName, Object};
use serde_json::Value;

use self::compiled::{Binding, Library, Policy};
pub use self::mutating::MutatingAdmissionPolicy;
use self::parameters::{Parameter, Parameters};
pub use self::validating::ValidatingAdmissionPolicy;
use crate::admission::collection::Collection;
use crate::admission::matching::{Namespaces, Subject, namespace_of};
use crate::admission::{Kinds, Shape};
use crate::authz::Authorizer;
use crate::storage::Store;

const GROUP: &str = "admissionregistration.k8s.io";

/// The policies of one sort, and what their expressions look at.
struct Policies {
    policies: Collection,
    bindings: Collection,
    namespaces: Namespaces,
    parameters: Parameters,
    authorizer: Arc<dyn Authorizer>,
    library: Library,
}

/// A policy and the bindings that apply it.
struct Bound {
    policy: Arc<Policy>,
    bindings: Vec<Arc<Binding>>,
}

/// A policy that a write is wanted by, by one of its bindings, with one parameter.
struct Invocation {
    policy: Arc<Policy>,
    binding: Arc<Binding>,
    shape: Shape,
    parameter: Parameter,
}

/// A policy or binding that cannot be applied as it is.
struct Misconfigured {
    policy: Arc<Policy>,
    binding: Option<Arc<Binding>>,
    why: String,
}

/// What is to be done about a write, and what cannot be.
enum Step {
    Invoke(Invocation),
    Complain(Misconfigured),
}

/// The objects of a write in the versions in which policies want them, made when first wanted.
#[derive(Default)]
struct Views {
    made: HashMap<GroupVersion, Shown>,
}

/// The new and the old object in one version; null for one that there is not.
struct Shown {
    object: Value,
    old: Value,
}

impl Policies {
    fn new(store: &Arc<Store>, resources: [&str; 2], kinds: Arc<dyn Kinds>, authorizer: Arc<dyn Authorizer>) -> Self {
        let [policies, bindings] = resources;
        Self {
            policies: Collection::of(store, GROUP, policies),
            bindings: Collection::of(store, GROUP, bindings),
            namespaces: Namespaces::new(store),
            parameters: Parameters::new(store, kinds),
            authorizer,
            library: Library::default(),
        }
    }

    /// The policies of a cluster that are bound, by name.
    fn bound(&self, cluster: &LogicalClusterName) -> Vec<Bound> {
        let bindings = self.bindings.in_cluster(cluster);
        if bindings.is_empty() {
            return Vec::new();
        }
        let mut by_policy: HashMap<String, Vec<Arc<Binding>>> = HashMap::new();
        for binding in bindings.iter().map(|entry| entry.derived(Binding::read)) {
            by_policy.entry(binding.policy.clone()).or_default().push(binding);
        }
        let policies = self.policies.in_cluster(cluster);
        let bound = policies.iter().filter_map(|entry| {
            let bindings = by_policy.remove(entry.name())?;
            let policy = entry.derived(|entry| Policy::read(entry, &self.library));
            Some(Bound { policy, bindings })
        });
        bound.collect()
    }

    /// Who of these is to be asked about a write, in order, and who should be and cannot.
    fn steps(&self, bound: Vec<Bound>, subject: &Subject<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for Bound { policy, bindings } in bound {
            let complain = |binding: Option<&Arc<Binding>>, what: &str, why: String| {
                let why = format!("failed to configure {what}: {why}");
                Step::Complain(Misconfigured { policy: policy.clone(), binding: binding.cloned(), why })
            };
            let shape = match policy.criteria.wants(subject) {
                Ok(Some(shape)) => shape,
                Ok(None) => continue,
                Err(error) => {
                    steps.push(complain(None, "policy", error.to_string()));
                    continue;
                }
            };
            let served = policy.param_kind.as_ref().map(|kind| self.parameters.resource_of(&subject.cx.cluster, kind));
            let served = match served.transpose() {
                Ok(served) => served,
                Err(why) => {
                    steps.push(complain(None, "policy", why));
                    continue;
                }
            };
            for binding in &bindings {
                match binding.criteria.as_ref().map(|criteria| criteria.wants(subject)).transpose() {
                    Ok(Some(None)) => continue,
                    Ok(_) => {}
                    Err(error) => {
                        steps.push(complain(Some(binding), "binding", error.to_string()));
                        continue;
                    }
                }
                let namespace = namespace_of(subject.attributes);
                let reference = binding.params.as_ref();
                match self.parameters.collect(&subject.cx.cluster, served.as_ref(), reference, namespace) {
                    Err(why) => steps.push(complain(Some(binding), "binding", why)),
                    Ok(parameters) => steps.extend(parameters.into_iter().map(|parameter| {
                        let (policy, binding, shape) = (policy.clone(), binding.clone(), shape.clone());
                        Step::Invoke(Invocation { policy, binding, shape, parameter })
                    })),
                }
            }
        }
        steps
    }
}

impl Views {
    /// The objects in a version.
    fn of(&mut self, subject: &Subject<'_>, version: &GroupVersion) -> Result<&Shown, String> {
        if !self.made.contains_key(version) {
            let shapes = &subject.attributes.shapes;
            let show = |object: Option<&Object>| {
                let shown = object.map(|object| shapes.show(object, version)).transpose();
                shown.map(|shown| shown.map_or(Value::Null, Object::into_value))
            };
            let failed = |error| format!("failed to convert object version: {error}");
            let made = Shown { object: show(subject.object).map_err(failed)?, old: show(subject.old).map_err(failed)? };
            self.made.insert(version.clone(), made);
        }
        Ok(&self.made[version])
    }
}
