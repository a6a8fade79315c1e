//! Macros: calls that the parser rewrites, most of them into folds.

use std::sync::Arc;

use super::grammar::Parser;
use crate::ast::{ACCUMULATOR, Comprehension, Expr, ExprId, Literal};

/// What cel-go once called the accumulator; still no name for a variable of a macro.
const OLD_ACCUMULATOR: &str = "__result__";
/// The variable of folds that only bind a name.
const UNUSED: &str = "#unused";
/// What `sortBy` binds the list to.
const SORT_INPUT: &str = "@__sortBy_input__";

/// A fault in a macro's arguments: which node, and what is wrong.
type Fault = (ExprId, String);

/// The nodes of one expansion; all are placed where the macro was called.
struct Expansion<'p, 's> {
    parser: &'p mut Parser<'s>,
    at: u32,
}

/// How a fold begins, when it goes on, what it does at each element and what it ends with.
struct Fold {
    init: ExprId,
    condition: ExprId,
    step: ExprId,
    result: ExprId,
}

/// A call, or what it expands to if it is a macro.
pub(super) fn call(
    parser: &mut Parser<'_>,
    at: u32,
    function: &str,
    target: Option<ExprId>,
    args: Vec<ExprId>,
) -> ExprId {
    let mut expansion = Expansion { parser, at };
    let expanded = match target {
        None if function == "has" && args.len() == 1 => Some(expansion.has(args[0])),
        None => None,
        Some(target) => expansion.receiver_macro(function, target, &args),
    };
    match expanded {
        Some(Ok(id)) => id,
        Some(Err((node, message))) => {
            let place = parser.ast.at(node);
            parser.report(place, message)
        }
        None => parser.ast.add(at, Expr::Call { function: function.into(), target, args }),
    }
}

impl Expansion<'_, '_> {
    fn receiver_macro(&mut self, function: &str, target: ExprId, args: &[ExprId]) -> Option<Result<ExprId, Fault>> {
        Some(match (function, args) {
            ("all", [var, predicate]) => self.quantifier(target, *var, |it| it.all(*predicate)),
            ("exists", [var, predicate]) => self.quantifier(target, *var, |it| it.exists(*predicate)),
            ("exists_one", [var, predicate]) => self.quantifier(target, *var, |it| it.exists_one(*predicate)),
            ("map", [var, transform]) => self.transform_each(target, *var, None, *transform),
            ("map", [var, predicate, transform]) => self.transform_each(target, *var, Some(*predicate), *transform),
            ("filter", [var, predicate]) => self.transform_each(target, *var, Some(*predicate), *var),
            ("all", [key, value, predicate]) => self.with_two(target, *key, *value, |it, _| it.all(*predicate)),
            ("exists", [key, value, predicate]) => self.with_two(target, *key, *value, |it, _| it.exists(*predicate)),
            ("exists_one" | "existsOne", [key, value, predicate]) => {
                self.with_two(target, *key, *value, |it, _| it.exists_one(*predicate))
            }
            ("transformList", [key, value, rest @ ..]) if matches!(rest.len(), 1 | 2) => {
                let (predicate, transform) = predicate_and_transform(rest);
                self.with_two(target, *key, *value, |it, _| it.append(predicate, transform))
            }
            ("transformMap", [key, value, rest @ ..]) if matches!(rest.len(), 1 | 2) => {
                let (predicate, transform) = predicate_and_transform(rest);
                self.with_two(target, *key, *value, |it, key| it.insert(predicate, Some(key), transform))
            }
            ("transformMapEntry", [key, value, rest @ ..]) if matches!(rest.len(), 1 | 2) => {
                let (predicate, transform) = predicate_and_transform(rest);
                self.with_two(target, *key, *value, |it, _| it.insert(predicate, None, transform))
            }
            ("optMap", [var, transform]) => self.map_optional(target, "optMap", *var, *transform),
            ("optFlatMap", [var, transform]) => self.map_optional(target, "optFlatMap", *var, *transform),
            ("sortBy", [var, key]) => self.sort_by(target, *var, *key)?,
            ("bind", [var, init, result]) if self.parser.with_bind && self.ident(target).as_deref() == Some("cel") => {
                self.bind_macro(*var, *init, *result)
            }
            _ => return None,
        })
    }

    fn add(&mut self, expr: Expr) -> ExprId {
        self.parser.ast.add(self.at, expr)
    }

