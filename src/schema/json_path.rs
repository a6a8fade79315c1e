//! Kubernetes' dialect of JSONPath, as printer columns, scale paths and selectable fields use it.
//!
//! One path, no templates: fields, quoted and escaped keys, indices, slices, unions, wildcards, recursive descent, filters.
//! What goes wrong while a path is followed makes it lead nowhere, as in `client-go/util/jsonpath`.

mod follow;
mod parse;

use serde_json::Value;

/// The most steps a path may have.
const MAX_STEPS: usize = 128;
/// The most values a path may yield while it is followed; a tenant's object must not make it explode.
const MAX_VALUES: usize = 10_000;

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Slice(Slice),
    Union(Vec<JsonPath>),
    Each,
    Descend,
    /// A value that stands in the path itself.
    Literal(Value),
    /// A word that is not one of the language: it leads nowhere.
    Unknown,
    Filter {
        left: JsonPath,
        comparison: Comparison,
        right: JsonPath,
    },
}

/// `[from:to:by]`, or one index.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    /// `to` is what follows `from`, since there is but one index.
    is_index: bool,
    by: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// An operator that there is not.
    Unknown,
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

// === impl JsonPath ===

impl JsonPath {
    /// Parses a path such as `.spec.containers[0].image` or `.status.conditions[?(@.type=="Ready")].status`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::path(text)
    }

    /// The values the path leads to, in document order; none where a step finds nothing, or cannot be taken.
    pub fn find<'v>(&'v self, value: &'v Value) -> Vec<&'v Value> {
        follow::follow(self, value).unwrap_or_default()
    }

    /// The first value the path leads to.
    pub fn first<'v>(&'v self, value: &'v Value) -> Option<&'v Value> {
        self.find(value).into_iter().next()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: Value) {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "v"}, "l": {"a": {"b": 7}}}, "n": [1, 2, 3, 4], "e": [], "s": "text",
            "c": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True", "n": 3}],
        });
        let path_of = JsonPath::parse(path).expect(path);
        let found: Vec<Value> = path_of.find(&object).into_iter().cloned().collect();
        assert_eq!(Value::Array(found), expected, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check(".c[0].status", json!(["False"]));
        check(".c[-1:].status", json!(["True"]));
        check(".c[-1].status", json!(["True"]));
        check(".n[1:3]", json!([2, 3]));
        check(".n[0:4:2]", json!([1, 3]));
        check(".n[]", json!([1]));
        check(".n[0,2]", json!([1, 3]));
        check(".c[*].type", json!(["Synced", "Ready"]));
        check(".c[?(@.type==\"Ready\")].status", json!(["True"]));
        check(".c[?(@.type=='Ready')].status", json!(["True"]));
        check(".c[?(@.n)].type", json!(["Ready"]));
        check(".c[?(@.n>=3)].type", json!(["Ready"]));
        check(".metadata.labels.a\\.b/c", json!(["v"]));
        check(".metadata.labels['a\\.b/c']", json!(["v"]));
        check("['s','n']", json!(["text", [1, 2, 3, 4]]));
        check("..status", json!(["False", "True"]));
        check(".missing[0].x", json!([]));
        check("$.s", json!(["text"]));
        check(".s}", json!(["text"]));
        check(".s .n", json!([]));
    }

    #[test]
    fn a_quoted_key_is_a_path_of_its_own() {
        check(".metadata.labels['a.b/c']", json!([]));
        check(".metadata['l.a.b']", json!([7]));
    }

    #[test]
    fn what_cannot_be_followed_leads_nowhere() {
        for path in [
            ".n[9]",
            ".n[3:1]",
            ".n[0:9]",
            ".n[::0]",
            ".n[::-1]",
            ".s[0]",
            ".c[?(@.type>1)].type",
            ".s[?(@.x)]",
            "word",
            ".",
        ] {
            check(path, json!([]));
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [".a[", ".a[x]", ".a[?(@.x=='y'", ".a['b", ".a]", ".a[\"k\"]", ".a[(@.length-1)]", "....a", "{.a}"]
        {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
