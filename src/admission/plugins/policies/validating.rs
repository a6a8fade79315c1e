//! ValidatingAdmissionPolicy: policies that refuse, warn of or note what is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_api::status::{Cause, Details};
use atoll_api::{ApiError, ApiResult, Object, Reason};
use atoll_cel::Budget;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::compiled::{Action, Binding, OnFailure, Policy};
use super::judgement::{Judgement, Objection, judge};
use super::{Invocation, Misconfigured, Policies, Step, Views};
use crate::admission::expressions::{Asking, View, all_together, resource_of};
use crate::admission::matching::{Subject, is_exempt, request};
use crate::admission::{AdmissionPlugin, Attributes, Kinds, note};
use crate::authz::Authorizer;
use crate::request::RequestContext;
use crate::storage::Store;

/// How many violations are noted for the audit log.
const MAX_FAILURES: usize = 50;

/// Lets the validating policies judge.
pub struct ValidatingAdmissionPolicy {
    policies: Policies,
}

/// What came of asking all policies.
#[derive(Default)]
struct Verdict {
    /// What the client is told, if the write is refused: the first that stands against it.
    denial: Option<(String, Objection)>,
    failures: Vec<Value>,
    /// By policy and key, the values of its bindings.
    notes: BTreeMap<(String, String), Vec<String>>,
}

impl ValidatingAdmissionPolicy {
    /// Reads policies from this store.
    pub(in crate::admission) fn new(
        store: &Arc<Store>,
        kinds: Arc<dyn Kinds>,
        authorizer: Arc<dyn Authorizer>,
    ) -> Self {
        let resources = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
        Self { policies: Policies::new(store, resources, kinds, authorizer) }
    }

    async fn ask_all(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: Option<&Object>,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let bound = self.policies.bound(&cx.cluster);
        if bound.is_empty() {
            return Ok(());
        }
        let subject = self.policies.namespaces.subject(cx, attributes, object, old);
        let steps = self.policies.steps(bound, &subject);
        if steps.is_empty() {
            return Ok(());
        }
        let namespace = subject.namespace_object().map_or(Value::Null, Object::into_value);
        let mut views = Views::default();
        let mut total = all_together();
        let mut verdict = Verdict::default();
        for step in steps {
            match step {
                Step::Complain(misconfigured) => verdict.complain(misconfigured),
                Step::Invoke(invocation) => {
                    let judgement = self.ask(&subject, &namespace, &invocation, &mut views, &mut total);
                    verdict.take(cx, &invocation, judgement);
                }
            }
            // Expressions are evaluated without pause; others want to be served in between.
            tokio::task::yield_now().await;
        }
        verdict.publish(cx, attributes);
        match verdict.denial {
            Some((message, objection)) => Err(denial(attributes, object, &message, &objection.reason)),
            None => Ok(()),
        }
    }

    fn ask(
        &self,
        subject: &Subject<'_>,
        namespace: &Value,
        invocation: &Invocation,
        views: &mut Views,
        total: &mut Budget,
    ) -> Judgement {
        let Invocation { policy, shape, parameter, .. } = invocation;
        let shown = match views.of(subject, &shape.kind.group_version()) {
            Ok(shown) => shown,
            Err(message) => {
                let objection = Objection { message, reason: String::new() };
                return Judgement { objections: vec![(0, objection)], ..Judgement::default() };
            }
        };
        let request = request(subject, shape);
        let params = parameter.object.clone().map_or(Value::Null, Object::into_value);
        let asking = Asking { authorizer: &*self.policies.authorizer, cx: subject.cx };
        let resource = resource_of(subject.attributes);
        let view = View {
            object: &shown.object,
            old: &shown.old,
            request: &request,
            namespace,
            params: &params,
            asking: &asking,
            resource: &resource,
        };
        judge(&view, &policy.expressions, policy.on_failure, total)
    }
}

impl Verdict {
    fn complain(&mut self, misconfigured: Misconfigured) {
        let Misconfigured { policy, binding, why } = misconfigured;
        if policy.on_failure == OnFailure::Fail {
            let objection = Objection { message: why, reason: String::new() };
            self.deny(&policy, binding.as_deref(), objection);
        }
    }

    fn take(&mut self, cx: &RequestContext, invocation: &Invocation, judgement: Judgement) {
        let Invocation { policy, binding, .. } = invocation;
        for (index, objection) in judgement.objections {
            for action in &binding.actions {
                match action {
                    Action::Deny => self.deny(policy, Some(binding), objection.clone()),
                    Action::Warn => cx.warn(format!(
                        "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                        policy.name, binding.name, objection.message
                    )),
                    Action::Audit => self.failures.push(failure(policy, binding, index, &objection)),
                }
            }
        }
        for message in judgement.failed_notes {
            self.deny(policy, Some(binding), Objection { message, reason: String::new() });
        }
        for (key, value) in judgement.notes {
            let values = self.notes.entry((policy.name.clone(), key)).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }

    fn deny(&mut self, policy: &Policy, binding: Option<&Binding>, objection: Objection) {
        let message = match binding {
            Some(binding) => format!(
                "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}",
                policy.name, binding.name, objection.message
            ),
            None => format!("ValidatingAdmissionPolicy '{}' denied request: {}", policy.name, objection.message),
        };
        self.denial.get_or_insert((message, objection));
    }

    fn publish(&mut self, cx: &RequestContext, attributes: &Attributes) {
        for ((policy, key), values) in &self.notes {
            note(cx, attributes, &format!("{policy}/{key}"), &values.join(", "));
        }
        if !self.failures.is_empty() {
            self.failures.truncate(MAX_FAILURES);
            let failures = Value::Array(std::mem::take(&mut self.failures)).to_string();
            note(cx, attributes, "validation.policy.admission.k8s.io/validation_failure", &failures);
        }
    }
}

fn failure(policy: &Policy, binding: &Binding, index: usize, objection: &Objection) -> Value {
    let actions: Vec<&str> = binding.actions.iter().map(|action| action.as_str()).collect();
    json!({
        "message": objection.message, "policy": policy.name, "binding": binding.name, "expressionIndex": index,
        "validationActions": actions,
    })
}

/// The refusal of a write: worded like a forbidden one, whatever the reason.
fn denial(attributes: &Attributes, object: Option<&Object>, message: &str, reason: &str) -> ApiError {
    let mut error = attributes.forbidden(object, message);
    let reason = match reason {
        "Forbidden" => Reason::Forbidden,
        "Unauthorized" => Reason::Unauthorized,
        "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    };
    error.status.reason = reason;
    error.status.code = reason.code();
    if let Some(Details { causes, .. }) = &mut error.status.details {
        causes.push(Cause { message: message.to_owned(), ..Cause::default() });
    }
    error
}

impl AdmissionPlugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        !is_exempt(attributes)
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(self.ask_all(cx, attributes, object, old))
    }
}
