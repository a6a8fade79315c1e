//! Kubernetes' dialect of the Common Expression Language: the rules of schemas and of admission policies.
//!
//! An expression is read, checked against the declared types of its variables, its cost is estimated, and it is then
//! evaluated over JSON as it lies. Where rules stand in a schema and what follows from their results is the callers'.

pub mod admission;
mod ast;
mod bindings;
mod check;
mod cost;
pub mod decl;
mod env;
mod escape;
mod eval;
mod fault;
pub mod library;
pub mod limits;
mod parse;
pub mod pattern;
mod plan;
mod program;
mod source;
mod typing;
pub mod value;

pub use bindings::{Bindings, Budget, Variables};
pub use cost::CostRange;
pub use decl::DeclType;
pub use env::{Env, EnvBuilder};
pub use escape::{escape, is_reserved, unescape};
pub use fault::EvalError;
pub use program::{CompileError, Program};
pub use source::{Issue, Issues};
pub use typing::{LibraryType, ObjectType, Type};
pub use value::Value;
