//! Reads a path as `client-go/util/jsonpath` reads what stands between the braces of its templates.

use serde_json::Value;

use super::{Comparison, JsonPath, MAX_STEPS, ParseError, Slice, Step};

/// What ends a name.
const ENDS_NAME: [char; 11] = [' ', '\t', '\r', '\n', '.', ',', '[', ']', '$', '@', '{'];

struct Parser<'a> {
    rest: &'a str,
    steps: Vec<Step>,
}

/// Parses a path. Only filters and unions hold paths, and neither holds another.
pub(super) fn path(text: &str) -> Result<JsonPath, ParseError> {
    let mut parser = Parser { rest: text, steps: Vec::new() };
    while !parser.rest.is_empty() {
        // What comes after a brace is text of the template.
        if parser.rest.starts_with('}') {
            break;
        }
        parser.step()?;
        if parser.steps.len() > MAX_STEPS {
            return fault(format!("a path has at most {MAX_STEPS} steps"));
        }
    }
    Ok(JsonPath { steps: parser.steps })
}

fn fault<T>(why: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError(why.into()))
}

impl<'a> Parser<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// What comes before `at`, which is then passed.
    fn take(&mut self, at: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest;
        taken
    }

    fn step(&mut self) -> Result<(), ParseError> {
        if self.eat("[?(") {
            return self.filter();
        }
        if self.eat("..") {
            if self.steps.last() == Some(&Step::Descend) {
                return fault("invalid multiple recursive descent");
            }
            self.steps.push(Step::Descend);
            if self.rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
                self.field();
            }
            return Ok(());
        }
        let Some(first) = self.rest.chars().next() else { return Ok(()) };
        match first {
            '\n' | '\r' => return fault("unclosed action"),
            ' ' | '@' | '$' => _ = self.take(1),
            '[' => return self.bracket(),
            '"' | '\'' => return self.quoted(first),
            '.' => {
                self.take(1);
                self.field();
            }
            '+' | '-' | '0'..='9' => return self.number(),
            c if c == '_' || c.is_alphanumeric() => self.word(),
            c => return fault(format!("unrecognized character in action: {c:?}")),
        }
        Ok(())
    }

    fn field(&mut self) {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => name.extend(characters.next().map(|(_, escaped)| escaped).filter(|escaped| *escaped != '\\')),
                c if ENDS_NAME.contains(&c) || c == '}' => {
                    end = at;
                    break;
                }
                c => name.push(c),
            }
        }
        let text = self.take(end);
        self.steps.push(if text == "*" { Step::Each } else { Step::Field(name) });
    }

    fn word(&mut self) {
        let end = self.rest.find(|c| ENDS_NAME.contains(&c) || c == '}').unwrap_or(self.rest.len());
        let word = self.take(end);
        self.steps.push(match word {
            "true" => Step::Literal(true.into()),
            "false" => Step::Literal(false.into()),
            _ => Step::Unknown,
        });
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let end = self.rest[sign..].find(|c: char| c != '.' && !c.is_ascii_digit()).map(|end| end + sign);
        let text = self.take(end.unwrap_or(self.rest.len()));
        let value = match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Value::from(whole),
            (_, Ok(real)) => Value::from(real),
            _ => return fault(format!("cannot parse number {text}")),
        };
        self.steps.push(Step::Literal(value));
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), ParseError> {
        let mut text = String::new();
        let mut characters = self.rest[1..].char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\n' => break,
                '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                c if c == quote => {
                    self.take(at + 2);
                    self.steps.push(Step::Literal(text.into()));
                    return Ok(());
                }
                c => text.push(c),
            }
        }
        fault("unterminated quoted string")
    }

    fn bracket(&mut self) -> Result<(), ParseError> {
        let Some(end) = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']')) else {
            return fault("unterminated array");
        };
        let inside = &self.take(end + 1)[1..end];
        if inside.contains(',') {
            let parts = inside.split(',').map(|part| path(&format!("[{}]", part.trim_matches(' '))));
            self.steps.push(Step::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        let quoted = inside.strip_prefix('\'').and_then(|inside| inside.strip_suffix('\''));
        if let Some(key) = quoted.filter(|key| !key.contains('\'')) {
            self.steps.extend(path(&format!(".{key}"))?.steps);
            return Ok(());
        }
        self.steps.push(Step::Slice(slice(inside)?));
        Ok(())
    }

    fn filter(&mut self) -> Result<(), ParseError> {
        let end = end_of_filter(self.rest)?;
        let inside = self.take(end);
        self.take(1);
        if !self.eat("]") {
            return fault("unclosed array expect ]");
        }
        let operators = ['!', '<', '>', '='];
        let operator = inside.find(operators).filter(|at| *at > 0);
        let split = operator.map(|at| {
            let length = inside[at..].find(|c| !operators.contains(&c)).unwrap_or(inside.len() - at);
            (at, at + length)
        });
        let (left, comparison, right) = match split.filter(|(_, end)| *end < inside.len()) {
            Some((at, end)) => (&inside[..at], comparison(&inside[at..end]), &inside[end..]),
            None => (inside, Comparison::Exists, ""),
        };
        self.steps.push(Step::Filter { left: path(left)?, comparison, right: path(right)? });
        Ok(())
    }
}

/// Where the parenthesis that ends a filter is: not within its one text in quotes.
fn end_of_filter(text: &str) -> Result<usize, ParseError> {
    let mut quote = None;
    let mut closed = false;
    let mut before = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '\n' => break,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            c if quote == Some(c) && before != '\\' => closed = true,
            ')' if quote.is_some() == closed => return Ok(at),
            _ => {}
        }
        before = c;
    }
    fault("unterminated filter")
}

fn comparison(operator: &str) -> Comparison {
    match operator {
        "==" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => Comparison::Unknown,
    }
}

fn slice(inside: &str) -> Result<Slice, ParseError> {
    let inside = if inside == "*" { ":" } else { inside };
    let number = |text: &str| match text {
        "" => Ok(None),
        text if text.strip_prefix('-').unwrap_or(text).bytes().all(|digit| digit.is_ascii_digit()) => {
            text.parse().map(Some).map_err(|_| ParseError(format!("array index {text} is not a number")))
        }
        _ => fault(format!("invalid array index {inside}")),
    };
    let parts: Vec<&str> = inside.split(':').collect();
    match parts.as_slice() {
        [one] => Ok(Slice { from: number(one)?, is_index: true, ..Slice::default() }),
        [from, to] => Ok(Slice { from: number(from)?, to: number(to)?, ..Slice::default() }),
        [from, to, by] => Ok(Slice { from: number(from)?, to: number(to)?, by: number(by)?, is_index: false }),
        _ => fault(format!("invalid array index {inside}")),
    }
}
