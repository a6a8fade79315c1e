//! Variables, results, and what is selected from them.

use super::{Machine, Slot};
use crate::cost::IDENT_COST;
use crate::fault::{Eval, EvalError};
use crate::plan::{Attribute, Choice, Qualifier, QualifierKey, Root};
use crate::value::{List, Map, Value};

/// Qualifiers that are to be applied after those of an attribute itself.
#[derive(Clone, Copy)]
struct Tail<'a, 't> {
    attribute: &'a Attribute,
    next: Option<&'t Tail<'a, 't>>,
}

/// What is done with the last qualifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Selection {
    Value,
    Presence,
}

impl<'a> Machine<'a, '_> {
    pub(super) fn eval_attribute(&mut self, attribute: &'a Attribute) -> Eval<Value<'a>> {
        let result = self.resolve(attribute, None);
        if matches!(&result, Err(error) if error.is_final()) {
            return result;
        }
        // A choice costs what its parts do, and asking whether something is there nothing beyond what leads to it.
        if !attribute.tests_presence && !matches!(attribute.root, Root::Choice(_)) {
            self.charge(IDENT_COST)?;
        }
        result
    }

    fn resolve(&mut self, attribute: &'a Attribute, tail: Option<&Tail<'a, '_>>) -> Eval<Value<'a>> {
        let own = Tail { attribute, next: tail };
        match &attribute.root {
            Root::Choice(choice) => self.resolve_choice(choice, &own),
            Root::Variable(index) => {
                let name = &*self.names[*index];
                let value = self.bindings.get(name).cloned();
                let value = value.ok_or_else(|| EvalError::new(format!("no such attribute(s): {name}")))?;
                self.qualify(value?, &own, 0)
            }
            Root::Composition => self.resolve_composition(&own),
            Root::Slot(slot) => {
                let value = self.slot(*slot)?;
                self.qualify(value, &own, 0)
            }
            Root::Step(step) => {
                let value = self.eval(*step)?;
                self.qualify(value, &own, 0)
            }
        }
    }

    fn resolve_choice(&mut self, choice: &'a Choice, tail: &Tail<'a, '_>) -> Eval<Value<'a>> {
        let tail = Some(tail);
        match self.eval(choice.condition)? {
            Value::Bool(true) => self.resolve(&choice.then, tail),
            Value::Bool(false) => self.resolve(&choice.otherwise, tail),
            _ => Err(EvalError::no_overload()),
        }
    }

    /// A variable of a policy, which is an expression itself.
    fn resolve_composition(&mut self, own: &Tail<'a, '_>) -> Eval<Value<'a>> {
        let Some(first) = own.attribute.qualifiers.first() else {
            return Ok(Value::Map(Map::new(Default::default())));
        };
        let QualifierKey::Constant(Value::String(name)) = &first.key else { return Err(EvalError::no_overload()) };
        self.charge(IDENT_COST)?;
        let value = match &mut self.variables {
            Some(variables) => variables.get(name, self.bindings, self.work)?,
            None => None,
        };
        let is_last = own.attribute.qualifiers.len() == 1 && own.next.is_none();
        match value {
            value if is_last && own.attribute.tests_presence => Ok(Value::Bool(value.is_some())),
            Some(value) => self.qualify(value, own, 1),
            None => Err(EvalError::no_key(name)),
        }
    }

    /// What a variable of a macro holds.
    pub(super) fn slot(&mut self, slot: usize) -> Eval<Value<'a>> {
        if let Slot::Pending(init) = self.slots[slot] {
            let value = self.attempt(init)?;
            self.slots[slot] = Slot::Ready(value);
        }
        match &self.slots[slot] {
            Slot::Ready(value) => value.clone(),
            Slot::Empty | Slot::Pending(_) => Err(EvalError::new("no such attribute(s): @result")),
        }
    }

    /// Applies the qualifiers of an attribute from one of them on, and those that follow them.
    fn qualify(&mut self, value: Value<'a>, own: &Tail<'a, '_>, from: usize) -> Eval<Value<'a>> {
        let tests_presence = own.attribute.tests_presence;
        let missing = || if tests_presence { Value::Bool(false) } else { Value::Optional(None) };
        let (mut value, mut is_optional) = match value {
            Value::Optional(None) => return Ok(missing()),
            Value::Optional(Some(inner)) => (untyped(&inner), true),
            value => (value, false),
        };
        let mut from = from;
        let mut next = Some(own);
        while let Some(tail) = next {
            let qualifiers = &tail.attribute.qualifiers[from..];
            from = 0;
            next = tail.next;
            for (index, qualifier) in qualifiers.iter().enumerate() {
                let is_last = tail.attribute.tests_presence && index + 1 == qualifiers.len();
                is_optional |= qualifier.optional;
                let selection = if is_last { Selection::Presence } else { Selection::Value };
                match self.select(&value, qualifier, is_optional, selection)? {
                    Some(selected) => value = selected,
                    None => return Ok(missing()),
                }
            }
        }
        Ok(if is_optional && !tests_presence { Value::some(value) } else { value })
    }

    /// One selection; `None` if what was selected is missing and may be.
    fn select(
        &mut self,
        value: &Value<'a>,
        qualifier: &'a Qualifier,
        is_optional: bool,
        selection: Selection,
    ) -> Eval<Option<Value<'a>>> {
        let may_be_missing = is_optional || selection == Selection::Presence;
        let result = match &qualifier.key {
            QualifierKey::Constant(key) => select(value, key, may_be_missing),
            QualifierKey::Attribute(key) => {
                self.resolve(key, None).and_then(|key| select_by(value, &key, may_be_missing))
            }
            QualifierKey::Step(step) => self.eval(*step).and_then(|key| select_by(value, &key, may_be_missing)),
        };
        if matches!(&result, Err(error) if error.is_final()) {
            return result;
        }
        // What may be missing costs nothing if it is.
        if !is_optional || matches!(&result, Ok(Some(_))) {
            self.charge(IDENT_COST)?;
        }
        let selected = result?;
        if let Some(Value::Bytes(bytes)) = &selected {
            self.work.scan(bytes.len())?;
        }
        Ok(match selection {
            Selection::Presence => Some(Value::Bool(selected.is_some())),
            Selection::Value => selected,
        })
    }
}

