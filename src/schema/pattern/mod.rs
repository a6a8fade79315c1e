//! Regular expressions of schemas (`pattern`): Go's syntax and Go's faults, matched by the `regex` crate.
//!
//! Nothing here knows schemas. What is compiled is bounded, so that a hostile expression costs neither memory nor time.

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
        match self.compiled.get_or_init(|| compile(&self.text)) {
            Err(fault) => Err(fault.clone()),
            Ok(compiled) if compiled.size / STATE_SIZE * text.len() > MAX_WORK => {
                Err("the text is too long for an expression of this size".to_owned())
            }
            Ok(compiled) => Ok(compiled.regex.is_match(text)),
        }
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
