//! The grammar, one method for each of its rules, building the tree as it goes.
//!
//! Which rule calls which, and where tokens are checked, follows the grammar that cel-go generates its parser from,
//! because faults depend on it.

use super::lex::{Kind, Set, Token};
use super::recover::{Cursor, Follow, Halt, Stop};
use super::{literal, macros};
use crate::ast::{Ast, Entry, Expr, ExprId, FieldInit, Literal};

/// How deep one rule may nest within itself.
const MAX_RULE_DEPTH: u16 = 250;

const FIRST_LITERAL: Set = Set::of(&[
    Kind::Minus,
    Kind::Int,
    Kind::Uint,
    Kind::Float,
    Kind::String,
    Kind::Bytes,
    Kind::True,
    Kind::False,
    Kind::Null,
]);
const FIRST_MEMBER: Set =
    Set::of(&[Kind::Dot, Kind::Ident, Kind::LeftParen, Kind::LeftBracket, Kind::LeftBrace]).with(FIRST_LITERAL);
const FIRST_EXPR: Set = Set::of(&[Kind::Not]).with(FIRST_MEMBER);
const FIRST_OPTIONAL: Set = Set::of(&[Kind::Question]).with(FIRST_EXPR);
const FIELD_NAME: Set = Set::of(&[Kind::Ident, Kind::QuotedIdent]);
const FIRST_FIELD: Set = Set::of(&[Kind::Question]).with(FIELD_NAME);
const MEMBER_OPERATORS: &[Kind] = &[Kind::Dot, Kind::LeftBracket];
const RELATIONS: &[Kind] =
    &[Kind::Less, Kind::LessEqual, Kind::GreaterEqual, Kind::Greater, Kind::Equal, Kind::NotEqual, Kind::In];
const ARITHMETIC: &[Kind] = &[Kind::Star, Kind::Slash, Kind::Percent, Kind::Plus, Kind::Minus];

const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];

/// The rules in which recovery is told apart.
#[derive(Clone, Copy)]
enum Rule {
    Start,
    Expr,
    Unary,
    Member,
    Primary,
    List,
    Fields,
    Entries,
    FieldName,
}

/// The parser: a cursor over tokens, and the tree so far.
pub(super) struct Parser<'s> {
    pub(super) cursor: Cursor<'s>,
    pub(super) ast: Ast,
    pub(super) with_bind: bool,
    expr_depth: u16,
    relation_depth: u16,
    calc_depth: u16,
}

/// The name of a field or method as it was written, and where.
struct Name {
    text: String,
    at: u32,
}

type Parsed<T> = Result<T, Stop>;

impl<'s> Parser<'s> {
    pub(super) fn new(cursor: Cursor<'s>, with_bind: bool) -> Self {
        Self { cursor, ast: Ast::default(), with_bind, expr_depth: 0, relation_depth: 0, calc_depth: 0 }
    }

    /// start: expr EOF
    pub(super) fn start(&mut self) -> Parsed<ExprId> {
        let root = self.within(Follow::only(&[Kind::End]), Self::expr)?;
        if let Err(halt) = self.cursor.expect(Kind::End, Follow::or_end(&[])) {
            self.cursor.recover(Rule::Start as u32, &halt)?;
        }
        Ok(root)
    }

    /// Runs a rule that another one calls; `follow` is what the caller goes on with.
    fn within<T>(&mut self, follow: Follow, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.cursor.open(follow);
        let result = rule(self);
        self.cursor.close();
        result
    }

    /// Ends a rule: a fault in it is reported, and the caller goes on with a node that stands for the fault.
    fn finish(&mut self, rule: Rule, result: Result<ExprId, Halt>) -> Parsed<ExprId> {
        match result {
            Ok(id) => Ok(id),
            Err(halt) => {
                self.cursor.recover(rule as u32, &halt)?;
                Ok(self.fault())
            }
        }
    }

    fn fault(&mut self) -> ExprId {
        let at = self.cursor.current().start;
        self.ast.add(at, Expr::Fault)
    }

    /// Reports something that is no matter of syntax.
    pub(super) fn report(&mut self, at: u32, message: impl Into<String>) -> ExprId {
        self.cursor.issues.report(self.cursor.source, Some(at), message);
        self.ast.add(at, Expr::Fault)
    }

