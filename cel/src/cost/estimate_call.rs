//! Estimates for calls of functions whose cost depends on the sizes of their operands.

use super::estimate::{CallEstimate, Estimator, Operand, unknown};
use super::{CALL_COST, CHARACTER_COST, CHECK_COST, CostRange, LIST_COST, PATTERN_COST, STRUCT_COST};
use crate::ast::{Expr, Literal};
use crate::typing::{LibraryType, Type};

/// The length of the longest pattern of a named format, as Kubernetes assumes it.
const MAX_FORMAT_PATTERN: f64 = 128.0;
/// How long a named format may be, as Kubernetes assumes it.
const MAX_FORMAT_SIZE: u64 = 64;
/// How many bytes an IP address has.
const ADDRESS_SIZE: CostRange = CostRange { min: 4, max: 16 };

impl CallEstimate {
    fn of(cost: CostRange) -> Self {
        Self { cost, size: None }
    }

    fn sized(cost: CostRange, size: CostRange) -> Self {
        Self { cost, size: Some(size) }
    }

    /// A call that makes a list.
    fn list(factor: f64, size: CostRange) -> Self {
        Self::sized(size.scaled(factor).plus(CostRange::exactly(CALL_COST + LIST_COST)), size)
    }
}

impl<'a> Estimator<'a> {
    /// cel-go's functions for lists and sets.
    pub(super) fn list_call(
        &self,
        overload: &str,
        target: Option<&Operand<'a>>,
        args: &[Operand<'a>],
    ) -> Option<CallEstimate> {
        let target_size = || target.map(|target| unknown(target.size));
        let square = |size: CostRange| size.times(size);
        Some(match overload {
            "list_slice" => {
                let start = self.whole(&args[0]).unwrap_or(0);
                let end = self.whole(&args[1]).unwrap_or(target_size()?.max);
                CallEstimate::list(1.0, CostRange::exactly(end.wrapping_sub(start)))
            }
            "lists_range" => {
                let end = self.whole(&args[0]).unwrap_or(u64::MAX);
                CallEstimate::list(1.0, CostRange::exactly(end))
            }
            "list_reverse" => CallEstimate::list(1.0, target_size()?),
            "list_flatten" => CallEstimate::list(1.0, target_size()?),
            "list_flatten_int" => {
                let depth = self.whole(&args[0]).unwrap_or(u64::MAX);
                CallEstimate::list(depth as f64, target_size()?)
            }
            "list_distinct" => CallEstimate::list(2.0, square(target_size()?)),
            "list_sets_contains_list" | "list_sets_intersects_list" => sets(1.0, args),
            "list_sets_equivalent_list" => sets(2.0, args),
            id if id.ends_with("_sort") => CallEstimate::list(sort_factor(id), square(target_size()?)),
            id if id.ends_with("_sortByAssociatedKeys") => {
                CallEstimate::list(sort_factor(id), square(unknown(args[0].size)))
            }
            _ => return None,
        })
    }

    /// A constant that is a whole number; none below zero.
    fn whole(&self, operand: &Operand<'a>) -> Option<u64> {
        match self.ast.expr(operand.id?) {
            Expr::Literal(Literal::Int(number)) => Some((*number).max(0) as u64),
            _ => None,
        }
    }

    /// Kubernetes' functions.
    pub(super) fn kubernetes_call(
        &self,
        name: &str,
        overload: &str,
        target: Option<&Operand<'a>>,
        args: &[Operand<'a>],
    ) -> Option<CallEstimate> {
        let arg = |index: usize| args.get(index).map(|arg| unknown(arg.size));
        let read = |size: CostRange| CallEstimate::of(size.scaled(CHARACTER_COST));
        Some(match name {
            "check" => CallEstimate::of(CostRange::exactly(CHECK_COST)),
            "fieldSelector" | "labelSelector" => CallEstimate::of(selector(arg(0)?)),
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => self.traversal(target?),
            "url" | "jsonpatch.escapeKey" => {
                let size = arg(0)?;
                CallEstimate::sized(size.scaled(CHARACTER_COST), size)
            }
            "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                let size = unknown(target?.size);
                CallEstimate::sized(size.scaled(CHARACTER_COST), size)
            }
            "replace" => replace(unknown(target?.size), arg(0)?, arg(1)?),
            "split" => {
                let size = unknown(target?.size);
                let max = args.get(1).and_then(|limit| self.split_limit(limit)).unwrap_or(size.max);
                CallEstimate::sized(size.scaled(2.0 * CHARACTER_COST), CostRange { min: 0, max })
            }
            "join" => self.join(target?, arg(0)),
            "find" | "findAll" => {
                let size = unknown(target?.size);
                CallEstimate::sized(pattern(size, arg(0)?), CostRange { min: 0, max: size.max })
            }
            "ip" if overload == "cidr_ip" => CallEstimate::of(CostRange::ONE),
            "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => read(arg(0)?),
            "ip.isCanonical" => CallEstimate::of(arg(0)?.scaled(2.0 * CHARACTER_COST)),
            "containsIP" => {
                let compared = ADDRESS_SIZE.plus(ADDRESS_SIZE).scaled(CHARACTER_COST);
                let parsed = if overload == "cidr_contains_ip_string" { read(arg(0)?).cost } else { CostRange::ZERO };
                CallEstimate::of(compared.plus(parsed))
            }
            "containsCIDR" => {
                let compared = ADDRESS_SIZE.plus(ADDRESS_SIZE).scaled(CHARACTER_COST);
                let masked = ADDRESS_SIZE.scaled(CHARACTER_COST).plus(CostRange::ONE);
                let parsed = if overload == "cidr_contains_cidr_string" { read(arg(0)?).cost } else { CostRange::ZERO };
                CallEstimate::of(compared.plus(masked).plus(parsed))
            }
            "validate" => CallEstimate::of(arg(0)?.scaled(CHARACTER_COST).scaled(MAX_FORMAT_PATTERN * PATTERN_COST)),
            "_==_" => return equality(args),
            _ => return None,
        })
    }

    /// Functions that look at everything in a list, or at all of a text.
    fn traversal(&self, target: &Operand<'a>) -> CallEstimate {
        let size = unknown(target.size);
        let Some(element) = self.element(target) else { return CallEstimate::of(size.scaled(CHARACTER_COST)) };
        let mut cost = CostRange::ONE;
        if matches!(element.ty, Type::String | Type::Bytes) {
            cost = cost.plus(unknown(element.size).scaled(CHARACTER_COST));
        }
        CallEstimate::of(size.times(cost))
    }

    fn split_limit(&self, limit: &Operand<'a>) -> Option<u64> {
        match self.ast.expr(limit.id?) {
            // A negative limit wraps around, as it does in Go.
            Expr::Literal(Literal::Int(limit)) => Some(*limit as u64),
            _ => None,
        }
    }

    fn join(&self, list: &Operand<'a>, separator: Option<CostRange>) -> CallEstimate {
        let count = unknown(list.size);
        let mut size = match self.element(list) {
            Some(element) => count.times(unknown(element.size)),
            None => CostRange::ZERO,
        };
        if let Some(separator) = separator {
            let separators = CostRange { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
            size = size.plus(separator.times(separators));
        }
        CallEstimate::sized(size.scaled(CHARACTER_COST), size)
    }

    /// The language's own functions of texts and lists.
    pub(super) fn text_call(
        &self,
        overload: &str,
        target: Option<&Operand<'a>>,
        args: &[Operand<'a>],
    ) -> Option<CallEstimate> {
        let arg = |index: usize| args.get(index).map(|arg| unknown(arg.size));
        Some(match overload {
            "string_format" => CallEstimate::of(unknown(target?.size).scaled(CHARACTER_COST)),
            "string_to_bytes" => {
                let size = arg(0)?;
                let max = size.max.wrapping_mul(4);
                CallEstimate::sized(size.scaled(CHARACTER_COST), CostRange { min: size.min, max })
            }
            "bytes_to_string" => {
                let size = arg(0)?;
                CallEstimate::sized(size.scaled(CHARACTER_COST), CostRange { min: size.min / 4, max: size.max })
            }
            "strings_quote" => {
                let size = arg(0)?;
                let quoted = CostRange { min: size.min.wrapping_add(2), max: size.max.wrapping_mul(2).wrapping_add(2) };
                CallEstimate::sized(size.scaled(CHARACTER_COST), quoted)
            }
            "starts_with_string" | "ends_with_string" => CallEstimate::of(arg(0)?.scaled(CHARACTER_COST)),
            "in_list" => CallEstimate::of(arg(1)?.scaled(1.0)),
            "matches_string" => CallEstimate::of(pattern(unknown(target?.size), arg(0)?)),
            "contains_string" => {
                let text = unknown(target?.size).scaled(CHARACTER_COST);
                CallEstimate::of(text.times(arg(0)?.scaled(CHARACTER_COST)))
            }
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes"
            | "equals"
            | "not_equals" => {
                let max = arg(0)?.max.min(arg(1)?.max);
                CallEstimate::of(CostRange { min: max.min(1), max }.scaled(CHARACTER_COST))
            }
            _ => return None,
        })
    }
}

fn sets(factor: f64, args: &[Operand<'_>]) -> CallEstimate {
    let pairs = unknown(args[0].size).times(unknown(args[1].size));
    CallEstimate::of(pairs.scaled(factor).plus(CostRange::exactly(CALL_COST)))
}

fn sort_factor(overload: &str) -> f64 {
    if overload.starts_with("list_string_") || overload.starts_with("list_bytes_") { 2.0 + CHARACTER_COST } else { 2.0 }
}

fn selector(length: CostRange) -> CostRange {
    let requirements = length.scaled(0.5).scaled((LIST_COST + STRUCT_COST) as f64);
    CostRange::exactly(LIST_COST).plus(length.scaled(CHARACTER_COST)).plus(requirements)
}

fn pattern(text: CostRange, pattern: CostRange) -> CostRange {
    text.plus(CostRange::ONE).scaled(CHARACTER_COST).times(pattern.scaled(PATTERN_COST))
}

fn replace(text: CostRange, replaced: CostRange, by: CostRange) -> CallEstimate {
    let times = |size: u64, part: u64| (size as f64 / part as f64).ceil() as u64;
    // The longest result has as many of the shortest parts replaced as there is room for.
    let (most, kept_most) = if replaced.min == 0 {
        (text.max.saturating_add(1), text.max)
    } else if by.max <= replaced.min {
        (0, text.max)
    } else {
        (times(text.max, replaced.min), 0)
    };
    let (least, kept_least) = if replaced.max == 0 {
        (text.min.saturating_add(1), text.min)
    } else if replaced.max <= by.min {
        (0, text.min)
    } else {
        (times(text.min, replaced.max), 0)
    };
    let count = CostRange { min: least, max: most };
    let size = count.times(by).plus(CostRange { min: kept_least, max: kept_most });
    CallEstimate::sized(text.scaled(2.0 * CHARACTER_COST), size)
}

/// Values of most of the libraries' types are compared at once.
fn equality(args: &[Operand<'_>]) -> Option<CallEstimate> {
    let [a, b] = args else { return None };
    let Type::Library(library) = &a.ty else { return None };
    if !a.ty.is(&b.ty) {
        return None;
    }
    let cost = match library {
        LibraryType::Format => CostRange { min: 1, max: MAX_FORMAT_SIZE }.scaled(CHARACTER_COST),
        LibraryType::Url => CostRange { min: 1, max: b.size.map_or(1, |size| size.max) }.scaled(CHARACTER_COST),
        _ => CostRange::ONE,
    };
    Some(CallEstimate::of(cost))
}
