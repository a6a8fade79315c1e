//! MutatingAdmissionPolicy: policies that change what is written, one after the other.

use std::sync::Arc;

use atoll_api::status::{Cause, Details};
use atoll_api::{ApiError, ApiResult, Object, Reason};
use atoll_cel::Budget;
use futures::future::BoxFuture;
use serde_json::Value;

use super::compiled::{Mutation, MutationKind, OnFailure};
use super::{Invocation, Misconfigured, Policies, Step};
use crate::admission::expressions::{Allowance, Asking, Asks, Holds, Sight, View, all_together, evaluate};
use crate::admission::matching::{Subject, is_exempt};
use crate::admission::shapes::plain;
use crate::admission::{AdmissionPlugin, Attributes, Fields, Kinds, Operation};
use crate::authz::Authorizer;
use crate::patch;
use crate::request::RequestContext;
use crate::storage::Store;

const NAME: &str = "MutatingAdmissionPolicy";

/// Lets the mutating policies change what is written.
pub struct MutatingAdmissionPolicy {
    policies: Policies,
}

/// Why a policy could not do what it was to do.
struct Failure {
    message: String,
    reason: Option<Reason>,
}

/// What came of asking a policy.
#[derive(Default)]
struct Made {
    failures: Vec<Failure>,
    /// A mutation was done, whether or not it made a difference.
    touched: bool,
}

/// Why a mutation did not happen.
enum Fault {
    /// It is the policy's, and its policy for failures decides.
    OfPolicy(String),
    /// The write fails.
    OfWrite(ApiError),
}

impl MutatingAdmissionPolicy {
    /// Reads policies from this store.
    pub(in crate::admission) fn new(
        store: &Arc<Store>,
        kinds: Arc<dyn Kinds>,
        authorizer: Arc<dyn Authorizer>,
    ) -> Self {
        let resources = ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"];
        Self { policies: Policies::new(store, resources, kinds, authorizer) }
    }

    async fn change(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: &mut Object,
        old: Option<&Object>,
    ) -> ApiResult<()> {
        let bound = self.policies.bound(&cx.cluster);
        if bound.is_empty() {
            return Ok(());
        }
        // Who is asked is decided by the object as it was before any of them.
        let subject = self.policies.namespaces.subject(cx, attributes, Some(&*object), old);
        let steps = self.policies.steps(bound, &subject);
        if steps.is_empty() {
            return Ok(());
        }
        attributes.rounds.enter(NAME, object);
        let mut failures: Vec<Failure> = Vec::new();
        let mut total = all_together();
        let mut touched = false;
        for step in steps {
            match step {
                Step::Complain(misconfigured) => failures.extend(complaint(misconfigured)),
                Step::Invoke(invocation) => {
                    let made = self.invoke(cx, attributes, object, old, &invocation, &mut total)?;
                    touched |= made.touched;
                    failures.extend(made.failures);
                }
            }
            // Expressions are evaluated without pause; others want to be served in between.
            tokio::task::yield_now().await;
        }
        if touched {
            // Also those who themselves made the change, or changed nothing (mutating/dispatcher.go, 1.36).
            attributes.rounds.changed(NAME);
        }
        attributes.rounds.leave(NAME, object);
        if failures.is_empty() { Ok(()) } else { Err(denial(attributes, object, &failures)) }
    }

    /// Lets one policy change the object.
    fn invoke(
        &self,
        cx: &RequestContext,
        attributes: &Attributes,
        object: &mut Object,
        old: Option<&Object>,
        invocation: &Invocation,
        total: &mut Budget,
    ) -> ApiResult<Made> {
        let Invocation { policy, binding, parameter, .. } = invocation;
        let failure = |why: &str| {
            let message = format!("policy '{}' with binding '{}' denied request: {why}", policy.name, binding.name);
            (policy.on_failure == OnFailure::Fail).then_some(Failure { message, reason: Some(Reason::Invalid) })
        };
        let namespaces = &self.policies.namespaces;
        let subject = namespaces.subject(cx, attributes, Some(&*object), old);
        match self.look(&subject, invocation, |view| {
            policy.expressions.conditions.hold(view, policy.expressions.variables(), total)
        })? {
            Holds::Yes => {}
            Holds::No => return Ok(Made::default()),
            Holds::Unknown(why) => return Ok(Made { failures: failure(&why).into_iter().collect(), touched: false }),
        }
        let who = format!("{}/{}/{}", policy.name, binding.name, parameter.id());
        if !attributes.rounds.is_asked(NAME, &who) {
            return Ok(Made::default());
        }
        let before = object.clone();
        let mut result = Made::default();
        for mutation in &policy.expressions.mutations {
            let changed = {
                let subject = namespaces.subject(cx, attributes, Some(&*object), old);
                let made = self.look(&subject, invocation, |view| make(view, invocation, mutation, total))?;
                made.and_then(|made| changed(&subject, invocation, mutation, made))
            };
            match changed {
                Ok(changed) => {
                    *object = changed;
                    result.touched = true;
                }
                Err(Fault::OfWrite(error)) => return Err(error),
                Err(Fault::OfPolicy(why)) => result.failures.extend(failure(&why)),
            }
        }
        if *object != before {
            attributes.rounds.changed(NAME);
        }
        if policy.wants_another_look {
            attributes.rounds.may_ask_again(NAME, &who);
        }
        Ok(result)
    }