    fn check_depth(&mut self, depth: u16) -> Parsed<()> {
        if depth > MAX_RULE_DEPTH {
            return Err(self.cursor.stop(format!("expression recursion limit exceeded: {MAX_RULE_DEPTH}")));
        }
        if self.ast.is_oversized() {
            return Err(self.cursor.stop("max recursion depth exceeded"));
        }
        Ok(())
    }

    fn call(&mut self, at: u32, function: &str, args: Vec<ExprId>) -> ExprId {
        self.ast.add(at, Expr::Call { function: function.into(), target: None, args })
    }

    /// expr: conditionalOr ('?' conditionalOr ':' expr)?
    fn expr(&mut self) -> Parsed<ExprId> {
        self.expr_depth += 1;
        self.check_depth(self.expr_depth)?;
        let condition = self.within(Follow::or_end(&[Kind::Question]), Self::disjunction)?;
        let result = if self.cursor.kind() == Kind::Question {
            let result = self.conditional(condition);
            self.finish(Rule::Expr, result)?
        } else {
            condition
        };
        self.expr_depth -= 1;
        Ok(result)
    }

    fn conditional(&mut self, condition: ExprId) -> Result<ExprId, Halt> {
        let operator = self.cursor.take();
        let when_true = self.within(Follow::only(&[Kind::Colon]), Self::disjunction)?;
        self.cursor.expect(Kind::Colon, Follow { tokens: FIRST_EXPR, may_end: false })?;
        let when_false = self.within(Follow::or_end(&[]), Self::expr)?;
        Ok(self.call(operator.start, "_?_:_", vec![condition, when_true, when_false]))
    }

    /// conditionalOr: conditionalAnd ('||' conditionalAnd)*
    fn disjunction(&mut self) -> Parsed<ExprId> {
        self.logical(Kind::Or, "_||_", Self::conjunction)
    }

    /// conditionalAnd: relation ('&&' relation)*
    fn conjunction(&mut self) -> Parsed<ExprId> {
        self.logical(Kind::And, "_&&_", |parser| parser.relation(0))
    }

    fn logical(
        &mut self,
        operator: Kind,
        function: &str,
        mut operand: impl FnMut(&mut Self) -> Parsed<ExprId>,
    ) -> Parsed<ExprId> {
        let follow = Follow { tokens: Set::of(&[operator]), may_end: true };
        let first = self.within(follow, &mut operand)?;
        if self.cursor.kind() != operator {
            return Ok(first);
        }
        let mut terms = vec![first];
        let mut operators = Vec::new();
        while self.cursor.kind() == operator {
            operators.push(self.cursor.take().start);
            terms.push(self.within(follow, &mut operand)?);
        }
        Ok(self.balance(function, &terms, &operators))
    }

    /// A balanced tree of the terms, so that a long chain does not become a deep tree.
    fn balance(&mut self, function: &str, terms: &[ExprId], operators: &[u32]) -> ExprId {
        let middle = operators.len() / 2;
        let left = if middle == 0 { terms[0] } else { self.balance(function, &terms[..=middle], &operators[..middle]) };
        let rest = &operators[middle + 1..];
        let right =
            if rest.is_empty() { terms[middle + 1] } else { self.balance(function, &terms[middle + 1..], rest) };
        self.call(operators[middle], function, vec![left, right])
    }

    /// relation: calc | relation op relation
    fn relation(&mut self, precedence: u8) -> Parsed<ExprId> {
        const FOLLOW: Follow = Follow::or_end(RELATIONS);
        self.relation_depth += 1;
        self.check_depth(self.relation_depth)?;
        let mut left = self.within(FOLLOW, |parser| parser.calc(0))?;
        while precedence <= 1
            && let Some(function) = relation_function(self.cursor.kind())
        {
            let operator = self.cursor.take();
            let right = self.within(FOLLOW, |parser| parser.relation(2))?;
            left = self.call(operator.start, function, vec![left, right]);
        }
        self.relation_depth -= 1;
        Ok(left)
    }

    /// calc: unary | calc ('*'|'/'|'%') calc | calc ('+'|'-') calc
    fn calc(&mut self, precedence: u8) -> Parsed<ExprId> {
        const FOLLOW: Follow = Follow::or_end(ARITHMETIC);
        self.calc_depth += 1;
        self.check_depth(self.calc_depth)?;
        let mut left = self.within(FOLLOW, Self::unary)?;
        while let Some((function, binds)) = arithmetic_function(self.cursor.kind())
            && binds >= precedence
        {
            let operator = self.cursor.take();
            let right = self.within(FOLLOW, |parser| parser.calc(binds + 1))?;
            left = self.call(operator.start, function, vec![left, right]);
        }
        self.calc_depth -= 1;
        Ok(left)
    }

