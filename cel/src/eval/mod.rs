//! Evaluates plans, counting what that costs.
//!
//! Failures are values until an operator that knows both its operands decides otherwise: `&&`, `||` and folds can make
//! up for them. What has become too expensive ends at once.

mod attribute;
mod fold;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bindings::{Bindings, Variables};
use crate::cost::{self, CALL_COST, LIST_COST, MAP_COST, STRUCT_COST};
use crate::fault::{Eval, EvalError, Work};
use crate::library;
use crate::plan::{Call, Element, Entry, Otherwise, Plan, Step, StepId, Struct};
use crate::value::{Key, List, Map, ObjectValue, Value, ValueMap, equal};
pub(crate) use attribute::check_key;

/// What a slot holds.
enum Slot<'a> {
    Empty,
    /// The accumulator of a fold that nobody looked at yet.
    Pending(StepId),
    Ready(Eval<Value<'a>>),
}

/// One evaluation of one expression.
pub(crate) struct Machine<'a, 'm> {
    plan: &'a Plan,
    names: &'a [Arc<str>],
    bindings: &'m Bindings<'a>,
    variables: Option<&'m mut Variables<'a>>,
    slots: Vec<Slot<'a>>,
    cost: u64,
    limit: u64,
    work: &'m mut Work,
}

/// The result of an evaluation, and what it cost.
pub(crate) struct Outcome<'a> {
    pub(crate) result: Eval<Value<'a>>,
    pub(crate) cost: u64,
}

/// What an evaluation can refer to.
pub(crate) struct Scope<'a, 'm> {
    pub(crate) bindings: &'m Bindings<'a>,
    pub(crate) variables: Option<&'m mut Variables<'a>>,
}

/// Evaluates a plan; `names` are those of the environment's variables.
pub(crate) fn run<'a, 'm>(
    plan: &'a Plan,
    names: &'a [Arc<str>],
    scope: Scope<'a, 'm>,
    limit: u64,
    work: &'m mut Work,
) -> Outcome<'a> {
    let Scope { bindings, variables } = scope;
    let mut slots = Vec::new();
    slots.resize_with(plan.slots, || Slot::Empty);
    let mut machine = Machine { plan, names, bindings, variables, slots, cost: 0, limit, work };
    let result = machine.eval(plan.root);
    Outcome { result, cost: machine.cost }
}

/// The fault of an element that was announced as one that may be missing.
pub(crate) fn not_optional_element(value: &Value<'_>) -> String {
    format!("cannot initialize optional list element from non-optional value {value}")
}

/// The fault of an entry that was announced as one that may be missing.
pub(crate) fn not_optional_entry(key: &dyn std::fmt::Display, value: &Value<'_>) -> String {
    format!("cannot initialize optional entry '{key}' from non-optional value {value}")
}

