//! The walk over a value and its schema: types, objects, lists, enumerations; numbers and texts are checked apart.

use atoll_api::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use super::outcome::{Here, Outcome, Step, path_of};
use crate::schema::correlate::{OldElements, is_unchanged};
use crate::schema::place::Faults;
use crate::schema::{Additional, Schema, SchemaType, ValueRules, shown};

/// How much work checking one object may be; a check of one value counts [`NODE_WORK`].
const MAX_WORK: usize = 1 << 26;
pub(super) const NODE_WORK: usize = 16;
/// How many bytes the texts of all faults may take, also of those that are not told in the end.
const MAX_TEXT: usize = 4 << 20;

/// The old value to compare with, and the schema by which its parts are found.
#[derive(Clone, Copy)]
pub(super) struct Old<'a> {
    pub(super) value: &'a Value,
    pub(super) schema: &'a Schema,
}

/// The value under check.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) value: &'a Value,
    pub(super) old: Option<Old<'a>>,
}

/// The types a schema accepts.
#[derive(Clone, Copy)]
pub(super) struct Types {
    kind: Option<SchemaType>,
    int_or_string: bool,
}

/// What `x-kubernetes-int-or-string` asks of values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IntOrString {
    /// To be an integer or a string.
    Types,
    /// Nothing.
    Nothing,
}

pub(super) struct Walk<'p> {
    base: &'p FieldPath,
    int_or_string: IntOrString,
    work_left: usize,
    text_left: usize,
}

impl<'p> Walk<'p> {
    pub(super) fn new(base: &'p FieldPath, int_or_string: IntOrString) -> Self {
        Self { base, int_or_string, work_left: MAX_WORK, text_left: MAX_TEXT }
    }

    pub(super) fn run(mut self, schema: &Schema, value: &Value, old: Option<Old<'_>>) -> FieldErrors {
        let outcome = self.ratcheted(schema, Subject { value, old }, &Here::ROOT);
        let failed = !outcome.is_valid();
        let mut faults = Faults::default();
        if self.work_left == 0 {
            let detail = "checking the object against its schema takes too much work";
            faults.extend([FieldError::invalid(self.base, &"".into(), detail)]);
        }
        faults.extend(outcome.into_errors());
        let mut errors = faults.into_errors();
        if failed && errors.is_empty() {
            errors.push(FieldError::invalid(self.base, &"".into(), "has too many faults to tell them"));
        }
        errors
    }

    /// Counts work; false if there was too much of it.
    pub(super) fn spend(&mut self, work: usize) -> bool {
        self.work_left = self.work_left.saturating_sub(work);
        self.work_left > 0
    }

    /// Adds a fault at `here`: `make` gives it and its sentence, from the path and the name of the place.
    pub(super) fn fault(
        &mut self,
        outcome: &mut Outcome,
        here: &Here<'_>,
        make: impl FnOnce(&FieldPath, &str) -> (FieldError, String),
    ) {
        outcome.fail();
        if self.text_left == 0 {
            return;
        }
        let name = here.name();
        let (error, sentence) = make(&path_of(self.base, &name), &name);
        let shown = error.value.as_ref().map_or(0, String::len);
        self.text_left = self.text_left.saturating_sub(sentence.len() + shown + 64);
        outcome.add(&sentence, error);
    }

    /// Adds a fault whose sentence is its detail, with a value as it is shown.
    pub(super) fn invalid(
        &mut self,
        outcome: &mut Outcome,
        here: &Here<'_>,
        value: String,
        detail: impl FnOnce(&str) -> String,
    ) {
        self.fault(outcome, here, |path, name| {
            let detail = detail(name);
            (FieldError::invalid_shown(path, value, detail.as_str()), detail)
        });
    }

    /// Adds a fault that kube-openapi reports without a place, so that it is shown for the whole value.
    pub(super) fn composite(&mut self, outcome: &mut Outcome, here: &Here<'_>, detail: impl FnOnce(&str) -> String) {
        let base = self.base;
        self.fault(outcome, here, |_, name| {
            let detail = detail(name);
            (FieldError::invalid(base, &"".into(), detail.as_str()), detail)
        });
    }

    pub(super) fn wrong_type(&mut self, outcome: &mut Outcome, here: &Here<'_>, wanted: &str, found: &str) {
        self.fault(outcome, here, |path, name| {
            let found = shown::value(&found.into());
            let sentence = format!("{name} in body must be of type {wanted}: {found}");
            (FieldError::type_invalid(path, found, sentence.as_str()), sentence)
        });
    }

    /// Checks a value and, if it has faults but is as it was, passes over them.
    fn ratcheted(&mut self, schema: &Schema, subject: Subject<'_>, here: &Here<'_>) -> Outcome {
        let mut outcome = self.check(schema, subject, here);
        if let Some(old) = subject.old
            && !outcome.is_valid()
            && is_unchanged(old.schema, subject.value, old.value)
        {
            outcome.forgive();
        }
        outcome
    }

