//! Policies and bindings as they are applied: read once for each stored object, and expressions compiled once for all policies
//! with the same text.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use atoll_api::selector::LabelSelector;
use atoll_api::{GroupVersion, GroupVersionKind};
use atoll_cel::Variables;
use parking_lot::Mutex;
use serde_json::Value;

use crate::admission::collection::object;
use crate::admission::expressions::{Compiled, Conditions, Params, Purpose, Vocabulary, Yield};
use crate::admission::matching::Criteria;
use crate::admission::read::{has, list, text};
use crate::storage::Entry;

/// What a failure to evaluate means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    Ignore,
    Fail,
}

/// A policy.
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) criteria: Criteria,
    pub(super) on_failure: OnFailure,
    /// The kind of its parameters; an error if that cannot be read.
    pub(super) param_kind: Option<GroupVersionKind>,
    pub(super) wants_another_look: bool,
    pub(super) expressions: Arc<Expressions>,
}

/// The expressions of a policy.
pub(super) struct Expressions {
    pub(super) conditions: Conditions,
    pub(super) variables: Vec<(String, Compiled)>,
    pub(super) validations: Vec<Validation>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) mutations: Vec<Mutation>,
}

/// A condition that must hold, and what is said if it does not.
pub(super) struct Validation {
    pub(super) expression: String,
    pub(super) program: Compiled,
    pub(super) message: String,
    pub(super) message_program: Option<Compiled>,
    pub(super) reason: String,
}

/// A note for the audit log.
pub(super) struct Annotation {
    pub(super) key: String,
    pub(super) expression: String,
    pub(super) program: Compiled,
}

/// A change.
pub(super) struct Mutation {
    pub(super) kind: MutationKind,
    pub(super) expression: String,
    pub(super) program: Compiled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MutationKind {
    Overlay,
    Patch,
}

/// Where a policy applies, and with which parameters.
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) criteria: Option<Criteria>,
    pub(super) params: Option<ParamRef>,
    pub(super) actions: Vec<Action>,
}

/// Which parameters a binding takes.
#[derive(Debug)]
pub(super) struct ParamRef {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) selector: Option<LabelSelector>,
    pub(super) when_missing: WhenMissing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenMissing {
    Allow,
    Deny,
}

/// What becomes of a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Deny,
    Warn,
    Audit,
}

/// Compiled expressions by the text of the policies that have them, as long as one of these is there.
#[derive(Default)]
pub(super) struct Library(Mutex<HashMap<String, Weak<Expressions>>>);

impl Library {
    /// The expressions of a policy's `spec`.
    fn expressions(&self, spec: &Value) -> Arc<Expressions> {
        let text = Expressions::text(spec);
        if let Some(known) = self.0.lock().get(&text).and_then(Weak::upgrade) {
            return known;
        }
        let made = Arc::new(Expressions::compile(spec));
        let mut known = self.0.lock();
        known.retain(|_, expressions| expressions.strong_count() > 0);
        known.insert(text, Arc::downgrade(&made));
        made
    }
}

impl Policy {
    pub(super) fn read(entry: &Entry, library: &Library) -> Self {
        let policy = object(entry);
        let spec = policy.get("spec").unwrap_or(&Value::Null);
        Self {
            name: policy.name().to_owned(),
            criteria: Criteria::of_policy(&spec["matchConstraints"]),
            on_failure: match text(spec, "failurePolicy") {
                "Ignore" => OnFailure::Ignore,
                _ => OnFailure::Fail,
            },
            param_kind: has(spec, "paramKind").then(|| param_kind(&spec["paramKind"])),
            wants_another_look: text(spec, "reinvocationPolicy") == "IfNeeded",
            expressions: library.expressions(spec),
        }
    }
}

fn param_kind(kind: &Value) -> GroupVersionKind {
    let version = GroupVersion::parse(text(kind, "apiVersion")).unwrap_or_else(|| GroupVersion::new("", ""));
    GroupVersionKind { group: version.group, version: version.version, kind: text(kind, "kind").into() }
}

