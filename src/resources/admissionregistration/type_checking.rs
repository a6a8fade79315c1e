//! Checks the expressions of validating policies against the types of what they are about, and tells of it in their status.
//!
//! That is the work of a controller in Kubernetes. Here it is done before the write that asks for it is answered, as
//! schemas are the server's. What it finds changes nothing in what a policy does.

use std::collections::BTreeSet;
use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ClusterScope, GroupVersion, GroupVersionKind, GroupVersionResource, Object};
use atoll_cel::CompileError;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::admission::expressions::{Params, Purpose, Types, Vocabulary, Yield};
use crate::registry::follow::Follower;
use crate::registry::{ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::resources::read::{field, is_set, list, strings, text};
use crate::resources::surface::Surfaces;
use crate::schema::cel::declared_throughout;

/// The field manager of Kubernetes' controller.
const MANAGER: &str = "validatingadmissionpolicy-status";
/// How many kinds a policy is checked against.
const MAX_KINDS: usize = 10;
/// How long all warnings of a policy together may become, in bytes.
const MAX_WARNINGS: usize = 256 << 10;

/// Follows validating policies.
pub(in crate::resources) struct CheckTypes {
    pub(in crate::resources) surfaces: Arc<Surfaces>,
}

impl Follower for CheckTypes {
    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        registry: &'a Registry,
        target: &'a Target,
        name: &'a ObjectName<'a>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Ok(policy) = registry.get_object(cx, target, name) else { return };
            if is_observed(&policy) {
                return;
            }
            let warnings = self.warnings(cx, &policy);
            let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
            let done = registry.change(cx, target, name, "status", &options, |now| {
                let mut told = now.clone();
                // What was checked is not what is there now; whoever changed it follows as well.
                if now.generation() == policy.generation() && !is_observed(now) {
                    told.0.insert("status".into(), status(now, &warnings));
                }
                Ok(told)
            });
            if let Err(error) = done.await {
                tracing::warn!(cluster = %cx.cluster, policy = name.name, %error, "its types could not be told about");
            }
        })
    }
}

fn is_observed(policy: &Object) -> bool {
    field(policy, "status")["observedGeneration"].as_i64().unwrap_or_default() >= policy.generation()
}

fn status(policy: &Object, warnings: &[Value]) -> Value {
    let mut status = field(policy, "status").clone();
    if !status.is_object() {
        status = json!({});
    }
    status["observedGeneration"] = policy.generation().into();
    status["typeChecking"] = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
    status
}

// === impl CheckTypes ===

impl CheckTypes {
    /// What is to be said of a policy's expressions.
    fn warnings(&self, cx: &RequestContext, policy: &Object) -> Vec<Value> {
        let spec = field(policy, "spec");
        let mut checks: Vec<(GroupVersionKind, Vocabulary)> = Vec::new();
        let params = self.params(cx, spec);
        for (kind, target) in self.kinds(cx, spec) {
            let object = (kind.kind.to_string(), Arc::new(declared_throughout(&target.version().schema)));
            let has_params = if is_set(&spec["paramKind"]) { Params::Present } else { Params::Absent };
            let types = Types { object, params: params.clone() };
            let mut words = Vocabulary::of_policy(has_params).about(types);
            for variable in list(&spec["variables"]) {
                // Its faults are told where it is used.
                let _ = words.declare(text(&variable["name"]), text(&variable["expression"]));
            }
            checks.push((kind, words));
        }
        let mut warnings = Vec::new();
        let mut room = MAX_WARNINGS;
        for (index, rule) in list(&spec["validations"]).iter().enumerate() {
            for part in ["expression", "messageExpression"] {
                let expression = text(&rule[part]);
                if expression.is_empty() {
                    continue;
                }
                let found: Vec<String> = checks.iter_mut().filter_map(|check| fault(check, expression)).collect();
                let warning = found.join("\n");
                if !warning.is_empty() && warning.len() <= room {
                    room -= warning.len();
                    let place = format!("spec.validations[{index}].{part}");
                    warnings.push(json!({"fieldRef": place, "warning": warning}));
                }
            }
        }
        warnings
    }

    /// The type of the parameters, as far as it is known.
    fn params(&self, cx: &RequestContext, spec: &Value) -> Option<(String, Arc<atoll_cel::DeclType>)> {
        let kind = &spec["paramKind"];
        let version = GroupVersion::parse(text(&kind["apiVersion"]))?;
        let kind =
            GroupVersionKind { group: version.group, version: version.version, kind: text(&kind["kind"]).into() };
        let target = self.surfaces.of_kind(&cx.cluster, &kind)?;
        Some((kind.kind.to_string(), Arc::new(declared_throughout(&target.version().schema))))
    }

    /// The kinds that a policy names, in order. What it names by a star is not looked for.
    fn kinds(&self, cx: &RequestContext, spec: &Value) -> Vec<(GroupVersionKind, Target)> {
        let scope = ClusterScope::One(cx.cluster.clone());
        let mut wanted: BTreeSet<GroupVersionResource> = BTreeSet::new();
        for rule in list(&spec["matchConstraints"]["resourceRules"]) {
            let (groups, versions) = (strings(&rule["apiGroups"]), strings(&rule["apiVersions"]));
            if groups.iter().chain(&versions).any(|name| name.contains('*')) {
                continue;
            }
            let resources = strings(&rule["resources"]);
            for group in &groups {
                for version in &versions {
                    for resource in resources.iter().filter(|resource| !resource.contains(['*', '/'])) {
                        if wanted.len() < MAX_KINDS {
                            wanted.insert(GroupVersionResource::new(*group, *version, *resource));
                        }
                    }
                }
            }
        }
        let targets = wanted.iter().filter_map(|gvr| self.surfaces.target(&scope, gvr));
        let mut kinds: Vec<(GroupVersionKind, Target)> = targets.map(|target| (target.kind(), target)).collect();
        kinds.sort_by(|(one, _), (other, _)| {
            (&one.group, &one.version, &one.kind).cmp(&(&other.group, &other.version, &other.kind))
        });
        kinds
    }
}

/// What is wrong with an expression about one kind.
fn fault((kind, words): &mut (GroupVersionKind, Vocabulary), expression: &str) -> Option<String> {
    match words.compile(Purpose::Decision, Yield::Anything, expression) {
        Err(CompileError::Issues(issues)) => Some(format!("{kind}: {issues}\n")),
        _ => None,
    }
}