    /// Shows a write to a policy's expressions.
    fn look<T>(
        &self,
        subject: &Subject<'_>,
        invocation: &Invocation,
        look: impl FnOnce(&View<'_>) -> T,
    ) -> ApiResult<T> {
        let sight = Sight::of(subject, &invocation.shape)?.with(invocation.parameter.object.as_ref(), subject);
        let asking = Asking { authorizer: &*self.policies.authorizer, cx: subject.cx };
        Ok(look(&sight.view(&asking)))
    }
}

/// What a mutation's expression makes, as JSON.
fn make(view: &View<'_>, invocation: &Invocation, mutation: &Mutation, total: &mut Budget) -> Result<Value, Fault> {
    let bindings = view.bindings(Asks::Authorizer);
    let mut variables = invocation.policy.expressions.variables();
    let mut allowance = Allowance::of_group(total);
    let made = evaluate(&mutation.expression, &mutation.program, &bindings, &mut variables, &mut allowance);
    let made = made.map_err(|exhausted| Fault::OfPolicy(exhausted.to_string()))?.map_err(Fault::OfPolicy)?;
    check_type_names(&made)?;
    if mutation.kind == MutationKind::Overlay {
        check_natives(&made, &mut String::new())?;
    }
    made.to_json().map_err(|error| Fault::OfPolicy(format!("the expression made what is no JSON: {error}")))
}

/// Objects are named after where they stand: what stands in `spec` is an `Object.spec`.
fn check_type_names(made: &atoll_cel::Value<'_>) -> Result<(), Fault> {
    let atoll_cel::Value::List(operations) = made else { return check_names_below(made, "Object") };
    for operation in operations.iter().flatten() {
        if let atoll_cel::Value::Object(operation) = &operation
            && let Some(value @ atoll_cel::Value::Object(object)) = operation.fields.get("value")
        {
            check_names_below(value, &object.type_name)?;
        }
    }
    Ok(())
}

/// What an object holds is taken as Go's values, of which objects know no bytes, times, unsigned numbers and nulls
/// (patch/smd.go, 1.36).
fn check_natives(made: &atoll_cel::Value<'_>, path: &mut String) -> Result<(), Fault> {
    use atoll_cel::Value;
    let (expected, got) = match made {
        Value::Object(object) => {
            for (field, value) in &object.fields {
                let above = path.len();
                path.extend([".", field]);
                check_natives(value, path)?;
                path.truncate(above);
            }
            return Ok(());
        }
        Value::Map(map) => {
            for key in map.keys() {
                let Value::String(name) = &key else {
                    return Err(Fault::OfPolicy("invalid return type: *dynamic.ObjectVal".to_owned()));
                };
                let above = path.len();
                path.extend([".", name]);
                if let Ok(Some(value)) = map.find(&key) {
                    check_natives(&value, path)?;
                }
                path.truncate(above);
            }
            return Ok(());
        }
        Value::List(list) => {
            for (index, element) in list.iter().flatten().enumerate() {
                let above = path.len();
                path.push_str(&format!("[{index}]"));
                check_natives(&element, path)?;
                path.truncate(above);
            }
            return Ok(());
        }
        Value::Bytes(bytes) => {
            let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:x}")).collect();
            ("string", format!("&value.valueUnstructured{{Value:[]uint8{{{}}}}}", shown.join(", ")))
        }
        Value::Timestamp(_) => {
            let shown = made.to_json().ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default();
            ("any scalar", format!("&{{{} +0000 UTC}}", shown.trim_end_matches('Z').replace('T', " ")))
        }
        Value::Uint(_) => ("numeric (int or float)", "uint64".to_owned()),
        Value::Null => ("any scalar", "&{NULL_VALUE}".to_owned()),
        _ => return Ok(()),
    };
    let why = format!("failed to convert patch object to typed object: {path}: expected {expected}, got {got}");
    Err(Fault::OfPolicy(format!("error applying patch: {why}")))
}

