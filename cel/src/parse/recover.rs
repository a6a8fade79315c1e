//! What the parser does at a token that does not fit: the reports and the recovery of ANTLR's default strategy.
//!
//! Clients see these texts, so the strategy is followed step by step: leave out one token, assume a missing one, or skip
//! to a token that one of the open rules can go on with.

use super::lex::{Kind, Set, Token, Tokens};
use crate::source::{Issues, Source};

/// How often the parser tries to go on after a fault.
const MAX_RECOVERIES: u32 = 30;
/// How many tokens one recovery may skip.
const MAX_SKIPPED: usize = 256;
/// How many syntax errors are reported before the parser gives up.
pub(super) const MAX_SYNTAX_ERRORS: usize = 100;

/// What may follow at some place of a rule; if the rule may end there, what follows the rule may follow, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Follow {
    pub(super) tokens: Set,
    pub(super) may_end: bool,
}

/// Why a rule was left.
pub(super) enum Halt {
    /// The token does not fit; these would.
    Mismatch(Set),
    /// No alternative fits the text from the token at this index to the offending one.
    NoAlternative { from: usize, offending: usize },
    /// The parser cannot go on; what is wrong was reported.
    Stop(Stop),
}

/// The parser has given up.
pub(super) struct Stop;

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The tokens, where the parser stands in them, and which rules are open.
pub(super) struct Cursor<'s> {
    pub(super) source: &'s Source,
    pub(super) issues: Issues,
    tokens: Vec<Token>,
    garbage: Vec<(u32, u32)>,
    position: usize,
    open: Vec<Follow>,
    /// Whether nothing was matched since the last fault; further ones are then not reported.
    recovering: bool,
    recoveries: u32,
    syntax_errors: usize,
    /// The token at which recovery last began, and the rules (as bits) in which it did.
    last_recovery: Option<(usize, u32)>,
}

// === impl Follow ===

impl Follow {
    /// One of the tokens must follow.
    pub(super) const fn only(kinds: &[Kind]) -> Self {
        Self { tokens: Set::of(kinds), may_end: false }
    }

    /// One of the tokens follows, or the rule ends.
    pub(super) const fn or_end(kinds: &[Kind]) -> Self {
        Self { tokens: Set::of(kinds), may_end: true }
    }
}

// === impl Cursor ===

impl<'s> Cursor<'s> {
    pub(super) fn new(source: &'s Source, issues: Issues, tokens: Tokens) -> Self {
        let syntax_errors = issues.iter().count();
        let Tokens { tokens, garbage } = tokens;
        Self {
            source,
            issues,
            tokens,
            garbage,
            position: 0,
            open: Vec::new(),
            recovering: false,
            recoveries: 0,
            syntax_errors,
            last_recovery: None,
        }
    }

    pub(super) fn open(&mut self, follow: Follow) {
        self.open.push(follow);
    }

    pub(super) fn close(&mut self) {
        self.open.pop();
    }

    /// The token `ahead` of the current one; behind the last there are only ends.
    pub(super) fn peek(&self, ahead: usize) -> Kind {
        self.token(self.position + ahead).kind
    }