    /// Checks a value in kube-openapi's order.
    pub(super) fn check(&mut self, schema: &Schema, subject: Subject<'_>, here: &Here<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        if !self.spend(NODE_WORK) {
            outcome.fail();
            return outcome;
        }
        let int_or_string = schema.int_or_string && self.int_or_string == IntOrString::Types;
        let types = Types { kind: schema.kind, int_or_string };
        let rules = schema.rules.as_deref();
        if subject.value.is_null() {
            self.check_null(types, schema.nullable, here, &mut outcome);
            self.check_enumeration(rules, subject.value, here, &mut outcome);
            return outcome;
        }
        if types.is_any() || schema.format.is_some() {
            self.check_type(types, schema.format.as_deref(), subject.value, here, &mut outcome);
            outcome.matches += 1;
        }
        self.check_operators(rules, subject, here, &mut outcome);
        outcome.matches += 1;
        match subject.value {
            Value::String(text) => self.check_text(schema, text, here, &mut outcome),
            Value::Number(number) => self.check_number(schema, types, number, here, &mut outcome),
            Value::Array(list) => {
                self.check_list(schema, list, subject.old, here, &mut outcome);
                outcome.matches += 1;
            }
            _ => {}
        }
        self.check_enumeration(rules, subject.value, here, &mut outcome);
        outcome.matches += 1;
        if let Value::Object(map) = subject.value {
            self.check_object(schema, map, subject.old, here, &mut outcome);
            outcome.matches += 1;
        }
        outcome.matches += 1;
        outcome
    }

    fn check_null(&mut self, types: Types, nullable: bool, here: &Here<'_>, outcome: &mut Outcome) {
        if types.is_any() && !nullable {
            self.wrong_type(outcome, here, types.as_str(), "null");
        } else {
            outcome.matches += 1;
        }
    }

    fn check_type(
        &mut self,
        types: Types,
        format: Option<&str>,
        value: &Value,
        here: &Here<'_>,
        outcome: &mut Outcome,
    ) {
        let (found, found_format) = match value {
            Value::Number(number) if number.is_i64() => ("integer", "int64"),
            Value::Number(_) => ("number", "float64"),
            Value::Bool(_) => ("boolean", ""),
            Value::String(_) => ("string", ""),
            Value::Array(_) => ("array", ""),
            Value::Object(_) | Value::Null => ("object", ""),
        };
        let is_whole = value.is_f64() && value.as_f64().is_some_and(super::number::is_whole);
        let fits = types.accept(found)
            || (is_whole && types.accept("integer"))
            || (found == "integer" && types.accept("number"));
        let has_format = format.is_some_and(|format| !format.is_empty());
        match format {
            Some(format)
                if has_format && !value.is_string() && !value.is_array() && !fits && format != found_format =>
            {
                self.wrong_type(outcome, here, format, found_format);
            }
            // Texts and lists are left to the format (kube-openapi, typeValidator), so a list passes for a date.
            _ if has_format && !types.are_numeric() && (value.is_string() || value.is_array()) => outcome.matches += 1,
            _ if !fits => self.wrong_type(outcome, here, types.as_str(), found),
            _ => outcome.matches += 1,
        }
    }

    fn check_enumeration(&mut self, rules: Option<&ValueRules>, value: &Value, here: &Here<'_>, outcome: &mut Outcome) {
        let Some(rules) = rules.filter(|rules| !rules.enumeration.is_empty()) else { return };
        self.spend(rules.enumeration.len());
        // Null is never equal to anything (kube-openapi, basicCommonValidator), not even to null.
        if !value.is_null() && rules.enumeration.iter().any(|accepted| is_equal(accepted, value)) {
            return;
        }
        let texts: Vec<String> = rules
            .enumeration
            .iter()
            .map(|value| value.as_str().map_or_else(|| shown::json(value), str::to_owned))
            .collect();
        self.fault(outcome, here, |path, name| {
            let accepted: Vec<&str> = texts.iter().map(String::as_str).collect();
            let error = FieldError {
                value: Some(shown::value(value)),
                ..FieldError::not_supported(path, &Value::Null, &accepted)
            };
            (error, format!("{name} in body should be one of [{}]", texts.join(" ")))
        });
    }

    fn check_list(
        &mut self,
        schema: &Schema,
        list: &[Value],
        old: Option<Old<'_>>,
        here: &Here<'_>,
        outcome: &mut Outcome,
    ) {
        if let Some(items) = &schema.items {
            let elements = old.and_then(|old| OldElements::of(old.schema, old.value));
            for (index, value) in list.iter().enumerate() {
                let old = old.zip(elements.as_ref()).and_then(|(old, elements)| {
                    Some(Old { value: elements.find(value)?, schema: old.schema.items.as_deref()? })
                });
                let below = here.below(Step::Index(index));
                outcome.merge(self.ratcheted(items, Subject { value, old }, &below));
            }
        }
        if let Some(rules) = schema.rules.as_deref() {
            self.check_length(rules, list, here, outcome);
        }
        outcome.matches += 1;
    }

    fn check_length(&mut self, rules: &ValueRules, list: &[Value], here: &Here<'_>, outcome: &mut Outcome) {
        let length = list.len();
        if let Some(least) = rules.min_items.filter(|least| (length as u64) < *least) {
            let sentence = |name: &str| format!("{name} in body should have at least {least} items");
            self.invalid(outcome, here, length.to_string(), sentence);
        }
        if let Some(most) = rules.max_items.filter(|most| length as u64 > *most) {
            self.too_many(outcome, here, length, most, "items");
        }
        if rules.unique_items && self.spend(length) {
            let mut seen = std::collections::HashSet::new();
            if !list.iter().all(|value| seen.insert(value.to_string())) {
                let sentence = |name: &str| format!("{name} in body shouldn't contain duplicates");
                self.invalid(outcome, here, "\"\"".to_owned(), sentence);
            }
        }
    }

    fn too_many(&mut self, outcome: &mut Outcome, here: &Here<'_>, length: usize, most: u64, what: &str) {
        self.fault(outcome, here, |path, name| {
            let limit = usize::try_from(most).unwrap_or(usize::MAX);
            let sentence = format!("{name} in body should have at most {most} {what}");
            (FieldError::too_many(path, length, limit), sentence)
        });
    }

    fn check_object(
        &mut self,
        schema: &Schema,
        map: &Map<String, Value>,
        old: Option<Old<'_>>,
        here: &Here<'_>,
        outcome: &mut Outcome,
    ) {
        let rules = schema.rules.as_deref();
        if let Some(rules) = rules {
            self.check_size(rules, map, here, outcome);
        }
        let is_named = |name: &str| schema.properties.contains_key(name);
        for (name, value) in map.iter().filter(|(name, _)| !is_named(name)) {
            if rules.is_some_and(|rules| rules.no_additional) {
                let sentence = |place: &str| format!("{place}.{name} in body is a forbidden property");
                self.invalid(outcome, here, shown::value(&name.as_str().into()), sentence);
            } else if let Additional::Values(values) = &schema.additional {
                let subject = Subject { value, old: old_field(old, name, here) };
                outcome.merge(self.ratcheted(values, subject, &here.below(Step::Extra(name))));
            }
        }
        for (name, value) in map {
            let Some(field) = schema.properties.get(name.as_str()) else { continue };
            let subject = Subject { value, old: old_field(old, name, here) };
            outcome.merge(self.ratcheted(field, subject, &here.below(Step::Field(name))));
        }
        let required = rules.map_or(&[][..], |rules| &rules.required);
        self.spend(required.len());
        for name in required.iter().filter(|name| !map.contains_key(&***name)) {
            self.fault(outcome, &here.below(Step::Extra(name)), |path, name| {
                (FieldError::required(path, ""), format!("{name} in body is required"))
            });
        }
    }

    fn check_size(&mut self, rules: &ValueRules, map: &Map<String, Value>, here: &Here<'_>, outcome: &mut Outcome) {
        let size = map.len();
        if let Some(least) = rules.min_properties.filter(|least| (size as u64) < *least) {
            let sentence = |name: &str| format!("{name} in body should have at least {least} properties");
            self.invalid(outcome, here, size.to_string(), sentence);
        }
        if let Some(most) = rules.max_properties.filter(|most| size as u64 > *most) {
            self.too_many(outcome, here, size, most, "properties");
        }
    }
}

