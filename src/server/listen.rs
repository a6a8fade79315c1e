//! The listener: TCP, TLS with optional client certificates, HTTP/1.1 and HTTP/2, and an orderly stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::gather::gathering;
use super::peers::Peers;
use crate::http::ApiService;

/// How long a client may take to finish its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's headers.
const HEADERS: Duration = Duration::from_secs(30);
/// How long to wait after a failed accept, so that running out of files does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Requests at a time on one HTTP/2 connection, as in kube-apiserver.
const STREAMS: u32 = 250;

/// Serves connections until `stop` is cancelled, then lets requests under way end, for at most `grace`.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<ArcSwap<rustls::ServerConfig>>,
    (router, peers): (ApiService, Arc<ArcSwap<Peers>>),
    stop: CancellationToken,
    grace: Duration,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watcher = graceful.watcher();
                let acceptor = TlsAcceptor::from(tls.load_full());
                tokio::spawn(connection((stream, peer), acceptor, router.clone(), peers.load_full(), watcher));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::info!("requests still under way after the grace period were cut off");
    }
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    acceptor: TlsAcceptor,
    router: ApiService,
    peers: Arc<Peers>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        tracing::debug!(%peer, "no TLS handshake");
        return;
    };
    let peer = peers.recognise(stream.get_ref().1.peer_certificates());
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let (stream, sender) = gathering(stream);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    if let Err(error) = sender.drive(watcher.watch(connection)).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