    /// unary: member | '!'+ member | '-'+ member
    fn unary(&mut self) -> Parsed<ExprId> {
        let result = self.unary_operators();
        self.finish(Rule::Unary, result)
    }

    fn unary_operators(&mut self) -> Result<ExprId, Halt> {
        self.cursor.sync(FIRST_EXPR)?;
        let (function, operators) = match (self.cursor.kind(), self.cursor.peek(1)) {
            (Kind::Not, _) => ("!_", self.nots()?),
            // A sign belongs to the number.
            (Kind::Minus, Kind::Int | Kind::Float) => ("", Vec::new()),
            (Kind::Minus, next) if FIRST_MEMBER.contains(next) => ("-_", self.minuses()?),
            (Kind::Minus, _) => return Err(self.no_alternative(1)),
            (kind, _) if FIRST_MEMBER.contains(kind) => ("", Vec::new()),
            _ => return Err(self.no_alternative(0)),
        };
        let member = self.within(Follow::or_end(&[]), Self::member)?;
        if operators.len().is_multiple_of(2) {
            return Ok(member);
        }
        Ok(self.call(operators[0], function, vec![member]))
    }

    fn no_alternative(&self, ahead: usize) -> Halt {
        let from = self.cursor.position();
        Halt::NoAlternative { from, offending: from + ahead }
    }

    fn nots(&mut self) -> Result<Vec<u32>, Halt> {
        let mut operators = Vec::new();
        while self.cursor.kind() == Kind::Not {
            operators.push(self.cursor.take().start);
            self.cursor.sync_loop(FIRST_EXPR)?;
        }
        Ok(operators)
    }

    fn minuses(&mut self) -> Result<Vec<u32>, Halt> {
        let mut operators = Vec::new();
        loop {
            operators.push(self.cursor.take().start);
            self.cursor.sync_loop(FIRST_MEMBER)?;
            match (self.cursor.kind(), self.cursor.peek(1)) {
                (Kind::Minus, next) if FIRST_MEMBER.contains(next) => {}
                (Kind::Minus, _) => return Err(self.no_alternative(1)),
                (kind, _) if FIRST_MEMBER.contains(kind) => return Ok(operators),
                _ => return Err(self.no_alternative(0)),
            }
        }
    }

    /// member: primary | member '.' '?'? name | member '.' IDENTIFIER '(' args? ')' | member '[' '?'? expr ']'
    fn member(&mut self) -> Parsed<ExprId> {
        let mut target = self.within(Follow::or_end(MEMBER_OPERATORS), Self::primary)?;
        loop {
            let result = match self.cursor.kind() {
                Kind::Dot => match (self.cursor.peek(1), self.cursor.peek(2)) {
                    (Kind::Ident, Kind::LeftParen) => self.member_call(target),
                    (Kind::Question | Kind::Ident | Kind::QuotedIdent, _) => self.select(target),
                    _ => Err(self.no_alternative(1)),
                },
                Kind::LeftBracket => self.index(target),
                _ => return Ok(target),
            };
            match result {
                Ok(id) => target = id,
                Err(halt) => {
                    self.cursor.recover(Rule::Member as u32, &halt)?;
                    return Ok(self.fault());
                }
            }
            self.check_depth(0)?;
        }
    }

    fn select(&mut self, operand: ExprId) -> Result<ExprId, Halt> {
        let dot = self.cursor.take();
        let is_optional = self.cursor.kind() == Kind::Question;
        if is_optional {
            self.cursor.take();
        }
        let at = self.cursor.current().start;
        let name = self.within(Follow::or_end(MEMBER_OPERATORS), Self::field_name)?;
        let Some(name) = name else { return Ok(self.unnamed(at)) };
        if !is_optional {
            return Ok(self.ast.add(dot.start, Expr::Select { operand, field: name.text.into(), presence: false }));
        }
        let field = self.ast.add(name.at, Expr::Literal(Literal::String(name.text.into())));
        Ok(self.call(dot.start, "_?._", vec![operand, field]))
    }

