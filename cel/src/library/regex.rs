//! Matching regular expressions: `matches`, `find`, `findAll`.
//!
//! Constant expressions are compiled with the program; what else is compiled here is bounded by what it may cost.

use super::{Row, int, text};
use crate::fault::{Eval, EvalError, Work};
use crate::pattern::{self, Pattern};
use crate::value::{List, Value};

/// How many bytes of a compiled expression count as one unit of work.
const SIZE_PER_WORK: usize = 4;
/// How many steps of a match count as one unit of work.
const STEPS_PER_WORK: usize = 64;

pub(super) const ROWS: &[Row] = &[
    Row("string_find_string", "<string>.find(string) -> string", |work, args| {
        find(&compile_at_run_time(text(args, 1)?, work)?, text(args, 0)?, work)
    }),
    Row("string_find_all_string", "<string>.findAll(string) -> list(string)", |work, args| {
        find_all(&compile_at_run_time(text(args, 1)?, work)?, text(args, 0)?, None, work)
    }),
    Row("string_find_all_string_int", "<string>.findAll(string, int) -> list(string)", |work, args| {
        find_all(&compile_at_run_time(text(args, 1)?, work)?, text(args, 0)?, limit(int(args, 2)?), work)
    }),
];

pub(super) fn matches<'a>(work: &mut Work, args: &[Value<'a>]) -> Eval<Value<'a>> {
    let pattern = compile_at_run_time(text(args, 1)?, work)?;
    is_match(&pattern, text(args, 0)?, work)
}

/// Compiles a constant expression; the error is Go's.
pub(crate) fn compile(pattern: &str) -> Result<Pattern, String> {
    pattern::check(pattern)?;
    Ok(Pattern::new(pattern))
}

fn compile_at_run_time(pattern: &str, work: &mut Work) -> Eval<Pattern> {
    let size = pattern::check(pattern).map_err(EvalError::new)?;
    work.spend(size / SIZE_PER_WORK)?;
    Ok(Pattern::new(pattern))
}

/// `matches`, `find` or `findAll` with an expression that is compiled already.
pub(crate) fn with_pattern<'a>(
    function: &str,
    pattern: &Pattern,
    args: &[Value<'a>],
    work: &mut Work,
) -> Eval<Value<'a>> {
    let text = text(args, 0)?;
    match function {
        "find" => find(pattern, text, work),
        "findAll" => {
            let limit = if args.len() > 2 { limit(int(args, 2)?) } else { None };
            find_all(pattern, text, limit, work)
        }
        _ => is_match(pattern, text, work),
    }
}

/// How many matches `findAll` gives; a negative number stands for all.
fn limit(count: i64) -> Option<usize> {
    usize::try_from(count).ok()
}

fn begin<T>(pattern: &Pattern, text: &str, work: &mut Work, run: impl FnOnce() -> Result<T, String>) -> Eval<T> {
    let steps = pattern.steps(text).map_err(EvalError::new)?;
    work.spend(steps / STEPS_PER_WORK)?;
    run().map_err(EvalError::new)
}

fn is_match<'a>(pattern: &Pattern, text: &str, work: &mut Work) -> Eval<Value<'a>> {
    begin(pattern, text, work, || pattern.is_match(text)).map(Value::Bool)
}

fn find<'a>(pattern: &Pattern, text: &str, work: &mut Work) -> Eval<Value<'a>> {
    let found = begin(pattern, text, work, || pattern.find(text))?;
    Ok(Value::owned(found.unwrap_or_default()))
}

fn find_all<'a>(pattern: &Pattern, text: &str, limit: Option<usize>, work: &mut Work) -> Eval<Value<'a>> {
    let found = begin(pattern, text, work, || pattern.find_all(text, limit.unwrap_or(usize::MAX)))?;
    work.allocate_list(found.len())?;
    Ok(Value::List(List::new(found.into_iter().map(Value::owned).collect())))
}
