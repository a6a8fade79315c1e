//! The built binary as a process of its own, and a client that reaches it over HTTPS as any other would.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// A running `atoll serve`; it is killed when dropped.
pub(crate) struct Binary {
    child: Child,
    /// Where it answers, as it said itself.
    pub(crate) url: String,
}

// === impl Binary ===

impl Binary {
    /// Starts a server on a free port and on the data of a directory; returns when it is ready.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::spawn(serve(data_dir))
    }

    /// Starts what a command says; returns when it is ready.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is read")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        // The rest of its output fits into the pipe, whose end is kept open for it.
        std::mem::forget(lines);
        let url = first.split_whitespace().find(|word| word.starts_with("https://")).unwrap_or_default().to_owned();
        let started = Self { child, url };
        assert!(!started.url.is_empty(), "the server does not say where it serves: {first:?}");
        started
    }

    /// Ends it as a power switch would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server ends");
    }

    /// Ends it as an init system would; gives how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill can be run");
        assert!(sent.success());
        self.child.wait().expect("the server ends")
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        // It may have ended already, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a server on a free port.
pub(crate) fn serve(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atoll"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--resources", "all", "--data-dir"]).arg(data_dir);
    command
}

/// The command that starts one of several servers over a store.
pub(crate) fn serve_on(data_dir: &Path, url: &str) -> Command {
    let mut command = serve(data_dir);
    command.args(["--storage", url]);
    command
}

/// The administrator's client, by the kubeconfig the server wrote.
pub(crate) async fn admin(data_dir: &Path) -> Client {
    let file = Kubeconfig::read_from(data_dir.join("admin.kubeconfig")).expect("the server wrote a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it can be used");
    Client::try_from(config).expect("it names usable credentials")
}

/// Sends a request and reads the answer as JSON.
pub(crate) async fn send(
    client: &Client,
    method: &str,
    path: &str,
    media_type: &str,
    body: &Value,
) -> kube::Result<Value> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", media_type).body(body);
    client.request(request.expect("a request can be made of these")).await
}
