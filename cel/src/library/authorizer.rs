//! The authorizer: expressions put a question together, and a hook answers it.
//!
//! Who may do what is decided behind the hook.

use std::sync::Arc;

use atoll_api::validation as names;

use super::{Row, text};
use crate::fault::{Eval, EvalError};
use crate::typing::LibraryType;
use crate::value::Value;

/// Answers what expressions ask.
///
/// Called once for each `check(verb)`, in the middle of an evaluation; it must not wait.
pub trait Authorizer: Sync {
    /// Whether the subject may do what is described.
    fn authorize(&self, check: &Check) -> Decision;
}

/// A question: may the subject do this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Who.
    pub subject: Subject,
    /// To what.
    pub target: CheckTarget,
    /// What.
    pub verb: String,
}

/// Who is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The user whose request is being decided.
    Requester,
    /// A service account.
    #[allow(missing_docs)]
    ServiceAccount { namespace: String, name: String },
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckTarget {
    /// A path that is no resource.
    Path(String),
    /// A resource; what is empty is not asked for.
    #[allow(missing_docs)]
    Resource {
        group: String,
        resource: String,
        subresource: String,
        namespace: String,
        name: String,
        field_selector: String,
        label_selector: String,
    },
}

/// The answer to a check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// A step on the way to a decision.
#[derive(Clone)]
pub struct Authorization<'a> {
    hook: &'a dyn Authorizer,
    subject: Subject,
    step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Authorizer,
    Group(String),
    Target(CheckTarget),
    Decision(Arc<Decision>),
}

pub(super) const ROWS: &[Row] = &[
    Row("authorizer_path", "<Authorizer>.path(string) -> PathCheck", |_, args| {
        let path = text(args, 1)?;
        if path.trim().is_empty() {
            return Err(EvalError::new("path must not be empty"));
        }
        next(args, Step::Target(CheckTarget::Path(path.to_string())))
    }),
    Row("authorizer_group", "<Authorizer>.group(string) -> GroupCheck", |_, args| {
        next(args, Step::Group(text(args, 1)?.to_string()))
    }),
    Row("authorizer_serviceaccount", "<Authorizer>.serviceAccount(string, string) -> Authorizer", |_, args| {
        let (namespace, name) = (text(args, 1)?.to_string(), text(args, 2)?.to_string());
        if !names::dns1123_subdomain(&name).is_empty() {
            return Err(EvalError::new("Invalid service account name"));
        }
        if !names::dns1123_label(&namespace).is_empty() {
            return Err(EvalError::new("Invalid service account namespace"));
        }
        let subject = Subject::ServiceAccount { namespace, name };
        let authorization = Authorization { subject, ..authorization(args)?.clone() };
        Ok(Value::Authorization(Arc::new(authorization)))
    }),
    Row("groupcheck_resource", "<GroupCheck>.resource(string) -> ResourceCheck", |_, args| {
        let Step::Group(group) = &authorization(args)?.step else { return Err(EvalError::no_overload()) };
        let resource = text(args, 1)?.to_string();
        if resource.trim().is_empty() {
            return Err(EvalError::new("resource must not be empty"));
        }
        next(args, Step::Target(CheckTarget::resource(group.clone(), resource)))
    }),
    Row("resourcecheck_subresource", "<ResourceCheck>.subresource(string) -> ResourceCheck", |_, args| {
        narrow(args, |target, text| match target {
            CheckTarget::Resource { subresource, .. } => *subresource = text,
            CheckTarget::Path(_) => {}
        })
    }),
    Row("resourcecheck_namespace", "<ResourceCheck>.namespace(string) -> ResourceCheck", |_, args| {
        narrow(args, |target, text| match target {
            CheckTarget::Resource { namespace, .. } => *namespace = text,
            CheckTarget::Path(_) => {}
        })
    }),
    Row("resourcecheck_name", "<ResourceCheck>.name(string) -> ResourceCheck", |_, args| {
        narrow(args, |target, text| match target {
            CheckTarget::Resource { name, .. } => *name = text,
            CheckTarget::Path(_) => {}
        })
    }),
    Row("authorizer_fieldselector", "<ResourceCheck>.fieldSelector(string) -> ResourceCheck", |_, args| {
        narrow(args, |target, text| match target {
            CheckTarget::Resource { field_selector, .. } => *field_selector = text,
            CheckTarget::Path(_) => {}
        })
    }),
    Row("authorizer_labelselector", "<ResourceCheck>.labelSelector(string) -> ResourceCheck", |_, args| {
        narrow(args, |target, text| match target {
            CheckTarget::Resource { label_selector, .. } => *label_selector = text,
            CheckTarget::Path(_) => {}
        })
    }),
    Row("pathcheck_check", "<PathCheck>.check(string) -> Decision", |_, args| decide(args)),
    Row("resourcecheck_check", "<ResourceCheck>.check(string) -> Decision", |_, args| decide(args)),
    Row("decision_errored", "<Decision>.errored() -> bool", |_, args| Ok(Value::Bool(decision(args)?.error.is_some()))),
    Row("decision_error", "<Decision>.error() -> string", |_, args| {
        Ok(Value::owned(decision(args)?.error.clone().unwrap_or_default()))
    }),
    Row("decision_allowed", "<Decision>.allowed() -> bool", |_, args| Ok(Value::Bool(decision(args)?.allowed))),
    Row("decision_reason", "<Decision>.reason() -> string", |_, args| Ok(Value::owned(&*decision(args)?.reason))),
];

