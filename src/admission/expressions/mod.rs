//! The expressions of policies and of webhooks' match conditions: what they can refer to, and what they must yield.
//!
//! The validation of policies and webhooks compiles them with this, too.

mod asking;
mod conditions;
mod evaluation;
mod sight;

use std::sync::Arc;

use atoll_cel::admission::environment;
use atoll_cel::{CompileError, DeclType, Env, Program, Type};

pub(super) use self::asking::{Asking, resource_of};
pub(super) use self::conditions::{Conditions, Holds};
pub(super) use self::evaluation::{Allowance, Asks, Exhausted, View, all_together, evaluate};
pub(super) use self::sight::Sight;

/// The most variables a policy may declare. Each can refer to all before it, so that their number counts twice.
const MAX_VARIABLES: usize = 1000;

/// Whether expressions can refer to `params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Params {
    /// The policy takes parameters.
    Present,
    /// It takes none.
    Absent,
}

/// What an expression is for, on which depends what it can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Deciding something; may ask the authorizer.
    Decision,
    /// Wording a message; may not.
    Message,
    /// Changing an object; may ask the authorizer and make patches.
    Change,
}

/// What an expression must yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yield {
    /// A truth value.
    Truth,
    /// Text.
    Text,
    /// Text, or `null` for none.
    TextOrNull,
    /// Anything.
    Anything,
    /// A part of an object, to be laid over the object.
    Object,
    /// Operations of a JSON patch.
    Patches,
}

/// What the expressions of one policy or webhook can refer to.
pub struct Vocabulary {
    params: Params,
    types: Option<Types>,
    variables: Option<Vec<(Arc<str>, Type)>>,
    /// The environments that were needed so far, by what is added to them.
    environments: Vec<(Purpose, Env)>,
}

/// What is known of the objects that expressions see, to check them more closely than they are compiled with.
#[derive(Debug, Clone)]
pub struct Types {
    /// The kind that is written, and its type.
    pub object: (String, Arc<DeclType>),
    /// That of the parameters, if they are known.
    pub params: Option<(String, Arc<DeclType>)>,
}

/// A compiled expression, or what is wrong with it.
pub type Compiled = Result<Program, CompileError>;

impl Vocabulary {
    /// That of match conditions, or of a policy without variables.
    pub fn without_variables(params: Params) -> Self {
        Self { params, types: None, variables: None, environments: Vec::new() }
    }

    /// That of a policy, without its variables yet.
    pub fn of_policy(params: Params) -> Self {
        Self { variables: Some(Vec::new()), ..Self::without_variables(params) }
    }

    /// The same where it is known what is written.
    #[must_use]
    pub fn about(self, types: Types) -> Self {
        Self { types: Some(types), ..self }
    }

    /// Compiles a variable of a policy; expressions that are compiled later can refer to it.
    pub fn declare(&mut self, name: &str, expression: &str) -> Compiled {
        let compiled = match &self.variables {
            Some(variables) if variables.len() >= MAX_VARIABLES => {
                return Err(CompileError::Instantiation(format!(
                    "a policy may have at most {MAX_VARIABLES} variables"
                )));
            }
            _ => self.compile(Purpose::Decision, Yield::Anything, expression),
        };
        // What is faulty can be referred to all the same, so that the fault is told once, where it is.
        let output = compiled.as_ref().map_or(Type::Dyn, |program| program.output_type().clone());
        if let Some(variables) = &mut self.variables {
            variables.push((name.into(), output));
        }
        self.environments.clear();
        compiled
    }

    /// Compiles an expression.
    pub fn compile(&mut self, purpose: Purpose, wanted: Yield, expression: &str) -> Compiled {
        let program = self.environment(purpose).compile(expression)?;
        let found = program.output_type().to_string();
        let accepted: &[&str] = match wanted {
            Yield::Truth => &["bool"],
            Yield::Text => &["string"],
            Yield::TextOrNull => &["string", "null_type"],
            Yield::Object => &["Object"],
            Yield::Patches => &["list(JSONPatch)"],
            Yield::Anything => return Ok(program),
        };
        if accepted.contains(&found.as_str()) {
            return Ok(program);
        }
        let expected = match accepted {
            [only] => (*only).to_owned(),
            several => format!("one of [{}]", several.join(" ")),
        };
        Err(CompileError::Output { expected, found })
    }

