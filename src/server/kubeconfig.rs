//! The text of a kubeconfig for one server and one user.
//!
//! Writes no files and makes no credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How the user of a kubeconfig shows who it is.
#[derive(Debug, Clone, Copy)]
pub enum Auth<'a> {
    /// By a client certificate and its key, both PEM.
    Certificate {
        /// The certificate.
        certificate: &'a str,
        /// The private key.
        key: &'a str,
    },
    /// By a bearer token.
    Token(&'a str),
}

/// What goes into a kubeconfig.
#[derive(Debug, Clone, Copy)]
pub struct Kubeconfig<'a> {
    /// The name of the context, the cluster and the user in the file.
    pub name: &'a str,
    /// The URL, with `/clusters/<name>` where it is for a logical cluster other than the system's.
    pub server: &'a str,
    /// The CA that signed the server's certificate, PEM; none if the client's own trust will do.
    pub certificate_authority: Option<&'a str>,
    /// How the user shows who it is.
    pub auth: Auth<'a>,
    /// The namespace of the context; empty for `default`.
    pub namespace: &'a str,
}

// === impl Kubeconfig ===

impl Kubeconfig<'_> {
    /// The file's text, in YAML.
    pub fn to_yaml(&self) -> String {
        let name = quoted(self.name);
        let mut text = String::from("apiVersion: v1\nkind: Config\nclusters:\n");
        text.push_str(&format!("- name: {name}\n  cluster:\n    server: {}\n", quoted(self.server)));
        if let Some(pem) = self.certificate_authority {
            text.push_str(&format!("    certificate-authority-data: {}\n", STANDARD.encode(pem)));
        }
        text.push_str(&format!("contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n"));
        if !self.namespace.is_empty() {
            text.push_str(&format!("    namespace: {}\n", quoted(self.namespace)));
        }
        text.push_str(&format!("current-context: {name}\nusers:\n- name: {name}\n  user:\n"));
        match self.auth {
            Auth::Certificate { certificate, key } => text.push_str(&format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                STANDARD.encode(certificate),
                STANDARD.encode(key)
            )),
            Auth::Token(token) => text.push_str(&format!("    token: {}\n", quoted(token))),
        }
        text
    }
}

/// JSON's notation of a string is YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_yaml_that_names_server_ca_and_user() {
        let config = Kubeconfig {
            name: "atoll",
            server: "https://127.0.0.1:6443/clusters/team-a",
            certificate_authority: Some("PEM"),
            auth: Auth::Token("a\"b"),
            namespace: "",
        };
        let yaml = config.to_yaml();
        let read: serde_json::Value = serde_saphyr::from_str(&yaml).expect("well-formed YAML");
        assert_eq!(read["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443/clusters/team-a");
        assert_eq!(read["clusters"][0]["cluster"]["certificate-authority-data"], "UEVN");
        assert_eq!(read["users"][0]["user"]["token"], "a\"b");
        assert_eq!(read["current-context"], read["contexts"][0]["name"]);
    }
}
