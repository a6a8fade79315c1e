//! Kubernetes' dialect of JSONPath, as printer columns, scale paths and selectable fields use it.
//!
//! One path, no templates: fields, quoted and escaped keys, indices, slices, wildcards, recursive descent, filters.

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
    Index(i64),
    Slice { from: Option<i64>, to: Option<i64>, by: i64 },
    Each,
    Descend,
    Filter { left: Operand, comparison: Comparison, right: Operand },
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(Value),
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
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

// === impl JsonPath ===

impl JsonPath {
    /// Parses a path such as `.spec.containers[0].image` or `.status.conditions[?(@.type=="Ready")].status`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser { text: text.strip_prefix('$').unwrap_or(text), at: 0 };
        let path = parser.path()?;
        if parser.at < parser.text.len() {
            return Err(ParseError(format!("unexpected {:?} in path", parser.rest())));
        }
        Ok(path)
    }

    /// The values the path leads to, in document order; none where a step finds nothing.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                step.follow(value, &mut next);
                if next.len() > MAX_VALUES {
                    return Vec::new();
                }
            }
            found = next;
        }
        found
    }

    /// The first value the path leads to.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.find(value).into_iter().next()
    }
}

impl Step {
    fn follow<'v>(&self, value: &'v Value, found: &mut Vec<&'v Value>) {
        match self {
            Self::Field(name) => found.extend(value.get(name)),
            Self::Index(index) => {
                if let Value::Array(items) = value {
                    let at = if *index < 0 { items.len() as i64 + index } else { *index };
                    found.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
                }
            }
            Self::Slice { from, to, by } => {
                if let Value::Array(items) = value {
                    let length = items.len() as i64;
                    let place = |at: i64| (if at < 0 { at + length } else { at }).clamp(0, length) as usize;
                    let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(length)));
                    if from < to {
                        found.extend(items[from..to].iter().step_by((*by).max(1) as usize));
                    }
                }
            }
            Self::Each => match value {
                Value::Array(items) => found.extend(items),
                Value::Object(map) => found.extend(map.values()),
                _ => {}
            },
            Self::Descend => descend(value, found),
            Self::Filter { left, comparison, right } => {
                if let Value::Array(items) = value {
                    found.extend(items.iter().filter(|item| compare(item, left, *comparison, right)));
                }
            }
        }
    }
}

/// The value and everything below it. Depth is bounded by the decoder that made the value.
fn descend<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    if found.len() > MAX_VALUES {
        return;
    }
    found.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, found)),
        Value::Object(map) => map.values().for_each(|item| descend(item, found)),
        _ => {}
    }
}