    fn environment(&mut self, purpose: Purpose) -> &Env {
        let found = self.environments.iter().position(|(made_for, _)| *made_for == purpose);
        let index = found.unwrap_or_else(|| {
            let mut builder = environment();
            if self.params == Params::Present {
                builder = builder.with_params();
            }
            if let Some(Types { object: (kind, object), params }) = &self.types {
                builder = builder.named_data("object", kind, object).named_data("oldObject", kind, object);
                if let Some((kind, params)) = params {
                    builder = builder.named_data("params", kind, params);
                }
            }
            if purpose != Purpose::Message {
                builder = builder.with_authorizer();
            }
            if purpose == Purpose::Change {
                builder = builder.with_patches();
            }
            if let Some(variables) = &self.variables {
                builder = builder.with_variables(variables.iter().cloned());
            }
            self.environments.push((purpose, builder.build()));
            self.environments.len() - 1
        });
        &self.environments[index].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(vocabulary: &mut Vocabulary, purpose: Purpose, wanted: Yield, expression: &str, expected: &str) {
        let outcome = vocabulary.compile(purpose, wanted, expression).err().map(|error| error.to_string());
        let shown = outcome.unwrap_or_default();
        let first = shown.lines().next().unwrap_or_default();
        assert_eq!(first, expected, "{expression}");
    }

    #[test]
    fn expressions_must_yield_what_their_place_asks_for() {
        let mut vocabulary = Vocabulary::of_policy(Params::Absent);
        let mut check = |purpose, wanted, expression: &str, expected: &str| {
            check(&mut vocabulary, purpose, wanted, expression, expected);
        };
        let (decision, change) = (Purpose::Decision, Purpose::Change);
        check(decision, Yield::Truth, "object.a == 1", "");
        check(decision, Yield::Truth, "1", "must evaluate to bool but got int");
        check(Purpose::Message, Yield::Text, "1", "must evaluate to string but got int");
        check(decision, Yield::TextOrNull, "null", "");
        check(decision, Yield::TextOrNull, "1", "must evaluate to one of [string null_type] but got int");
        check(change, Yield::Patches, "[JSONPatch{op: 'remove', path: '/a'}]", "");
        check(change, Yield::Patches, "1", "must evaluate to list(JSONPatch) but got int");
        check(change, Yield::Object, "Object{}", "");
        check(change, Yield::Object, "{'a': 1}", "must evaluate to Object but got map(string, int)");
    }

    #[test]
    fn what_can_be_referred_to_depends_on_the_place() {
        let undeclared = |name: &str| {
            format!("compilation failed: ERROR: <input>:1:1: undeclared reference to '{name}' (in container '')")
        };
        let asks = "authorizer.path('/x').check('get').allowed()";
        let mut webhook = Vocabulary::without_variables(Params::Absent);
        check(&mut webhook, Purpose::Decision, Yield::Truth, asks, "");
        check(&mut webhook, Purpose::Decision, Yield::Truth, "variables.x == 1", &undeclared("variables"));
        check(&mut webhook, Purpose::Decision, Yield::Truth, "params.x == 1", &undeclared("params"));
        let mut policy = Vocabulary::of_policy(Params::Present);
        assert!(policy.declare("x", "params.y").is_ok());
        assert!(policy.declare("faulty", "nothing").is_err());
        check(&mut policy, Purpose::Decision, Yield::Truth, "variables.x == 1 && variables.faulty", "");
        check(&mut policy, Purpose::Message, Yield::Text, "string(request.dryRun)", "");
        check(&mut policy, Purpose::Message, Yield::Truth, asks, &undeclared("authorizer"));
        check(&mut policy, Purpose::Decision, Yield::Anything, "Object{}", &undeclared("Object").replace("1:1", "1:7"));
    }
}
