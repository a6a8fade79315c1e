//! What kubectl prints, compared with what it printed when it spoke to a kube-apiserver: `tests/e2e/transcripts`.
//!
//! A transcript runs in a logical cluster of its own. How outputs are made comparable is written in `run.sh`, and nowhere
//! else; `record.sh` records them anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::{Binary, admin, send, serve};
use crate::server::{WORKSPACES, workspace};

/// The user of the reference, by name, so that what names the user is the same.
const USERS: &str = "admin-token,admin,1,\"system:masters\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_prints_what_it_prints_for_a_kube_apiserver() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/transcripts");
    let recorded = std::fs::read_to_string(home.join("recorded/kubectl")).expect("the version is recorded");
    let Some(version) = version() else { return skip("there is no kubectl on PATH") };
    if version != recorded.trim() {
        return skip(&format!("kubectl is of version {version}, and they were recorded with {}", recorded.trim()));
    }
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("users.csv"), USERS).expect("a file can be written");
    let mut command = serve(&dir.path().join("data"));
    command.arg("--token-auth-file").arg(dir.path().join("users.csv"));
    command.args(["--service-cluster-ip-range", "10.0.0.0/16"]);
    let server = Binary::spawn(command);
    let client = admin(&dir.path().join("data")).await;
    let mut runs = Vec::new();
    for transcript in transcripts(&home.join("recorded")) {
        let name = transcript.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        send(&client, "POST", WORKSPACES, "application/json", &workspace(&name)).await.expect("a cluster");
        let kubeconfig = kubeconfig(dir.path(), &server.url, &name);
        let script = home.join("run.sh");
        runs.push(tokio::task::spawn_blocking(move || run(&script, &transcript, &kubeconfig)));
    }
    assert!(runs.len() > 5, "there are transcripts");
    let mut faults = String::new();
    for run in runs {
        faults += &run.await.expect("a run ends");
    }
    assert!(faults.is_empty(), "{faults}");
}

/// Runs a transcript; gives the commands that print something else, each with both texts.
fn run(script: &Path, transcript: &Path, kubeconfig: &Path) -> String {
    let done = Command::new("bash").arg(script).arg(transcript).env("KUBECONFIG", kubeconfig).output();
    let done = done.expect("the script can be run");
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    let expected = std::fs::read_to_string(transcript).expect("a transcript can be read");
    let (expected, printed) = (commands(&expected), commands(&printed));
    let mut faults = String::new();
    for (index, expected) in expected.iter().enumerate() {
        let printed = printed.get(index).copied().unwrap_or("(nothing)");
        if *expected != printed {
            faults += &format!("== {}\n-- expected\n{expected}\n-- printed\n{printed}\n", transcript.display());
        }
    }
    faults
}

/// The commands of a transcript, each with what it printed.
fn commands(transcript: &str) -> Vec<&str> {
    transcript.split("\n$ ").map(str::trim_end).collect()
}

fn transcripts(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("there are transcripts").map(|entry| entry.expect("a file").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ext| ext == "txt")).collect();
    files.sort();
    files
}

/// The release of kubectl, such as `1.32`.
fn version() -> Option<String> {
    let told = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output().ok()?;
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).ok()?;
    let release = told["clientVersion"]["gitVersion"].as_str()?.trim_start_matches('v');
    Some(release.split('.').take(2).collect::<Vec<_>>().join("."))
}

fn skip(why: &str) {
    // Written past the capture of test output, so that nobody takes this for a test that ran.
    let _ = writeln!(std::io::stderr(), "SKIPPED: the transcripts of kubectl were not compared: {why}");
}

/// A kubeconfig of the reference's user for one logical cluster.
fn kubeconfig(dir: &Path, url: &str, cluster: &str) -> PathBuf {
    let authority = dir.join("data/ca.crt");
    let text = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": format!("{url}/clusters/{cluster}"), "certificate-authority": authority}}],
        "users": [{"name": "u", "user": {"token": "admin-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let path = dir.join(format!("{cluster}.kubeconfig"));
    std::fs::write(&path, text.to_string()).expect("a file can be written");
    path
}
