//! What the example `exec` promises, seen by clients over the network.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use atoll::test::{Cluster, ControlPlane};
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A server that can be reached over the network, and what its administrator knows.
async fn listening(dir: &Path) -> ControlPlane {
    let builder = with_shell().data_dir(dir).listen(([127, 0, 0, 1], 0).into());
    ControlPlane::start_with(builder).await.expect("a control plane")
}

/// A cluster with a pod, and the kubeconfig of its administrator.
async fn with_pod<'a>(plane: &'a ControlPlane, dir: &Path) -> (Cluster<'a>, std::path::PathBuf) {
    let cluster = plane.cluster().await.expect("a cluster");
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "default");
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}});
    pods.create(&Default::default(), &serde_json::from_value(pod).expect("a pod")).await.expect("created");
    let text = std::fs::read_to_string(dir.join("admin.kubeconfig")).expect("the server wrote a kubeconfig");
    let (url, path) = (plane.server().url(), dir.join(format!("{}.kubeconfig", cluster.name())));
    std::fs::write(&path, text.replace(&url, &format!("{url}/clusters/{}", cluster.name()))).expect("written");
    (cluster, path)
}

async fn pods(kubeconfig: &Path) -> Api<Pod> {
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it can be used");
    Api::namespaced(Client::try_from(config).expect("usable credentials"), "default")
}

#[tokio::test]
async fn commands_run_in_pods_with_their_streams() {
    let dir = tempfile::tempdir().expect("a directory");
    let plane = listening(dir.path()).await;
    let (_cluster, kubeconfig) = with_pod(&plane, dir.path()).await;
    let pods = pods(&kubeconfig).await;

    let mut said =
        pods.exec("web", ["echo", "good", "day"], &AttachParams::default().stderr(false)).await.expect("runs");
    let mut text = String::new();
    said.stdout().expect("an output").read_to_string(&mut text).await.expect("read");
    assert_eq!(text, "good day\n");

    let mut cat = pods.exec("web", ["cat"], &AttachParams::default().stdin(true).stderr(false)).await.expect("runs");
    let (mut input, mut output) = (cat.stdin().expect("an input"), cat.stdout().expect("an output"));
    input.write_all(b"there and back").await.expect("written");
    let mut back = [0; 14];
    output.read_exact(&mut back).await.expect("read");
    assert_eq!(&back, b"there and back");
    drop((input, output));
    cat.abort();

    let mut failed = pods.exec("web", ["false"], &AttachParams::default()).await.expect("runs");
    let status = failed.take_status().expect("asked for once").await.expect("told");
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    assert!(pods.exec("gone", ["cat"], &AttachParams::default()).await.is_err(), "there is no such pod");
    plane.stop().await;
}

#[tokio::test]
async fn the_right_to_run_commands_ends_at_the_border_of_a_cluster() {
    let dir = tempfile::tempdir().expect("a directory");
    let tokens = dir.path().join("tokens.csv");
    std::fs::write(&tokens, "alices,alice,1\n").expect("written");
    let builder = with_shell().token_auth_file(&tokens).data_dir(dir.path()).listen(([127, 0, 0, 1], 0).into());
    let plane = ControlPlane::start_with(builder).await.expect("a control plane");
    let ((ours, _), (theirs, _)) = (with_pod(&plane, dir.path()).await, with_pod(&plane, dir.path()).await);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "alice"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    });
    let bind = http::Request::post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings");
    let bind = bind.header("content-type", "application/json").body(binding.to_string().into_bytes()).expect("one");
    ours.client().request::<Value>(bind).await.expect("bound");
    for (cluster, allowed) in [(&ours, true), (&theirs, false)] {
        let url = format!("{}/clusters/{}", plane.server().url(), cluster.name());
        let mut config = Config::new(url.parse().expect("a URL"));
        config.accept_invalid_certs = true;
        config.auth_info.token = Some("alices".to_owned().into());
        let pods: Api<Pod> = Api::namespaced(Client::try_from(config).expect("a client"), "default");
        let run = pods.exec("web", ["echo", "hello"], &AttachParams::default().stderr(false)).await;
        assert_eq!(run.is_ok(), allowed, "{}", cluster.name());
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_runs_commands() {
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        // Written past the capture of test output, so that nobody takes this for a test that ran.
        let _ = writeln!(std::io::stderr(), "SKIPPED: there is no kubectl on PATH, so nothing was tested with it");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let plane = listening(dir.path()).await;
    let (_cluster, kubeconfig) = with_pod(&plane, dir.path()).await;

    let echoed = exec(&kubeconfig, &["web", "--", "echo", "good", "day"], "").await;
    assert_eq!(String::from_utf8_lossy(&echoed.stdout), "good day\n", "{echoed:?}");
    assert!(echoed.status.success() && echoed.stderr.is_empty(), "{echoed:?}");
    let back = exec(&kubeconfig, &["-i", "web", "--", "cat"], "there and back").await;
    assert_eq!(String::from_utf8_lossy(&back.stdout), "there and back", "{back:?}");
    assert!(back.status.success() && back.stderr.is_empty(), "{back:?}");
    let failed = exec(&kubeconfig, &["web", "--", "false"], "").await;
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let unknown = exec(&kubeconfig, &["web", "--", "vi"], "").await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("not found"), "{unknown:?}");
    plane.stop().await;
}

/// Runs `kubectl exec` to its end.
async fn exec(kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(kubeconfig).arg("exec").args(arguments);
    let input = input.to_owned();
    let run = move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().expect("its input is written").write_all(input.as_bytes())?;
        child.wait_with_output()
    };
    tokio::task::spawn_blocking(run).await.expect("runs").expect("kubectl can be run")
}
