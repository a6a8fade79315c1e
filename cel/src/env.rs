//! What expressions can refer to, and how they are compiled.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ast::{Ast, ExprId};
use crate::check::{self, Checked};
use crate::cost;
use crate::decl::{self, DeclType};
use crate::library::{self, Function};
use crate::parse::{self, BindMacro};
use crate::plan;
use crate::program::{CompileError, Program};
use crate::source::Source;
use crate::typing::{ObjectFields, ObjectType, Type};

/// The type of the object that a mutating policy changes; those of its fields are named after it.
const PATCH_OBJECT: &str = "Object";
/// What the type of an object is called that has no name of its own.
const UNNAMED: &str = "selfType";
const JSON_PATCH: &str = "JSONPatch";
const ESCAPE_KEY: &str = "jsonpatch.escapeKey";

/// What expressions can refer to.
#[derive(Debug, Clone)]
pub struct Env {
    names: Arc<[Arc<str>]>,
    types: Vec<Type>,
    by_name: HashMap<Arc<str>, usize>,
    composition: Option<usize>,
    sizes: Option<Arc<DeclType>>,
    origin: Origin,
    bind: BindMacro,
    with_patches: bool,
}

/// Makes environments.
#[derive(Debug, Clone)]
pub struct EnvBuilder {
    variables: Vec<(Arc<str>, Type)>,
    composition: Option<usize>,
    sizes: Option<Arc<DeclType>>,
    origin: Origin,
    bind: BindMacro,
    with_patches: bool,
}

/// Where values come from that no variable is the origin of, as far as their sizes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From the data whose sizes are declared.
    Data,
    /// From nowhere.
    Unknown,
}

/// An expression without faults.
struct Sound {
    ast: Ast,
    root: ExprId,
    checked: Checked,
}

/// What a name stands for.
pub(crate) enum Name {
    Variable(usize, Type),
    Type(Type),
}

// === impl EnvBuilder ===

impl EnvBuilder {
    /// Adds a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, ty: Type) -> Self {
        let name: Arc<str> = name.into();
        match self.variables.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = ty,
            None => self.variables.push((name, ty)),
        }
        self
    }

    /// Adds a variable of a declared type.
    #[must_use]
    pub fn data(self, name: &str, decl: &Arc<DeclType>) -> Self {
        self.variable(name, decl::checked(decl, UNNAMED))
    }

    /// Adds a variable of a declared type that faults call by this name.
    #[must_use]
    pub fn named_data(self, name: &str, type_name: &str, decl: &Arc<DeclType>) -> Self {
        self.variable(name, decl::checked(decl, type_name))
    }

    /// Adds a variable of a declared type that may be missing.
    #[must_use]
    pub fn optional_data(self, name: &str, decl: &Arc<DeclType>) -> Self {
        self.variable(name, Type::optional(decl::checked(decl, UNNAMED)))
    }

    /// Adds the variable whose fields are expressions themselves; the names and types are those of the fields.
    #[must_use]
    pub fn composition(self, name: &str, type_name: &str, fields: impl IntoIterator<Item = (Arc<str>, Type)>) -> Self {
        let mut object = DeclType::object(Some(type_name));
        for (field, ty) in fields {
            object = object.field(field, Arc::new(DeclType::of(ty)), decl::Presence::Optional);
        }
        let mut builder = self.data(name, &Arc::new(object.build()));
        builder.composition = builder.variables.iter().position(|(known, _)| &**known == name);
        builder
    }

    /// Sets the data whose declared sizes costs are estimated by.
    #[must_use]
    pub fn sizes_of(mut self, decl: &Arc<DeclType>) -> Self {
        self.sizes = Some(decl.clone());
        self
    }

    /// Adds the one variable of a declared type whose sizes costs are estimated by; nothing else is taken for a part of it.
    #[must_use]
    pub fn measured_data(self, name: &str, decl: &Arc<DeclType>) -> Self {
        let mut builder = self.data(name, decl).sizes_of(decl);
        builder.origin = Origin::Unknown;
        builder
    }

    /// Adds the types of what mutating policies make: `Object`, those of its fields, and `JSONPatch`.
    #[must_use]
    pub fn with_patches(mut self) -> Self {
        self.with_patches = true;
        self
    }

    /// Adds the macro `cel.bind`, which Kubernetes does without.
    #[must_use]
    pub fn with_bind(mut self) -> Self {
        self.bind = BindMacro::Present;
        self
    }

    /// The finished environment.
    pub fn build(self) -> Env {
        let names: Arc<[Arc<str>]> = self.variables.iter().map(|(name, _)| name.clone()).collect();
        let by_name = names.iter().cloned().zip(0..).collect();
        let types = self.variables.into_iter().map(|(_, ty)| ty).collect();
        let Self { composition, sizes, origin, bind, with_patches, .. } = EnvBuilder { variables: Vec::new(), ..self };
        Env { names, types, by_name, composition, sizes, origin, bind, with_patches }
    }
}

