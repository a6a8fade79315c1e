//! Whether a definition may have its rules: they must compile, be cheap enough, and compare only what can be compared.

use std::sync::Arc;

use atoll_api::{FieldError, FieldErrors, FieldPath};
use atoll_cel::DeclType;
use atoll_cel::limits::{ESTIMATED_COST_LIMIT, ESTIMATED_TOTAL_COST_LIMIT};
use serde_json::Value;

use super::compile::{Compiler, property_decl};
use super::declared::{Level, declared, level};
use super::wording::written;
use crate::schema::place::{Faults, Place};
use crate::schema::{Additional, Link, ListType, Rule, Schema, SchemaType, structural};

const VALIDATIONS: &str = "x-kubernetes-validations";
/// How many of the most expensive rules are named where all of them together are too expensive.
const MAX_EXPENSIVE: usize = 4;

/// Where a schema stands, as far as its rules depend on that.
#[derive(Clone, Copy)]
struct Context<'a> {
    /// How often data of the schema can be in one object, at most; `None` if nothing bounds it.
    cardinality: Option<u64>,
    /// The first list around the schema whose elements cannot be told apart.
    uncorrelatable: Option<&'a Place<'a>>,
}

#[derive(Default)]
struct Weigher {
    faults: Faults,
    total: u64,
    /// The rules that make up at least a hundredth of what all together may cost, the most expensive first.
    expensive: Vec<(u64, FieldPath)>,
}

/// Checks the rules of a schema that has no other faults; `path` is where the schema stands in its definition.
pub fn check_definition(schema: &Value, path: &FieldPath) -> FieldErrors {
    let Ok(compiled) = structural::compile(schema) else { return FieldErrors::new() };
    let mut weigher = Weigher::default();
    let place = Place::start(path);
    let decl = Arc::new(declared(&compiled, Level::Object));
    let context = Context { cardinality: Some(1), uncorrelatable: None };
    weigher.check(schema, &compiled, &decl, &place, context);
    weigher.finish(path)
}

impl Weigher {
    fn check(&mut self, raw: &Value, schema: &Schema, decl: &Arc<DeclType>, place: &Place<'_>, context: Context<'_>) {
        let cardinality = match (context.cardinality, max_elements(schema)) {
            (Some(outer), Some(own)) => Some(outer.saturating_mul(own)),
            _ => None,
        };
        let below = Context { cardinality, ..context };
        if let Additional::Values(values) = &schema.additional {
            let place = place.child("additionalProperties");
            self.check_held(&raw["additionalProperties"], values, decl, &place, below);
        }
        let at_properties = place.child("properties");
        for (name, field) in &schema.properties {
            let place = at_properties.key(name);
            let Some(raw) = raw["properties"].get(&**name) else { continue };
            match (property_decl(decl, name, field), field) {
                (Some(decl), Link::Owned(field)) => self.check(raw, field, &decl, &place, below),
                _ => self.tell_untyped(field, &place),
            }
        }
        if let Some(items) = &schema.items {
            let is_correlatable = matches!(schema.list_type, Some(ListType::Map(_)));
            let uncorrelatable =
                if is_correlatable { context.uncorrelatable } else { context.uncorrelatable.or(Some(place)) };
            let below = Context { uncorrelatable, ..below };
            self.check_held(&raw["items"], items, decl, &place.child("items"), below);
        }
        self.check_rules(raw, schema, decl, place, context);
    }

    /// Checks the schema of elements or of values.
    fn check_held(&mut self, raw: &Value, held: &Link, decl: &DeclType, place: &Place<'_>, context: Context<'_>) {
        match (decl.element(), held) {
            (Some(element), Link::Owned(schema)) if element.is_exposed() => {
                self.check(raw, schema, &element.clone(), place, context);
            }
            (_, Link::Owned(schema)) => {
                // What stands below may be typed again.
                let decl = Arc::new(declared(schema, level(schema)));
                if decl.is_exposed() {
                    self.check(raw, schema, &decl, place, context);
                } else {
                    self.tell_untyped(schema, place);
                }
            }
            (_, Link::Named(..) | Link::Made(_)) => {}
        }
    }

    /// Rules need data of which the type is known.
    fn tell_untyped(&mut self, schema: &Schema, place: &Place<'_>) {
        if !schema.validations.is_empty() {
            let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: \
                          unable to convert structural schema to CEL declarations";
            self.faults.add(&place.child(VALIDATIONS), |path| FieldError::internal(path, detail));
        }
    }

