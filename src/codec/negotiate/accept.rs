//! The `Accept` header: clauses, their parameters, and their order.

/// The most clauses that are looked at: sorting takes the square of their number.
const MAX_CLAUSES: usize = 64;

/// One media range of an `Accept` header.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause<'a> {
    kind: &'a str,
    subkind: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    /// Whether a media type is in the range.
    pub fn fits(&self, media_type: &str) -> bool {
        let (kind, subkind) = media_type.split_once('/').unwrap_or((media_type, ""));
        match (self.kind, self.subkind) {
            ("*", "*") => true,
            (own, "*") => own == kind,
            (own, own_sub) => own == kind && own_sub == subkind,
        }
    }

    /// The value of a parameter; the last one counts.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// Whether the clause goes before another: it is wanted more, or says more exactly what is wanted.
    ///
    /// This is no order in the strict sense: of two clauses each may go before the other. Kubernetes has it so.
    fn goes_before(&self, other: &Self) -> bool {
        self.quality > other.quality
            || (self.kind != "*" && other.kind == "*")
            || (self.subkind != "*" && other.subkind == "*")
    }
}

/// The clauses of a header in the order in which they are tried; malformed ones are dropped.
pub fn parse_accept(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(parse_clause).take(MAX_CLAUSES).collect();
    // An insertion sort, as in Go for short lists: with such an order another sort would give another result.
    for sorted in 1..clauses.len() {
        for index in (1..=sorted).rev() {
            if !clauses[index].goes_before(&clauses[index - 1]) {
                break;
            }
            clauses.swap(index, index - 1);
        }
    }
    clauses
}

fn parse_clause(text: &str) -> Option<Clause<'_>> {
    let text = text.trim_matches(' ');
    let (range, rest) = text.split_once(';').unwrap_or((text, ""));
    let (kind, subkind) = match range.split_once('/') {
        Some((_, subkind)) if subkind.contains('/') => return None,
        Some((kind, subkind)) if !subkind.is_empty() => (kind.trim_matches(' '), subkind.trim_matches(' ')),
        _ if range.trim_matches(['/', ' ']) == "*" => ("*", "*"),
        _ => return None,
    };
    let mut clause = Clause { kind, subkind, quality: 1.0, parameters: Vec::new() };
    for parameter in rest.split(';') {
        match parameter.split_once('=') {
            Some((_, value)) if value.is_empty() || value.contains('=') => {}
            Some((name, value)) if name.trim_matches(' ') == "q" => clause.quality = value.parse().unwrap_or(0.0),
            Some((name, value)) => clause.parameters.push((name.trim_matches(' '), value.trim_matches(' '))),
            None => {}
        }
    }
    Some(clause)
}