    pub(super) fn kind(&self) -> Kind {
        self.peek(0)
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn current(&self) -> Token {
        self.token(self.position)
    }

    fn token(&self, index: usize) -> Token {
        self.tokens[index.min(self.tokens.len() - 1)]
    }

    pub(super) fn text(&self, token: Token) -> String {
        self.source.slice(token.start, token.end)
    }

    /// Takes a token that is known to fit.
    pub(super) fn take(&mut self) -> Token {
        self.matched();
        let token = self.current();
        self.advance();
        token
    }

    fn advance(&mut self) {
        if self.kind() != Kind::End {
            self.position += 1;
        }
    }

    fn matched(&mut self) {
        self.recovering = false;
        self.last_recovery = None;
    }

    /// Takes a token of the kind, or leaves one out, or assumes it where `next` follows.
    pub(super) fn expect(&mut self, kind: Kind, next: Follow) -> Result<Token, Halt> {
        if self.kind() == kind {
            return Ok(self.take());
        }
        self.count_recovery()?;
        let wanted = Set::of(&[kind]);
        if self.leave_out(wanted)? {
            return Ok(self.take());
        }
        if self.resolve(next).contains(self.kind()) {
            let message = format!("missing {} at {}", wanted.show(), self.quote(self.current()));
            self.report_unless_recovering(self.current(), message)?;
            return Ok(self.current());
        }
        Err(Halt::Mismatch(wanted))
    }

    /// Makes sure that one of the tokens comes next, if need be by leaving one out.
    pub(super) fn sync(&mut self, wanted: Set) -> Result<(), Halt> {
        if self.recovering || wanted.contains(self.kind()) || self.leave_out(wanted)? {
            return Ok(());
        }
        Err(Halt::Mismatch(wanted))
    }

    /// In a loop: reports a token that does not fit, and skips to one that does.
    pub(super) fn sync_loop(&mut self, wanted: Set) -> Result<(), Stop> {
        if self.recovering || wanted.contains(self.kind()) {
            return Ok(());
        }
        self.report_extraneous(wanted)?;
        self.skip_to(wanted.with(self.recovery_set()))
    }

    /// Leaves out the current token if one that is wanted follows it.
    fn leave_out(&mut self, wanted: Set) -> Result<bool, Stop> {
        if !wanted.contains(self.peek(1)) {
            return Ok(false);
        }
        self.report_extraneous(wanted)?;
        self.advance();
        self.matched();
        Ok(true)
    }

    /// Reports why a rule was left, and skips to a token that an open rule can go on with.
    pub(super) fn recover(&mut self, rule: u32, halt: &Halt) -> Result<(), Stop> {
        let message = match halt {
            Halt::Stop(_) => return Err(Stop),
            Halt::Mismatch(wanted) => {
                let message = format!("mismatched input {} expecting {}", self.quote(self.current()), wanted.show());
                (self.current(), message)
            }
            Halt::NoAlternative { from, offending } => (self.token(*offending), self.no_alternative(*from, *offending)),
        };
        self.report_unless_recovering(message.0, message.1)?;
        self.count_recovery()?;
        let seen = self.last_recovery.filter(|(at, _)| *at == self.position).map_or(0, |(_, rules)| rules);
        if seen & (1 << rule) != 0 {
            // Nothing was skipped the last time, so at least one token must be.
            self.advance();
        }
        let rules = self.last_recovery.map_or(0, |(_, rules)| rules) | (1 << rule);
        self.last_recovery = Some((self.position, rules));
        self.skip_to(self.recovery_set())
    }

    fn no_alternative(&self, from: usize, offending: usize) -> String {
        let (from, offending) = (self.token(from), self.token(offending));
        if from.kind != Kind::End
            && matches!(offending.kind, Kind::True | Kind::False | Kind::Null)
            && offending.start == from.end
        {
            // cel-go rewords this one.
            return format!("mismatched input '{}' expecting IDENTIFIER", self.text(offending));
        }
        let text = if from.kind == Kind::End { "<EOF>".to_owned() } else { self.text_between(from, offending) };
        format!("no viable alternative at input {}", quote(&text))
    }

    /// The text from one token to another, without what is no token.
    fn text_between(&self, first: Token, last: Token) -> String {
        let mut text = String::new();
        let mut at = first.start;
        for (start, end) in self.garbage.iter().filter(|(start, end)| *start >= first.start && *end <= last.end) {
            text.push_str(&self.source.slice(at, *start));
            at = *end;
        }
        text + &self.source.slice(at, last.end)
    }

    fn report_extraneous(&mut self, wanted: Set) -> Result<(), Stop> {
        let message = format!("extraneous input {} expecting {}", self.quote(self.current()), wanted.show());
        self.report_unless_recovering(self.current(), message)
    }

    fn report_unless_recovering(&mut self, token: Token, message: String) -> Result<(), Stop> {
        if self.recovering {
            return Ok(());
        }
        self.recovering = true;
        self.report_syntax(token, message)
    }

    fn report_syntax(&mut self, token: Token, message: String) -> Result<(), Stop> {
        let is_last = self.syntax_errors == MAX_SYNTAX_ERRORS;
        self.syntax_errors += 1;
        let message = if is_last { format!("More than {MAX_SYNTAX_ERRORS} syntax errors") } else { message };
        self.issues.report(self.source, Some(token.start), format!("Syntax error: {message}"));
        if is_last { Err(Stop) } else { Ok(()) }
    }

    /// Reports a fault of the expression as a whole that ends the parse.
    pub(super) fn stop(&mut self, message: impl Into<String>) -> Stop {
        self.issues.report(self.source, None, message);
        Stop
    }

    fn count_recovery(&mut self) -> Result<(), Stop> {
        if self.recoveries == MAX_RECOVERIES {
            let message = format!("error recovery attempt limit exceeded: {MAX_RECOVERIES}");
            self.report_syntax(self.current(), message)?;
            return Err(Stop);
        }
        self.recoveries += 1;
        Ok(())
    }

    fn skip_to(&mut self, set: Set) -> Result<(), Stop> {
        let mut skipped = 0;
        while self.kind() != Kind::End && !set.contains(self.kind()) {
            if skipped == MAX_SKIPPED {
                return Err(self.stop(format!("error recovery token lookahead limit exceeded: {MAX_SKIPPED}")));
            }
            skipped += 1;
            self.advance();
        }
        Ok(())
    }

    fn recovery_set(&self) -> Set {
        self.open.iter().fold(Set::EMPTY, |set, follow| set.with(follow.tokens))
    }

    /// What may follow, with that of the rules that may end before it.
    fn resolve(&self, next: Follow) -> Set {
        let mut set = next.tokens;
        if !next.may_end {
            return set;
        }
        for follow in self.open.iter().rev() {
            set = set.with(follow.tokens);
            if !follow.may_end {
                return set;
            }
        }
        set.with(Set::of(&[Kind::End]))
    }

    fn quote(&self, token: Token) -> String {
        if token.kind == Kind::End { quote("<EOF>") } else { quote(&self.text(token)) }
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"))
}
