//! What an expression may cost, worked out from the declared sizes of data before anything is evaluated.
//!
//! The estimate decides which rules a schema may have, so it follows Kubernetes' in every detail.

use std::collections::HashMap;

use super::{CALL_COST, CostRange, LIST_COST, MAP_COST, STRUCT_COST};
use crate::ast::{self, Ast, Comprehension, Expr, ExprId, Literal};
use crate::check::{Checked, Reference, Resolved};
use crate::decl::{DeclType, Shape};
use crate::typing::Type;

/// Where in the declared data a value comes from.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// From nowhere in particular. What is selected from it is looked for at the root, as in Kubernetes.
    None,
    At(&'a DeclType),
    /// The key of a map, of so many characters at most.
    Key(u64),
    /// From data of which nothing is declared.
    Lost,
}

/// A step from one place to another.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Elements,
    Keys,
    Indices,
    Field(&'a str),
}

/// How large the keys and values of a list or map are.
#[derive(Clone, Copy)]
struct EntrySize {
    is_list: bool,
    key: CostRange,
    value: CostRange,
}

/// What is known of a variable of a macro.
#[derive(Clone, Copy)]
struct Local<'a> {
    place: Place<'a>,
    size: Option<CostRange>,
    entry: Option<EntrySize>,
}

/// An operand of a call.
#[derive(Clone)]
pub(super) struct Operand<'a> {
    pub(super) id: Option<ExprId>,
    pub(super) ty: Type,
    pub(super) place: Place<'a>,
    pub(super) size: Option<CostRange>,
}

/// What a call costs, and how large its result is.
pub(super) struct CallEstimate {
    pub(super) cost: CostRange,
    pub(super) size: Option<CostRange>,
}

pub(super) struct Estimator<'a> {
    pub(super) ast: &'a Ast,
    checked: &'a Checked,
    data: Sizes<'a>,
    places: HashMap<ExprId, Place<'a>>,
    sizes: HashMap<ExprId, CostRange>,
    entries: HashMap<ExprId, EntrySize>,
    locals: HashMap<usize, Local<'a>>,
}

/// The data whose declared sizes are known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sizes<'a> {
    /// What variables stand for.
    pub(crate) of_variables: Option<&'a DeclType>,
    /// What is taken for the origin of values that come from no variable.
    pub(crate) of_others: Option<&'a DeclType>,
}

/// Estimates the cost of a checked expression over data of a declared type.
pub(crate) fn estimate(ast: &Ast, root: ExprId, checked: &Checked, data: Sizes<'_>) -> CostRange {
    let mut estimator = Estimator {
        ast,
        checked,
        data,
        places: HashMap::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
        locals: HashMap::new(),
    };
    estimator.cost(root)
}

impl EntrySize {
    fn union(self, other: Self) -> Self {
        Self { is_list: self.is_list, key: self.key.union(other.key), value: self.value.union(other.value) }
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    fn step(self, part: Part<'_>, data: Sizes<'a>) -> Self {
        let decl = match self {
            // The first part of a path stands for the variable, whatever it is.
            Self::None => return data.of_others.map_or(Self::Lost, Self::At),
            Self::At(decl) => decl,
            Self::Key(_) | Self::Lost => return Self::Lost,
        };
        match (part, &decl.shape) {
            (Part::Elements, Shape::List { items, .. }) => Self::At(items),
            (Part::Elements, Shape::Map { values, .. }) => Self::At(values),
            (Part::Field(_), Shape::Map { values, .. }) if matches!(values.shape, Shape::Any) => Self::At(values),
            (Part::Keys, Shape::Map { max_key, .. }) => Self::Key(*max_key),
            (Part::Field(name), Shape::Object(object)) => object.field(name).map_or(Self::Lost, |decl| Self::At(decl)),
            _ => Self::Lost,
        }
    }

    fn size(self) -> Option<CostRange> {
        match self {
            Self::At(decl) => Some(CostRange { min: 0, max: decl.max_elements }),
            Self::Key(max) => Some(CostRange { min: 0, max }),
            Self::None | Self::Lost => None,
        }
    }
}

// === impl Estimator ===

impl<'a> Estimator<'a> {
    fn cost(&mut self, id: ExprId) -> CostRange {
        let ast = self.ast;
        match self.checked.reference(id) {
            Reference::Local(slot) => {
                let place = self.locals.get(slot).map_or(Place::None, |local| local.place);
                self.places.insert(id, place);
                return CostRange::ONE;
            }
            Reference::Variable(_) => {
                self.places.insert(id, self.data.of_variables.map_or(Place::Lost, Place::At));
                return CostRange::ONE;
            }
            Reference::TypeName(_) => {
                self.places.insert(id, Place::None.step(Part::Elements, self.data));
                return CostRange::ONE;
            }
            _ => {}
        }
        match ast.expr(id) {
            Expr::Literal(_) | Expr::Fault | Expr::Ident(_) => CostRange::ZERO,
            Expr::Select { operand, field, presence } => self.select(id, *operand, field, *presence),
            Expr::Call { function, target, args } => self.call(id, function, *target, args),
            Expr::List { elements, .. } => self.list(id, elements),
            Expr::Map(entries) => self.map(id, entries),
            Expr::Struct { fields, .. } => {
                let cost = fields.iter().map(|field| self.cost(field.value));
                cost.fold(CostRange::exactly(STRUCT_COST), CostRange::plus)
            }
            Expr::Comprehension(fold) if self.is_bind(fold) => self.bind(id, fold),
            Expr::Comprehension(fold) => self.fold(id, fold),
        }
    }

