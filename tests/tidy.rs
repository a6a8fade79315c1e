//! The rules of the repository that a compiler does not check, as tests: floors, sizes, headers, names, links.
//!
//! A broken rule is told as a sentence with file and line. Rules are data at the top; nothing here builds or runs the server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The floors of the `atoll` package, from the ground. A module uses modules of lower floors only.
const FLOORS: &[(u8, &[&str])] = &[
    (1, &["schema", "patch", "codec", "metrics"]),
    (2, &["storage", "request"]),
    (3, &["admission", "authn", "authz", "audit", "flow", "outbound", "tenancy"]),
    (4, &["registry"]),
    (5, &["resources"]),
    (6, &["http"]),
    (7, &["server", "lib", "main", "cli", "test"]),
];

/// Who may use a module of its own floor: (user, used). A pair belongs here only if the reverse can never be wanted.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("patch", "schema"),
    ("admission", "authz"),
    ("admission", "outbound"),
    ("cli", "server"),
    ("main", "cli"),
    ("test", "server"),
];

/// What the code below a folder must not know, whatever the floors say: (folder, text, why).
const UNKNOWN_TO: &[(&str, &str, &str)] = &[
    ("api/src/", "tokio", "the words of the domain know no runtime"),
    ("api/src/", "axum", "the words of the domain know no HTTP server"),
    ("api/src/", "kube::", "the words of the domain know no client"),
    ("cel/src/", "async fn", "expressions are pure functions"),
    ("cel/src/", "Timestamp::now", "expressions do not know the clock"),
    ("src/schema/", "async fn", "schemas are pure functions"),
    ("src/schema/", "Timestamp::now", "schemas do not know the clock"),
    ("src/patch/", "async fn", "patches are pure functions"),
    ("src/patch/", "Timestamp::now", "patches do not know the clock"),
    ("src/codec/", "async fn", "codecs are pure functions"),
    ("src/codec/", "Timestamp::now", "codecs do not know the clock"),
    ("src/storage/", "serde_json::Value", "storage holds bytes, not objects"),
    ("src/registry/", "axum::", "the registry knows nothing of HTTP"),
    ("src/registry/", "hyper::", "the registry knows nothing of HTTP"),
    ("src/resources/", "axum::", "resources know nothing of HTTP"),
    ("controllers/", "atoll::", "controllers use the API only, as any client could"),
];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helpers", "helper", "misc", "types", "manager"];

const MAX_FILE_LINES: usize = 800;
const MAX_FUNCTION_LINES: usize = 100;
/// What a reader takes in at one sitting.
const MAX_EXAMPLE_LINES: usize = 100;

/// Folders with code of ours.
const CODE: &[&str] = &["src", "api", "cel", "controllers", "tests", "benches", "examples", "fuzz"];
/// Folders that are not the repository's.
const FOREIGN: &[&str] = &["target", ".git", ".atoll", ".venv", "node_modules", "__pycache__"];

#[test]
fn modules_use_lower_floors_only() {
    let mut faults = Faults::default();
    for file in sources().iter().filter(|file| file.path.starts_with("src/") && !file.is_test()) {
        let module = file.module();
        let Some(floor) = floor_of(module) else {
            faults.add(file, 1, format!("the module {module:?} is on no floor; add it to FLOORS in tests/tidy.rs"));
            continue;
        };
        for (number, line) in file.code() {
            for used in used_modules(line) {
                let allowed = used == module
                    || NEIGHBOURS.contains(&(module, used))
                    || floor_of(used).is_none_or(|below| below < floor);
                if !allowed {
                    let below = floor_of(used).unwrap_or_default();
                    faults.add(
                        file,
                        number,
                        format!(
                            "{module:?} (floor {floor}) uses {used:?} (floor {below}); only lower floors may be used"
                        ),
                    );
                }
            }
        }
    }
    faults.report();
}

#[test]
fn code_does_not_know_what_its_floor_must_not() {
    let mut faults = Faults::default();
    for file in sources().iter().filter(|file| !file.is_test()) {
        for (folder, text, why) in UNKNOWN_TO.iter().filter(|(folder, ..)| file.path.starts_with(folder)) {
            for (number, _) in file.code().filter(|(_, line)| !is_comment(line) && line.contains(text)) {
                faults.add(file, number, format!("{folder} must not know {text:?}: {why}"));
            }
        }
    }
    faults.report();
}