fn check_names_below(value: &atoll_cel::Value<'_>, expected: &str) -> Result<(), Fault> {
    match value {
        atoll_cel::Value::Object(object) => {
            if *object.type_name != *expected {
                return Err(Fault::OfPolicy(format!(
                    "type mismatch: unexpected type name {:?}, expected {expected:?}, which matches field name path from root Object type",
                    object.type_name
                )));
            }
            for (field, value) in &object.fields {
                check_names_below(value, &format!("{expected}.{field}"))?;
            }
            Ok(())
        }
        atoll_cel::Value::List(list) => {
            list.iter().flatten().try_for_each(|element| check_names_below(&element, expected))
        }
        _ => Ok(()),
    }
}

/// The object as what an expression made changes it.
fn changed(subject: &Subject<'_>, invocation: &Invocation, mutation: &Mutation, made: Value) -> Result<Object, Fault> {
    let shapes = &subject.attributes.shapes;
    let object = subject.object.expect("only what is created or changed is shown to mutating policies");
    let kind = &invocation.shape.kind;
    let version = kind.group_version();
    let shown = shapes.show(object, &version).map_err(Fault::OfWrite)?.into_value();
    let after = match mutation.kind {
        MutationKind::Patch => {
            let failed = |error: patch::Error| Fault::OfPolicy(format!("JSON Patch: {error}"));
            let operations = patch::json::Patch::decode(&with_paths(made)).map_err(failed)?;
            match operations.apply(shown) {
                Ok(after) => after,
                // A test that fails means that there is nothing to do (patch/json_patch.go, 1.36).
                Err(patch::Error::Unprocessable(why)) if why.starts_with("testing value ") => return Ok(object.clone()),
                Err(error) => return Err(failed(error)),
            }
        }
        MutationKind::Overlay => {
            let mut part = made;
            part["apiVersion"] = version.to_string().into();
            part["kind"] = (*kind.kind).into();
            let merged = shapes.overlay(&shown, &part, &version);
            merged.map_err(|why| Fault::OfPolicy(format!("error applying patch: {why}")))?
        }
    };
    let fields = if mutation.kind == MutationKind::Patch { Fields::Known } else { Fields::Any };
    shapes.take(after, &version, fields).map_err(|error| Fault::OfWrite(ApiError::internal(plain(&error))))
}

/// An operation that names no path is about the empty one, as it is a value of a type that has one.
fn with_paths(mut operations: Value) -> Value {
    for operation in operations.as_array_mut().into_iter().flatten() {
        if let Value::Object(operation) = operation {
            operation.entry("path").or_insert_with(|| "".into());
        }
    }
    operations
}

fn complaint(misconfigured: Misconfigured) -> Option<Failure> {
    let Misconfigured { policy, binding, why } = misconfigured;
    let message = match binding {
        Some(binding) => format!("policy '{}' with binding '{}' denied request: {why}", policy.name, binding.name),
        None => format!("policy {:?} denied request: {why}", policy.name),
    };
    (policy.on_failure == OnFailure::Fail).then_some(Failure { message, reason: None })
}

/// The refusal of a write that policies could not change as they were to.
fn denial(attributes: &Attributes, object: &Object, failures: &[Failure]) -> ApiError {
    let mut error = attributes.forbidden(Some(object), "");
    if let Some(first) = failures.first() {
        error.status.message = first.message.clone();
        // The code stays that of a forbidden write (generic/policy_dispatcher.go, 1.36).
        error.status.reason = first.reason.unwrap_or(error.status.reason);
    }
    if let Some(Details { causes, .. }) = &mut error.status.details {
        causes.extend(failures.iter().map(|failure| Cause { message: failure.message.clone(), ..Cause::default() }));
    }
    error
}

impl AdmissionPlugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update) && !is_exempt(attributes)
    }

    fn mutate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: &'a mut Object,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        Box::pin(self.change(cx, attributes, object, old))
    }
}