    fn member_call(&mut self, target: ExprId) -> Result<ExprId, Halt> {
        self.cursor.take();
        let name = self.cursor.take();
        let (open, args) = self.arguments()?;
        let function = self.cursor.text(name);
        Ok(macros::call(self, open.start, &function, Some(target), args))
    }

    fn index(&mut self, target: ExprId) -> Result<ExprId, Halt> {
        let open = self.cursor.take();
        self.cursor.sync(FIRST_OPTIONAL)?;
        let is_optional = self.cursor.kind() == Kind::Question;
        if is_optional {
            self.cursor.take();
        }
        let index = self.within(Follow::only(&[Kind::RightBracket]), Self::expr)?;
        self.cursor.expect(Kind::RightBracket, Follow::or_end(MEMBER_OPERATORS))?;
        Ok(self.call(open.start, if is_optional { "_[?_]" } else { "_[_]" }, vec![target, index]))
    }

    /// '(' exprList? ')'
    fn arguments(&mut self) -> Result<(Token, Vec<ExprId>), Halt> {
        let open = self.cursor.take();
        self.cursor.sync(FIRST_EXPR.with(Set::of(&[Kind::RightParen])))?;
        let mut args = Vec::new();
        if FIRST_EXPR.contains(self.cursor.kind()) {
            self.cursor.open(Follow::only(&[Kind::RightParen]));
            args.push(self.within(Follow::or_end(&[Kind::Comma]), Self::expr)?);
            while self.cursor.kind() == Kind::Comma {
                self.cursor.take();
                args.push(self.within(Follow::or_end(&[Kind::Comma]), Self::expr)?);
            }
            self.cursor.close();
        }
        self.cursor.expect(Kind::RightParen, Follow::or_end(MEMBER_OPERATORS))?;
        Ok((open, args))
    }

    fn primary(&mut self) -> Parsed<ExprId> {
        let result = self.primary_alternatives();
        self.finish(Rule::Primary, result)
    }

    fn primary_alternatives(&mut self) -> Result<ExprId, Halt> {
        self.cursor.sync(FIRST_MEMBER)?;
        match self.cursor.kind() {
            Kind::LeftParen => {
                self.cursor.take();
                let inner = self.within(Follow::only(&[Kind::RightParen]), Self::expr)?;
                self.cursor.expect(Kind::RightParen, Follow::or_end(&[]))?;
                Ok(inner)
            }
            Kind::LeftBracket => self.list(),
            Kind::LeftBrace => self.map(),
            Kind::Dot if self.cursor.peek(1) != Kind::Ident => Err(self.no_alternative(1)),
            Kind::Dot | Kind::Ident => self.named(),
            kind if FIRST_LITERAL.contains(kind) => self.literal(),
            _ => Err(self.no_alternative(0)),
        }
    }

    /// An identifier, a call, or a message, each perhaps with a dot before it.
    fn named(&mut self) -> Result<ExprId, Halt> {
        let start = self.cursor.current().start;
        let name_at = usize::from(self.cursor.kind() == Kind::Dot);
        let mut last = name_at;
        while self.cursor.peek(last + 1) == Kind::Dot && self.cursor.peek(last + 2) == Kind::Ident {
            last += 2;
        }
        if self.cursor.peek(last + 1) == Kind::LeftBrace {
            return self.message();
        }
        let mut name = String::new();
        if name_at == 1 {
            self.cursor.take();
            name.push('.');
        }
        let token = self.cursor.take();
        let text = self.cursor.text(token);
        let is_reserved = RESERVED.contains(&text.as_str());
        name.push_str(&text);
        if self.cursor.kind() == Kind::LeftParen {
            let (open, args) = self.arguments()?;
            if is_reserved {
                return Ok(self.report(start, format!("reserved identifier: {text}")));
            }
            return Ok(macros::call(self, open.start, &name, None, args));
        }
        if is_reserved {
            return Ok(self.report(start, format!("reserved identifier: {text}")));
        }
        Ok(self.ast.add(token.start, Expr::Ident(name.into())))
    }