    fn select(&mut self, id: ExprId, operand: ExprId, field: &'a str, presence: bool) -> CostRange {
        let cost = self.cost(operand);
        if presence {
            return cost;
        }
        let place = self.place(operand).step(Part::Field(field), self.data);
        self.places.insert(id, place);
        match self.checked.type_of(operand) {
            Type::Map(_) | Type::Object(_) => cost.plus(CostRange::ONE),
            Type::Library(library) if library.is_struct() => cost.plus(CostRange::ONE),
            _ => cost,
        }
    }

    fn call(&mut self, id: ExprId, function: &str, target: Option<ExprId>, args: &[ExprId]) -> CostRange {
        if function == "dyn" && args.len() == 1 {
            let cost = self.cost(args[0]).plus(CostRange::ONE);
            self.copy_sizes(id, args[0]);
            return cost;
        }
        let mut costs = Vec::with_capacity(args.len());
        let mut operands = Vec::with_capacity(args.len());
        for arg in args {
            costs.push(self.cost(*arg));
            operands.push(self.operand(*arg));
        }
        let checked = self.checked;
        let (overloads, is_method) = match checked.reference(id) {
            Reference::Call(Resolved { overloads, is_method, .. }) => {
                (overloads.iter().map(|overload| overload.id).collect(), *is_method)
            }
            _ if function == "_?._" => (vec!["select_optional_field"], false),
            _ => return CostRange::ZERO,
        };
        let name = match checked.reference(id) {
            Reference::Call(resolved) => resolved.function.name,
            _ => "_?._",
        };
        let mut total = CostRange::ZERO;
        let target = target.filter(|_| is_method).map(|target| {
            total = self.cost(target);
            self.operand(target)
        });
        let mut cost = CostRange { min: u64::MAX, max: 0 };
        let mut size: Option<CostRange> = None;
        for overload in overloads {
            let estimate = self.function(id, name, overload, target.as_ref(), &operands, &costs);
            cost = cost.union(estimate.cost);
            size = match (size, estimate.size) {
                (Some(known), Some(other)) => Some(known.union(other)),
                (known, other) => known.or(other),
            };
            if matches!(overload, "index_list" | "index_map") {
                size = self.entry_size(args[0]).map(|entry| entry.value);
                let place = self.place(args[0]).step(Part::Elements, self.data);
                self.places.insert(id, place);
            }
            size = size.or_else(|| self.size(id));
        }
        if let Some(size) = size {
            self.sizes.insert(id, size);
        }
        total.plus(cost)
    }

    fn list(&mut self, id: ExprId, elements: &[ExprId]) -> CostRange {
        let mut cost = CostRange::exactly(LIST_COST);
        let mut value = CostRange { min: if elements.is_empty() { 0 } else { u64::MAX }, max: 0 };
        for element in elements {
            cost = cost.plus(self.cost(*element));
            value = value.union(self.size_or_unknown(*element));
        }
        self.entries.insert(id, EntrySize { is_list: true, key: CostRange::ONE, value });
        cost
    }

