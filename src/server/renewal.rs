//! Renews the server's certificates while it runs: new connections are shown the new one, old ones go on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::pki::{self, Pki};
use crate::authn::FrontProxy;

/// How often the clock is looked at; a sleep of months would not notice that it was set.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What the TLS listener works by, and when and how it is made anew.
pub(super) struct Renewal {
    options: pki::Options,
    current: Arc<ArcSwap<ServerConfig>>,
    due: Timestamp,
    given: Given,
}

/// What of the listener's certificates somebody else made, and renews.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    /// What the server shows.
    pub serving: Option<pki::Pair>,
    /// The CA whose client certificates are believed, beside the server's own; PEM.
    pub client_ca: Option<String>,
    /// Who may name users in headers.
    pub front_proxies: Vec<FrontProxy>,
}

// === impl Given ===

impl Given {
    /// What the listener works by: what was given, and the server's own for the rest.
    fn server_config(&self, pki: &Pki) -> Result<Arc<ServerConfig>, pki::Error> {
        let mut client_ca = self.peers_ca(pki);
        client_ca.extend(self.front_proxies.iter().map(|front| format!("\n{}", front.ca)));
        pki::server_config(self.serving.as_ref().unwrap_or(&pki.serving), &client_ca)
    }

    /// The CAs whose certificates are users', of all clusters or of one.
    pub(super) fn peers_ca(&self, pki: &Pki) -> String {
        [&*self.user_ca(pki), &pki.clusters.certificate].join("\n")
    }

    /// The CAs whose certificates are users' of all clusters.
    pub(super) fn user_ca(&self, pki: &Pki) -> String {
        let mut client_ca = pki.ca.certificate.clone();
        client_ca.extend(self.client_ca.iter().map(|pem| format!("\n{pem}")));
        client_ca
    }
}

impl Renewal {
    /// Begins with the certificates there are.
    pub(super) fn new(options: pki::Options, pki: &Pki, given: Given) -> Result<Self, pki::Error> {
        let current = Arc::new(ArcSwap::new(given.server_config(pki)?));
        Ok(Self { options, current, due: pki.renew_at, given })
    }

    /// What new connections are to be accepted by, now and later.
    pub(super) fn current(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.current)
    }

    /// Renews what is due, until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // Without files there would be a new CA, which nobody trusts; such servers do not live for months.
        if self.options.data_dir.is_none() {
            return;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.renew_if_due(Timestamp::now()) {
                Ok(false) => {}
                Ok(true) => tracing::info!(next = %self.due, "certificates renewed"),
                Err(error) => tracing::error!(%error, "certificates cannot be renewed; trying again in an hour"),
            }
        }
    }

    fn renew_if_due(&mut self, now: Timestamp) -> Result<bool, pki::Error> {
        if now < self.due {
            return Ok(false);
        }
        let pki = Pki::ensure(&self.options, now)?;
        self.current.store(self.given.server_config(&pki)?);
        self.due = pki.renew_at;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_renewed_when_due_and_not_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 6443));
        let options = pki::Options {
            data_dir: Some(dir.path().to_owned()),
            listen,
            names: Vec::new(),
            server_url: pki::local_url(listen),
            shared: None,
        };
        let began: Timestamp = "2026-06-01T12:00:00Z".parse().expect("a time");
        let first = Pki::ensure(&options, began).expect("made");
        let mut renewal = Renewal::new(options, &first, Given::default()).expect("usable");
        let shown = renewal.current();
        let before = shown.load_full();

        assert!(!renewal.renew_if_due(began).expect("nothing to do"));
        assert!(Arc::ptr_eq(&before, &shown.load()));

        let due = first.renew_at;
        assert!(renewal.renew_if_due(due).expect("renewed"));
        assert!(!Arc::ptr_eq(&before, &shown.load()));
        assert!(renewal.due > due, "and is due again later");
        assert!(!renewal.renew_if_due(due).expect("nothing to do"));
        let file = std::fs::read_to_string(dir.path().join("pki/server.crt")).expect("written");
        assert_ne!(file, first.serving.certificate);
    }
}
