//! Users of a static token file, in the format of kube-apiserver's `--token-auth-file`.
//!
//! Reads the file once; a changed file needs a restart, as with Kubernetes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use atoll_api::UserInfo;

use super::{Attempt, Authenticator, Identity, Method, Scope, common_audiences, digest};

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("read token file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A record is malformed.
    #[error("token file {path}, line {line}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line on which the record begins.
        line: usize,
        /// What is wrong and what is accepted.
        problem: String,
    },
}

/// The users of a token file, and the audiences of the API that their tokens are good for.
///
/// Tokens are kept and found by their SHA-256, so neither the time of a look-up nor a memory dump tells a token.
#[derive(Debug, Clone, Default)]
pub struct TokenFile {
    users: HashMap<[u8; 32], UserInfo>,
    longest: usize,
    audiences: Vec<String>,
    warnings: Vec<String>,
}

// === impl TokenFile ===

impl TokenFile {
    /// Reads a file; `audiences` are those of the API.
    pub fn load(path: &Path, audiences: Vec<String>) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|cause| Error::Read { path: path.to_owned(), cause })?;
        Self::parse(&text, audiences).map_err(|(line, problem)| Error::Malformed {
            path: path.to_owned(),
            line,
            problem,
        })
    }

    /// Reads the file's text; an error names the line.
    pub fn parse(text: &str, audiences: Vec<String>) -> Result<Self, (usize, String)> {
        let mut file = Self { audiences, ..Self::default() };
        for record in Records::of(text) {
            let (line, fields) = record?;
            file.add(line, &fields)?;
        }
        Ok(file)
    }

    /// What is odd about the file but accepted, as Kubernetes accepts it: empty and repeated tokens.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The user a token stands for.
    pub fn user(&self, token: &str) -> Option<&UserInfo> {
        // A review may bring megabytes; hashing them would be work for nothing.
        if token.len() > self.longest {
            return None;
        }
        self.users.get(&digest(token))
    }

    fn add(&mut self, line: usize, fields: &[String]) -> Result<(), (usize, String)> {
        let [token, name, uid, rest @ ..] = fields else {
            let problem = format!("must have at least 3 columns (token, user name, user uid), found {}", fields.len());
            return Err((line, problem));
        };
        if token.is_empty() {
            self.warnings.push(format!("line {line}: an empty token is passed over"));
            return Ok(());
        }
        let groups = rest.first().map(|groups| groups.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let user = UserInfo { name: name.clone(), uid: uid.clone(), groups, ..UserInfo::default() };
        self.longest = self.longest.max(token.len());
        if self.users.insert(digest(token), user).is_some() {
            self.warnings.push(format!("line {line}: the token stands in an earlier line too, which is passed over"));
        }
        Ok(())
    }
}

impl Authenticator for TokenFile {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Option<Identity>, String> {
        let Some(token) = attempt.credentials.bearer else { return Ok(None) };
        // Such tokens are meant for the API alone, so a review for other audiences does not know them.
        let audiences = common_audiences(&self.audiences, attempt.audiences);
        if audiences.is_empty() && !attempt.audiences.is_empty() {
            return Ok(None);
        }
        Ok(self.user(token).map(|user| Identity {
            user: user.clone(),
            scope: Scope::Global,
            method: Method::TokenFile,
            audiences,
            expires: None,
        }))
    }
}

/// The records of comma-separated text, each with the line it begins on; quoted fields may hold commas and newlines.
struct Records<'a> {
    rest: &'a str,
    line: usize,
}

type Record = Result<(usize, Vec<String>), (usize, String)>;

impl<'a> Records<'a> {
    fn of(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// A field up to a comma or the end of the line; the text after it, beginning with what ended it.
    fn field(&mut self, begin: usize) -> Result<String, (usize, String)> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            self.rest = rest;
            let field = if rest.starts_with(',') { field } else { field.strip_suffix('\r').unwrap_or(field) };
            if field.contains('"') {
                return Err((begin, "a quote within a field that is not quoted".to_owned()));
            }
            return Ok(field.to_owned());
        };
        let mut field = String::new();
        let mut rest = quoted;
        loop {
            let Some(end) = rest.find('"') else { return Err((begin, "a quoted field has no end".to_owned())) };
            field.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(after) => {
                    field.push('"');
                    rest = after;
                }
                None => break,
            }
        }
        self.line += field.matches('\n').count();
        let rest = rest.strip_prefix('\r').filter(|rest| rest.is_empty() || rest.starts_with('\n')).unwrap_or(rest);
        self.rest = rest;
        if rest.is_empty() || rest.starts_with([',', '\n']) {
            Ok(field)
        } else {
            Err((begin, "text after the end of a quoted field".to_owned()))
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let blank = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            let Some(rest) = blank else { break };
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let begin = self.line;
        let mut fields = Vec::new();
        loop {
            match self.field(begin) {
                Ok(field) => fields.push(field),
                Err(problem) => {
                    self.rest = "";
                    return Some(Err(problem));
                }
            }
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('\n') {
                self.rest = rest;
                self.line += 1;
            }
            return Some(Ok((begin, fields)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token, name, uid, groups.
    type Row<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

    fn check_parse(text: &str, expected: Result<&[Row<'_>], (usize, &str)>) {
        match (TokenFile::parse(text, Vec::new()), expected) {
            (Ok(file), Ok(users)) => {
                assert_eq!(file.users.len(), users.len(), "{text:?}");
                for (token, name, uid, groups) in users {
                    let user = file.user(token).unwrap_or_else(|| panic!("{token} in {text:?}"));
                    assert_eq!((user.name.as_str(), user.uid.as_str()), (*name, *uid), "{text:?}");
                    assert_eq!(user.groups, *groups, "{text:?}");
                }
            }
            (Err((line, problem)), Err((at, part))) => {
                assert_eq!(line, at, "{text:?}");
                assert!(problem.contains(part), "{problem}");
            }
            (got, _) => panic!("{text:?} gave {got:?}"),
        }
    }

    #[test]
    fn token_files_are_read_as_kube_apiserver_reads_them() {
        check_parse("", Ok(&[]));
        check_parse("t,alice,1", Ok(&[("t", "alice", "1", &[])]));
        check_parse("t,alice,1,devs\r\n\nu,bob,2\n", Ok(&[("t", "alice", "1", &["devs"]), ("u", "bob", "2", &[])]));
        check_parse("t,alice,1,\"devs,ops\",x", Ok(&[("t", "alice", "1", &["devs", "ops"])]));
        check_parse("\"a\"\"b\",alice,1,\"\"", Ok(&[("a\"b", "alice", "1", &[""])]));
        check_parse(",alice,1\nt,bob,2", Ok(&[("t", "bob", "2", &[])]));
        check_parse("t,alice,1\nt,bob,2", Ok(&[("t", "bob", "2", &[])]));
    }

    #[test]
    fn malformed_token_files_name_the_line() {
        check_parse("t,alice,1\n\nu,bob", Err((3, "at least 3 columns")));
        check_parse("t,alice,1\nu,b\"ob,2", Err((2, "not quoted")));
        check_parse("t,\"al\nice\",1\nu,bob,2,\"x", Err((3, "no end")));
        check_parse("t,\"alice\"x,1", Err((1, "after the end")));
    }

    #[test]
    fn odd_but_accepted_lines_are_warned_of() {
        let file = TokenFile::parse(",a,1\nt,a,1\nt,b,1", Vec::new()).expect("accepted");
        assert_eq!(file.warnings().len(), 2, "{:?}", file.warnings());
    }
}
