//! Deduces the type of each part of an expression, and what its names and calls refer to.
//!
//! The rules and the texts of faults are cel-go's. Which types fit each other is decided in `unify`.

mod call;
mod literals;
mod unify;

use std::sync::Arc;

use crate::ast::{Ast, Comprehension, Entry, Expr, ExprId, FieldInit, Literal};
use crate::decl::{self, Shape};
use crate::env::{Env, Name};
use crate::library::{Function, Overload};
use crate::source::{Issues, Source};
use crate::typing::{ObjectFields, ObjectType, Type};
use unify::{Bindings, Free};

/// What a node refers to.
#[derive(Clone)]
pub(crate) enum Reference {
    /// Nothing that has a name.
    None,
    /// A variable of the environment.
    Variable(usize),
    /// A variable of a macro, by its slot.
    Local(usize),
    /// A fold: the slot of its accumulator, which those of its variables follow.
    Fold(usize),
    /// A type as a value.
    TypeName(Arc<str>),
    /// A function.
    Call(Resolved),
}

/// The function that a call refers to, and those of its overloads that fit.
#[derive(Clone)]
pub(crate) struct Resolved {
    pub(crate) function: &'static Function,
    pub(crate) overloads: Vec<&'static Overload>,
    /// Whether the target of the call is an argument, and not part of the function's name.
    pub(crate) is_method: bool,
}

/// What is known of the nodes of a tree, each by its index.
pub(crate) struct Checked {
    types: Vec<Type>,
    references: Vec<Reference>,
    /// How many slots the variables of macros take.
    pub(crate) slots: usize,
}

struct Local {
    name: Arc<str>,
    ty: Type,
    slot: usize,
}

struct Checker<'a> {
    source: &'a Source,
    ast: &'a Ast,
    env: &'a Env,
    issues: Issues,
    types: Vec<Type>,
    references: Vec<Reference>,
    bindings: Bindings,
    scope: Vec<Local>,
    slots: usize,
}

/// Whether a field is selected as one that may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Selection {
    Required,
    Optional,
}

/// Checks a tree.
pub(crate) fn check(source: &Source, ast: &Ast, root: ExprId, env: &Env) -> Result<Checked, Issues> {
    let mut checker = Checker {
        source,
        ast,
        env,
        issues: Issues::default(),
        types: vec![Type::Error; ast.len()],
        references: vec![Reference::None; ast.len()],
        bindings: Bindings::new(),
        scope: Vec::new(),
        slots: 0,
    };
    checker.check(root);
    let types = std::mem::take(&mut checker.types);
    let types = types.iter().map(|ty| checker.bindings.resolve(ty, Free::Dyn)).collect();
    if checker.bindings.is_exhausted() {
        let mut issues = Issues::default();
        issues.report(source, None, "expression is too complex to be checked");
        return Err(issues);
    }
    let checked = Checked { types, references: checker.references, slots: checker.slots };
    let mut issues = checker.issues;
    if issues.is_empty() {
        literals::check(source, ast, root, &checked, &mut issues);
    }
    if issues.is_empty() { Ok(checked) } else { Err(issues.sorted()) }
}

/// The dotted name that a node spells, if it spells one.
pub(crate) fn qualified_name(ast: &Ast, id: ExprId) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let mut id = id;
    loop {
        match ast.expr(id) {
            Expr::Ident(name) => {
                parts.push(name);
                break;
            }
            Expr::Select { operand, field, presence: false } => {
                parts.push(field);
                id = *operand;
            }
            _ => return None,
        }
    }
    parts.reverse();
    Some(parts.join("."))
}

// === impl Checked ===

impl Checked {
    pub(crate) fn type_of(&self, id: ExprId) -> &Type {
        &self.types[id.index()]
    }

    pub(crate) fn reference(&self, id: ExprId) -> &Reference {
        &self.references[id.index()]
    }

    /// Whether the expression refers to a variable.
    pub(crate) fn refers_to(&self, variable: usize) -> bool {
        self.references.iter().any(|reference| matches!(reference, Reference::Variable(index) if *index == variable))
    }
}

// === impl Checker ===

