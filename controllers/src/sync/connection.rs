//! From the kubeconfig in a Secret to a client of a physical cluster.
//!
//! Everything must be in the kubeconfig itself: one that runs programs or reads files would do so on this machine.

use std::time::Duration;

use atoll_api::Object;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The key of the kubeconfig in its Secret, unless the target says otherwise.
pub(super) const DEFAULT_KEY: &str = "kubeconfig";
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The Secret has no such key, or its value is no text.
    #[error("the secret has no kubeconfig under the key {0:?}")]
    Missing(String),
    /// It cannot be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Invalid(String),
    /// It asks for something that is not done for others.
    #[error("the kubeconfig uses {0}, which is not allowed here; put the credentials themselves into it")]
    Forbidden(&'static str),
}

/// Makes a client of the kubeconfig in a Secret.
pub(super) async fn client(secret: &Object, key: &str) -> Result<Client, Error> {
    let kubeconfig = read(secret, key)?;
    let invalid = |error: &dyn std::error::Error| Error::Invalid(error.to_string());
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| invalid(&error))?;
    config.connect_timeout = Some(CONNECT_PATIENCE);
    Client::try_from(config).map_err(|error| invalid(&error))
}

fn read(secret: &Object, key: &str) -> Result<Kubeconfig, Error> {
    let encoded = secret.text_at(&["data", key]);
    let missing = || Error::Missing(key.to_owned());
    if encoded.is_empty() {
        return Err(missing());
    }
    let text = String::from_utf8(STANDARD.decode(encoded).map_err(|_| missing())?).map_err(|_| missing())?;
    let kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| Error::Invalid(error.to_string()))?;
    match forbidden(&kubeconfig) {
        Some(what) => Err(Error::Forbidden(what)),
        None => Ok(kubeconfig),
    }
}

/// What in a kubeconfig reaches out of it.
fn forbidden(kubeconfig: &Kubeconfig) -> Option<&'static str> {
    let users = kubeconfig.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
    for user in users {
        if user.exec.is_some() {
            return Some("exec");
        }
        if user.auth_provider.is_some() {
            return Some("auth-provider");
        }
        if user.token_file.is_some() || user.client_certificate.is_some() || user.client_key.is_some() {
            return Some("files");
        }
    }
    let clusters = kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref());
    clusters.into_iter().find(|cluster| cluster.certificate_authority.is_some()).map(|_| "files")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(user: &str, cluster: &str, expected: Result<(), Error>) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://localhost:1', {cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        );
        let secret = Object::from_value(json!({"data": {"kubeconfig": STANDARD.encode(text)}})).unwrap();
        assert_eq!(read(&secret, DEFAULT_KEY).map(drop), expected, "{user} {cluster}");
    }

    #[test]
    fn a_kubeconfig_that_holds_its_credentials_is_taken() {
        check("token: secret", "insecure-skip-tls-verify: true", Ok(()));
    }

    #[test]
    fn a_kubeconfig_that_runs_programs_or_reads_files_is_refused() {
        check("exec: {apiVersion: client.authentication.k8s.io/v1, command: rm}", "", Err(Error::Forbidden("exec")));
        check("tokenFile: /etc/passwd", "", Err(Error::Forbidden("files")));
        check("client-key: /etc/passwd", "", Err(Error::Forbidden("files")));
        check("token: x", "certificate-authority: /etc/passwd", Err(Error::Forbidden("files")));
        check("auth-provider: {name: gcp, config: {}}", "", Err(Error::Forbidden("auth-provider")));
    }

    #[test]
    fn a_missing_kubeconfig_is_told_by_its_key() {
        let missing = |secret| read(&Object::from_value(secret).unwrap(), "k").map(drop);
        assert_eq!(missing(json!({})), Err(Error::Missing("k".into())));
        assert_eq!(missing(json!({"data": {"k": "!"}})), Err(Error::Missing("k".into())));
    }
}