impl Expressions {
    /// The variables, not yet evaluated.
    pub(super) fn variables(&self) -> Variables<'_> {
        let mut variables = Variables::new();
        for (name, compiled) in &self.variables {
            match compiled {
                Ok(program) => variables.add(name, program),
                Err(error) => variables.add_faulty(name, &error.to_string()),
            }
        }
        variables
    }

    /// All that a policy's expressions depend on, as text.
    fn text(spec: &Value) -> String {
        let parts = ["matchConditions", "variables", "validations", "auditAnnotations", "mutations"];
        let parts: Vec<&Value> = parts.iter().map(|part| &spec[*part]).collect();
        format!("{}{}", has(spec, "paramKind"), serde_json::to_string(&parts).unwrap_or_default())
    }

    fn compile(spec: &Value) -> Self {
        let params = if has(spec, "paramKind") { Params::Present } else { Params::Absent };
        let mut words = Vocabulary::of_policy(params);
        let variables = list(spec, "variables").iter().map(|variable| {
            let name = text(variable, "name");
            (name.to_owned(), words.declare(name, text(variable, "expression")))
        });
        let variables = variables.collect();
        Self {
            conditions: Conditions::compile(spec, &mut words),
            variables,
            validations: list(spec, "validations").iter().map(|rule| Validation::compile(rule, &mut words)).collect(),
            annotations: list(spec, "auditAnnotations")
                .iter()
                .map(|annotation| {
                    let expression = text(annotation, "valueExpression");
                    Annotation {
                        key: text(annotation, "key").to_owned(),
                        expression: expression.to_owned(),
                        program: words.compile(Purpose::Decision, Yield::TextOrNull, expression),
                    }
                })
                .collect(),
            mutations: list(spec, "mutations").iter().map(|change| Mutation::compile(change, &mut words)).collect(),
        }
    }
}

impl Validation {
    fn compile(rule: &Value, words: &mut Vocabulary) -> Self {
        let message = text(rule, "messageExpression");
        Self {
            expression: text(rule, "expression").to_owned(),
            program: words.compile(Purpose::Decision, Yield::Truth, text(rule, "expression")),
            message: text(rule, "message").trim().to_owned(),
            message_program: (!message.is_empty()).then(|| words.compile(Purpose::Message, Yield::Text, message)),
            reason: text(rule, "reason").to_owned(),
        }
    }
}

impl Mutation {
    fn compile(change: &Value, words: &mut Vocabulary) -> Self {
        let (kind, wanted, field) = match text(change, "patchType") {
            "JSONPatch" => (MutationKind::Patch, Yield::Patches, "jsonPatch"),
            _ => (MutationKind::Overlay, Yield::Object, "applyConfiguration"),
        };
        let expression = text(&change[field], "expression");
        Self { kind, expression: expression.to_owned(), program: words.compile(Purpose::Change, wanted, expression) }
    }
}

impl Binding {
    pub(super) fn read(entry: &Entry) -> Self {
        let binding = object(entry);
        let spec = binding.get("spec").unwrap_or(&Value::Null);
        let reference = &spec["paramRef"];
        let actions = list(spec, "validationActions").iter().filter_map(|action| match action.as_str()? {
            "Deny" => Some(Action::Deny),
            "Warn" => Some(Action::Warn),
            "Audit" => Some(Action::Audit),
            _ => None,
        });
        Self {
            name: binding.name().to_owned(),
            policy: text(spec, "policyName").to_owned(),
            criteria: has(spec, "matchResources").then(|| Criteria::of_policy(&spec["matchResources"])),
            params: (!reference.is_null()).then(|| ParamRef {
                name: text(reference, "name").to_owned(),
                namespace: text(reference, "namespace").to_owned(),
                selector: has(reference, "selector").then(|| {
                    LabelSelector::from_object(&reference["selector"]).unwrap_or_else(|_| LabelSelector::nothing())
                }),
                when_missing: match text(reference, "parameterNotFoundAction") {
                    "Deny" => WhenMissing::Deny,
                    _ => WhenMissing::Allow,
                },
            }),
            actions: actions.collect(),
        }
    }
}

impl Action {
    /// The action as bindings name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }
}
