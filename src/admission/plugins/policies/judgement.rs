//! What one validating policy says of a write: a decision for each of its validations, and notes for the audit log.

use atoll_cel::Budget;
use atoll_cel::limits::MAX_MESSAGE_BYTES;

use super::compiled::{Expressions, OnFailure, Validation};
use crate::admission::expressions::{Allowance, Asks, Exhausted, Holds, View, evaluate};

/// The longest note, in bytes.
const MAX_NOTE: usize = 10 << 10;

/// What a policy says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// What stands against the write, with the index of the validation that says so.
    pub(super) objections: Vec<(usize, Objection)>,
    pub(super) notes: Vec<(String, String)>,
    /// Why notes could not be made; the write is refused, whatever the binding does about objections.
    pub(super) failed_notes: Vec<String>,
}

/// What stands against a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objection {
    pub(super) message: String,
    /// The reason in the answer; empty for `Invalid`.
    pub(super) reason: String,
}

impl Judgement {
    fn failed(on_failure: OnFailure, why: String) -> Self {
        match on_failure {
            OnFailure::Ignore => Self::default(),
            OnFailure::Fail => {
                let objection = Objection { message: why, reason: String::new() };
                Self { objections: vec![(0, objection)], ..Self::default() }
            }
        }
    }
}

/// Lets a policy judge a write.
pub(super) fn judge(
    view: &View<'_>,
    expressions: &Expressions,
    on_failure: OnFailure,
    total: &mut Budget,
) -> Judgement {
    match expressions.conditions.hold(view, expressions.variables(), total) {
        Holds::Yes => {}
        Holds::No => return Judgement::default(),
        Holds::Unknown(why) => return Judgement::failed(on_failure, why),
    }
    let judged = validate(view, expressions, on_failure, total).and_then(|objections| {
        let mut judgement = Judgement { objections, ..Judgement::default() };
        annotate(view, expressions, on_failure, total, &mut judgement)?;
        Ok(judgement)
    });
    judged.unwrap_or_else(|exhausted| Judgement::failed(on_failure, exhausted.to_string()))
}

fn validate(
    view: &View<'_>,
    expressions: &Expressions,
    on_failure: OnFailure,
    total: &mut Budget,
) -> Result<Vec<(usize, Objection)>, Exhausted> {
    let mut allowance = Allowance::of_group(total);
    let mut results = Vec::with_capacity(expressions.validations.len());
    {
        let bindings = view.bindings(Asks::Authorizer);
        let mut variables = expressions.variables();
        for Validation { expression, program, .. } in &expressions.validations {
            let result = evaluate(expression, program, &bindings, &mut variables, &mut allowance)?;
            results.push(result.map(|value| value.as_bool() == Some(true)));
        }
    }
    let mut words = Words { view, expressions, allowance, failed: None };
    let mut objections = Vec::new();
    for (index, (validation, result)) in expressions.validations.iter().zip(results).enumerate() {
        let objection = match result {
            Ok(true) => continue,
            Ok(false) => {
                let message = words.of(validation);
                match &words.failed {
                    Some(why) => fault(on_failure, format!("failed messageExpression: {why}")),
                    None => Some(Objection { message, reason: validation.reason.clone() }),
                }
            }
            Err(why) => fault(on_failure, why),
        };
        objections.extend(objection.map(|objection| (index, objection)));
    }
    Ok(objections)
}

fn fault(on_failure: OnFailure, message: String) -> Option<Objection> {
    (on_failure == OnFailure::Fail).then_some(Objection { message, reason: String::new() })
}

/// Finds words for validations that failed.
struct Words<'v, 't> {
    view: &'v View<'v>,
    expressions: &'v Expressions,
    allowance: Allowance<'t>,
    /// Why messages can no longer be made.
    failed: Option<Exhausted>,
}

impl Words<'_, '_> {
    /// The message of its expression, or else its own, or else the expression itself.
    fn of(&mut self, validation: &Validation) -> String {
        let made = self.made(validation).unwrap_or_default();
        let fits = made.len() <= MAX_MESSAGE_BYTES && !made.contains('\n');
        match (made.as_str(), validation.message.as_str()) {
            ("", "") => format!("failed expression: {}", validation.expression.trim()),
            (made, _) if fits && !made.is_empty() => made.to_owned(),
            (_, "") => format!("failed expression: {}", validation.expression.trim()),
            (_, own) => own.to_owned(),
        }
    }

    fn made(&mut self, validation: &Validation) -> Option<String> {
        let program = validation.message_program.as_ref()?;
        let bindings = self.view.bindings(Asks::Nobody);
        let mut variables = self.expressions.variables();
        match evaluate("messageExpression", program, &bindings, &mut variables, &mut self.allowance) {
            Ok(Ok(value)) => value.as_str().map(|text| text.trim().to_owned()),
            Ok(Err(why)) => {
                tracing::debug!(why, "a message could not be made");
                None
            }
            Err(exhausted) => {
                self.failed = Some(exhausted);
                None
            }
        }
    }
}

fn annotate(
    view: &View<'_>,
    expressions: &Expressions,
    on_failure: OnFailure,
    total: &mut Budget,
    judgement: &mut Judgement,
) -> Result<(), Exhausted> {
    if expressions.annotations.is_empty() {
        return Ok(());
    }
    let bindings = view.bindings(Asks::Nobody);
    let mut variables = expressions.variables();
    let mut allowance = Allowance::of_group(total);
    for annotation in &expressions.annotations {
        let result = evaluate(&annotation.expression, &annotation.program, &bindings, &mut variables, &mut allowance)?;
        match result {
            Ok(value) => {
                if let Some(text) = value.as_str().map(str::trim).filter(|text| !text.is_empty()) {
                    judgement.notes.push((annotation.key.clone(), cut(text).to_owned()));
                }
            }
            Err(why) if on_failure == OnFailure::Fail => judgement.failed_notes.push(why),
            Err(_) => {}
        }
    }
    Ok(())
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_NOTE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
