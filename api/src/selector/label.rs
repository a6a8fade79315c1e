//! Label selectors, as text (`a=b,c in (d,e),!f`) and as `metav1.LabelSelector` objects.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::SelectorError;
use crate::field::go_quote;
use crate::object::Object;
use crate::validation::{label_value, qualified_name};

/// How a requirement compares the value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelOperator {
    /// The label is there with one of the values.
    In,
    /// The label is absent, or has none of the values.
    NotIn,
    /// The label is there with the value (`=`).
    Equals,
    /// The label is there with the value (`==`).
    DoubleEquals,
    /// The label is absent, or has another value.
    NotEquals,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is an integer greater than the value.
    GreaterThan,
    /// The label is an integer less than the value.
    LessThan,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelRequirement {
    key: String,
    operator: LabelOperator,
    /// Sorted, each once.
    values: Vec<String>,
}

impl LabelRequirement {
    /// A condition; its key, the number of values and the values are checked.
    pub fn new(key: &str, operator: LabelOperator, values: Vec<String>) -> Result<Self, SelectorError> {
        let mut faults = Vec::new();
        if let Some(fault) = joined(qualified_name(key)) {
            faults.push(format!("key: Invalid value: {}: {fault}", go_quote(key)));
        }
        if let Some(fault) = count_fault(operator, values.len()) {
            faults.push(format!("values: Invalid value: {}: {fault}", Value::from(values.clone())));
        }
        for (index, value) in values.iter().enumerate() {
            let shown = go_quote(value);
            if matches!(operator, LabelOperator::GreaterThan | LabelOperator::LessThan)
                && parse_integer(value).is_none()
            {
                let fault = "for 'Gt', 'Lt' operators, the value must be an integer";
                faults.push(format!("values[{index}]: Invalid value: {shown}: {fault}"));
            }
            if let Some(fault) = joined(label_value(value)) {
                faults.push(format!("values[{index}][{key}]: Invalid value: {shown}: {fault}"));
            }
        }
        match faults.len() {
            0 => {}
            1 => return Err(SelectorError(faults.remove(0))),
            _ => return Err(SelectorError(format!("[{}]", faults.join(", ")))),
        }
        let values: BTreeSet<String> = values.into_iter().collect();
        Ok(Self { key: key.to_owned(), operator, values: values.into_iter().collect() })
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label's value is compared.
    pub fn operator(&self) -> LabelOperator {
        self.operator
    }

    /// The values it is compared with, sorted.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the label's value (`None`: no such label) meets the condition.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.binary_search_by(|v| v.as_str().cmp(value)).is_ok();
        let compared = |value: &str| Some(parse_integer(value)?.cmp(&parse_integer(self.values.first()?)?));
        match self.operator {
            LabelOperator::In | LabelOperator::Equals | LabelOperator::DoubleEquals => value.is_some_and(among),
            LabelOperator::NotIn | LabelOperator::NotEquals => !value.is_some_and(among),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::GreaterThan => value.and_then(compared).is_some_and(|order| order.is_gt()),
            LabelOperator::LessThan => value.and_then(compared).is_some_and(|order| order.is_lt()),
        }
    }
}

impl fmt::Display for LabelRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            LabelOperator::In => write!(f, "{key} in ({values})"),
            LabelOperator::NotIn => write!(f, "{key} notin ({values})"),
            LabelOperator::Equals => write!(f, "{key}={values}"),
            LabelOperator::DoubleEquals => write!(f, "{key}=={values}"),
            LabelOperator::NotEquals => write!(f, "{key}!={values}"),
            LabelOperator::Exists => f.write_str(key),
            LabelOperator::DoesNotExist => write!(f, "!{key}"),
            LabelOperator::GreaterThan => write!(f, "{key}>{values}"),
            LabelOperator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A set of conditions that all must be met; without conditions it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<LabelRequirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing: what an absent `LabelSelector` object means.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let requirements = Parser { tokens: scan(text), position: 0 }.parse().map_err(SelectorError)?;
        Ok(Self::from_requirements(requirements))
    }

    /// Selects by the given conditions.
    pub fn from_requirements(mut requirements: Vec<LabelRequirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Reads a `metav1.LabelSelector`; an absent one (null) selects nothing, an empty one everything.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(LabelRequirement::new(key, LabelOperator::Equals, vec![text(value)])?);
        }
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => LabelOperator::In,
                "NotIn" => LabelOperator::NotIn,
                "Exists" => LabelOperator::Exists,
                "DoesNotExist" => LabelOperator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{} is not a valid label selector operator", go_quote(other))));
                }
            };
            let values = expression["values"].as_array().into_iter().flatten().map(text).collect();
            requirements.push(LabelRequirement::new(&text(&expression["key"]), operator, values)?);
        }
        Ok(Self::from_requirements(requirements))
    }

    /// Reads a plain map of labels, such as the selector of a service or replication controller; nothing is checked.
    pub fn from_label_map(labels: &Value) -> Self {
        let exact = |(key, value): (&String, &Value)| LabelRequirement {
            key: key.clone(),
            operator: LabelOperator::Equals,
            values: vec![value.as_str().unwrap_or_default().to_owned()],
        };
        Self::from_requirements(labels.as_object().into_iter().flatten().map(exact).collect())
    }

    /// The conditions, sorted by key.
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether nothing is ever selected.
    pub fn is_nothing(&self) -> bool {
        self.nothing
    }

    /// Whether labels are selected; `label` gives a label's value by its key.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether an object's labels are selected.
    pub fn matches_object(&self, object: &Object) -> bool {
        self.matches(|key| object.label(key))
    }

    /// The one value the label must have, if the selector demands that.
    pub fn requires_exact(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (LabelOperator::In | LabelOperator::Equals | LabelOperator::DoubleEquals, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

fn joined(wrong: Vec<String>) -> Option<String> {
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

fn count_fault(operator: LabelOperator, count: usize) -> Option<&'static str> {
    match operator {
        LabelOperator::In | LabelOperator::NotIn if count == 0 => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        LabelOperator::Equals | LabelOperator::DoubleEquals | LabelOperator::NotEquals if count != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        LabelOperator::Exists | LabelOperator::DoesNotExist if count != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        LabelOperator::GreaterThan | LabelOperator::LessThan if count != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    }
}

/// An integer as Go's `strconv.ParseInt` reads it.
fn parse_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

// === the text form ===

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// A run of special characters that is no operator.
    Error,
    End,
    Close,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    Greater,
    Identifier,
    In,
    Less,
    NotEquals,
    NotIn,
    Open,
}

fn operator_token(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        ">" => Token::Greater,
        "in" => Token::In,
        "<" => Token::Less,
        "!=" => Token::NotEquals,
        "notin" => Token::NotIn,
        "(" => Token::Open,
        _ => return None,
    })
}

