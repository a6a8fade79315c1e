//! The text form of label selectors: `a=b,c in (d,e),!f`.
//!
//! Token by token as Kubernetes reads it, so that an error names the same token.

use std::collections::BTreeSet;

use super::label::{LabelOperator, LabelRequirement, joined};
use crate::field::go_quote;
use crate::validation::qualified_name;

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

/// Reads the conditions of a selector; an error is in Kubernetes' words.
pub(super) fn parse(text: &str) -> Result<Vec<LabelRequirement>, String> {
    Parser { tokens: scan(text), position: 0 }.parse()
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