/// The old value of a field. `apiVersion` and `kind` of the object itself are not what they were but converted.
fn old_field<'a>(old: Option<Old<'a>>, name: &str, here: &Here<'_>) -> Option<Old<'a>> {
    if matches!(here.step, Step::Root) && matches!(name, "apiVersion" | "kind") {
        return None;
    }
    let old = old?;
    Some(Old { value: old.value.get(name)?, schema: old.schema.field(name)? })
}

/// Whether two values are equal, 1 and 1.0 included.
fn is_equal(accepted: &Value, value: &Value) -> bool {
    match (accepted, value) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => accepted == value,
    }
}

// === impl Types ===

impl Types {
    fn is_any(self) -> bool {
        self.int_or_string || self.kind.is_some()
    }

    fn accept(self, kind: &str) -> bool {
        if self.int_or_string {
            return matches!(kind, "integer" | "string");
        }
        self.kind.is_some_and(|accepted| accepted.as_str() == kind)
    }

    fn are_numeric(self) -> bool {
        self.int_or_string || matches!(self.kind, Some(SchemaType::Integer | SchemaType::Number))
    }

    fn as_str(self) -> &'static str {
        if self.int_or_string { "integer,string" } else { self.kind.map_or("", SchemaType::as_str) }
    }

    /// The type, if it is exactly one.
    pub(super) fn only(self) -> Option<SchemaType> {
        self.kind.filter(|_| !self.int_or_string)
    }
}
