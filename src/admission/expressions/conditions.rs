//! Match conditions: expressions that tell whether a policy or webhook is about a write.

use atoll_cel::{Budget, Variables};
use serde_json::Value;

use super::evaluation::{Allowance, Asks, View, evaluate};
use super::{Compiled, Purpose, Vocabulary, Yield};
use crate::admission::read::{list, text};
use crate::admission::together;

/// The match conditions of a policy or webhook, with what each is.
pub(in crate::admission) struct Conditions(Vec<(String, Compiled)>);

/// Whether conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admission) enum Holds {
    Yes,
    No,
    /// It cannot be told.
    Unknown(String),
}

impl Conditions {
    /// Those in a field `matchConditions`.
    pub(in crate::admission) fn compile(holder: &Value, words: &mut Vocabulary) -> Self {
        let compiled = list(holder, "matchConditions").iter().map(|condition| {
            let expression = text(condition, "expression");
            (expression.to_owned(), words.compile(Purpose::Decision, Yield::Truth, expression))
        });
        Self(compiled.collect())
    }

    /// Whether there are none.
    pub(in crate::admission) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they hold: all must, and one that does not decides, whatever is wrong with others.
    pub(in crate::admission) fn hold<'a>(
        &'a self,
        view: &View<'a>,
        mut variables: Variables<'a>,
        total: &mut Budget,
    ) -> Holds {
        if self.is_empty() {
            return Holds::Yes;
        }
        // Match conditions do not see the namespace.
        let view = View { namespace: &Value::Null, ..*view };
        let bindings = view.bindings(Asks::Authorizer);
        let mut allowance = Allowance::of_conditions(total);
        let mut faults = Vec::new();
        for (text, compiled) in &self.0 {
            match evaluate(text, compiled, &bindings, &mut variables, &mut allowance) {
                Ok(Ok(value)) if value.as_bool() == Some(false) => return Holds::No,
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => faults.push(fault),
                Err(exhausted) => {
                    faults = vec![exhausted.to_string()];
                    break;
                }
            }
        }
        if faults.is_empty() { Holds::Yes } else { Holds::Unknown(together(faults)) }
    }
}
