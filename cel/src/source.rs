//! The text of an expression and the faults found in it, worded and drawn as cel-go does.
//!
//! Positions are offsets in code points. What is a fault is decided by the parser and the checker.

use std::fmt;

/// How many faults are shown; the rest is counted.
const MAX_ISSUES: usize = 100;
/// A line longer than this (in bytes) is not shown below a fault.
const MAX_SNIPPET: usize = 16_384;

/// The text of an expression.
pub(crate) struct Source {
    chars: Vec<char>,
    /// Where each line after the first begins.
    line_starts: Vec<u32>,
}

/// Where a fault is; `None` for the expression as a whole.
pub(crate) type Position = Option<u32>;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Line and column, both counted from 1; none for a fault of the expression as a whole.
    pub place: Option<(u32, u32)>,
    /// What is wrong.
    pub message: String,
    shown: String,
}

/// The faults of an expression, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Issues {
    issues: Vec<Issue>,
    total: usize,
}

// === impl Source ===

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let line_starts = chars.iter().zip(1u32..).filter(|(c, _)| **c == '\n').map(|(_, next)| next).collect();
        Self { chars, line_starts }
    }

    pub(crate) fn chars(&self) -> &[char] {
        &self.chars
    }

    /// The text from `start` up to, but not including, `end`.
    pub(crate) fn slice(&self, start: u32, end: u32) -> String {
        self.chars[start as usize..end as usize].iter().collect()
    }

    /// Line (from 1) and column (from 0).
    fn line_and_column(&self, at: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = if line == 0 { 0 } else { self.line_starts[line - 1] };
        (line as u32 + 1, at - start)
    }

    fn line(&self, line: u32) -> String {
        let line = line as usize;
        let start = if line == 1 { 0 } else { self.line_starts[line - 2] };
        let end = self.line_starts.get(line - 1).map_or(self.chars.len() as u32, |next| next - 1);
        self.slice(start, end)
    }

    fn show(&self, position: Position, message: &str) -> String {
        let Some(at) = position else { return format!("ERROR: <input>:-1:0: {message}") };
        if self.chars.is_empty() {
            // There is no first column then.
            return format!("ERROR: <input>:1:0: {message}");
        }
        let (line, column) = self.line_and_column(at);
        let mut shown = format!("ERROR: <input>:{line}:{}: {message}", column + 1);
        let snippet = self.line(line);
        if snippet.len() > MAX_SNIPPET {
            return shown;
        }
        let snippet = snippet.replace('\t', " ");
        let mut rest = snippet.chars();
        let pointer: String =
            rest.by_ref().take(column as usize).map(|c| if c.is_ascii() { '.' } else { '．' }).collect();
        let tip = if rest.next().is_some_and(|c| !c.is_ascii()) { '＾' } else { '^' };
        shown.push_str(&format!("\n | {snippet}\n | {pointer}{tip}"));
        shown
    }
}

// === impl Issues ===

impl Issues {
    pub(crate) fn report(&mut self, source: &Source, position: Position, message: impl Into<String>) {
        self.total += 1;
        if self.issues.len() >= MAX_ISSUES {
            return;
        }
        let message = message.into();
        let shown = source.show(position, &message);
        let place = position.map(|at| source.line_and_column(at)).map(|(line, column)| (line, column + 1));
        self.issues.push(Issue { place, message, shown });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Puts the faults into the order of their places; those of one place stay in the order in which they were found.
    pub(crate) fn sorted(mut self) -> Self {
        self.issues.sort_by_key(|issue| issue.place);
        self
    }

    /// The faults that are shown, at most a hundred.
    pub fn iter(&self) -> impl Iterator<Item = &Issue> {
        self.issues.iter()
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.issues.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&issue.shown)?;
        }
        if self.total > self.issues.len() {
            write!(f, "\n{} more errors were truncated", self.total - self.issues.len())?;
        }
        Ok(())
    }
}