    fn map(&mut self, id: ExprId, entries: &[ast::Entry]) -> CostRange {
        let mut cost = CostRange::exactly(MAP_COST);
        let mut key = CostRange { min: if entries.is_empty() { 0 } else { u64::MAX }, max: 0 };
        let mut value = key;
        for entry in entries {
            cost = cost.plus(self.cost(entry.key)).plus(self.cost(entry.value));
            key = key.union(self.size_or_unknown(entry.key));
            value = value.union(self.size_or_unknown(entry.value));
        }
        self.entries.insert(id, EntrySize { is_list: false, key, value });
        cost
    }

    fn is_bind(&self, fold: &Comprehension) -> bool {
        matches!(self.ast.expr(fold.range), Expr::List { elements, .. } if elements.is_empty())
            && matches!(self.ast.expr(fold.condition), Expr::Literal(Literal::Bool(false)))
    }

    fn slot(&self, id: ExprId) -> usize {
        match self.checked.reference(id) {
            Reference::Fold(slot) => *slot,
            _ => usize::MAX,
        }
    }

    fn bind(&mut self, id: ExprId, fold: &Comprehension) -> CostRange {
        let cost = self.cost(fold.range).plus(self.cost(fold.init));
        let slot = self.slot(id);
        self.enter_value(slot, fold.init);
        let cost = cost.plus(self.cost(fold.result));
        self.copy_sizes(id, fold.result);
        cost
    }

    fn enter_value(&mut self, slot: usize, value: ExprId) {
        let entry = self.entry_size(value);
        let local = Local { place: self.place(value), size: self.size(value), entry };
        self.locals.insert(slot, local);
    }

    fn fold(&mut self, id: ExprId, fold: &Comprehension) -> CostRange {
        let cost = self.cost(fold.range).plus(self.cost(fold.init));
        let slot = self.slot(id);
        self.enter_value(slot, fold.init);
        let entry = self.entry_size(fold.range);
        let is_list = entry.map_or(matches!(self.checked.type_of(fold.range), Type::List(_)), |entry| entry.is_list);
        let range = self.place(fold.range);
        let mut enter = |slot: usize, part: Part<'_>, size: Option<CostRange>| {
            let place = range.step(part, self.data);
            self.locals.insert(slot, Local { place, size, entry: None });
        };
        let (key, value) = (entry.map(|entry| entry.key), entry.map(|entry| entry.value));
        match (&fold.var2, is_list) {
            (Some(_), _) => {
                enter(slot + 1, if is_list { Part::Indices } else { Part::Keys }, key);
                enter(slot + 2, Part::Elements, value);
            }
            (None, true) => enter(slot + 1, Part::Elements, value),
            (None, false) => enter(slot + 1, Part::Keys, key),
        }
        let condition = self.cost(fold.condition);
        let step = self.cost(fold.step);
        let cost = cost.plus(self.cost(fold.result));
        let count = self.size_or_unknown(fold.range);
        match self.ast.expr(fold.init) {
            Expr::Literal(_) => {
                if let Some(size) = self.size(fold.init) {
                    self.sizes.insert(id, size);
                }
            }
            Expr::List { .. } | Expr::Map(_) => {
                self.sizes.insert(id, count);
                if let Some(entry) = self.entry_size(fold.step) {
                    self.entries.insert(id, entry);
                }
            }
            _ => {}
        }
        cost.plus(count.times(step.plus(condition)))
    }

