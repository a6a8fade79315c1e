//! Makes the plan of a checked expression.

use std::collections::HashMap;
use std::sync::Arc;

use super::constant;
use super::{
    Append, Attribute, Call, Choice, Element, Entry, Field, Fold, Insert, Otherwise, Plan, Qualifier, QualifierKey,
    Root, Step, StepId, Struct,
};
use crate::ast::{self, ACCUMULATOR, Ast, Comprehension, Expr, ExprId};
use crate::check::{Checked, Reference, Resolved};
use crate::cost::{self, Charge};
use crate::env::Env;
use crate::library::{self, Function, Overload};
use crate::value::Value;

struct Builder<'a> {
    ast: &'a Ast,
    checked: &'a Checked,
    env: &'a Env,
    steps: Vec<Step>,
    /// The empty list or map that each accumulator begins with, by its slot.
    growing: HashMap<usize, Growing>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Growing {
    List,
    Map,
}

type Built<T> = Result<T, String>;

/// Plans a checked expression; the error is that of a constant that cannot be computed.
pub(crate) fn build(ast: &Ast, root: ExprId, checked: &Checked, env: &Env) -> Built<Plan> {
    let mut builder = Builder { ast, checked, env, steps: Vec::new(), growing: HashMap::new() };
    let root = builder.plan(root)?;
    Ok(Plan { steps: builder.steps, root, slots: checked.slots })
}

