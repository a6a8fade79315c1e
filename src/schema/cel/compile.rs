//! The rules of a schema, compiled once for all objects that it describes.

use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_cel::{CompileError, DeclType, Env, Program, Type, escape};

use super::declared::{Level, declared, level};
use super::wording::relative_path;
use crate::schema::{Additional, Link, Rule, Schema};

const SELF: &str = "self";
const OLD_SELF: &str = "oldSelf";

/// The compiled rules of a schema.
#[derive(Debug)]
pub struct Rules {
    pub(super) root: Node,
}

/// The rules of a schema and of those that it holds.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) schema: Link,
    pub(super) decl: Arc<DeclType>,
    pub(super) rules: Vec<CompiledRule>,
    /// Rules that stand in `allOf`, over the same data.
    pub(super) all_of: Vec<Node>,
    pub(super) properties: BTreeMap<Arc<str>, Node>,
    pub(super) values: Option<Box<Node>>,
    pub(super) items: Option<Box<Node>>,
}

/// A rule that is ready to be evaluated.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) rule: Rule,
    pub(super) program: Result<Program, String>,
    /// The message expression, if it can be evaluated.
    pub(super) message: Option<Program>,
    pub(super) uses_old_self: bool,
    /// Where a violation is told about, relative to where the rule stands.
    pub(super) field_path: String,
}

/// Compiles the rules of one schema, all over the same data.
pub(super) struct Compiler {
    with_old_self: Env,
    with_optional_old_self: Env,
}

// === impl Rules ===

impl Rules {
    /// Compiles the rules of the schema of an object; `None` if there are none.
    pub fn compile(schema: &Arc<Schema>) -> Option<Self> {
        if !has_rules(schema) {
            return None;
        }
        let decl = Arc::new(declared(schema, Level::Object));
        Node::compile(schema, &Link::Owned(schema.clone()), &decl).map(|root| Self { root })
    }
}

// === impl Node ===

impl Node {
    /// Compiles the rules that stand in `rules`: the schema of the data itself, or a part of its `allOf`.
    fn compile(rules: &Schema, schema: &Link, decl: &Arc<DeclType>) -> Option<Self> {
        // A catalog's types have no rules, but may hold themselves.
        let Link::Owned(data) = schema else { return None };
        let mut compiled = Vec::new();
        if !rules.validations.is_empty() {
            let compiler = Compiler::new(decl);
            compiled.extend(rules.validations.iter().map(|rule| CompiledRule::new(rule, data, &compiler)));
        }
        let mut properties = BTreeMap::new();
        for (name, below) in &rules.properties {
            if let Some(field) = data.properties.get(name)
                && let Some(decl) = property_decl(decl, name, field)
                && let Some(node) = Self::compile(below, field, &decl)
            {
                properties.insert(name.clone(), node);
            }
        }
        let element = decl.element().filter(|element| element.is_exposed());
        let held = |below: Option<&Link>, schema: Option<&Link>| Self::compile(below?, schema?, element?).map(Box::new);
        let node = Self {
            values: held(values(rules), values(data)),
            items: held(rules.items.as_ref(), data.items.as_ref()),
            all_of: {
                let all_of = rules.rules.iter().flat_map(|rules| &rules.all_of);
                all_of.filter_map(|below| Self::compile(below, schema, decl)).collect()
            },
            schema: schema.clone(),
            decl: decl.clone(),
            rules: compiled,
            properties,
        };
        node.has_any().then_some(node)
    }

    fn has_any(&self) -> bool {
        let is_leaf = self.rules.is_empty() && self.all_of.is_empty() && self.properties.is_empty();
        !is_leaf || self.values.is_some() || self.items.is_some()
    }
}

/// The schema of the values of a map.
fn values(schema: &Schema) -> Option<&Link> {
    match &schema.additional {
        Additional::Values(values) => Some(values),
        Additional::Nothing | Additional::Anything => None,
    }
}

/// The declared type of a field; `None` if its type is not known, so that rules do not see it.
pub(super) fn property_decl(object: &DeclType, name: &str, field: &Schema) -> Option<Arc<DeclType>> {
    let decl = match escape(name) {
        Some(_) => object.property(name)?.clone(),
        None => Arc::new(declared(field, level(field))),
    };
    decl.is_exposed().then_some(decl)
}

/// Whether a schema or one that it holds has rules; those in `allOf` alone do not count, as in Kubernetes.
fn has_rules(schema: &Schema) -> bool {
    let held = |link: &Link| matches!(link, Link::Owned(schema) if has_rules(schema));
    !schema.validations.is_empty()
        || schema.items.as_ref().is_some_and(held)
        || schema.properties.values().any(held)
        || values(schema).is_some_and(held)
}

// === impl CompiledRule ===

impl CompiledRule {
    pub(super) fn new(rule: &Rule, schema: &Schema, compiler: &Compiler) -> Self {
        let program = compiler.rule(rule);
        let message = match &program {
            Ok(_) => compiler.message(rule).and_then(Result::ok),
            Err(_) => None,
        };
        let uses_old_self = program.as_ref().is_ok_and(|program| program.uses(OLD_SELF));
        Self {
            program,
            message,
            uses_old_self,
            field_path: relative_path(&rule.field_path, schema),
            rule: rule.clone(),
        }
    }
}

// === impl Compiler ===

impl Compiler {
    pub(super) fn new(decl: &Arc<DeclType>) -> Self {
        let builder = Env::builder().data(SELF, decl).sizes_of(decl);
        Self {
            with_old_self: builder.clone().data(OLD_SELF, decl).build(),
            with_optional_old_self: builder.optional_data(OLD_SELF, decl).build(),
        }
    }

    fn env(&self, rule: &Rule) -> &Env {
        if rule.optional_old_self { &self.with_optional_old_self } else { &self.with_old_self }
    }

    /// The compiled rule, or what is wrong with it.
    pub(super) fn rule(&self, rule: &Rule) -> Result<Program, String> {
        let program = self.env(rule).compile(&rule.rule).map_err(|error| error.to_string())?;
        if program.output_type().is(&Type::Bool) {
            Ok(program)
        } else {
            Err("cel expression must evaluate to a bool".to_owned())
        }
    }

    /// The compiled message expression, or what is wrong with it; `None` if there is none.
    pub(super) fn message(&self, rule: &Rule) -> Option<Result<Program, String>> {
        if rule.message_expression.is_empty() {
            return None;
        }
        let program = self.env(rule).compile(&rule.message_expression).map_err(|error| match error {
            CompileError::Instantiation(fault) => format!("messageExpression instantiation failed: {fault}"),
            error => format!("messageExpression {error}"),
        });
        Some(program.and_then(|program| {
            if program.output_type().is(&Type::String) {
                Ok(program)
            } else {
                Err("messageExpression must evaluate to a string".to_owned())
            }
        }))
    }
}
