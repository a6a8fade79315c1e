//! `FieldsV1`: sets of field paths as they stand in `metadata.managedFields`.
//!
//! A step is a key with a letter for its sort (`f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`); `.` marks a path that ends where
//! others go on.

use serde_json::{Map, Value};

use super::path::Element;
use super::set::{Branch, Set};

/// Reads a set. Sorts of steps that do not exist (yet) are passed over.
pub(super) fn decode(fields: &Value) -> Result<Set, String> {
    let Value::Object(fields) = fields else {
        return Err("error decoding set: expected an object".to_owned());
    };
    Ok(decode_branch(fields)?.children)
}

struct Decoded {
    member: bool,
    children: Set,
}

fn decode_branch(fields: &Map<String, Value>) -> Result<Decoded, String> {
    let mut member = false;
    let mut branches = Vec::new();
    for (key, below) in fields {
        if key == "." {
            member = true;
            continue;
        }
        let Some(element) = decode_element(key)? else { continue };
        let Value::Object(below) = below else {
            return Err(format!("error decoding set: expected an object below {key:?}"));
        };
        let below = decode_branch(below)?;
        branches.push(Branch { element, member: below.member, children: below.children });
    }
    // What has nothing below is the end of a path.
    member |= branches.is_empty();
    Ok(Decoded { member, children: Set::of_branches(branches) })
}

fn decode_element(key: &str) -> Result<Option<Element>, String> {
    let Some((sort, text)) = key.split_once(':').filter(|(sort, _)| sort.len() == 1) else {
        return Err(format!("parsing key as path element: missing colon: {key}"));
    };
    let invalid = |why: String| format!("parsing key as path element: {key}: {why}");
    Ok(Some(match sort {
        "f" => Element::field(text),
        "v" => Element::Value(serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?),
        "i" => Element::Index(text.parse().map_err(|_| invalid("not an index".to_owned()))?),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?;
            let mut keys: Vec<(Box<str>, Value)> =
                keys.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect();
            keys.sort_by(|(a, _), (b, _)| a.cmp(b));
            Element::Key(keys)
        }
        _ => return Ok(None),
    }))
}

/// Writes a set.
pub(super) fn encode(set: &Set) -> Value {
    let encode_branch = |branch: &Branch| (encode_element(&branch.element), encode_below(branch));
    Value::Object(set.branches().iter().map(encode_branch).collect())
}

fn encode_below(branch: &Branch) -> Value {
    let mut below = encode(&branch.children);
    if let (true, false, Value::Object(below)) = (branch.member, branch.children.is_empty(), &mut below) {
        below.insert(".".to_owned(), Value::Object(Map::new()));
    }
    below
}

fn encode_element(element: &Element) -> String {
    match element {
        Element::Field(name) => ["f:", name].concat(),
        Element::Value(value) => format!("v:{}", html_safe(&scalar(value))),
        Element::Index(index) => format!("i:{index}"),
        Element::Key(keys) => {
            let mut text = String::from("k:{");
            for (i, (name, value)) in keys.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(&**name).to_string());
                text.push(':');
                text.push_str(&html_safe(&scalar(value)));
            }
            text.push('}');
            text
        }
    }
}

/// A scalar as Go's encoder writes it: 1.0 is 1.
fn scalar(value: &Value) -> String {
    const WRITTEN_OUT: f64 = 1e15;
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < WRITTEN_OUT => format!("{number:.0}"),
        _ => value.to_string(),
    }
}

/// JSON as Go's encoder writes it: with the characters escaped that mean something in HTML.
pub(super) fn html_safe(json: &str) -> String {
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json.to_owned();
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", c as u32)),
            c => safe.push(c),
        }
    }
    safe
}