impl Builder<'_> {
    fn add(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len() as u32 - 1)
    }

    fn constant(&mut self, value: Value<'static>) -> StepId {
        self.add(Step::Constant(value))
    }

    fn as_constant(&self, id: StepId) -> Option<&Value<'static>> {
        match &self.steps[id.0 as usize] {
            Step::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn plan(&mut self, id: ExprId) -> Built<StepId> {
        let ast = self.ast;
        match self.checked.reference(id) {
            Reference::TypeName(name) => return Ok(self.constant(Value::Type(crate::value::Text::owned(name.clone())))),
            Reference::Variable(_) | Reference::Local(_) => {
                let attribute = self.attribute(id)?;
                return Ok(self.add(Step::Attribute(attribute)));
            }
            _ => {}
        }
        match ast.expr(id) {
            Expr::Literal(literal) => Ok(self.constant(Value::of_literal(literal))),
            Expr::Select { .. } => {
                let attribute = self.attribute(id)?;
                Ok(self.add(Step::Attribute(attribute)))
            }
            Expr::Call { function, target, args } => self.plan_call(id, function, *target, args),
            Expr::List { elements, optional } => self.plan_list(elements, optional),
            Expr::Map(entries) => self.plan_map(entries),
            Expr::Struct { name, fields } => self.plan_struct(name, fields),
            Expr::Comprehension(fold) => self.plan_fold(id, fold),
            Expr::Ident(_) | Expr::Fault => Err("expression was not checked".to_owned()),
        }
    }

    /// Whether a node is evaluated as an attribute, so that selections extend it.
    fn is_attribute(&self, id: ExprId) -> bool {
        match self.checked.reference(id) {
            Reference::Variable(_) | Reference::Local(_) => return true,
            Reference::TypeName(_) => return false,
            _ => {}
        }
        match self.ast.expr(id) {
            Expr::Select { .. } => true,
            Expr::Call { function, .. } => matches!(&**function, "_?_:_" | "_[_]" | "_[?_]" | "_?._"),
            _ => false,
        }
    }

    /// The attribute that a node is, or one that begins with its result.
    fn attribute(&mut self, id: ExprId) -> Built<Attribute> {
        if !self.is_attribute(id) {
            let step = self.plan(id)?;
            return Ok(Attribute { root: Root::Step(step), qualifiers: Vec::new(), tests_presence: false });
        }
        let root = match self.checked.reference(id) {
            Reference::Variable(index) if self.env.is_composition(*index) => Some(Root::Composition),
            Reference::Variable(index) => Some(Root::Variable(*index)),
            Reference::Local(slot) => Some(Root::Slot(*slot)),
            _ => None,
        };
        if let Some(root) = root {
            return Ok(Attribute { root, qualifiers: Vec::new(), tests_presence: false });
        }
        let ast = self.ast;
        match ast.expr(id) {
            Expr::Select { operand, field, presence } => {
                let mut attribute = self.attribute(*operand)?;
                let key = QualifierKey::Constant(Value::owned(field.clone()));
                attribute.qualifiers.push(Qualifier { key, optional: false });
                attribute.tests_presence = *presence;
                Ok(attribute)
            }
            Expr::Call { function, args, .. } if &**function == "_?_:_" => {
                let condition = self.plan(args[0])?;
                let (then, otherwise) = (self.attribute(args[1])?, self.attribute(args[2])?);
                let root = Root::Choice(Box::new(Choice { condition, then, otherwise }));
                Ok(Attribute { root, qualifiers: Vec::new(), tests_presence: false })
            }
            Expr::Call { function, args, .. } => {
                let mut attribute = self.attribute(args[0])?;
                let key = self.qualifier_key(args[1])?;
                attribute.qualifiers.push(Qualifier { key, optional: &**function != "_[_]" });
                Ok(attribute)
            }
            _ => Err("expression is no attribute".to_owned()),
        }
    }

    fn qualifier_key(&mut self, id: ExprId) -> Built<QualifierKey> {
        if self.is_attribute(id) {
            return Ok(QualifierKey::Attribute(Box::new(self.attribute(id)?)));
        }
        let step = self.plan(id)?;
        Ok(match self.as_constant(step) {
            Some(value) => {
                crate::eval::check_key(value)?;
                QualifierKey::Constant(value.clone())
            }
            None => QualifierKey::Step(step),
        })
    }

    fn plan_list(&mut self, elements: &[ExprId], optional: &[bool]) -> Built<StepId> {
        let mut planned = Vec::with_capacity(elements.len());
        for (element, optional) in elements.iter().zip(optional) {
            planned.push(Element { value: self.plan(*element)?, optional: *optional });
        }
        let constants: Option<Vec<_>> = planned
            .iter()
            .map(|element| self.as_constant(element.value).map(|value| (value, element.optional)))
            .collect();
        match constants.map(constant::list) {
            Some(list) => list.map(|list| self.constant(list)),
            None => Ok(self.add(Step::List(planned))),
        }
    }

    fn plan_map(&mut self, entries: &[ast::Entry]) -> Built<StepId> {
        let mut planned = Vec::with_capacity(entries.len());
        for entry in entries {
            let (key, value) = (self.plan(entry.key)?, self.plan(entry.value)?);
            planned.push(Entry { key, value, optional: entry.optional });
        }
        let constants: Option<Vec<_>> = planned
            .iter()
            .map(|entry| Some((self.as_constant(entry.key)?, self.as_constant(entry.value)?, entry.optional)))
            .collect();
        match constants.map(constant::map) {
            Some(map) => map.map(|map| self.constant(map)),
            None => Ok(self.add(Step::Map(planned))),
        }
    }

    fn plan_struct(&mut self, name: &str, fields: &[ast::FieldInit]) -> Built<StepId> {
        let name: Arc<str> = name.strip_prefix('.').unwrap_or(name).into();
        let mut planned = Vec::with_capacity(fields.len());
        for field in fields {
            let value = self.plan(field.value)?;
            planned.push(Field { name: field.name.clone(), value, optional: field.optional });
        }
        Ok(self.add(Step::Struct(Struct { name, fields: planned })))
    }

    fn plan_fold(&mut self, id: ExprId, fold: &Comprehension) -> Built<StepId> {
        let Reference::Fold(slot) = *self.checked.reference(id) else {
            return Err("expression was not checked".to_owned());
        };
        let init = self.plan(fold.init)?;
        if &*fold.accu == ACCUMULATOR {
            match self.ast.expr(fold.init) {
                Expr::List { elements, .. } if elements.is_empty() => {
                    self.growing.insert(slot, Growing::List);
                }
                Expr::Map(entries) if entries.is_empty() => {
                    self.growing.insert(slot, Growing::Map);
                }
                _ => {}
            }
        }
        let range = self.plan(fold.range)?;
        let condition = self.plan(fold.condition)?;
        let step = self.plan(fold.step)?;
        let result = self.plan(fold.result)?;
        let has_two_variables = fold.var2.is_some();
        Ok(self.add(Step::Fold(Fold { range, slot, has_two_variables, init, condition, step, result })))
    }

    fn plan_call(&mut self, id: ExprId, name: &str, target: Option<ExprId>, args: &[ExprId]) -> Built<StepId> {
        if matches!(name, "_?_:_" | "_[_]" | "_[?_]" | "_?._") {
            let attribute = self.attribute(id)?;
            return Ok(self.add(Step::Attribute(attribute)));
        }
        let Reference::Call(resolved) = self.checked.reference(id) else {
            return Err(format!("no such overload: {name}"));
        };
        if let Some(step) = self.plan_growth(name, args)? {
            return Ok(step);
        }
        let target = target.filter(|_| resolved.is_method);
        let mut planned = Vec::with_capacity(args.len() + 1);
        for arg in target.iter().chain(args) {
            planned.push(self.plan(*arg)?);
        }
        let step = match (name, &planned[..]) {
            ("_&&_", [a, b]) => Step::And(*a, *b),
            ("_||_", [a, b]) => Step::Or(*a, *b),
            ("_==_", [a, b]) => Step::Equals(*a, *b),
            ("_!=_", [a, b]) => Step::Differs(*a, *b),
            ("@not_strictly_false", [a]) => Step::NotFalse(*a),
            ("or" | "orValue", [first, second]) if resolved.is_method => {
                Step::Otherwise(Otherwise { first: *first, second: *second, unwraps: name == "orValue" })
            }
            _ => self.function(resolved, planned)?,
        };
        Ok(self.add(step))
    }

    /// Additions to what an accumulator holds: made in place.
    fn plan_growth(&mut self, name: &str, args: &[ExprId]) -> Built<Option<StepId>> {
        let Some(Reference::Local(slot)) = args.first().map(|arg| self.checked.reference(*arg)) else {
            return Ok(None);
        };
        let slot = *slot;
        Ok(match (name, self.growing.get(&slot), &args[1..]) {
            ("_+_", Some(Growing::List), [added]) => {
                let Expr::List { elements, optional } = self.ast.expr(*added) else { return Ok(None) };
                let ([element], [false]) = (&elements[..], &optional[..]) else { return Ok(None) };
                let element = self.plan(*element)?;
                let list = if self.as_constant(element).is_some() { 0 } else { cost::LIST_COST };
                let cost = cost::IDENT_COST + list + cost::CALL_COST;
                Some(self.add(Step::Append(Append { slot, element, cost })))
            }
            ("cel.@mapInsert", Some(Growing::Map), [key, value]) => {
                let (key, value) = (self.plan(*key)?, self.plan(*value)?);
                Some(self.add(Step::Insert(Insert { slot, key: Some(key), value })))
            }
            ("cel.@mapInsert", Some(Growing::Map), [entries]) => {
                let value = self.plan(*entries)?;
                Some(self.add(Step::Insert(Insert { slot, key: None, value })))
            }
            _ => None,
        })
    }

    fn function(&mut self, resolved: &Resolved, args: Vec<StepId>) -> Built<Step> {
        let function = resolved.function;
        if let Some(step) = self.computed(function, &resolved.overloads, &args)? {
            return Ok(step);
        }
        let pattern = match (function.name, &args[..]) {
            ("matches" | "find" | "findAll", [_, pattern, ..]) => match self.as_constant(*pattern) {
                Some(Value::String(pattern)) => Some(library::compile_pattern(pattern)?),
                _ => None,
            },
            _ => None,
        };
        let charge = Charge::of(function.name, &resolved.overloads);
        let is_dispatched = resolved.overloads.len() > 1 && !function.is_uniform;
        let is_sequential = args.len() > 2 || is_dispatched || pattern.is_some();
        Ok(Step::Call(Call { function, args, overloads: resolved.overloads.clone(), charge, is_sequential, pattern }))
    }

    /// What cel-go computes in advance: conversions of constants, and membership in constant lists.
    fn computed(
        &self,
        function: &'static Function,
        overloads: &[&'static Overload],
        args: &[StepId],
    ) -> Built<Option<Step>> {
        const CONVERSIONS: [&str; 10] =
            ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];
        match args {
            [arg] if CONVERSIONS.contains(&function.name) => {
                let Some(value) = self.as_constant(*arg) else { return Ok(None) };
                constant::call(function.name, overloads, value).map(|value| Some(Step::Constant(value)))
            }
            [arg, list] if matches!(overloads, [only] if only.id == "in_list") => {
                let Some(Value::List(list)) = self.as_constant(*list) else { return Ok(None) };
                if list.is_empty() {
                    return Ok(Some(Step::Constant(Value::Bool(false))));
                }
                Ok(constant::set(list).map(|set| Step::OneOf(*arg, set)))
            }
            _ => Ok(None),
        }
    }
}
