//! Which types fit each other, and what the parameters of types stand for because of it.
//!
//! The work and the size of types are bounded, because parameters can stand for types that hold them twice, and so on.

use std::sync::Arc;

use crate::typing::Type;

/// How many steps the check of one expression may take in comparing types.
const MAX_STEPS: u64 = 5_000_000;
/// Of how many types one type may be made.
const MAX_WEIGHT: usize = 256;

/// What becomes of parameters that nothing is known of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Free {
    Keep,
    Dyn,
}

/// What the parameters of types stand for.
pub(super) struct Bindings {
    bound: Vec<Option<Type>>,
    /// What was overwritten since the last attempt began.
    trail: Vec<(u32, Option<Type>)>,
    steps: u64,
    is_exhausted: bool,
}

/// Whether one type may stand for another.
enum Substitution {
    Valid,
    /// The parameter stands for something else already.
    Bound,
    Invalid,
}

// === impl Bindings ===

impl Bindings {
    pub(super) fn new() -> Self {
        Self { bound: Vec::new(), trail: Vec::new(), steps: 0, is_exhausted: false }
    }

    /// Whether an expression was too complicated; what was found out about it is not sound then.
    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Adds parameters; gives the first.
    pub(super) fn add_params(&mut self, count: u32) -> u32 {
        let first = self.bound.len() as u32;
        self.bound.resize(self.bound.len() + count as usize, None);
        first
    }

    pub(super) fn fresh(&mut self) -> Type {
        Type::Param(self.add_params(1))
    }

    /// Whether a value of type `b` can be taken for one of type `a`; if not, nothing is learned about parameters.
    pub(super) fn assign(&mut self, a: &Type, b: &Type) -> bool {
        self.assign_all(&[(a, b)])
    }

    pub(super) fn assign_all(&mut self, pairs: &[(&Type, &Type)]) -> bool {
        self.trail.clear();
        if pairs.iter().all(|(a, b)| self.fits(a, b)) {
            return true;
        }
        while let Some((param, old)) = self.trail.pop() {
            self.bound[param as usize] = old;
        }
        false
    }

    fn step(&mut self) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            self.is_exhausted = true;
        }
        !self.is_exhausted
    }

    fn get(&self, param: u32) -> Option<&Type> {
        self.bound[param as usize].as_ref()
    }

    fn set(&mut self, param: u32, to: Type) {
        let old = self.bound[param as usize].replace(to);
        self.trail.push((param, old));
    }

    fn fits(&mut self, a: &Type, b: &Type) -> bool {
        if !self.step() {
            return false;
        }
        if let Type::Param(param) = b {
            match self.substitute_for(a, *param) {
                Substitution::Valid => return true,
                Substitution::Bound => return false,
                Substitution::Invalid => {}
            }
        }
        if let Type::Param(param) = a {
            return matches!(self.substitute_for(b, *param), Substitution::Valid);
        }
        if a.is_dyn_or_error() || b.is_dyn_or_error() {
            return true;
        }
        match (a, b) {
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::Type(_), other) => matches!(other, Type::Type(_)),
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.fits(a, b),
            (Type::Map(a), Type::Map(b)) => self.fits(&a.0, &b.0) && self.fits(&a.1, &b.1),
            (a, b) => a.is(b),
        }
    }

    /// Lets a parameter stand for a type, if that is possible.
    fn substitute_for(&mut self, other: &Type, param: u32) -> Substitution {
        if matches!(other, Type::Param(same) if *same == param) {
            return Substitution::Valid;
        }
        if let Some(bound) = self.get(param).cloned() {
            if other.is(&bound) {
                return Substitution::Valid;
            }
            if !self.fits(other, &bound) {
                return Substitution::Bound;
            }
            let general = if is_as_general(other, &bound) { other.clone() } else { bound };
            if !self.occurs(param, &general) {
                self.set(param, general);
            }
            return Substitution::Valid;
        }
        if self.occurs(param, other) {
            return Substitution::Invalid;
        }
        self.set(param, other.clone());
        Substitution::Valid
    }

    /// Whether a parameter is part of a type.
    fn occurs(&mut self, param: u32, within: &Type) -> bool {
        if !self.step() {
            return true;
        }
        match within {
            Type::Param(other) if *other == param => true,
            Type::Param(other) => match self.get(*other).cloned() {
                Some(bound) => self.occurs(param, &bound),
                None => false,
            },
            other => match other.parameters() {
                (None, _) => false,
                (Some(only), None) => self.occurs(param, only),
                (Some(key), Some(value)) => self.occurs(param, key) || self.occurs(param, value),
            },
        }
    }

    /// The type with what its parameters stand for.
    pub(super) fn resolve(&mut self, ty: &Type, free: Free) -> Type {
        let mut left = MAX_WEIGHT;
        self.resolve_within(ty, free, &mut left)
    }

    fn resolve_within(&mut self, ty: &Type, free: Free, left: &mut usize) -> Type {
        if *left == 0 {
            self.is_exhausted = true;
            return Type::Dyn;
        }
        *left -= 1;
        match ty {
            Type::Param(param) => match self.get(*param).cloned() {
                Some(bound) => self.resolve_within(&bound, free, left),
                None if free == Free::Dyn => Type::Dyn,
                None => ty.clone(),
            },
            Type::List(element) => Type::list(self.resolve_within(element, free, left)),
            Type::Optional(value) => Type::optional(self.resolve_within(value, free, left)),
            Type::Type(Some(named)) => Type::Type(Some(Arc::new(self.resolve_within(named, free, left)))),
            Type::Map(entry) => {
                let key = self.resolve_within(&entry.0, free, left);
                Type::map(key, self.resolve_within(&entry.1, free, left))
            }
            other => other.clone(),
        }
    }
}

/// The type of an overload with parameters of its own.
pub(super) fn instantiate(ty: &Type, first: u32) -> Type {
    match ty {
        Type::Param(index) => Type::Param(first + index),
        Type::List(element) => Type::list(instantiate(element, first)),
        Type::Optional(value) => Type::optional(instantiate(value, first)),
        Type::Type(Some(named)) => Type::Type(Some(Arc::new(instantiate(named, first)))),
        Type::Map(entry) => Type::map(instantiate(&entry.0, first), instantiate(&entry.1, first)),
        other => other.clone(),
    }
}

/// Whether `null` is taken for a value of the type.
fn is_nullable(ty: &Type) -> bool {
    matches!(ty, Type::Null | Type::Optional(_) | Type::Library(_) | Type::Object(_) | Type::Duration | Type::Timestamp)
}

/// Whether the first type says no more than the second.
fn is_as_general(a: &Type, b: &Type) -> bool {
    if a.is_dyn() || matches!(a, Type::Param(_)) {
        return true;
    }
    if b.is_dyn() || matches!(b, Type::Param(_)) {
        return false;
    }
    match (a, b) {
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => is_as_general(a, b),
        (Type::Map(a), Type::Map(b)) => is_as_general(&a.0, &b.0) && is_as_general(&a.1, &b.1),
        (Type::Type(_), Type::Type(_)) => true,
        (a, b) => a.is(b),
    }
}

/// The more general of two types that fit each other.
pub(super) fn most_general(a: Type, b: Type) -> Type {
    if is_as_general(&a, &b) { a } else { b }
}
