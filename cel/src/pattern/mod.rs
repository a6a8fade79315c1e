//! Regular expressions of schemas and of CEL: Go's syntax and Go's faults, matched by the `regex` crate.
//!
//! Nothing here knows schemas or values. What is compiled is bounded, so that a hostile expression costs neither memory nor time.

mod class;
#[cfg(test)]
mod tests;
mod translate;

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::{Regex, RegexBuilder};

/// How many bytes one compiled expression may take, as estimated and as the `regex` crate counts.
const MAX_SIZE: usize = 1 << 20;
/// How many bytes of lookup tables one expression may build up while it is used.
const MAX_TABLES: usize = 256 << 10;
/// How deep an expression may nest; Go allows a thousand groups, and a repetition may stand on each.
const MAX_NESTING: u32 = 4000;
/// How much work one match may be: states of the expression times bytes of the text.
const MAX_WORK: usize = 1 << 30;
/// About how many bytes one state of a compiled expression takes.
const STATE_SIZE: usize = 32;

/// A regular expression in Go's syntax, compiled when first used; a cheap clone.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    compiled: Arc<OnceLock<Result<Compiled, String>>>,
}

struct Compiled {
    regex: Regex,
    /// Estimated size in bytes.
    size: usize,
}

/// Checks an expression as Go's `regexp.Compile` does and gives the estimated size of its compiled form in bytes.
///
/// The error is Go's: ``error parsing regexp: missing closing ): `(` ``.
pub fn check(text: &str) -> Result<usize, String> {
    let translated = translate::translate(text)?;
    if translated.size > MAX_SIZE { Err(too_large(text)) } else { Ok(translated.size) }
}

impl Pattern {
    /// Takes an expression without looking at it.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), compiled: Arc::default() }
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the expression matches anywhere in `text`; an error if it is malformed or the match would take too long.
    pub fn is_match(&self, text: &str) -> Result<bool, String> {
        Ok(self.regex_for(text)?.is_match(text))
    }

    /// The first part of `text` that matches; errors as those of [`Pattern::is_match`].
    pub fn find<'t>(&self, text: &'t str) -> Result<Option<&'t str>, String> {
        Ok(self.regex_for(text)?.find(text).map(|found| found.as_str()))
    }

    /// The parts of `text` that match, at most `limit`; errors as those of [`Pattern::is_match`].
    pub fn find_all<'t>(&self, text: &'t str, limit: usize) -> Result<Vec<&'t str>, String> {
        Ok(self.regex_for(text)?.find_iter(text).take(limit).map(|found| found.as_str()).collect())
    }

    /// How much work a match in `text` is at most: states of the expression times bytes of the text.
    pub fn steps(&self, text: &str) -> Result<usize, String> {
        Ok(self.compiled()?.steps(text))
    }

    fn compiled(&self) -> Result<&Compiled, String> {
        self.compiled.get_or_init(|| compile(&self.text)).as_ref().map_err(String::clone)
    }

    fn regex_for(&self, text: &str) -> Result<&Regex, String> {
        let compiled = self.compiled()?;
        if compiled.steps(text) > MAX_WORK {
            return Err("the text is too long for an expression of this size".to_owned());
        }
        Ok(&compiled.regex)
    }
}

impl Compiled {
    fn steps(&self, text: &str) -> usize {
        (self.size / STATE_SIZE).saturating_mul(text.len())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

fn compile(text: &str) -> Result<Compiled, String> {
    let translated = translate::translate(text)?;
    if translated.size > MAX_SIZE {
        return Err(too_large(text));
    }
    RegexBuilder::new(&translated.expression)
        .size_limit(4 * MAX_SIZE)
        .dfa_size_limit(MAX_TABLES)
        .nest_limit(MAX_NESTING)
        .build()
        .map(|regex| Compiled { regex, size: translated.size })
        .map_err(|_| too_large(text))
}

fn too_large(text: &str) -> String {
    fault("expression too large", text)
}

/// A fault in the words of Go's `syntax.Error`.
fn fault(what: &str, place: &str) -> String {
    format!("error parsing regexp: {what}: `{place}`")
}