#[test]
fn files_begin_with_what_they_are_responsible_for() {
    let mut faults = Faults::default();
    for file in &sources() {
        if !file.text.starts_with("//! ") {
            faults.add(file, 1, "the first line must be a //! sentence that says what the file is responsible for");
        }
    }
    faults.report();
}

#[test]
fn files_are_short() {
    let mut faults = Faults::default();
    for file in &sources() {
        let lines = file.text.lines().count();
        let example = file.path.starts_with("examples/") && !file.is_test();
        let most = if example { MAX_EXAMPLE_LINES } else { MAX_FILE_LINES };
        if lines > most {
            faults.add(file, lines, format!("the file has {lines} lines; {most} are the most: divide it"));
        }
    }
    faults.report();
}

#[test]
fn functions_are_short() {
    let mut faults = Faults::default();
    for file in &sources() {
        for (number, name, lines) in functions(&file.text) {
            if lines > MAX_FUNCTION_LINES {
                let text = format!("fn {name} has {lines} lines; {MAX_FUNCTION_LINES} are the most: name its steps");
                faults.add(file, number, text);
            }
        }
    }
    faults.report();
}

#[test]
fn names_of_modules_say_what_is_inside() {
    let mut faults = Faults::default();
    for file in &sources() {
        let path = file.path.trim_end_matches(".rs");
        for part in path.split('/').filter(|part| EMPTY_NAMES.contains(part)) {
            faults.add(file, 1, format!("{part:?} says nothing of what is inside; choose a telling name"));
        }
    }
    faults.report();
}

#[test]
fn nothing_is_left_for_later() {
    // Taken apart, so that this file keeps its own rule.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["todo", "!("], ["unimplemented", "!("], ["#[igno", "re"]];
    let mut faults = Faults::default();
    for file in &sources() {
        for (number, line) in file.lines() {
            for mark in marks.iter().map(|parts| parts.concat()).filter(|mark| line.contains(mark)) {
                faults.add(file, number, format!("{mark} leaves something for later; do it now, or open an issue"));
            }
        }
    }
    faults.report();
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places = [["/wo", "rk/"], ["/ho", "me/"], ["/ro", "ot/."], ["/Us", "ers/"], ["/tmp/", "bash"]];
    let mut faults = Faults::default();
    for file in every_text() {
        for (number, line) in file.lines() {
            for place in places.iter().map(|parts| parts.concat()).filter(|place| names_place(line, place)) {
                faults.add(&file, number, format!("{place} is a place on somebody's machine"));
            }
        }
    }
    faults.report();
}

#[test]
fn paths_named_in_documents_exist() {
    let mut faults = Faults::default();
    let documents = every_text().into_iter().filter(|file| file.path.ends_with(".md"));
    for file in documents {
        for (number, line) in file.lines() {
            for path in paths_named(line).into_iter().filter(|path| !exists(&file.path, path)) {
                faults.add(&file, number, format!("{path} does not exist"));
            }
        }
    }
    faults.report();
}

// === how faults are told ===

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, file: &Source, line: usize, what: impl AsRef<str>) {
        self.0.push(format!("{}:{line}: {}", file.path, what.as_ref()));
    }

    fn report(self) {
        let mut text = String::new();
        for fault in &self.0 {
            let _ = write!(text, "\n  {fault}");
        }
        assert!(self.0.is_empty(), "{} places break a rule of this repository:{text}", self.0.len());
    }
}

// === what is read ===

