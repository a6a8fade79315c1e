//! The client behind the commands that speak to a server.

use std::path::Path;

use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use super::Failure;

/// A server, as a kubeconfig names it.
pub(super) struct Remote {
    /// The kubeconfig.
    pub kubeconfig: Kubeconfig,
    /// The server's URL without a cluster's prefix.
    pub base: String,
    client: Client,
}

impl Remote {
    /// The server a kubeconfig names; a prefix `/clusters/<name>` in its URL is taken off.
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| {
            Failure::because(
                format!(
                    "cannot read {}; start the server with `atoll serve`, or name its file with --kubeconfig",
                    path.display()
                ),
                error,
            )
        })?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default())
            .await
            .map_err(|error| Failure::because(format!("{} is not a usable kubeconfig", path.display()), error))?;
        let url = config.cluster_url.to_string();
        let base = url.split("/clusters/").next().unwrap_or(&url).trim_end_matches('/').to_owned();
        config.cluster_url =
            base.parse().map_err(|error| Failure::because(format!("{base:?} is not a server's URL"), error))?;
        let client = Client::try_from(config)
            .map_err(|error| Failure::because("cannot speak TLS with these credentials", error))?;
        Ok(Self { kubeconfig, base, client })
    }

    /// Sends a request and reads the answer as JSON.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, kube::Error> {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(bytes)
            .map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }

    /// Sends bytes, or none, and gives the answer's bytes as they come, after a status that says that all is well.
    pub(super) async fn stream(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Body, kube::Error> {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header(http::header::CONTENT_TYPE, "application/octet-stream");
        let response = self.client.send(request.body(body.into()).map_err(kube::Error::HttpError)?).await?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(body);
        }
        let text = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let status = serde_json::from_slice(&text).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&text);
            kube::core::Status::failure(&text, parts.status.as_str()).with_code(parts.status.as_u16()).boxed()
        });
        Err(kube::Error::Api(status))
    }

    /// The URL of a logical cluster.
    pub(super) fn cluster_url(&self, name: &str) -> String {
        format!("{}/clusters/{name}", self.base)
    }

    /// What a failed call means for whoever typed the command.
    pub(super) fn explain(&self, doing: &str, error: kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) => Failure::new(format!("{doing}: {}", status.message)),
            other => Failure::because(format!("{doing}: no answer from {}; is the server running?", self.base), other),
        }
    }
}