// === impl Env ===

impl Env {
    /// An environment with the libraries of Kubernetes 1.36, and without variables yet.
    pub fn builder() -> EnvBuilder {
        EnvBuilder {
            variables: Vec::new(),
            composition: None,
            sizes: None,
            origin: Origin::Data,
            bind: BindMacro::Absent,
            with_patches: false,
        }
    }

    /// Compiles an expression of any type.
    pub fn compile(&self, expression: &str) -> Result<Program, CompileError> {
        self.plan(self.check(expression)?)
    }

    /// Compiles an expression of one of the given types.
    pub fn compile_to(&self, expression: &str, wanted: &[Type]) -> Result<Program, CompileError> {
        let sound = self.check(expression)?;
        let found = sound.checked.type_of(sound.root);
        if !wanted.iter().any(|wanted| wanted.is(found)) {
            return Err(CompileError::output(wanted, found));
        }
        self.plan(sound)
    }

    fn check(&self, expression: &str) -> Result<Sound, CompileError> {
        let source = Source::new(expression);
        let (ast, root) = parse::parse(&source, self.bind).map_err(CompileError::Issues)?;
        let checked = check::check(&source, &ast, root, self).map_err(CompileError::Issues)?;
        Ok(Sound { ast, root, checked })
    }

    fn plan(&self, sound: Sound) -> Result<Program, CompileError> {
        let Sound { ast, root, checked } = sound;
        let plan = plan::build(&ast, root, &checked, self).map_err(CompileError::Instantiation)?;
        let uses = (0..self.names.len()).map(|index| checked.refers_to(index)).collect();
        let cost = cost::estimate(&ast, root, &checked, self.sizes());
        Ok(Program { plan, output: checked.type_of(root).clone(), names: self.names.clone(), uses, cost })
    }

    fn sizes(&self) -> cost::Sizes<'_> {
        let of_variables = self.sizes.as_deref();
        cost::Sizes { of_variables, of_others: of_variables.filter(|_| self.origin == Origin::Data) }
    }

    pub(crate) fn look_up(&self, name: &str) -> Option<Name> {
        if let Some(index) = self.by_name.get(name) {
            return Some(Name::Variable(*index, self.types[*index].clone()));
        }
        if self.with_patches {
            let fields = match name.strip_prefix(PATCH_OBJECT) {
                Some(rest) if rest.is_empty() || rest.starts_with('.') => Some(ObjectFields::Any),
                _ if name == JSON_PATCH => Some(ObjectFields::JsonPatch),
                _ => None,
            };
            if let Some(fields) = fields {
                return Some(Name::Type(Type::Object(ObjectType { name: name.into(), fields })));
            }
        }
        library::named_type(name).map(Name::Type)
    }

    pub(crate) fn function(&self, name: &str) -> Option<&'static Function> {
        if name == ESCAPE_KEY && !self.with_patches {
            return None;
        }
        library::functions().get(name)
    }

    pub(crate) fn is_composition(&self, variable: usize) -> bool {
        self.composition == Some(variable)
    }
}
