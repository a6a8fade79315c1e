//! Reads expressions: tokens, grammar, macros, and the faults that clients know from cel-go.
//!
//! Hostile text is met with limits on its size and on how deep it nests; names and types are the checker's business.

mod grammar;
mod lex;
mod literal;
mod macros;
mod recover;

use crate::ast::{Ast, ExprId};
use crate::source::{Issues, Source};
use grammar::Parser;
use recover::{Cursor, MAX_SYNTAX_ERRORS};

/// How many code points an expression may have.
const MAX_CODE_POINTS: usize = 100_000;
/// How deep operators and members may nest.
const MAX_NESTING: u16 = 250;

/// Whether the macro `cel.bind` is there; Kubernetes does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindMacro {
    Absent,
    Present,
}

/// Reads an expression into a tree whose macros are expanded.
pub(crate) fn parse(source: &Source, bind: BindMacro) -> Result<(Ast, ExprId), Issues> {
    let mut issues = Issues::default();
    let size = source.chars().len();
    if size > MAX_CODE_POINTS {
        let message = format!("expression code point size exceeds limit: size: {size}, limit {MAX_CODE_POINTS}");
        issues.report(source, None, message);
        return Err(issues);
    }
    let Some(tokens) = lex::tokens(source, &mut issues, MAX_SYNTAX_ERRORS) else { return Err(issues.sorted()) };
    let cursor = Cursor::new(source, issues, tokens);
    let mut parser = Parser::new(cursor, bind == BindMacro::Present);
    let root = parser.start();
    let Parser { cursor, ast, .. } = parser;
    let mut issues = cursor.issues;
    if let Ok(root) = root
        && (ast.nesting(root) > MAX_NESTING || ast.is_oversized())
    {
        issues.report(source, None, "max recursion depth exceeded");
    }
    match root {
        Ok(root) if issues.is_empty() => Ok((ast, root)),
        _ => Err(issues.sorted()),
    }
}