fn is_special(c: char) -> bool {
    "=!(),><".contains(c)
}

fn is_space(c: char) -> bool {
    " \t\r\n".contains(c)
}

/// Splits a text into tokens; the last one is always the end. A NUL ends the text, as it does for Kubernetes.
fn scan(text: &str) -> Vec<(Token, &str)> {
    let mut rest = text.split('\0').next().unwrap_or_default();
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches(is_space);
        let length = match rest.chars().next() {
            None => break,
            Some(c) if is_special(c) => {
                // Each special character is an operator, so only one character more can make a longer one.
                if rest.get(..2).and_then(operator_token).is_some() { 2 } else { 1 }
            }
            Some(_) => rest.find(|c| is_special(c) || is_space(c)).unwrap_or(rest.len()),
        };
        let (literal, after) = rest.split_at(length);
        let unknown = if literal.starts_with(is_special) { Token::Error } else { Token::Identifier };
        tokens.push((operator_token(literal).unwrap_or(unknown), literal));
        rest = after;
    }
    tokens.push((Token::End, ""));
    tokens
}

struct Parser<'a> {
    tokens: Vec<(Token, &'a str)>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn parse(mut self) -> Result<Vec<LabelRequirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::Not, _) => {
                    let requirement =
                        self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
                    requirements.push(requirement);
                    match self.next() {
                        (Token::End, _) => return Ok(requirements),
                        (Token::Comma, _) => {}
                        (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
                    }
                    let (token, found) = self.peek();
                    if !matches!(token, Token::Identifier | Token::Not) {
                        return Err(format!("found '{found}', expected: identifier after ','"));
                    }
                }
                (Token::End, _) => return Ok(requirements),
                (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
            }
        }
    }

    /// The next token; `in` and `notin` count as identifiers but where an operator is expected.
    fn peek(&self) -> (Token, &'a str) {
        match self.tokens.get(self.position).copied().unwrap_or((Token::End, "")) {
            (Token::In | Token::NotIn, text) => (Token::Identifier, text),
            other => other,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(fault) = joined(qualified_name(key)) {
            return Err(format!("<nil>: Invalid value: {}: {fault}", go_quote(key)));
        }
        let ends_here = matches!(self.peek().0, Token::End | Token::Comma);
        let (operator, values) = match (negated, ends_here) {
            (true, _) => (LabelOperator::DoesNotExist, Vec::new()),
            (false, true) => (LabelOperator::Exists, Vec::new()),
            (false, false) => match self.operator()? {
                operator @ (LabelOperator::In | LabelOperator::NotIn) => (operator, self.values()?),
                operator => (operator, self.exact_value()?),
            },
        };
        LabelRequirement::new(key, operator, values).map_err(|error| error.0)
    }

    fn operator(&mut self) -> Result<LabelOperator, String> {
        let (token, found) = self.tokens.get(self.position).copied().unwrap_or((Token::End, ""));
        self.position += 1;
        Ok(match token {
            Token::In => LabelOperator::In,
            Token::NotIn => LabelOperator::NotIn,
            Token::Equals => LabelOperator::Equals,
            Token::DoubleEquals => LabelOperator::DoubleEquals,
            Token::NotEquals => LabelOperator::NotEquals,
            Token::Greater => LabelOperator::GreaterThan,
            Token::Less => LabelOperator::LessThan,
            _ => return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let (token, found) = self.next();
        if token != Token::Open {
            return Err(format!("found '{found}' expected: '('"));
        }
        match self.peek() {
            (Token::Identifier | Token::Comma, _) => {
                let values = self.identifiers()?;
                // The list ends only before a closing parenthesis.
                self.next();
                Ok(values.into_iter().collect())
            }
            (Token::Close, _) => {
                self.next();
                Ok(vec![String::new()])
            }
            (_, found) => Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                (Token::Identifier, value) => {
                    values.insert(value.to_owned());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    let (next, _) = self.peek();
                    if values.is_empty() || matches!(next, Token::Close | Token::Comma) {
                        values.insert(String::new());
                    }
                    if next == Token::Close {
                        return Ok(values);
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<Vec<String>, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(vec![String::new()]);
        }
        match self.next() {
            (Token::Identifier, value) => Ok(vec![value.to_owned()]),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }
}