    fn function(
        &mut self,
        id: ExprId,
        name: &str,
        overload: &str,
        target: Option<&Operand<'a>>,
        args: &[Operand<'a>],
        costs: &[CostRange],
    ) -> CallEstimate {
        let arg_cost = costs.iter().copied().fold(CostRange::ZERO, CostRange::plus);
        let estimate = self
            .list_call(overload, target, args)
            .or_else(|| self.kubernetes_call(name, overload, target, args))
            .or_else(|| self.text_call(overload, target, args));
        if let Some(CallEstimate { cost, size }) = estimate {
            return CallEstimate { cost: cost.plus(arg_cost), size };
        }
        match overload {
            "logical_and" | "logical_or" => {
                let cost = CostRange { min: costs[0].min, max: costs[0].plus(costs[1]).max };
                CallEstimate { cost, size: None }
            }
            "conditional" => {
                let size = unknown(args[1].size).union(unknown(args[2].size));
                self.join_entries(id, &args[1], &args[2]);
                CallEstimate { cost: costs[0].plus(costs[1].union(costs[2])), size: Some(size) }
            }
            "add_string" | "add_bytes" | "add_list" => {
                let size = unknown(args[0].size).plus(unknown(args[1].size));
                self.join_entries(id, &args[0], &args[1]);
                let cost = if overload == "add_list" { CostRange::ONE } else { size.scaled(super::CHARACTER_COST) };
                CallEstimate { cost: cost.plus(arg_cost), size: Some(size) }
            }
            _ => CallEstimate { cost: arg_cost.plus(CostRange::exactly(CALL_COST)), size: None },
        }
    }

    /// The entries of what comes of two lists or maps, if those of both are known.
    fn join_entries(&mut self, id: ExprId, a: &Operand<'a>, b: &Operand<'a>) {
        let entry = |operand: &Operand<'a>| operand.id.and_then(|id| self.entry_size(id));
        if let (Some(a), Some(b)) = (entry(a), entry(b)) {
            self.entries.insert(id, a.union(b));
        }
    }

    fn operand(&mut self, id: ExprId) -> Operand<'a> {
        let size = self.size(id);
        Operand { id: Some(id), ty: self.checked.type_of(id).clone(), place: self.place(id), size }
    }

    /// The elements of a list.
    pub(super) fn element(&self, list: &Operand<'a>) -> Option<Operand<'a>> {
        let ty = list.ty.parameters().0?.clone();
        let place = match list.place {
            Place::None => Place::None,
            place => place.step(Part::Elements, self.data),
        };
        Some(Operand { id: None, ty, place, size: place.size() })
    }

    fn place(&self, id: ExprId) -> Place<'a> {
        if let Reference::Local(slot) = self.checked.reference(id)
            && let Some(local) = self.locals.get(slot)
        {
            return local.place;
        }
        self.places.get(&id).copied().unwrap_or(Place::None)
    }

    fn size_or_unknown(&mut self, id: ExprId) -> CostRange {
        unknown(self.size(id))
    }

    fn copy_sizes(&mut self, to: ExprId, from: ExprId) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to, size);
        }
        if let Some(entry) = self.entry_size(from) {
            self.entries.insert(to, entry);
        }
    }

    fn size(&mut self, id: ExprId) -> Option<CostRange> {
        if let Some(size) = self.sizes.get(&id) {
            return Some(*size);
        }
        if let Some(size) = literal_size(self.ast.expr(id)) {
            return Some(CostRange::exactly(size));
        }
        if let Some(size) = self.place(id).size() {
            self.sizes.insert(id, size);
            return Some(size);
        }
        if is_scalar(self.checked.type_of(id)) {
            return Some(CostRange::ONE);
        }
        match self.checked.reference(id) {
            Reference::Local(slot) => self.locals.get(slot).and_then(|local| local.size),
            _ => None,
        }
    }

    fn entry_size(&self, id: ExprId) -> Option<EntrySize> {
        if let Some(entry) = self.entries.get(&id) {
            return Some(*entry);
        }
        match self.checked.reference(id) {
            Reference::Local(slot) => self.locals.get(slot).and_then(|local| local.entry),
            _ => None,
        }
    }
}

pub(super) fn unknown(size: Option<CostRange>) -> CostRange {
    size.unwrap_or(CostRange::UNKNOWN)
}

fn literal_size(expr: &Expr) -> Option<u64> {
    Some(match expr {
        Expr::Literal(Literal::String(text)) => text.chars().count() as u64,
        Expr::Literal(Literal::Bytes(bytes)) => bytes.len() as u64,
        Expr::Literal(_) => 1,
        Expr::List { elements, .. } => elements.len() as u64,
        Expr::Map(entries) => entries.len() as u64,
        _ => return None,
    })
}

fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        Type::Optional(value) => is_scalar(value),
        _ => false,
    }
}
