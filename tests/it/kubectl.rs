//! kubectl against a tenant: the script in `tests/e2e/kubectl.sh`, on a server of its own.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::binary::{Binary, admin, send};
use crate::server::{WORKSPACES, workspace};

#[tokio::test]
async fn kubectl_sees_no_difference() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        // Written past the capture of test output, so that nobody takes this for a test that ran.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no kubectl on PATH, so nothing was tested with it");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let server = Binary::start(dir.path());
    let client = admin(dir.path()).await;
    for name in ["team-a", "team-b"] {
        send(&client, "POST", WORKSPACES, "application/json", &workspace(name)).await.expect("a cluster");
    }
    let kubeconfig = tenant_kubeconfig(dir.path(), &server.url, "team-a");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/kubectl.sh");
    let done = Command::new("bash").arg(script).env("KUBECONFIG", &kubeconfig).env("HOME", dir.path()).output();
    let done = done.expect("the script can be run");
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    let theirs = send(&client, "GET", "/clusters/team-b/api/v1/configmaps", "", &Value::Null).await.expect("a list");
    assert!(!theirs.to_string().contains("greeting"), "{theirs}");
}

/// The administrator's kubeconfig, pointed to one logical cluster.
fn tenant_kubeconfig(dir: &Path, url: &str, cluster: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(dir.join("admin.kubeconfig")).expect("the server wrote a kubeconfig");
    let path = dir.join(format!("{cluster}.kubeconfig"));
    std::fs::write(&path, text.replace(url, &format!("{url}/clusters/{cluster}"))).expect("a file can be written");
    path
}
