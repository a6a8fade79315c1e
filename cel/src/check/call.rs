//! Calls: which function is meant, and which of its overloads fit the arguments.

use std::sync::Arc;

use super::unify::{Free, instantiate};
use super::{Checker, Reference, Resolved, Selection, qualified_name};
use crate::ast::{Expr, ExprId, Literal};
use crate::library::Function;
use crate::typing::Type;

impl Checker<'_> {
    pub(super) fn check_call(&mut self, id: ExprId, name: &str, target: Option<ExprId>, args: &[ExprId]) {
        if name == "_?._" {
            return self.check_optional_select(id, args);
        }
        for arg in args {
            self.check(*arg);
        }
        let Some(target) = target else {
            let name = name.strip_prefix('.').unwrap_or(name);
            return match self.env.function(name) {
                Some(function) => self.resolve_or_report(id, function, None, args),
                None => self.undeclared(id, name),
            };
        };
        // What looks like a target may be the first part of the function's name.
        if let Some(prefix) = qualified_name(self.ast, target)
            && let Some(function) =
                self.env.function(&format!("{}.{name}", prefix.strip_prefix('.').unwrap_or(&prefix)))
        {
            return self.resolve_or_report(id, function, None, args);
        }
        self.check(target);
        match self.env.function(name) {
            Some(function) => self.resolve_or_report(id, function, Some(target), args),
            None => self.undeclared(id, name),
        }
    }

    fn check_optional_select(&mut self, id: ExprId, args: &[ExprId]) {
        let [operand, field] = args else { return };
        let Expr::Literal(Literal::String(field)) = self.ast.expr(*field) else { return };
        let ty = self.select(id, *operand, field, Selection::Optional);
        let ty = self.bindings.resolve(&ty, Free::Keep);
        self.set_type(id, ty);
    }

    fn resolve_or_report(&mut self, id: ExprId, function: &'static Function, target: Option<ExprId>, args: &[ExprId]) {
        let types: Vec<Type> = target.iter().chain(args).map(|arg| self.type_of(*arg)).collect();
        let is_method = target.is_some();
        let resolved = if matches!(function.name, "_&&_" | "_||_") {
            self.check_logic(args, &types).then(|| (Type::Bool, vec![&function.overloads[0]]))
        } else {
            self.resolve(function, is_method, &types)
        };
        match resolved {
            Some((ty, overloads)) => {
                self.set_type(id, ty);
                self.references[id.index()] = Reference::Call(Resolved { function, overloads, is_method });
            }
            None => {
                self.set_type(id, Type::Error);
                if !matches!(function.name, "_&&_" | "_||_") {
                    self.report_no_overload(id, function.name, is_method, &types);
                }
            }
        }
    }

    fn check_logic(&mut self, args: &[ExprId], types: &[Type]) -> bool {
        let mut fits = true;
        for (arg, ty) in args.iter().zip(types) {
            if !self.bindings.assign(ty, &Type::Bool) {
                self.mismatch(*arg, &Type::Bool, ty);
                fits = false;
            }
        }
        fits
    }

    /// All overloads that fit; the result is that of the first, unless they differ.
    fn resolve(
        &mut self,
        function: &'static Function,
        is_method: bool,
        types: &[Type],
    ) -> Option<(Type, Vec<&'static crate::library::Overload>)> {
        let mut result: Option<Type> = None;
        let mut overloads = Vec::new();
        for overload in function.overloads.iter().filter(|overload| overload.is_member == is_method) {
            let first = self.bindings.add_params(overload.params);
            if overload.args.len() != types.len() {
                continue;
            }
            let wanted: Vec<Type> = overload.args.iter().map(|arg| instantiate(arg, first)).collect();
            let pairs: Vec<(&Type, &Type)> = types.iter().zip(&wanted).collect();
            if !self.bindings.assign_all(&pairs) {
                continue;
            }
            overloads.push(overload);
            let ty = self.bindings.resolve(&instantiate(&overload.result, first), Free::Keep);
            match &result {
                None => result = Some(ty),
                Some(known) if !known.is_dyn() && !ty.is(known) => result = Some(Type::Dyn),
                Some(_) => {}
            }
        }
        result.map(|ty| (ty, overloads))
    }

    fn report_no_overload(&mut self, id: ExprId, name: &str, is_method: bool, types: &[Type]) {
        let shown: Arc<[String]> = types.iter().map(|ty| self.bindings.resolve(ty, Free::Dyn).in_fault()).collect();
        let signature = match shown.split_first() {
            Some((target, args)) if is_method => format!("{target}.({})", args.join(", ")),
            _ => format!("({})", shown.join(", ")),
        };
        self.fault(id, format!("found no matching overload for '{name}' applied to '{signature}'"));
    }
}