fn authorization<'v, 'a>(args: &'v [Value<'a>]) -> Eval<&'v Authorization<'a>> {
    match &args[0] {
        Value::Authorization(authorization) => Ok(authorization),
        _ => Err(EvalError::no_overload()),
    }
}

fn decision<'v>(args: &'v [Value<'_>]) -> Eval<&'v Decision> {
    match &authorization(args)?.step {
        Step::Decision(decision) => Ok(decision),
        _ => Err(EvalError::no_overload()),
    }
}

fn next<'a>(args: &[Value<'a>], step: Step) -> Eval<Value<'a>> {
    let authorization = Authorization { step, ..authorization(args)?.clone() };
    Ok(Value::Authorization(Arc::new(authorization)))
}

fn narrow<'a>(args: &[Value<'a>], set: fn(&mut CheckTarget, String)) -> Eval<Value<'a>> {
    let Step::Target(target) = &authorization(args)?.step else { return Err(EvalError::no_overload()) };
    let mut target = target.clone();
    set(&mut target, text(args, 1)?.to_string());
    next(args, Step::Target(target))
}

fn decide<'a>(args: &[Value<'a>]) -> Eval<Value<'a>> {
    let authorization = authorization(args)?;
    let Step::Target(target) = &authorization.step else { return Err(EvalError::no_overload()) };
    let verb = text(args, 1)?.to_string();
    let check = Check { subject: authorization.subject.clone(), target: target.clone(), verb };
    next(args, Step::Decision(Arc::new(authorization.hook.authorize(&check))))
}

impl CheckTarget {
    fn resource(group: String, resource: String) -> Self {
        Self::Resource {
            group,
            resource,
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            field_selector: String::new(),
            label_selector: String::new(),
        }
    }
}

impl<'a> Authorization<'a> {
    /// The value of the variable `authorizer`.
    pub fn new(hook: &'a dyn Authorizer) -> Self {
        Self { hook, subject: Subject::Requester, step: Step::Authorizer }
    }

    /// The value of the variable `authorizer.requestResource`: a check of the resource that the request is about.
    pub fn of_request(hook: &'a dyn Authorizer, target: CheckTarget) -> Self {
        Self { hook, subject: Subject::Requester, step: Step::Target(target) }
    }

    pub(crate) fn type_of(&self) -> LibraryType {
        match &self.step {
            Step::Authorizer => LibraryType::Authorizer,
            Step::Group(_) => LibraryType::GroupCheck,
            Step::Target(CheckTarget::Path(_)) => LibraryType::PathCheck,
            Step::Target(CheckTarget::Resource { .. }) => LibraryType::ResourceCheck,
            Step::Decision(_) => LibraryType::Decision,
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.subject == other.subject && self.step == other.step
    }
}

impl std::fmt::Debug for Authorization<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?}, {:?})", self.type_of().name(), self.subject, self.step)
    }
}