    fn check_rules(
        &mut self,
        raw: &Value,
        schema: &Schema,
        decl: &Arc<DeclType>,
        place: &Place<'_>,
        context: Context<'_>,
    ) {
        if schema.validations.is_empty() {
            return;
        }
        let compiler = Compiler::new(decl);
        let cardinality = context.cardinality.unwrap_or_else(|| decl.max_cardinality());
        let place = place.child(VALIDATIONS);
        for (index, rule) in schema.validations.iter().enumerate() {
            let optional = raw[VALIDATIONS][index]["optionalOldSelf"].as_bool();
            let context =
                RuleContext { compiler: &compiler, cardinality, optional, uncorrelatable: context.uncorrelatable };
            self.check_rule(rule, &place.index(index), &context);
        }
    }

    fn check_rule(&mut self, rule: &Rule, place: &Place<'_>, context: &RuleContext<'_>) {
        let at_rule = place.child("rule");
        let invalid = |faults: &mut Faults, place: &Place<'_>, detail: String| {
            faults.add(place, |path| FieldError::invalid_shown(path, written(rule, context.optional), detail));
        };
        let program = match context.compiler.rule(rule) {
            Ok(program) => program,
            Err(fault) => {
                invalid(&mut self.faults, &at_rule, fault);
                // A rule that does not compile uses nothing.
                return self.tell_optional_unused(place, context);
            }
        };
        let cost = program.estimated_cost().max.saturating_mul(context.cardinality);
        self.weigh("estimated rule cost", cost, &at_rule);
        match context.compiler.message(rule) {
            None => {}
            Some(Err(fault)) => invalid(&mut self.faults, &place.child("messageExpression"), fault),
            Some(Ok(program)) => {
                let cost = program.estimated_cost().max;
                self.weigh("estimated messageExpression cost", cost, &place.child("messageExpression"));
            }
        }
        if program.uses("oldSelf") {
            if let Some(list) = context.uncorrelatable {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {}",
                    list.path()
                );
                self.faults.invalid(&at_rule, &rule.rule.as_str().into(), detail);
            }
        } else {
            self.tell_optional_unused(place, context);
        }
    }

    fn tell_optional_unused(&mut self, place: &Place<'_>, context: &RuleContext<'_>) {
        if let Some(optional) = context.optional {
            let detail = "may not be set if oldSelf is not used in rule";
            self.faults.invalid(&place.child("optionalOldSelf"), &optional.into(), detail);
        }
    }

    fn weigh(&mut self, what: &str, cost: u64, place: &Place<'_>) {
        if cost > ESTIMATED_COST_LIMIT {
            self.faults.forbidden(place, too_expensive(what, cost, ESTIMATED_COST_LIMIT));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= ESTIMATED_TOTAL_COST_LIMIT / 100 {
            self.expensive.push((cost, place.path()));
            self.expensive.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
            self.expensive.truncate(MAX_EXPENSIVE);
        }
    }

    fn finish(mut self, path: &FieldPath) -> FieldErrors {
        if self.total > ESTIMATED_TOTAL_COST_LIMIT {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            self.faults.extend(self.expensive.iter().map(|(_, path)| FieldError::forbidden(path, detail)));
            let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
            let detail = too_expensive(what, self.total, ESTIMATED_TOTAL_COST_LIMIT);
            self.faults.extend([FieldError::forbidden(path, detail)]);
        }
        self.faults.into_errors()
    }
}

/// What a rule depends on besides itself.
struct RuleContext<'a> {
    compiler: &'a Compiler,
    cardinality: u64,
    /// What the rule says of `optionalOldSelf`.
    optional: Option<bool>,
    uncorrelatable: Option<&'a Place<'a>>,
}

/// By how much one value of a schema multiplies what it holds; `None` if nothing bounds it.
fn max_elements(schema: &Schema) -> Option<u64> {
    let bounds = schema.rules.as_deref();
    match schema.kind {
        Some(SchemaType::Object) if !matches!(schema.additional, Additional::Nothing) => {
            bounds.and_then(|bounds| bounds.max_properties)
        }
        Some(SchemaType::Array) => bounds.and_then(|bounds| bounds.max_items),
        _ => Some(1),
    }
}

fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        // With more digits, lest it read as exactly what is allowed.
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
