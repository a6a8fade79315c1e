//! `allOf`, `anyOf`, `oneOf` and `not`.

use super::outcome::{Here, Outcome};
use super::walk::{Subject, Walk};
use crate::schema::{Schema, ValueRules, shown};

impl Walk<'_> {
    /// Checks the operators in kube-openapi's order. Of branches that fail, the one with most matches is told about.
    pub(super) fn check_operators(
        &mut self,
        rules: Option<&ValueRules>,
        subject: Subject<'_>,
        here: &Here<'_>,
        outcome: &mut Outcome,
    ) {
        let mut all = Outcome::default();
        if let Some(rules) = rules {
            self.check_any_of(&rules.any_of, subject, here, &mut all);
            self.check_one_of(&rules.one_of, subject, here, &mut all);
            self.check_all_of(&rules.all_of, subject, here, &mut all);
            if let Some(schema) = &rules.not
                && self.check(schema, subject, here).is_valid()
            {
                self.composite(&mut all, here, |name| format!("{} must not validate the schema (not)", quoted(name)));
            }
        }
        all.matches += 1;
        outcome.merge(all);
    }

    fn check_any_of(&mut self, schemas: &[Schema], subject: Subject<'_>, here: &Here<'_>, all: &mut Outcome) {
        let mut best: Option<Outcome> = None;
        for schema in schemas {
            let result = self.check(schema, subject, here);
            if result.is_valid() {
                return all.merge(result);
            }
            keep_best(&mut best, result);
        }
        if let Some(best) = best {
            self.composite(all, here, |name| format!("{} must validate at least one schema (anyOf)", quoted(name)));
            all.merge(best);
        }
    }

    fn check_one_of(&mut self, schemas: &[Schema], subject: Subject<'_>, here: &Here<'_>, all: &mut Outcome) {
        let mut best: Option<Outcome> = None;
        let mut valid = Vec::new();
        for schema in schemas {
            let result = self.check(schema, subject, here);
            if result.is_valid() {
                valid.push(result);
            } else {
                keep_best(&mut best, result);
            }
        }
        let found = match valid.len() {
            _ if schemas.is_empty() => return,
            1 => return valid.into_iter().for_each(|only| all.merge(only)),
            0 => "Found none valid".to_owned(),
            count => format!("Found {count} valid alternatives"),
        };
        self.composite(all, here, |name| {
            format!("{} must validate one and only one schema (oneOf). {found}", quoted(name))
        });
        if let (Some(best), true) = (best, valid.is_empty()) {
            all.merge(best);
        }
    }

    fn check_all_of(&mut self, schemas: &[Schema], subject: Subject<'_>, here: &Here<'_>, all: &mut Outcome) {
        let mut valid = 0;
        for schema in schemas {
            let result = self.check(schema, subject, here);
            valid += usize::from(result.is_valid());
            all.merge(result);
        }
        if valid != schemas.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            self.composite(all, here, |name| format!("{} must validate all the schemas (allOf){none}", quoted(name)));
        }
    }
}

/// Keeps the first of those with most matches.
fn keep_best(best: &mut Option<Outcome>, result: Outcome) {
    if best.as_ref().is_none_or(|best| result.matches > best.matches) {
        *best = Some(result);
    }
}

fn quoted(name: &str) -> String {
    shown::value(&name.into())
}
