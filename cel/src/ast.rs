//! The tree of a parsed expression: nodes in one arena, referring to each other by index.
//!
//! Macros are already expanded here. What nodes mean is the checker's business.

use std::sync::Arc;

/// The index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ExprId(u32);

/// How deep a tree may be after the expansion of macros.
///
/// The parser's own limits keep what people write far below; this one keeps recursion over hostile trees off the end of
/// a small stack.
const MAX_DEPTH: u16 = 500;
/// How many nodes a tree may have; an expression of the largest size that is accepted has fewer before expansion.
const MAX_NODES: usize = 150_000;

/// The accumulator of a macro; the name cannot be written in an expression.
pub(crate) const ACCUMULATOR: &str = "@result";

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// An entry of a map literal.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: ExprId,
    pub(crate) value: ExprId,
    pub(crate) optional: bool,
}

/// A field of a message literal.
#[derive(Debug, Clone)]
pub(crate) struct FieldInit {
    pub(crate) at: u32,
    pub(crate) name: Arc<str>,
    pub(crate) value: ExprId,
    pub(crate) optional: bool,
}

/// A fold over a list or map.
#[derive(Debug, Clone)]
pub(crate) struct Comprehension {
    pub(crate) range: ExprId,
    pub(crate) var: Arc<str>,
    /// The value, where `var` is the index or key.
    pub(crate) var2: Option<Arc<str>>,
    pub(crate) accu: Arc<str>,
    pub(crate) init: ExprId,
    pub(crate) condition: ExprId,
    pub(crate) step: ExprId,
    pub(crate) result: ExprId,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    /// Stands where the parser reported a fault; never in a tree that is checked.
    Fault,
    Literal(Literal),
    Ident(Arc<str>),
    Select {
        operand: ExprId,
        field: Arc<str>,
        presence: bool,
    },
    Call {
        function: Arc<str>,
        target: Option<ExprId>,
        args: Vec<ExprId>,
    },
    List {
        elements: Vec<ExprId>,
        optional: Vec<bool>,
    },
    Map(Vec<Entry>),
    Struct {
        name: Arc<str>,
        fields: Vec<FieldInit>,
    },
    Comprehension(Box<Comprehension>),
}

struct Node {
    expr: Expr,
    /// Where faults of this node are reported.
    at: u32,
    depth: u16,
    /// How deep cel-go's parser counts this node.
    nesting: u16,
}

/// The nodes of one expression.
#[derive(Default)]
pub(crate) struct Ast {
    nodes: Vec<Node>,
    /// Whether the tree outgrew its limits; nodes added since are not sound.
    oversized: bool,
}

// === impl ExprId ===

impl ExprId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl Ast ===

impl Ast {
    pub(crate) fn add(&mut self, at: u32, expr: Expr) -> ExprId {
        let (mut depth, mut nesting) = (0, 0);
        for_each_child(&expr, |child| {
            let child = &self.nodes[child.index()];
            depth = depth.max(child.depth);
            nesting = nesting.max(child.nesting);
        });
        let depth = depth.saturating_add(1);
        let nesting = nesting.saturating_add(u16::from(is_counted(&expr)));
        if depth > MAX_DEPTH || self.nodes.len() >= MAX_NODES {
            self.oversized = true;
        }
        self.nodes.push(Node { expr, at, depth, nesting });
        ExprId(self.nodes.len() as u32 - 1)
    }

    pub(crate) fn expr(&self, id: ExprId) -> &Expr {
        &self.nodes[id.index()].expr
    }

    pub(crate) fn at(&self, id: ExprId) -> u32 {
        self.nodes[id.index()].at
    }

    pub(crate) fn nesting(&self, id: ExprId) -> u16 {
        self.nodes[id.index()].nesting
    }

    pub(crate) fn is_oversized(&self) -> bool {
        self.oversized
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Copies a tree, so that both copies can be given types of their own.
    pub(crate) fn copy(&mut self, id: ExprId) -> ExprId {
        if self.oversized {
            return id;
        }
        let at = self.at(id);
        let mut expr = self.expr(id).clone();
        match &mut expr {
            Expr::Fault | Expr::Literal(_) | Expr::Ident(_) => {}
            Expr::Select { operand, .. } => *operand = self.copy(*operand),
            Expr::Call { target, args, .. } => {
                self.copy_all(args);
                *target = target.map(|target| self.copy(target));
            }
            Expr::List { elements, .. } => self.copy_all(elements),
            Expr::Map(entries) => {
                for entry in entries {
                    entry.key = self.copy(entry.key);
                    entry.value = self.copy(entry.value);
                }
            }
            Expr::Struct { fields, .. } => {
                for field in fields {
                    field.value = self.copy(field.value);
                }
            }
            Expr::Comprehension(fold) => {
                fold.range = self.copy(fold.range);
                fold.init = self.copy(fold.init);
                fold.condition = self.copy(fold.condition);
                fold.step = self.copy(fold.step);
                fold.result = self.copy(fold.result);
            }
        }
        self.add(at, expr)
    }

    fn copy_all(&mut self, ids: &mut [ExprId]) {
        for id in ids {
            *id = self.copy(*id);
        }
    }
}

/// Whether cel-go's parser counts a node against its limit of recursion.
fn is_counted(expr: &Expr) -> bool {
    match expr {
        Expr::Select { .. } => true,
        Expr::Call { function, target, args } => {
            let is_operator = function.starts_with('_') || &**function == "@in";
            target.is_some() || (is_operator && args.len() > 1 && !matches!(&**function, "_&&_" | "_||_"))
        }
        Expr::Comprehension(_) => true,
        _ => false,
    }
}

/// Calls `visit` for each node that the expression refers to.
pub(crate) fn for_each_child(expr: &Expr, mut visit: impl FnMut(ExprId)) {
    match expr {
        Expr::Fault | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select { operand, .. } => visit(*operand),
        Expr::Call { target, args, .. } => {
            target.iter().for_each(|target| visit(*target));
            args.iter().for_each(|arg| visit(*arg));
        }
        Expr::List { elements, .. } => elements.iter().for_each(|element| visit(*element)),
        Expr::Map(entries) => entries.iter().for_each(|entry| {
            visit(entry.key);
            visit(entry.value);
        }),
        Expr::Struct { fields, .. } => fields.iter().for_each(|field| visit(field.value)),
        Expr::Comprehension(fold) => {
            [fold.range, fold.init, fold.condition, fold.step, fold.result].into_iter().for_each(visit);
        }
    }
}