fn compare(item: &Value, left: &Operand, comparison: Comparison, right: &Operand) -> bool {
    let value = |operand: &Operand| match operand {
        Operand::Path(path) => path.first(item).cloned(),
        Operand::Literal(value) => Some(value.clone()),
    };
    let Some(left) = value(left) else { return false };
    if comparison == Comparison::Exists {
        return true;
    }
    let Some(right) = value(right) else { return false };
    let order = match (&left, &right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match comparison {
        Comparison::Exists => true,
        Comparison::Equal => order == Some(std::cmp::Ordering::Equal),
        Comparison::NotEqual => order.is_some_and(std::cmp::Ordering::is_ne),
        Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
        Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

// === impl Parser ===

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Steps up to the first character that begins none.
    fn path(&mut self) -> Result<JsonPath, ParseError> {
        let mut steps = Vec::new();
        loop {
            if self.eat("..") {
                steps.push(Step::Descend);
                if !self.rest().starts_with('[') {
                    steps.push(self.field_or_each()?);
                }
            } else if self.eat(".") {
                if self.rest().is_empty() || self.rest().starts_with('[') {
                    continue;
                }
                steps.push(self.field_or_each()?);
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(JsonPath { steps });
            }
            if steps.len() > MAX_STEPS {
                return Err(ParseError(format!("a path has at most {MAX_STEPS} steps")));
            }
        }
    }

    fn field_or_each(&mut self) -> Result<Step, ParseError> {
        if self.eat("*") {
            return Ok(Step::Each);
        }
        let mut name = String::new();
        let mut characters = self.rest().char_indices();
        let mut length = self.rest().len();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => {
                    if let Some((_, escaped)) = characters.next() {
                        name.push(escaped);
                    }
                }
                '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ' ' => {
                    length = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.at += length;
        if name.is_empty() { Err(ParseError("a field name is missing".into())) } else { Ok(Step::Field(name)) }
    }

    fn bracket(&mut self) -> Result<Step, ParseError> {
        let step = if self.eat("?(") {
            self.filter()?
        } else if self.eat("*") {
            Step::Each
        } else if self.rest().starts_with(['\'', '"']) {
            Step::Field(self.quoted()?)
        } else {
            self.index_or_slice()?
        };
        if self.eat("]") { Ok(step) } else { Err(ParseError("unterminated array".into())) }
    }

    fn quoted(&mut self) -> Result<String, ParseError> {
        let quote = self.rest().chars().next().unwrap_or('"');
        let body = &self.rest()[1..];
        let mut text = String::new();
        let mut characters = body.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                c if c == quote => {
                    self.at += at + 2;
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(ParseError("unterminated quoted string".into()))
    }

    fn index_or_slice(&mut self) -> Result<Step, ParseError> {
        let end = self.rest().find(']').ok_or_else(|| ParseError("unterminated array".into()))?;
        let inside = &self.rest()[..end];
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| ParseError(format!("invalid array index {text}"))),
        };
        let parts: Vec<&str> = inside.split(':').collect();
        let step = match parts.as_slice() {
            [one] => Step::Index(number(one)?.ok_or_else(|| ParseError("invalid array index".into()))?),
            [from, to] => Step::Slice { from: number(from)?, to: number(to)?, by: 1 },
            [from, to, by] => Step::Slice { from: number(from)?, to: number(to)?, by: number(by)?.unwrap_or(1) },
            _ => return Err(ParseError(format!("invalid array index {inside}"))),
        };
        self.at += end;
        Ok(step)
    }

    fn filter(&mut self) -> Result<Step, ParseError> {
        let left = self.operand()?;
        self.skip_spaces();
        let comparison = self.comparison();
        let right = match comparison {
            Comparison::Exists => Operand::Literal(Value::Null),
            _ => self.operand()?,
        };
        self.skip_spaces();
        if self.eat(")") {
            Ok(Step::Filter { left, comparison, right })
        } else {
            Err(ParseError("unterminated filter".into()))
        }
    }

    fn comparison(&mut self) -> Comparison {
        let tokens = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        tokens.into_iter().find(|(token, _)| self.eat(token)).map_or(Comparison::Exists, |(_, comparison)| comparison)
    }

    fn operand(&mut self) -> Result<Operand, ParseError> {
        self.skip_spaces();
        if self.eat("@") {
            return Ok(Operand::Path(self.path()?));
        }
        if self.rest().starts_with(['\'', '"']) {
            return Ok(Operand::Literal(Value::String(self.quoted()?)));
        }
        let end = self.rest().find([')', ' ', '=', '<', '>', '!']).unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        let literal =
            serde_json::from_str(word).map_err(|_| ParseError(format!("cannot read {word:?} in a filter")))?;
        self.at += end;
        Ok(Operand::Literal(literal))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: Value) {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "v"}}, "n": [1, 2, 3, 4],
            "c": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True", "n": 3}],
        });
        let found: Vec<Value> = JsonPath::parse(path).expect(path).find(&object).into_iter().cloned().collect();
        assert_eq!(Value::Array(found), expected, "{path}");
    }

    #[test]
    fn paths_lead_to_values() {
        check(".c[0].status", json!(["False"]));
        check(".c[-1:].status", json!(["True"]));
        check(".n[1:3]", json!([2, 3]));
        check(".n[0:4:2]", json!([1, 3]));
        check(".c[*].type", json!(["Synced", "Ready"]));
        check(".c[?(@.type==\"Ready\")].status", json!(["True"]));
        check(".c[?(@.type=='Ready')].status", json!(["True"]));
        check(".c[?(@.n)].type", json!(["Ready"]));
        check(".c[?(@.n>=3)].type", json!(["Ready"]));
        check(".metadata.labels.a\\.b/c", json!(["v"]));
        check(".metadata.labels['a.b/c']", json!(["v"]));
        check("..status", json!(["False", "True"]));
        check(".missing[0].x", json!([]));
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [".a[", ".a[x]", ".a[?(@.x=='y'", ".a['b", "a", ".a]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