    fn list(&mut self) -> Result<ExprId, Halt> {
        const FOLLOW: Follow = Follow::only(&[Kind::Comma, Kind::RightBracket]);
        let open = self.cursor.take();
        self.cursor.sync(FIRST_OPTIONAL.with(FOLLOW.tokens))?;
        let (mut elements, mut optional) = (Vec::new(), Vec::new());
        if FIRST_OPTIONAL.contains(self.cursor.kind()) {
            self.cursor.open(FOLLOW);
            loop {
                let (element, is_optional) = self.within(Follow::or_end(&[Kind::Comma]), Self::optional_expr)?;
                elements.push(element);
                optional.push(is_optional);
                if self.cursor.kind() != Kind::Comma || !FIRST_OPTIONAL.contains(self.cursor.peek(1)) {
                    break;
                }
                self.cursor.take();
            }
            self.cursor.close();
        }
        self.closing(Kind::RightBracket)?;
        Ok(self.ast.add(open.start, Expr::List { elements, optional }))
    }

    /// ','? and the closing bracket or brace.
    fn closing(&mut self, close: Kind) -> Result<(), Halt> {
        self.cursor.sync(Set::of(&[Kind::Comma, close]))?;
        if self.cursor.kind() == Kind::Comma {
            self.cursor.take();
        }
        self.cursor.expect(close, Follow::or_end(&[])).map(drop)
    }

    /// optExpr: '?'? expr
    fn optional_expr(&mut self) -> Parsed<(ExprId, bool)> {
        if let Err(halt) = self.cursor.sync(FIRST_OPTIONAL) {
            self.cursor.recover(Rule::List as u32, &halt)?;
            return Ok((self.fault(), false));
        }
        let is_optional = self.cursor.kind() == Kind::Question;
        if is_optional {
            self.cursor.take();
        }
        Ok((self.within(Follow::or_end(&[]), Self::expr)?, is_optional))
    }

    fn map(&mut self) -> Result<ExprId, Halt> {
        const FOLLOW: Follow = Follow::only(&[Kind::Comma, Kind::RightBrace]);
        let open = self.cursor.take();
        self.cursor.sync(FIRST_OPTIONAL.with(FOLLOW.tokens))?;
        let mut entries = Vec::new();
        if FIRST_OPTIONAL.contains(self.cursor.kind()) {
            self.within(FOLLOW, |parser| {
                let result = parser.entries(&mut entries);
                result.or_else(|halt| parser.cursor.recover(Rule::Entries as u32, &halt))
            })?;
        }
        self.closing(Kind::RightBrace)?;
        Ok(self.ast.add(open.start, Expr::Map(entries)))
    }

    fn entries(&mut self, entries: &mut Vec<Entry>) -> Result<(), Halt> {
        loop {
            let (key, optional) = self.within(Follow::only(&[Kind::Colon]), Self::optional_expr)?;
            self.cursor.expect(Kind::Colon, Follow { tokens: FIRST_EXPR, may_end: false })?;
            let value = self.within(Follow::or_end(&[Kind::Comma]), Self::expr)?;
            entries.push(Entry { key, value, optional });
            if self.cursor.kind() != Kind::Comma || !FIRST_OPTIONAL.contains(self.cursor.peek(1)) {
                return Ok(());
            }
            self.cursor.take();
        }
    }

    /// '.'? IDENTIFIER ('.' IDENTIFIER)* '{' fields? ','? '}'
    fn message(&mut self) -> Result<ExprId, Halt> {
        const FOLLOW: Follow = Follow::only(&[Kind::Comma, Kind::RightBrace]);
        let mut name = String::new();
        while self.cursor.kind() != Kind::LeftBrace {
            let token = self.cursor.take();
            name.push_str(&self.cursor.text(token));
        }
        let open = self.cursor.take();
        self.cursor.sync(FIRST_FIELD.with(FOLLOW.tokens))?;
        let mut fields = Vec::new();
        if FIRST_FIELD.contains(self.cursor.kind()) {
            self.within(FOLLOW, |parser| {
                let result = parser.fields(&mut fields);
                result.or_else(|halt| parser.cursor.recover(Rule::Fields as u32, &halt))
            })?;
        }
        self.closing(Kind::RightBrace)?;
        Ok(self.ast.add(open.start, Expr::Struct { name: name.into(), fields }))
    }

    fn fields(&mut self, fields: &mut Vec<FieldInit>) -> Result<(), Halt> {
        loop {
            let (name, optional) = self.within(Follow::only(&[Kind::Colon]), Self::optional_field)?;
            let colon = self.cursor.expect(Kind::Colon, Follow { tokens: FIRST_EXPR, may_end: false })?;
            let value = self.within(Follow::or_end(&[Kind::Comma]), Self::expr)?;
            if let Some(name) = name {
                fields.push(FieldInit { at: colon.start, name: name.text.into(), value, optional });
            }
            if self.cursor.kind() != Kind::Comma || !FIRST_FIELD.contains(self.cursor.peek(1)) {
                return Ok(());
            }
            self.cursor.take();
        }
    }

