//! Runs the rules of a schema over an object.
//!
//! Parts that are as they were pass (ratcheting), unless a rule compares them with what they were before.

use std::cell::OnceCell;

use atoll_api::{FieldErrors, FieldPath};
use atoll_cel::limits::{MAX_MESSAGE_BYTES, RUNTIME_BUDGET};
use atoll_cel::{Bindings, Budget, EvalError, Value as CelValue};
use serde_json::Value;

use super::compile::{CompiledRule, Node, Rules};
use super::wording::{message, name, type_name, violation};
use crate::schema::correlate::{OldElements, is_unchanged};
use crate::schema::place::{Faults, Place};
use crate::schema::{Schema, SchemaType};

/// What all rules of one object may cost together.
pub const RULES_BUDGET: u64 = RUNTIME_BUDGET;

/// What rules say of an object.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why the object is refused.
    pub errors: FieldErrors,
    /// What would be refused, had it not been there before: clients are warned.
    pub warnings: Vec<String>,
    /// What is left of the budget.
    pub remaining: u64,
}

/// A value and what it was before.
struct Correlation<'a> {
    schema: &'a Schema,
    new: &'a Value,
    old: &'a Value,
    unchanged: OnceCell<bool>,
}

/// What decides whether faults of a part are passed over.
#[derive(Clone, Copy, Default)]
struct Ratchet<'r> {
    /// The part itself, if it is known what it was before.
    current: Option<&'r Correlation<'r>>,
    /// The nearest part around it of which that is known.
    nearest: Option<&'r Correlation<'r>>,
}

/// The rest of the rules is not evaluated.
struct Stop;

struct Run {
    faults: Faults,
    warnings: Vec<String>,
    budget: Budget,
}

/// A part of the object, where it is, and what it was before.
#[derive(Clone, Copy)]
struct Part<'a, 'r> {
    place: &'r Place<'r>,
    value: &'a Value,
    old: Option<&'a Value>,
    ratchet: Ratchet<'r>,
}

// === impl Rules ===

impl Rules {
    /// Evaluates all rules over a new or changed object, at the price of at most `budget`.
    pub fn check(&self, value: &Value, old: Option<&Value>, path: &FieldPath, budget: u64) -> Outcome {
        let mut run = Run { faults: Faults::default(), warnings: Vec::new(), budget: Budget::new(budget) };
        let place = Place::start(path);
        let correlation = old.map(|old| Correlation::new(&self.root.schema, value, old));
        let ratchet = Ratchet { current: correlation.as_ref(), nearest: None };
        // What is left undone was told about.
        let _ = run.check(&self.root, Part { place: &place, value, old, ratchet });
        Outcome { errors: run.faults.into_errors(), warnings: run.warnings, remaining: run.budget.remaining() }
    }
}

// === impl Correlation ===

impl<'a> Correlation<'a> {
    fn new(schema: &'a Schema, new: &'a Value, old: &'a Value) -> Self {
        Self { schema, new, old, unchanged: OnceCell::new() }
    }

    fn is_unchanged(&self) -> bool {
        *self.unchanged.get_or_init(|| is_unchanged(self.schema, self.new, self.old))
    }
}

// === impl Ratchet ===

impl<'r> Ratchet<'r> {
    fn passes(self) -> bool {
        self.current.or(self.nearest).is_some_and(Correlation::is_unchanged)
    }

    /// What decides for a part of the part, given what is known of that one itself.
    fn below(self, child: Option<&'r Correlation<'r>>) -> Self {
        match self.current {
            Some(_) => Self { current: child, nearest: self.current },
            None => self,
        }
    }

    /// The same for the field of an object; what the type of the whole object is does not stay as it was.
    fn field(self, name: &str, child: Option<&'r Correlation<'r>>) -> Self {
        if self.current.is_some() && self.nearest.is_none() && matches!(name, "apiVersion" | "kind") {
            return Self::default();
        }
        self.below(child)
    }
}