/// What cel-go makes of a value that may be missing, before it selects from it: data without its declared type.
fn untyped<'a>(value: &Value<'a>) -> Value<'a> {
    use crate::value::{Entries, Items};
    match value {
        Value::Map(Map(Entries::Json { fields, .. })) => Value::Map(Map(Entries::Json { fields, decl: None })),
        Value::List(List(Items::Json { items, .. })) => Value::List(List(Items::Json { items, decl: None })),
        other => other.clone(),
    }
}

/// Only some types of values can select.
pub(crate) fn check_key(key: &Value<'_>) -> Result<(), String> {
    match key {
        Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_) | Value::Double(_) => Ok(()),
        other => Err(format!("invalid qualifier type: {}", other.go_name())),
    }
}

/// Selects by a constant, whose text lives as long as the plan.
fn select<'a>(value: &Value<'a>, key: &'a Value<'static>, may_be_missing: bool) -> Eval<Option<Value<'a>>> {
    if let (Value::Map(map), Value::String(name)) = (value, key) {
        return match map.field(name)? {
            None if !may_be_missing => Err(EvalError::no_key(name)),
            selected => Ok(selected),
        };
    }
    select_by(value, &key.shared(), may_be_missing)
}

fn select_by<'a>(value: &Value<'a>, key: &Value<'a>, may_be_missing: bool) -> Eval<Option<Value<'a>>> {
    check_key(key).map_err(EvalError::new)?;
    let missing = |fault: EvalError| if may_be_missing { Ok(None) } else { Err(fault) };
    match value {
        Value::Map(map) => match map.find(key)? {
            Some(value) => Ok(Some(value)),
            None => missing(EvalError::no_key(key)),
        },
        Value::List(list) => {
            let index = index(key)?;
            match usize::try_from(index).ok().and_then(|index| list.get(index)) {
                Some(value) => value.map(Some),
                None => missing(EvalError::new(format!("index out of bounds: {key}"))),
            }
        }
        Value::Object(object) => match key {
            Value::String(name) => match object.fields.get(&**name) {
                Some(value) => Ok(Some(value.clone())),
                None => missing(EvalError::no_key(key)),
            },
            _ => Err(EvalError::no_overload()),
        },
        _ => missing(EvalError::no_key(key)),
    }
}

/// The number that an index is; floating point numbers are none unless they are whole.
fn index(key: &Value<'_>) -> Eval<i64> {
    match key {
        Value::Int(index) => Ok(*index),
        Value::Uint(index) => {
            i64::try_from(*index).map_err(|_| EvalError::new(format!("unsupported index value {index} in list")))
        }
        Value::Double(index) if index.fract() == 0.0 && index.abs() < i64::MAX as f64 => Ok(*index as i64),
        Value::Double(index) => Err(EvalError::new(format!("unsupported index value {index} in list"))),
        other => Err(EvalError::new(format!("unsupported index type '{}' in list", other.type_name()))),
    }
}