impl Checker<'_> {
    fn check(&mut self, id: ExprId) {
        let ast = self.ast;
        match ast.expr(id) {
            Expr::Fault => {}
            Expr::Literal(literal) => self.set_type(id, type_of_literal(literal)),
            Expr::Ident(name) => self.check_name(id, name),
            Expr::Select { operand, field, presence } => self.check_select(id, *operand, field, *presence),
            Expr::Call { function, target, args } => self.check_call(id, function, *target, args),
            Expr::List { elements, optional } => self.check_list(id, elements, optional),
            Expr::Map(entries) => self.check_map(id, entries),
            Expr::Struct { name, fields } => self.check_struct(id, name, fields),
            Expr::Comprehension(fold) => self.check_fold(id, fold),
        }
    }

    fn report(&mut self, at: u32, message: String) {
        self.issues.report(self.source, Some(at), message);
    }

    fn fault(&mut self, id: ExprId, message: String) {
        self.report(self.ast.at(id), message);
    }

    fn mismatch(&mut self, id: ExprId, expected: &Type, actual: &Type) {
        self.fault(id, format!("expected type '{}' but found '{}'", expected.in_fault(), actual.in_fault()));
    }

    fn undeclared(&mut self, id: ExprId, name: &str) {
        self.fault(id, format!("undeclared reference to '{name}' (in container '')"));
        self.set_type(id, Type::Error);
    }

    fn set_type(&mut self, id: ExprId, ty: Type) {
        self.types[id.index()] = ty;
    }

    fn type_of(&self, id: ExprId) -> Type {
        self.types[id.index()].clone()
    }

    fn resolved(&mut self, id: ExprId) -> Type {
        let ty = self.type_of(id);
        self.bindings.resolve(&ty, Free::Keep)
    }

    /// Looks a name up: first the variables of macros, then those of the environment, then types.
    fn look_up(&self, name: &str) -> Option<(Type, Reference)> {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(local) = self.scope.iter().rev().find(|local| &*local.name == name) {
            return Some((local.ty.clone(), Reference::Local(local.slot)));
        }
        Some(match self.env.look_up(name)? {
            Name::Variable(index, ty) => (ty, Reference::Variable(index)),
            Name::Type(ty) => (Type::Type(Some(Arc::new(ty))), Reference::TypeName(name.into())),
        })
    }

    fn check_name(&mut self, id: ExprId, name: &str) {
        match self.look_up(name) {
            Some((ty, reference)) => self.refer(id, ty, reference),
            None => self.undeclared(id, name),
        }
    }

    fn refer(&mut self, id: ExprId, ty: Type, reference: Reference) {
        self.set_type(id, ty);
        self.references[id.index()] = reference;
    }

    fn check_select(&mut self, id: ExprId, operand: ExprId, field: &str, presence: bool) {
        if !presence
            && let Some(name) = qualified_name(self.ast, id)
            && let Some((ty, reference)) = self.look_up(&name)
        {
            return self.refer(id, ty, reference);
        }
        let ty = self.select(id, operand, field, Selection::Required);
        let ty = if presence { Type::Bool } else { self.bindings.resolve(&ty, Free::Keep) };
        self.set_type(id, ty);
    }

    /// The type of a field of an operand.
    fn select(&mut self, id: ExprId, operand: ExprId, field: &str, selection: Selection) -> Type {
        self.check(operand);
        let operand_type = self.resolved(operand);
        let (target, is_optional) = match &operand_type {
            Type::Optional(value) => (&**value, true),
            other => (other, false),
        };
        let selected = match target {
            Type::Map(entry) => entry.1.clone(),
            Type::Object(object) => self.field_type(self.ast.at(id), object, field),
            Type::Library(library) if library.is_struct() => {
                self.fault(id, format!("unexpected failed resolution of '{}'", library.name()));
                Type::Error
            }
            Type::Param(_) => {
                self.bindings.assign(&Type::Dyn, target);
                Type::Dyn
            }
            other => {
                if !other.is_dyn_or_error() {
                    self.fault(id, format!("type '{}' does not support field selection", other.in_fault()));
                }
                Type::Dyn
            }
        };
        if is_optional || selection == Selection::Optional { Type::optional(selected) } else { selected }
    }

    fn field_type(&mut self, at: u32, object: &ObjectType, field: &str) -> Type {
        let found = match &object.fields {
            ObjectFields::Any => Some(Type::Dyn),
            ObjectFields::JsonPatch => match field {
                "value" => Some(Type::Dyn),
                _ => is_of_patch(field).then_some(Type::String),
            },
            ObjectFields::Declared(declared) => match &declared.shape {
                Shape::Object(fields) => fields
                    .field_or_keyword(field)
                    .map(|declared| decl::checked(declared, &format!("{}.{field}", object.name))),
                _ => None,
            },
        };
        found.unwrap_or_else(|| {
            self.report(at, format!("undefined field '{field}'"));
            Type::Error
        })
    }

    /// The value's type of an optional element; others have no place where one is asked for.
    fn unwrap_optional(&mut self, id: ExprId, ty: Type) -> Type {
        match ty {
            Type::Optional(value) => (*value).clone(),
            other => {
                if !other.is_dyn() {
                    self.mismatch(id, &Type::optional(other.clone()), &other);
                }
                other
            }
        }
    }

    /// The type that elements of both types have.
    fn join(&mut self, previous: Option<Type>, current: Type) -> Type {
        let Some(previous) = previous else { return current };
        if self.bindings.assign(&previous, &current) { unify::most_general(previous, current) } else { Type::Dyn }
    }

    fn check_list(&mut self, id: ExprId, elements: &[ExprId], optional: &[bool]) {
        let mut joined = None;
        for (element, is_optional) in elements.iter().zip(optional) {
            self.check(*element);
            let mut ty = self.type_of(*element);
            if *is_optional {
                ty = self.unwrap_optional(*element, ty);
            }
            joined = Some(self.join(joined, ty));
        }
        let element = joined.unwrap_or_else(|| self.bindings.fresh());
        let ty = self.bounded(Type::list(element));
        self.set_type(id, ty);
    }

    fn check_map(&mut self, id: ExprId, entries: &[Entry]) {
        let mut joined = None;
        for entry in entries {
            self.check(entry.key);
            let (keys, values) = joined.map_or((None, None), |(key, value)| (Some(key), Some(value)));
            let key = self.join(keys, self.type_of(entry.key));
            self.check(entry.value);
            let mut value = self.type_of(entry.value);
            if entry.optional {
                value = self.unwrap_optional(entry.value, value);
            }
            joined = Some((key, self.join(values, value)));
        }
        let (key, value) = match joined {
            Some(joined) => joined,
            None => (self.bindings.fresh(), self.bindings.fresh()),
        };
        let ty = self.bounded(Type::map(key, value));
        self.set_type(id, ty);
    }

    /// The type as it is, after making sure that it does not grow beyond measure.
    fn bounded(&mut self, ty: Type) -> Type {
        self.bindings.resolve(&ty, Free::Keep);
        if self.bindings.is_exhausted() { Type::Error } else { ty }
    }

    fn check_struct(&mut self, id: ExprId, name: &str, fields: &[FieldInit]) {
        let Some((ty, _)) = self.look_up(name) else { return self.undeclared(id, name) };
        let object = match ty {
            Type::Type(Some(named)) => match &*named {
                Type::Object(object) => Some(object.clone()),
                other => {
                    self.fault(id, format!("'{}' is not a message type", other.name()));
                    None
                }
            },
            Type::Error => None,
            other => {
                self.fault(id, format!("'{}' is not a type", other.name()));
                None
            }
        };
        self.set_type(id, object.clone().map_or(Type::Error, Type::Object));
        for field in fields {
            self.check(field.value);
            let wanted = match &object {
                // The type of a field that a patch does not have is no error to Kubernetes, but nothing (cel/mutation).
                Some(object) if matches!(object.fields, ObjectFields::JsonPatch) && !is_of_patch(&field.name) => {
                    let given = self.type_of(field.value).in_fault();
                    let name = &field.name;
                    self.report(
                        field.at,
                        format!("expected type of field '{name}' is '' but provided type is '{given}'"),
                    );
                    continue;
                }
                Some(object) => self.field_type(field.at, object, &field.name),
                None => {
                    self.report(field.at, format!("unexpected failed resolution of '{name}'"));
                    Type::Error
                }
            };
            let mut given = self.type_of(field.value);
            if field.optional {
                given = self.unwrap_optional(field.value, given);
            }
            if !self.bindings.assign(&wanted, &given) {
                let (wanted, given) = (wanted.in_fault(), given.in_fault());
                let name = &field.name;
                self.report(
                    field.at,
                    format!("expected type of field '{name}' is '{wanted}' but provided type is '{given}'"),
                );
            }
        }
    }

    fn check_fold(&mut self, id: ExprId, fold: &Comprehension) {
        self.check(fold.range);
        self.check(fold.init);
        let range = self.resolved(fold.range);
        let accu = self.type_of(fold.init);
        let outer = self.scope.len();
        self.references[id.index()] = Reference::Fold(self.slots);
        self.enter(&fold.accu, accu.clone());
        let (first, second) = self.iterated(fold.range, &range);
        let loop_scope = self.scope.len();
        match &fold.var2 {
            Some(value) => {
                let index = if matches!(range, Type::List(_)) { Type::Int } else { first.clone() };
                self.enter(&fold.var, index);
                self.enter(value, second);
            }
            None => self.enter(&fold.var, first),
        }
        self.check(fold.condition);
        self.expect(fold.condition, &Type::Bool);
        self.check(fold.step);
        self.expect(fold.step, &accu);
        self.scope.truncate(loop_scope);
        self.check(fold.result);
        self.scope.truncate(outer);
        let ty = self.resolved(fold.result);
        self.set_type(id, ty);
    }

    fn enter(&mut self, name: &Arc<str>, ty: Type) {
        self.scope.push(Local { name: name.clone(), ty, slot: self.slots });
        self.slots += 1;
    }

    /// The types of what a fold goes over: elements, or keys; and elements or values for folds with two variables.
    fn iterated(&mut self, range_id: ExprId, range: &Type) -> (Type, Type) {
        match range {
            Type::List(element) => ((**element).clone(), (**element).clone()),
            Type::Map(entry) => (**entry).clone(),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.bindings.assign(&Type::Dyn, range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let ty = other.in_fault();
                self.fault(
                    range_id,
                    format!(
                        "expression of type '{ty}' cannot be range of a comprehension (must be list, map, or dynamic)"
                    ),
                );
                (Type::Error, Type::Error)
            }
        }
    }

    fn expect(&mut self, id: ExprId, expected: &Type) {
        let actual = self.type_of(id);
        if !self.bindings.assign(expected, &actual) {
            self.mismatch(id, expected, &actual);
        }
    }
}

/// Whether the operations of a patch have a field.
fn is_of_patch(field: &str) -> bool {
    matches!(field, "op" | "path" | "from" | "value")
}

fn type_of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
