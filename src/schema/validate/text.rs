//! Checks of texts: length, pattern, format. The first of length and pattern that fails is told.

use atoll_api::FieldError;
use atoll_api::field::FieldErrorKind;

use super::outcome::{Here, Outcome};
use super::walk::Walk;
use crate::schema::{Schema, ValueRules, format, shown};

impl Walk<'_> {
    pub(super) fn check_text(&mut self, schema: &Schema, text: &str, here: &Here<'_>, outcome: &mut Outcome) {
        if let Some(rules) = schema.rules.as_deref() {
            self.check_length_and_pattern(rules, text, here, outcome);
        }
        outcome.matches += 1;
        if let Some(name) = schema.format.as_deref()
            && format::is_known_for(name, None)
        {
            self.spend(text.len() / 8);
            if !format::matches(name, text) {
                self.wrong_type(outcome, here, name, text);
            }
            outcome.matches += 1;
        }
    }

    fn check_length_and_pattern(&mut self, rules: &ValueRules, text: &str, here: &Here<'_>, outcome: &mut Outcome) {
        self.spend(text.len() / 8);
        let length = text.chars().count() as u64;
        if let Some(most) = rules.max_length.filter(|most| length > *most) {
            return self.fault(outcome, here, |path, name| {
                // Kubernetes counts characters but speaks of bytes.
                let unit = if most == 1 { "byte" } else { "bytes" };
                let detail = format!("may not be more than {most} {unit}");
                let error = FieldError { path: path.clone(), kind: FieldErrorKind::TooLong, value: None, detail };
                (error, format!("{name} in body should be at most {most} chars long"))
            });
        }
        if let Some(least) = rules.min_length.filter(|least| length < *least) {
            let sentence = |name: &str| format!("{name} in body should be at least {least} chars long");
            return self.invalid(outcome, here, shown::value(&text.into()), sentence);
        }
        let Some(pattern) = &rules.pattern else { return };
        self.spend(text.len());
        let wanted = match pattern.is_match(text) {
            Ok(true) => return,
            Ok(false) => pattern.as_str().to_owned(),
            Err(fault) => format!("{}, but pattern is invalid: {fault}", pattern.as_str()),
        };
        let sentence = |name: &str| format!("{name} in body should match '{wanted}'");
        self.invalid(outcome, here, shown::value(&text.into()), sentence);
    }
}