    fn literal(&mut self, value: Literal) -> ExprId {
        self.add(Expr::Literal(value))
    }

    fn name(&mut self, name: &str) -> ExprId {
        self.add(Expr::Ident(name.into()))
    }

    fn accumulator(&mut self) -> ExprId {
        self.name(ACCUMULATOR)
    }

    fn call(&mut self, function: &str, args: Vec<ExprId>) -> ExprId {
        self.add(Expr::Call { function: function.into(), target: None, args })
    }

    fn method(&mut self, function: &str, target: ExprId, args: Vec<ExprId>) -> ExprId {
        self.add(Expr::Call { function: function.into(), target: Some(target), args })
    }

    fn list(&mut self, elements: Vec<ExprId>) -> ExprId {
        let optional = vec![false; elements.len()];
        self.add(Expr::List { elements, optional })
    }

    fn ident(&self, id: ExprId) -> Option<Arc<str>> {
        match self.parser.ast.expr(id) {
            Expr::Ident(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// The variable that an argument names.
    fn variable(&self, id: ExprId, otherwise: &str) -> Result<Arc<str>, Fault> {
        let name = self.ident(id).ok_or_else(|| (id, otherwise.to_owned()))?;
        if matches!(&*name, ACCUMULATOR | OLD_ACCUMULATOR) {
            return Err((id, "iteration variable overwrites accumulator variable".to_owned()));
        }
        Ok(name)
    }

    fn fold(&mut self, range: ExprId, var: Arc<str>, var2: Option<Arc<str>>, fold: Fold) -> ExprId {
        let Fold { init, condition, step, result } = fold;
        let accu = ACCUMULATOR.into();
        self.add(Expr::Comprehension(Box::new(Comprehension { range, var, var2, accu, init, condition, step, result })))
    }

    /// has(operand.field)
    fn has(&mut self, arg: ExprId) -> Result<ExprId, Fault> {
        match self.parser.ast.expr(arg) {
            Expr::Select { operand, field, presence: false } => {
                let (operand, field) = (*operand, field.clone());
                Ok(self.add(Expr::Select { operand, field, presence: true }))
            }
            // What is faulty was reported.
            Expr::Fault => Ok(arg),
            _ => Err((arg, "invalid argument to has() macro".to_owned())),
        }
    }

    fn quantifier(
        &mut self,
        range: ExprId,
        var: ExprId,
        fold: impl FnOnce(&mut Self) -> Fold,
    ) -> Result<ExprId, Fault> {
        let var = self.variable(var, "argument must be a simple name")?;
        let fold = fold(self);
        Ok(self.fold(range, var, None, fold))
    }

    fn with_two(
        &mut self,
        range: ExprId,
        key: ExprId,
        value: ExprId,
        fold: impl FnOnce(&mut Self, &str) -> Fold,
    ) -> Result<ExprId, Fault> {
        let simple = |id| (id, "argument must be a simple name".to_owned());
        let first = self.ident(key).ok_or_else(|| simple(key))?;
        let second = self.ident(value).ok_or_else(|| simple(value))?;
        if first == second {
            return Err((value, format!("duplicate variable name: {first}")));
        }
        self.variable(key, "")?;
        self.variable(value, "")?;
        let fold = fold(self, &first);
        Ok(self.fold(range, first, Some(second), fold))
    }

    fn all(&mut self, predicate: ExprId) -> Fold {
        let init = self.literal(Literal::Bool(true));
        let accu = self.accumulator();
        let condition = self.call("@not_strictly_false", vec![accu]);
        let accu = self.accumulator();
        let step = self.call("_&&_", vec![accu, predicate]);
        Fold { init, condition, step, result: self.accumulator() }
    }

    fn exists(&mut self, predicate: ExprId) -> Fold {
        let init = self.literal(Literal::Bool(false));
        let accu = self.accumulator();
        let not_yet = self.call("!_", vec![accu]);
        let condition = self.call("@not_strictly_false", vec![not_yet]);
        let accu = self.accumulator();
        let step = self.call("_||_", vec![accu, predicate]);
        Fold { init, condition, step, result: self.accumulator() }
    }

    fn exists_one(&mut self, predicate: ExprId) -> Fold {
        let init = self.literal(Literal::Int(0));
        let condition = self.literal(Literal::Bool(true));
        let (accu, one) = (self.accumulator(), self.literal(Literal::Int(1)));
        let counted = self.call("_+_", vec![accu, one]);
        let accu = self.accumulator();
        let step = self.call("_?_:_", vec![predicate, counted, accu]);
        let (accu, one) = (self.accumulator(), self.literal(Literal::Int(1)));
        Fold { init, condition, step, result: self.call("_==_", vec![accu, one]) }
    }

    /// map and filter
    fn transform_each(
        &mut self,
        range: ExprId,
        var: ExprId,
        predicate: Option<ExprId>,
        transform: ExprId,
    ) -> Result<ExprId, Fault> {
        let var = self.variable(var, "argument is not an identifier")?;
        let fold = self.append(predicate, transform);
        Ok(self.fold(range, var, None, fold))
    }

    fn append(&mut self, predicate: Option<ExprId>, element: ExprId) -> Fold {
        let init = self.list(Vec::new());
        let condition = self.literal(Literal::Bool(true));
        let (accu, element) = (self.accumulator(), self.list(vec![element]));
        let step = self.call("_+_", vec![accu, element]);
        let step = self.only_if(predicate, step);
        Fold { init, condition, step, result: self.accumulator() }
    }

    fn insert(&mut self, predicate: Option<ExprId>, key: Option<&str>, value: ExprId) -> Fold {
        let init = self.add(Expr::Map(Vec::new()));
        let condition = self.literal(Literal::Bool(true));
        let mut args = vec![self.accumulator()];
        if let Some(key) = key {
            args.push(self.name(key));
        }
        args.push(value);
        let step = self.call("cel.@mapInsert", args);
        let step = self.only_if(predicate, step);
        Fold { init, condition, step, result: self.accumulator() }
    }

    fn only_if(&mut self, predicate: Option<ExprId>, step: ExprId) -> ExprId {
        match predicate {
            Some(predicate) => {
                let accu = self.accumulator();
                self.call("_?_:_", vec![predicate, step, accu])
            }
            None => step,
        }
    }

    /// A fold over nothing, which gives a name to a value.
    fn bind(&mut self, name: Arc<str>, init: ExprId, result: ExprId) -> ExprId {
        let range = self.list(Vec::new());
        let condition = self.literal(Literal::Bool(false));
        let step = self.name(&name);
        let var = UNUSED.into();
        let (accu, var2) = (name, None);
        self.add(Expr::Comprehension(Box::new(Comprehension { range, var, var2, accu, init, condition, step, result })))
    }

    fn bind_macro(&mut self, var: ExprId, init: ExprId, result: ExprId) -> Result<ExprId, Fault> {
        let name =
            self.ident(var).ok_or_else(|| (var, "cel.bind() variable names must be simple identifiers".to_owned()))?;
        Ok(self.bind(name, init, result))
    }

    fn map_optional(
        &mut self,
        target: ExprId,
        function: &str,
        var: ExprId,
        transform: ExprId,
    ) -> Result<ExprId, Fault> {
        let name =
            self.ident(var).ok_or_else(|| (var, format!("{function}() variable name must be a simple identifier")))?;
        let has_value = self.method("hasValue", target, Vec::new());
        let copy = self.parser.ast.copy(target);
        let value = self.method("value", copy, Vec::new());
        let bound = self.bind(name, value, transform);
        let present = if function == "optMap" { self.call("optional.of", vec![bound]) } else { bound };
        let absent = self.call("optional.none", Vec::new());
        Ok(self.call("_?_:_", vec![has_value, present, absent]))
    }

    fn sort_by(&mut self, target: ExprId, var: ExprId, key: ExprId) -> Option<Result<ExprId, Fault>> {
        if matches!(self.parser.ast.expr(target), Expr::Literal(_) | Expr::Map(_) | Expr::Struct { .. }) {
            let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Some(Err((target, message.to_owned())));
        }
        let input = self.name(SORT_INPUT);
        Some(self.transform_each(input, var, None, key).map(|keys| {
            let input = self.name(SORT_INPUT);
            let sorted = self.method("@sortByAssociatedKeys", input, vec![keys]);
            self.bind(SORT_INPUT.into(), target, sorted)
        }))
    }
}

/// The last one or two arguments of a two-variable macro.
fn predicate_and_transform(rest: &[ExprId]) -> (Option<ExprId>, ExprId) {
    match rest {
        [predicate, transform] => (Some(*predicate), *transform),
        _ => (None, rest[0]),
    }
}