impl<'a> Machine<'a, '_> {
    fn charge(&mut self, cost: u64) -> Eval<()> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(EvalError::CostLimit) } else { Ok(()) }
    }

    fn eval(&mut self, id: StepId) -> Eval<Value<'a>> {
        match self.plan.step(id) {
            Step::Constant(value) => Ok(value.shared()),
            Step::Attribute(attribute) => self.eval_attribute(attribute),
            Step::And(a, b) => self.logic(*a, *b, false),
            Step::Or(a, b) => self.logic(*a, *b, true),
            Step::Equals(a, b) => self.equality(*a, *b, true),
            Step::Differs(a, b) => self.equality(*a, *b, false),
            Step::NotFalse(operand) => self.not_false(*operand),
            Step::Call(call) => self.call(call),
            Step::OneOf(operand, set) => {
                let value = self.eval(*operand)?;
                Ok(Value::Bool(crate::value::find_value(set, &value).is_some()))
            }
            Step::Otherwise(step) => self.otherwise(step),
            Step::List(elements) => {
                let list = self.list(elements);
                self.made(list, LIST_COST)
            }
            Step::Map(entries) => {
                let map = self.map(entries);
                self.made(map, MAP_COST)
            }
            Step::Struct(object) => {
                let object = self.object(object);
                self.made(object, STRUCT_COST)
            }
            Step::Fold(fold) => self.fold(fold),
            Step::Append(append) => self.append(append),
            Step::Insert(insert) => self.insert(insert),
        }
    }

    /// The value of a step whose failure may yet be made up for.
    fn attempt(&mut self, id: StepId) -> Eval<Eval<Value<'a>>> {
        match self.eval(id) {
            Err(error) if error.is_final() => Err(error),
            result => Ok(result),
        }
    }

    /// `&&` and `||`, of which one operand is enough if it is the one that decides.
    fn logic(&mut self, a: StepId, b: StepId, decisive: bool) -> Eval<Value<'a>> {
        let first = match self.attempt(a)? {
            Ok(Value::Bool(truth)) if truth == decisive => return Ok(Value::Bool(truth)),
            Ok(Value::Bool(_)) => None,
            Ok(_) => Some(EvalError::no_overload()),
            Err(error) => Some(error),
        };
        let second = match self.attempt(b)? {
            Ok(Value::Bool(truth)) if truth == decisive => return Ok(Value::Bool(truth)),
            Ok(Value::Bool(_)) => None,
            Ok(_) => Some(EvalError::no_overload()),
            Err(error) => Some(error),
        };
        first.or(second).map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn not_false(&mut self, operand: StepId) -> Eval<Value<'a>> {
        let value = self.attempt(operand)?;
        self.charge(CALL_COST)?;
        Ok(Value::Bool(!matches!(value, Ok(Value::Bool(false)))))
    }

    fn equality(&mut self, a: StepId, b: StepId, wanted: bool) -> Eval<Value<'a>> {
        let a = self.attempt(a)?;
        let b = self.attempt(b)?;
        let (known_a, known_b) = (a.as_ref().unwrap_or(&Value::Null), b.as_ref().unwrap_or(&Value::Null));
        let cost = if wanted { cost::equals_cost(known_a, known_b) } else { cost::differs_cost(known_a, known_b) };
        self.charge(cost)?;
        let (a, b) = (a?, b?);
        match equal(&a, &b, self.work) {
            Ok(is_equal) => Ok(Value::Bool(is_equal == wanted)),
            // What cannot be compared differs.
            Err(error) if !wanted && !error.is_final() => Ok(Value::Bool(true)),
            Err(error) => Err(error),
        }
    }

    fn otherwise(&mut self, step: &'a Otherwise) -> Eval<Value<'a>> {
        match self.eval(step.first)? {
            Value::Optional(Some(value)) if step.unwraps => Ok((*value).clone()),
            Value::Optional(None) => self.eval(step.second),
            value => Ok(value),
        }
    }

    #[inline(never)]
    fn call(&mut self, call: &'a Call) -> Eval<Value<'a>> {
        let mut args: Vec<Value<'a>> = Vec::with_capacity(call.args.len());
        let mut fault = None;
        for arg in &call.args {
            match self.attempt(*arg)? {
                Ok(value) => args.push(value),
                Err(error) => {
                    fault.get_or_insert(error);
                    // Stands for what failed when the call is charged.
                    args.push(Value::Null);
                    if call.is_sequential {
                        break;
                    }
                }
            }
        }
        if let Some(error) = fault {
            if args.len() == call.args.len() {
                let cost = call.charge.cost(&args, &Err(error.clone()), self.work)?;
                self.charge(cost)?;
            }
            return Err(error);
        }
        for arg in &args {
            match arg {
                Value::String(text) => self.work.scan(text.len())?,
                Value::Bytes(bytes) => self.work.scan(bytes.len())?,
                _ => {}
            }
        }
        let result = self.apply(call, &args);
        if let Err(error) = &result
            && error.is_final()
        {
            return result;
        }
        let cost = call.charge.cost(&args, &result, self.work)?;
        self.charge(cost)?;
        result
    }

    fn apply(&mut self, call: &'a Call, args: &[Value<'a>]) -> Eval<Value<'a>> {
        if let Some(pattern) = &call.pattern {
            return library::with_pattern(call.function.name, pattern, args, self.work);
        }
        if call.function.is_uniform {
            return (call.overloads[0].native)(self.work, args);
        }
        match call.overloads.iter().find(|overload| overload.accepts(args)) {
            Some(overload) => (overload.native)(self.work, args),
            None => Err(library::no_overload_for(call.function.name, args)),
        }
    }

    /// What a literal made, after it is charged for; failing to make it costs the same.
    fn made(&mut self, result: Eval<Value<'a>>, cost: u64) -> Eval<Value<'a>> {
        if !matches!(&result, Err(error) if error.is_final()) {
            self.charge(cost)?;
        }
        result
    }

    #[inline(never)]
    fn list(&mut self, elements: &'a [Element]) -> Eval<Value<'a>> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            match self.eval(element.value)? {
                Value::Optional(value) if element.optional => values.extend(value.as_deref().cloned()),
                value if element.optional => return Err(EvalError::new(not_optional_element(&value))),
                value => values.push(value),
            }
        }
        Ok(Value::List(List::new(values)))
    }

    #[inline(never)]
    fn map(&mut self, entries: &'a [Entry]) -> Eval<Value<'a>> {
        let mut values = ValueMap::new();
        for entry in entries {
            let key = self.eval(entry.key)?;
            match self.eval(entry.value)? {
                Value::Optional(Some(value)) if entry.optional => {
                    values.insert(Key::try_from(key)?, (*value).clone());
                }
                Value::Optional(None) if entry.optional => {
                    values.remove(&Key::try_from(key)?);
                }
                value if entry.optional => return Err(EvalError::new(not_optional_entry(&key, &value))),
                value => {
                    values.insert(Key::try_from(key)?, value);
                }
            }
        }
        Ok(Value::Map(Map::new(values)))
    }

    #[inline(never)]
    fn object(&mut self, object: &'a Struct) -> Eval<Value<'a>> {
        let mut fields = BTreeMap::new();
        for field in &object.fields {
            match self.eval(field.value)? {
                Value::Optional(Some(value)) if field.optional => {
                    fields.insert(field.name.clone(), (*value).clone());
                }
                Value::Optional(None) if field.optional => {
                    fields.remove(&field.name);
                }
                value if field.optional => return Err(EvalError::new(not_optional_entry(&field.name, &value))),
                value => {
                    fields.insert(field.name.clone(), value);
                }
            }
        }
        Ok(Value::Object(Arc::new(ObjectValue { type_name: object.name.clone(), fields })))
    }
}
