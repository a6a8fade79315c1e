//! What embedders build on, as a list that changes only on purpose: the public items of the modules they are pointed to.
//!
//! `SURFACE=record cargo test --test surface` writes the list anew. Nothing here builds or runs the server.

use std::fmt::Write as _;
use std::path::Path;

/// The list.
const LIST: &str = "tests/golden/surface.txt";

/// The files whose public items embedders are pointed to first.
const FILES: &[&str] = &[
    "src/flow/rate.rs",
    "src/flow/settings.rs",
    "src/http/provided.rs",
    "src/resources/typed.rs",
    "src/resources/view.rs",
    "src/server/builder.rs",
    "src/server/extend.rs",
    "src/server/mod.rs",
    "src/server/objects.rs",
    "src/test/mod.rs",
];

#[test]
fn what_embedders_build_on_changes_on_purpose_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = String::new();
    for file in FILES {
        let text = std::fs::read_to_string(root.join(file)).expect("the file is there");
        let _ = writeln!(found, "# {file}");
        for item in public_items(&text) {
            let _ = writeln!(found, "{item}");
        }
    }
    if std::env::var("SURFACE").is_ok_and(|wanted| wanted == "record") {
        std::fs::write(root.join(LIST), &found).expect("the list can be written");
    }
    let listed = std::fs::read_to_string(root.join(LIST)).unwrap_or_default();
    let missing = |all: &str, in_: &str, sign: &str| -> String {
        let gone = all.lines().filter(|line| !in_.lines().any(|other| other == *line));
        gone.map(|line| format!("\n{sign} {line}")).collect()
    };
    let changes = missing(&listed, &found, "-") + &missing(&found, &listed, "+");
    assert!(
        changes.is_empty(),
        "what embedders build on has changed; if that is meant, say so in CHANGELOG.md and run \
         `SURFACE=record cargo test --test surface`:{changes}"
    );
}

/// The signatures of public items, each in one line: functions to their body, fields and methods of traits included.
fn public_items(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut in_trait = false;
    let mut lines = text.lines().take_while(|line| !line.starts_with("mod tests"));
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        in_trait = (in_trait && line != "}") || line.starts_with("pub trait ");
        let method = in_trait && (trimmed.starts_with("fn ") || trimmed.starts_with("async fn "));
        if !method && !trimmed.starts_with("pub ") {
            continue;
        }
        let mut item = trimmed.to_owned();
        let ends: &[char] = if item.contains("fn ") { &['{', ';', '}'] } else { &['{', ';', '}', ','] };
        while !item.ends_with(ends) {
            let Some(more) = lines.next() else { break };
            let _ = write!(item, " {}", more.trim());
        }
        items.push(item.trim_end_matches(['{', ';', ',', ' ']).to_owned());
    }
    items
}

#[test]
fn items_are_found_with_their_whole_signatures() {
    let text = "pub struct A {\n    pub b: u8,\n    c: u8,\n}\n\npub trait T {\n    fn d(&self);\n}\n\nimpl A {\n    pub fn e<T>(\n        self,\n    ) -> u8\n    where\n        T: Copy,\n    {\n        1\n    }\n\n    fn f() {}\n}\n\n#[cfg(test)]\nmod tests {\n    pub fn g() {}\n}\n";
    assert_eq!(
        public_items(text),
        ["pub struct A", "pub b: u8", "pub trait T", "fn d(&self)", "pub fn e<T>( self, ) -> u8 where T: Copy"]
    );
}