// === impl Run ===

impl Run {
    fn check(&mut self, node: &Node, part: Part<'_, '_>) -> Result<(), Stop> {
        if part.value.is_null() {
            return Ok(());
        }
        self.evaluate_all(node, part)?;
        for all_of in &node.all_of {
            let ratchet = Ratchet { current: None, nearest: part.ratchet.nearest };
            self.check(all_of, Part { ratchet, ..part })?;
        }
        match part.value {
            Value::Object(fields) => self.check_fields(node, fields, part),
            Value::Array(items) => self.check_items(node, items, part),
            _ => Ok(()),
        }
    }

    fn check_fields(
        &mut self,
        node: &Node,
        fields: &serde_json::Map<String, Value>,
        part: Part<'_, '_>,
    ) -> Result<(), Stop> {
        for (name, value) in fields {
            let (child, place) = match (node.properties.get(name.as_str()), &node.values) {
                (Some(child), _) => (child, part.place.child(name)),
                (None, Some(values)) => (&**values, part.place.key(name)),
                (None, None) => continue,
            };
            let old = part.old.and_then(|old| old.get(name));
            let correlation = match (part.ratchet.current, old) {
                (Some(_), Some(old)) => Some(Correlation::new(&child.schema, value, old)),
                _ => None,
            };
            let ratchet = part.ratchet.field(name, correlation.as_ref());
            self.check(child, Part { place: &place, value, old, ratchet })?;
        }
        Ok(())
    }

    fn check_items(&mut self, node: &Node, items: &[Value], part: Part<'_, '_>) -> Result<(), Stop> {
        let Some(child) = &node.items else { return Ok(()) };
        let old_elements = part.old.and_then(|old| OldElements::of(&node.schema, old));
        for (index, value) in items.iter().enumerate() {
            let place = part.place.index(index);
            let old = old_elements.as_ref().and_then(|elements| elements.find(value));
            let correlation = match (part.ratchet.current, old) {
                (Some(_), Some(old)) => Some(Correlation::new(&child.schema, value, old)),
                _ => None,
            };
            let ratchet = part.ratchet.below(correlation.as_ref());
            self.check(child, Part { place: &place, value, old, ratchet })?;
        }
        Ok(())
    }

    fn invalid(&mut self, part: Part<'_, '_>, kind: Option<SchemaType>, detail: String) {
        self.faults.add(part.place, |path| atoll_api::FieldError::invalid(path, &type_name(kind), detail));
    }

    fn evaluate_all(&mut self, node: &Node, part: Part<'_, '_>) -> Result<(), Stop> {
        if node.rules.is_empty() {
            return Ok(());
        }
        let kind = node.schema.kind;
        if self.budget.remaining() == 0 {
            self.invalid(part, kind, OUT_OF_BUDGET.to_owned());
            return Err(Stop);
        }
        let data = Data::new(node, part);
        for rule in &node.rules {
            self.evaluate(node, rule, part, &data)?;
        }
        Ok(())
    }

    fn evaluate(&mut self, node: &Node, rule: &CompiledRule, part: Part<'_, '_>, data: &Data<'_>) -> Result<(), Stop> {
        let kind = node.schema.kind;
        let program = match &rule.program {
            Ok(program) => program,
            Err(_) if rule.rule.rule.trim().is_empty() => return Ok(()),
            Err(fault) => {
                self.invalid(part, kind, format!("rule compile error: {fault}"));
                return Ok(());
            }
        };
        let is_optional = rule.rule.optional_old_self;
        if rule.uses_old_self && part.old.is_none() && !is_optional {
            return Ok(());
        }
        let bindings = data.bindings(is_optional);
        match program.evaluate(&bindings, &mut self.budget) {
            Ok(CelValue::Bool(true)) => Ok(()),
            Ok(_) => self.tell(node, rule, part, data),
            Err(EvalError::OutOfBudget) => {
                self.invalid(part, kind, OUT_OF_BUDGET.to_owned());
                Err(Stop)
            }
            Err(EvalError::CostLimit) => {
                let detail = format!(
                    "'{}': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                    EvalError::CostLimit,
                    name(&rule.rule)
                );
                self.invalid(part, kind, detail);
                Err(Stop)
            }
            Err(EvalError::Failed(fault)) => {
                let name = name(&rule.rule);
                let detail = if fault.starts_with("no such overload") {
                    format!(
                        "'{fault}': call arguments did not match a supported operator, function or macro signature \
                         for rule: {name}"
                    )
                } else {
                    format!("{fault} evaluating rule: {name}")
                };
                self.invalid(part, kind, detail);
                Ok(())
            }
        }
    }