    /// optField: '?'? name
    fn optional_field(&mut self) -> Parsed<(Option<Name>, bool)> {
        if let Err(halt) = self.cursor.sync(FIRST_FIELD) {
            self.cursor.recover(Rule::Fields as u32, &halt)?;
            return Ok((None, false));
        }
        let first = self.cursor.current();
        let is_optional = first.kind == Kind::Question;
        if is_optional {
            self.cursor.take();
        }
        let name = self.within(Follow::or_end(&[]), Self::field_name)?;
        if name.is_none() {
            self.unnamed(first.start);
        }
        Ok((name, is_optional))
    }

    /// Reports that there is no name where one is needed.
    fn unnamed(&mut self, at: u32) -> ExprId {
        self.report(at, "unsupported ident kind")
    }

    /// escapeIdent: IDENTIFIER | ESC_IDENTIFIER
    fn field_name(&mut self) -> Parsed<Option<Name>> {
        if let Err(halt) = self.cursor.sync(FIELD_NAME) {
            self.cursor.recover(Rule::FieldName as u32, &halt)?;
            return Ok(None);
        }
        let token = self.cursor.current();
        match token.kind {
            Kind::Ident => {
                self.cursor.take();
                Ok(Some(Name { text: self.cursor.text(token), at: token.start }))
            }
            Kind::QuotedIdent => {
                self.cursor.take();
                // Kubernetes leaves the syntax of quoted names switched off (cel-go v0.26, environment/base.go of 1.36).
                self.report(token.start, "unsupported syntax: '`'");
                Ok(Some(Name { text: self.cursor.text(token), at: token.start }))
            }
            _ => {
                self.cursor.recover(Rule::FieldName as u32, &self.no_alternative(0))?;
                Ok(None)
            }
        }
    }

    fn literal(&mut self) -> Result<ExprId, Halt> {
        let first = self.cursor.current();
        let is_negative = first.kind == Kind::Minus;
        if is_negative && !matches!(self.cursor.peek(1), Kind::Int | Kind::Float) {
            return Err(self.no_alternative(1));
        }
        if is_negative {
            self.cursor.take();
        }
        let token = self.cursor.take();
        let text = self.cursor.text(token);
        let value = match token.kind {
            Kind::True => Ok(Literal::Bool(true)),
            Kind::False => Ok(Literal::Bool(false)),
            Kind::Null => Ok(Literal::Null),
            Kind::Int => int(&text, is_negative).map(Literal::Int).ok_or("invalid int literal"),
            Kind::Uint => uint(&text).map(Literal::Uint).ok_or("invalid uint literal"),
            Kind::Float => float(&text, is_negative).map(Literal::Double).ok_or("invalid double literal"),
            Kind::Bytes => literal::bytes(&text).map(|bytes| Literal::Bytes(bytes.into())),
            _ => literal::string(&text).map(|text| Literal::String(text.into())),
        };
        match value {
            Ok(value) => Ok(self.ast.add(first.start, Expr::Literal(value))),
            Err(message) => Ok(self.report(first.start, message)),
        }
    }
}

fn relation_function(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Less => "_<_",
        Kind::LessEqual => "_<=_",
        Kind::GreaterEqual => "_>=_",
        Kind::Greater => "_>_",
        Kind::Equal => "_==_",
        Kind::NotEqual => "_!=_",
        Kind::In => "@in",
        _ => return None,
    })
}

/// The function of an arithmetic operator, and how strongly it binds.
fn arithmetic_function(kind: Kind) -> Option<(&'static str, u8)> {
    Some(match kind {
        Kind::Star => ("_*_", 2),
        Kind::Slash => ("_/_", 2),
        Kind::Percent => ("_%_", 2),
        Kind::Plus => ("_+_", 1),
        Kind::Minus => ("_-_", 1),
        _ => return None,
    })
}

fn int(text: &str, is_negative: bool) -> Option<i64> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    let sign = if is_negative { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

fn uint(text: &str) -> Option<u64> {
    let text = &text[..text.len() - 1];
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn float(text: &str, is_negative: bool) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(if is_negative { -value } else { value })
}
