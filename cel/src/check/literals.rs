//! What constants show before anything is evaluated: times and patterns that are none, literals of mixed types, formats
//! that do not fit their values.

use super::Checked;
use crate::ast::{Ast, Expr, ExprId, Literal, for_each_child};
use crate::library::{self, Clause, FormatChecker};
use crate::source::{Issues, Source};
use crate::typing::Type;
use crate::value::{Conversion, Value, convert};

struct Literals<'a> {
    source: &'a Source,
    ast: &'a Ast,
    checked: &'a Checked,
    issues: &'a mut Issues,
}

/// Reports the faults of the constants of a tree whose types are sound.
pub(super) fn check(source: &Source, ast: &Ast, root: ExprId, checked: &Checked, issues: &mut Issues) {
    let mut literals = Literals { source, ast, checked, issues };
    // Nodes to be visited, and whether they stand in a call of `format`, where types may be mixed.
    let mut pending = vec![(root, false)];
    while let Some((id, in_format)) = pending.pop() {
        literals.visit(id, in_format);
        let expr = ast.expr(id);
        let in_format = in_format || matches!(expr, Expr::Call { function, .. } if &**function == "format");
        for_each_child(expr, |child| pending.push((child, in_format)));
    }
}

impl Literals<'_> {
    fn report(&mut self, id: ExprId, message: String) {
        self.issues.report(self.source, Some(self.ast.at(id)), message);
    }

    fn visit(&mut self, id: ExprId, in_format: bool) {
        let ast = self.ast;
        match ast.expr(id) {
            Expr::Call { function, target, args } => self.visit_call(function, *target, args, id),
            Expr::List { elements, optional } if !in_format => {
                let types =
                    elements.iter().zip(optional).map(|(id, optional)| (*id, self.element_type(*id, *optional)));
                self.all_the_same(types.collect());
            }
            Expr::Map(entries) if !in_format => {
                let Some(first) = entries.first() else { return };
                let key_type = self.element_type(first.key, false);
                let value_type = self.element_type(first.value, first.optional);
                for entry in entries {
                    self.same(entry.key, &key_type, self.element_type(entry.key, false));
                    self.same(entry.value, &value_type, self.element_type(entry.value, entry.optional));
                }
            }
            _ => {}
        }
    }

    fn element_type(&self, id: ExprId, optional: bool) -> Type {
        match self.checked.type_of(id) {
            Type::Optional(value) if optional => (**value).clone(),
            other => other.clone(),
        }
    }

    fn same(&mut self, id: ExprId, expected: &Type, found: Type) -> bool {
        let is_same = expected.is(&found);
        if !is_same {
            self.report(id, format!("expected type '{}' but found '{}'", expected.in_fault(), found.in_fault()));
        }
        is_same
    }

    fn all_the_same(&mut self, types: Vec<(ExprId, Type)>) {
        let Some((_, expected)) = types.first().cloned() else { return };
        for (id, found) in types {
            if !self.same(id, &expected, found) {
                return;
            }
        }
    }

    fn visit_call(&mut self, function: &str, target: Option<ExprId>, args: &[ExprId], id: ExprId) {
        let ast = self.ast;
        let literal = |id: &ExprId| match ast.expr(*id) {
            Expr::Literal(literal) => Some(literal),
            _ => None,
        };
        let Some(first) = args.first() else { return };
        let is_valid = match (function, literal(first)) {
            ("duration", Some(literal)) => convert(&Value::of_literal(literal), Conversion::Duration).is_ok(),
            ("timestamp", Some(literal)) => convert(&Value::of_literal(literal), Conversion::Timestamp).is_ok(),
            ("matches", Some(Literal::String(pattern))) => crate::pattern::check(pattern).is_ok(),
            _ => true,
        };
        if !is_valid {
            self.report(*first, format!("invalid {function} argument"));
        }
        if function == "format"
            && let Some(Literal::String(format)) = target.as_ref().and_then(literal)
            && let ([values], Expr::List { elements, .. }) = (args, ast.expr(*first))
        {
            debug_assert_eq!(values, first);
            self.visit_format(id, format, elements);
        }
    }

    fn visit_format(&mut self, id: ExprId, format: &str, values: &[ExprId]) {
        let mut checker = TypeChecker { ast: self.ast, checked: self.checked, values, at_fault: id };
        match library::check_format(format, &mut checker) {
            Err(fault) => {
                let place = checker.at_fault;
                self.report(place, fault);
            }
            Ok((_, used)) if values.len() > used => {
                let given = values.len();
                self.report(id, format!("too many arguments supplied to string.format (expected {used}, got {given})"));
            }
            Ok(_) => {}
        }
    }
}

/// Checks the clauses of a format against the types of values.
struct TypeChecker<'a> {
    ast: &'a Ast,
    checked: &'a Checked,
    values: &'a [ExprId],
    /// The node that a fault is about.
    at_fault: ExprId,
}

impl FormatChecker for TypeChecker<'_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn apply(&mut self, index: usize, clause: Clause) -> Result<String, String> {
        let value = self.values[index];
        let unfit = match clause {
            Clause::String => self.not_shown(value),
            clause => (!is_fit(clause, self.checked.type_of(value))).then_some(value),
        };
        match unfit {
            None => Ok(String::new()),
            Some(unfit) => {
                self.at_fault = unfit;
                Err(library::unfit(clause, self.checked.type_of(unfit).name()))
            }
        }
    }
}

impl TypeChecker<'_> {
    /// The first value, among those that a value is written with, that cannot be shown as text.
    fn not_shown(&self, id: ExprId) -> Option<ExprId> {
        if !is_fit(Clause::String, self.checked.type_of(id)) {
            return Some(id);
        }
        match self.ast.expr(id) {
            Expr::List { elements, .. } => elements.iter().find_map(|element| self.not_shown(*element)),
            Expr::Map(entries) => {
                entries.iter().find_map(|entry| self.not_shown(entry.key).or_else(|| self.not_shown(entry.value)))
            }
            _ => None,
        }
    }
}

fn is_fit(clause: Clause, ty: &Type) -> bool {
    match (clause, ty) {
        (_, Type::Dyn) => true,
        (
            Clause::String,
            Type::Any | Type::Optional(_) | Type::Object(_) | Type::Library(_) | Type::Error | Type::Param(_),
        ) => false,
        (Clause::String, _) => true,
        (Clause::Fixed(_) | Clause::Scientific(_), Type::Double | Type::String) => true,
        (Clause::Fixed(_) | Clause::Scientific(_), _) => false,
        (_, Type::Int | Type::Uint) => true,
        (Clause::Binary, Type::Bool) => true,
        (Clause::Hex { .. }, Type::String | Type::Bytes) => true,
        _ => false,
    }
}