    /// Tells of a rule that does not hold, in the words of its message expression if that can be evaluated.
    fn tell(&mut self, node: &Node, rule: &CompiledRule, part: Part<'_, '_>, data: &Data<'_>) -> Result<(), Stop> {
        let kind = node.schema.kind;
        let (detail, stop) = match &rule.message {
            None => (message(&rule.rule), None),
            Some(program) => match program.evaluate(&data.bindings(false), &mut self.budget) {
                Ok(text) => (text.as_str().and_then(usable).unwrap_or_else(|| message(&rule.rule)), None),
                Err(EvalError::Failed(_)) => (message(&rule.rule), None),
                Err(EvalError::OutOfBudget) => {
                    let fault = "messageExpression evaluation failed due to running out of cost budget, no further \
                                     validation rules will be run";
                    (fault.to_owned(), Some(Stop))
                }
                Err(EvalError::CostLimit) => {
                    let expression = atoll_api::field::go_quote(&rule.rule.message_expression);
                    let fault = format!(
                        "no further validation rules will be run due to call cost exceeds limit for \
                             messageExpression: {expression}"
                    );
                    (fault, Some(Stop))
                }
            },
        };
        let passes = !rule.uses_old_self && part.ratchet.passes();
        let make = |path: &FieldPath| {
            let path = if rule.field_path.is_empty() { path.clone() } else { path.child(&rule.field_path) };
            match stop {
                None => violation(&rule.rule, kind, part.value, &path, detail.clone()),
                Some(_) => atoll_api::FieldError::invalid(&path, &type_name(kind), detail.clone()),
            }
        };
        if passes {
            if self.warnings.len() < MAX_WARNINGS {
                self.warnings.push(make(&part.place.path()).to_string());
            }
        } else {
            self.faults.add(part.place, make);
        }
        stop.map_or(Ok(()), Err)
    }
}

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";
/// How many warnings are kept; a response has no room for more.
const MAX_WARNINGS: usize = 100;

/// The message that an expression made, if it can serve as one.
fn usable(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n')).then(|| text.to_owned())
}

/// What rules see of a part.
struct Data<'a> {
    value: Result<CelValue<'a>, EvalError>,
    old: Option<Result<CelValue<'a>, EvalError>>,
}

impl<'a> Data<'a> {
    fn new(node: &'a Node, part: Part<'a, '_>) -> Self {
        let typed = |value| CelValue::typed(value, &node.decl);
        Self { value: typed(part.value), old: part.old.filter(|old| !old.is_null()).map(typed) }
    }

    fn bindings(&self, is_old_optional: bool) -> Bindings<'a> {
        let mut bindings = Bindings::new();
        bindings.set_result("self", self.value.clone());
        match (&self.old, is_old_optional) {
            (Some(old), false) => bindings.set_result("oldSelf", old.clone()),
            (Some(old), true) => bindings.set_result("oldSelf", old.clone().map(CelValue::some)),
            (None, true) => bindings.set("oldSelf", CelValue::Optional(None)),
            (None, false) => {}
        }
        bindings
    }
}