/// A file of the repository, by its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The first part of the path below `src/`, without `.rs`.
    fn module(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines that are not a module of tests, which stands last in its file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut before = "";
        self.lines().take_while(move |(_, line)| {
            let tests = before == "#[cfg(test)]" && line.starts_with("mod ") && line.ends_with('{');
            before = line;
            !tests
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours.
fn sources() -> Vec<Source> {
    let ours = |path: &str| CODE.iter().any(|folder| path.starts_with(&format!("{folder}/")));
    every_text().into_iter().filter(|file| file.path.ends_with(".rs") && ours(&file.path)).collect()
}

/// Every text of the repository.
fn every_text() -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(root().join(&folder)).expect("the repository can be read");
        for entry in entries.map(|entry| entry.expect("the repository can be read")) {
            let name = entry.file_name();
            if FOREIGN.iter().any(|foreign| name == *foreign) {
                continue;
            }
            let path = folder.join(&name);
            match entry.file_type().expect("a file has a type") {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => {
                    if let Ok(text) = std::fs::read_to_string(root().join(&path)) {
                        files.push(Source { path: path.display().to_string(), text });
                    }
                }
                _ => {}
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

// === what is found ===

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// The modules of this package that a line of code names: `crate::a::B` and `crate::{a, b::C}`.
fn used_modules(line: &str) -> Vec<&str> {
    if is_comment(line) {
        return Vec::new();
    }
    let mut used = Vec::new();
    for after in line.split("crate::").skip(1) {
        let listed = after.strip_prefix('{').map(|list| list.split('}').next().unwrap_or_default());
        for item in listed.unwrap_or(after.split(',').next().unwrap_or_default()).split(',') {
            let item = item.trim_start();
            let end = item.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(item.len());
            used.push(&item[..end]);
        }
    }
    used.retain(|name| !name.is_empty());
    used
}

/// The functions of a formatted text: line, name and number of lines.
fn functions(text: &str) -> Vec<(usize, &str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let Some(body) = lines[index..].iter().position(|line| line.ends_with(['{', '}', ';'])) else { continue };
        match lines[index + body].chars().next_back() {
            Some('{') => {
                let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
                let length = lines[index..].iter().position(|line| *line == end).map_or(1, |last| last + 1);
                found.push((index + 1, name, length));
            }
            Some('}') => found.push((index + 1, name, body + 1)),
            _ => {}
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = match line.strip_prefix("pub(") {
        Some(rest) => rest.split_once(") ")?.1,
        None => line,
    };
    let line = line.strip_prefix("const ").unwrap_or(line);
    let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

/// Whether a line names a place, and not a longer path that only has it inside.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "}>.$*".contains(c)))
}

/// Paths in backticks and in links.
fn paths_named(line: &str) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    for quoted in line.split('`').skip(1).step_by(2) {
        let known = CODE.iter().chain(&["docs", "deploy", "manifests", "tools", ".ci", "fuzz"]);
        let inside = known.into_iter().any(|folder| quoted.starts_with(&format!("{folder}/")));
        let shortened = quoted.ends_with(".rs") && quoted.contains('/');
        if (inside || shortened) && !quoted.contains([' ', '*', '<', '…', '$']) {
            paths.push(quoted);
        }
    }
    for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = link.split('#').next().unwrap_or_default();
        if !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:") {
            paths.push(path);
        }
    }
    paths
}

/// Paths are from the root, from the document, or, for code, from a package's `src`.
fn exists(document: &str, path: &str) -> bool {
    let path = path.split(':').next().unwrap_or_default();
    let beside = Path::new(document).parent().unwrap_or(Path::new("")).join(path);
    let places = [PathBuf::from(path), beside, Path::new("src").join(path)];
    places.iter().any(|place| root().join(place).exists())
}

// === the rules' own tests ===

#[test]
fn modules_are_found_in_uses_of_any_shape() {
    assert_eq!(used_modules("use crate::schema::{a, b};"), ["schema"]);
    assert_eq!(used_modules("use crate::{http, storage::Key};"), ["http", "storage"]);
    assert_eq!(used_modules("    f(crate::cli::run(), crate::codec::x)"), ["cli", "codec"]);
    assert!(used_modules("// crate::http is not used").is_empty());
}

#[test]
fn functions_are_measured_from_their_name_to_their_brace() {
    let text = "impl X {\n    pub async fn a(\n        b: u8,\n    ) -> u8 {\n        b\n    }\n}\n\ntrait T {\n    fn c(&self);\n    fn d(&self) {}\n}\n";
    assert_eq!(functions(text), [(2, "a", 5), (11, "d", 1)]);
}

#[test]
fn paths_are_found_in_backticks_and_links() {
    assert_eq!(
        paths_named("see `src/lib.rs`, [this](docs/a.md#b) and [that](https://x.y/z)"),
        ["src/lib.rs", "docs/a.md"]
    );
    assert!(paths_named("`cargo run -- serve`, `apps/v1`, `src/*/mod.rs`").is_empty());
}
