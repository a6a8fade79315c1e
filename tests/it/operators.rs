//! What operators do with the built binary: the examples of docs/copies-and-backups.md, in their order, and what goes wrong.

use std::path::Path;
use std::process::{Command, Output};

use crate::binary::{Binary, serve};

const PAGE: &str = include_str!("../../docs/copies-and-backups.md");
/// From here on the server of the examples does not run.
const STOPPED: &str = "## When the server does not run";

/// Runs a script in a directory, with `atoll` in its path.
fn shell(directory: &Path, script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_atoll"));
    let path =
        format!("{}:{}", binary.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-eu", "-o", "pipefail", "-c", script]).current_dir(directory).env("PATH", path);
    command.env_remove("ATOLL_KUBECONFIG").output().expect("bash can be run")
}

#[track_caller]
fn succeeds(directory: &Path, script: &str) -> String {
    let output = shell(directory, script);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}\n{err}");
    out.into_owned()
}

/// Runs what is to fail; gives how it ended and what it said.
fn fails(directory: &Path, script: &str) -> (i32, String) {
    let output = shell(directory, script);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// The scripts of a text: what stands in its fences of `sh`.
fn scripts(text: &str) -> Vec<String> {
    let fences = text.split("```sh\n").skip(1);
    fences.map(|fence| fence.split("```").next().unwrap_or_default().to_owned()).collect()
}

fn start(directory: &Path) -> Binary {
    let mut command = serve(&directory.join(".atoll"));
    command.args(["--retain-deleted", "24h"]);
    Binary::spawn(command)
}

#[test]
fn the_examples_of_the_page_work() {
    let directory = tempfile::tempdir().expect("a directory");
    let (running, stopped) = PAGE.split_once(STOPPED).expect("the page has both parts");
    let server = start(directory.path());
    for script in scripts(running) {
        eprintln!("{script}{}", succeeds(directory.path(), &script));
    }
    let clusters = succeeds(directory.path(), "atoll cluster list");
    let listed: Vec<&str> = clusters.lines().collect();
    assert_eq!(listed, ["from-elsewhere", "later", "prod-cp", "rehearsal", "second-try"]);
    let (code, text) = fails(directory.path(), "atoll check");
    assert_eq!(code, 1, "a running server is not checked: {text}");
    assert!(text.contains("in use by another process"), "{text}");
    assert!(server.terminate().success());
    for script in scripts(stopped) {
        eprintln!("{script}{}", succeeds(directory.path(), &script));
    }
    // The restored server knows the same clients, by the same keys, and has the same clusters.
    let old = directory.path().join(".atoll/admin.kubeconfig");
    let server = Binary::start(&directory.path().join("restored"));
    let file = std::fs::read_to_string(&old).expect("a kubeconfig");
    let begin = file.find("server: ").expect("it names the server");
    let end = file[begin..].find('\n').map_or(file.len(), |end| begin + end);
    let kubeconfig = [&file[..begin], "server: ", &server.url, &file[end..]].concat();
    std::fs::write(directory.path().join("old.kubeconfig"), kubeconfig).expect("it is written");
    assert_eq!(succeeds(directory.path(), "atoll cluster list --kubeconfig old.kubeconfig"), clusters);
}

#[test]
fn what_goes_wrong_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path());
    succeeds(
        directory.path(),
        "atoll cluster create prod && atoll cluster export prod --to prod.atoll && atoll backup --to whole",
    );
    for (script, told) in [
        ("atoll cluster clone missing copy", "no such logical cluster"),
        ("atoll cluster clone prod prod", "itself"),
        ("atoll cluster clone root copy", "system cluster"),
        ("atoll cluster undelete missing", "--retain-deleted"),
        ("atoll cluster restore prod --from missing", "no such snapshot"),
        ("atoll cluster snapshot missing", "no such logical cluster"),
        ("atoll cluster import whole copy", "atoll restore"),
        ("atoll cluster import Missing copy", "cannot be used"),
        ("head -c 400 prod.atoll > part && atoll cluster import part copy", "ends too early"),
        ("atoll backup --to other --incremental", "directory"),
        ("atoll restore --from whole --data-dir .atoll", "already"),
        ("atoll restore --from prod.atoll --data-dir new", "atoll cluster import"),
        ("head -c 400 whole > part && atoll restore --from part --data-dir new", "ends too early"),
        ("mkdir none && atoll restore --from none --data-dir new", "holds no backup"),
        ("atoll backup --data-dir none --to x", "no data of a server"),
        ("atoll check --data-dir none", "cannot be checked"),
    ] {
        let (code, text) = fails(directory.path(), script);
        assert_eq!(code, 1, "{script}: {text}");
        assert!(text.contains(told), "{script}: {text}");
        assert!(!directory.path().join("new").exists(), "{script} wrote something");
    }
    assert_eq!(succeeds(directory.path(), "atoll cluster list"), "prod\n");
    drop(server);
}

#[test]
fn an_incremental_backup_needs_what_it_builds_on_and_holds_what_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = start(directory.path());
    succeeds(directory.path(), "atoll cluster create one && atoll cluster create two && atoll backup --to first");
    succeeds(
        directory.path(),
        "atoll cluster delete one && atoll cluster create three && atoll backup --to second --since first",
    );
    drop(server);
    let (code, text) =
        fails(directory.path(), "mkdir apart && cp second apart/ && atoll restore --from apart/second --data-dir new");
    assert_eq!(code, 1);
    assert!(text.contains("builds on a backup of revision"), "{text}");
    succeeds(directory.path(), "atoll restore --from second --data-dir new && atoll check --data-dir new");
    let server = Binary::start(&directory.path().join("new"));
    let listed = succeeds(directory.path(), "atoll cluster list --kubeconfig new/admin.kubeconfig");
    assert_eq!(listed, "three\ntwo\n");
    drop(server);
}
