//! What the listener works by while the server runs: certificates are renewed, and front proxies change. New connections
//! are shown and believed what is new, old ones go on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::delegation::InFront;
use super::peers::Peers;
use super::pki::{self, Pki};
use crate::authn::FrontProxy;

/// How often the clock is looked at; a sleep of months would not notice that it was set.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What the TLS listener works by, and when and how it is made anew.
pub(super) struct Renewal {
    options: pki::Options,
    pki: Pki,
    current: Arc<ArcSwap<ServerConfig>>,
    peers: Arc<ArcSwap<Peers>>,
    due: Timestamp,
    given: Given,
}

/// What of the listener's certificates somebody else made, and renews.
#[derive(Clone, Default)]
pub(super) struct Given {
    /// What the server shows.
    pub serving: Option<pki::Pair>,
    /// The CA whose client certificates are believed, beside the server's own; PEM.
    pub client_ca: Option<String>,
    /// Who may name users in headers.
    pub front_proxies: Vec<FrontProxy>,
    /// The API servers in front, and whom they said to be their front proxies.
    pub in_front: Vec<InFront>,
}

// === impl Given ===

impl Given {
    /// What the listener works by: what was given, and the server's own for the rest.
    fn server_config(&self, pki: &Pki) -> Result<Arc<ServerConfig>, pki::Error> {
        let mut client_ca = self.peers_ca(pki);
        client_ca.extend(self.fronts().map(|front| format!("\n{}", front.ca)));
        pki::server_config(self.serving.as_ref().unwrap_or(&pki.serving), &client_ca)
    }

    /// All who may name users in headers.
    fn fronts(&self) -> impl Iterator<Item = &FrontProxy> {
        self.front_proxies.iter().chain(self.in_front.iter().map(|one| &one.front))
    }

    /// Who is at the other end of connections.
    fn peers(&self, pki: &Pki) -> Result<Peers, pki::Error> {
        Peers::new(&self.peers_ca(pki), &self.fronts().cloned().collect::<Vec<_>>())
    }

    /// The CAs whose certificates are users', of all clusters or of one.
    fn peers_ca(&self, pki: &Pki) -> String {
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
        let peers = Arc::new(ArcSwap::from_pointee(given.peers(pki)?));
        Ok(Self { options, pki: pki.clone(), current, peers, due: pki.renew_at, given })
    }

    /// Who is at the other end of new connections, now and later.
    pub(super) fn peers(&self) -> Arc<ArcSwap<Peers>> {
        Arc::clone(&self.peers)
    }

    /// What new connections are to be accepted by, now and later.
    pub(super) fn current(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.current)
    }

    /// Renews what is due, and believes whom the API servers in front name, until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (tell, mut told) = mpsc::channel(1);
        let in_front = self.given.in_front.iter().enumerate();
        let followed = in_front.map(|(index, one)| one.clone().follow(index, tell.clone()));
        let mut followed = std::pin::pin!(join_all(followed));
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // They never end.
                _ = &mut followed, if !self.given.in_front.is_empty() => {}
                Some((index, front)) = told.recv() => {
                    self.believe(index, front);
                    continue;
                }
                _ = look.tick() => {}
            }
            // Without files there would be a new CA, which nobody trusts; such servers do not live for months.
            if self.options.data_dir.is_none() {
                continue;
            }
            match self.renew_if_due(Timestamp::now()) {
                Ok(false) => {}
                Ok(true) => tracing::info!(next = %self.due, "certificates renewed"),
                Err(error) => tracing::error!(%error, "certificates cannot be renewed; trying again in an hour"),
            }
        }
    }

    /// From now on the front proxy of an API server in front is this one.
    fn believe(&mut self, index: usize, front: FrontProxy) {
        if self.given.in_front[index].front == front {
            return;
        }
        let before = std::mem::replace(&mut self.given.in_front[index].front, front);
        match (self.given.server_config(&self.pki), self.given.peers(&self.pki)) {
            (Ok(config), Ok(peers)) => {
                self.current.store(config);
                self.peers.store(Arc::new(peers));
                tracing::info!("the API server in front has another front proxy");
            }
            (Err(error), _) | (_, Err(error)) => {
                self.given.in_front[index].front = before;
                tracing::error!(%error, "the API server in front names a front proxy that is none; the last one stays");
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
        self.pki = pki;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::delegation::tests::naming;
    use super::*;

    fn options(data_dir: Option<std::path::PathBuf>) -> pki::Options {
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 6443));
        pki::Options { data_dir, listen, names: Vec::new(), server_url: pki::local_url(listen), shared: None }
    }

    #[tokio::test]
    async fn a_new_ca_of_front_proxies_is_believed_and_one_that_is_none_is_not() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().expect("a time");
        let ours = Pki::ensure(&options(None), now).expect("made");
        // Other servers' keys: what their front proxies show is signed by their CAs.
        let others: Vec<Pki> = (0..2).map(|_| Pki::ensure(&options(None), now).expect("made")).collect();
        let front_of = |pki: &Pki| FrontProxy::of_ca(&pki.front_proxy.certificate, Vec::new());
        let shown_by = |pki: &Pki| {
            let front = pki::FrontProxy::new(&pki.front_proxy, Timestamp::now()).expect("usable");
            front.shown_to("uid").expect("signed").chain
        };
        let in_front = naming(Arc::default(), front_of(&others[0]));
        let given = Given { in_front: vec![in_front], ..Given::default() };
        let mut renewal = Renewal::new(options(None), &ours, given).expect("usable");
        let (config, peers) = (renewal.current(), renewal.peers());
        let believed = |pki: &Pki| peers.load().recognise(Some(&shown_by(pki))).front_proxy.is_some();

        assert_eq!((believed(&others[0]), believed(&others[1])), (true, false));
        let before = config.load_full();
        renewal.believe(0, front_of(&others[0]));
        assert!(Arc::ptr_eq(&before, &config.load()), "nothing is new");
        renewal.believe(0, FrontProxy::of_ca("no certificate", Vec::new()));
        assert_eq!((believed(&others[0]), believed(&others[1])), (true, false));
        renewal.believe(0, front_of(&others[1]));
        assert_eq!((believed(&others[0]), believed(&others[1])), (false, true));
        assert!(!Arc::ptr_eq(&before, &config.load()), "the handshake lets it pass");
    }

    #[test]
    fn certificates_are_renewed_when_due_and_not_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = options(Some(dir.path().to_owned()));
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
