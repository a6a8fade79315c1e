//! One connection: a name is looked up, its addresses are checked, and TLS is spoken with the first that answers.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use atoll_api::LogicalClusterName;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Addresses, Outbound, ServiceAddress};

/// An encrypted connection.
pub(crate) type Stream = tokio_rustls::client::TlsStream<TcpStream>;

/// How long one address may take to answer, before the next one is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to connect to, and whose name must be in the certificate.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// A name or address.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The name that the certificate must have.
    pub(crate) server_name: String,
    /// The addresses that may be called.
    addresses: Addresses,
}

// === impl Outbound ===

impl Outbound {
    /// What a URL names.
    pub(crate) fn host(&self, host: &str, port: u16) -> Destination {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Destination { server_name: host.clone(), host, port, addresses: self.addresses.clone() }
    }

    /// What a reference to a service of a cluster names.
    pub(crate) fn service(
        &self,
        cluster: &LogicalClusterName,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> Result<Destination, String> {
        let services = self.services.as_ref().ok_or_else(|| {
            format!("nothing in this server provides service \"{namespace}/{name}\"; use a webhook with a URL instead")
        })?;
        let ServiceAddress { host, port } = services.find(cluster, namespace, name, port)?;
        let addresses = if services.is_trusted() { Addresses::Any } else { self.addresses.clone() };
        Ok(Destination { host, port, server_name: format!("{name}.{namespace}.svc"), addresses })
    }
}

/// Connects to somebody.
pub(crate) async fn connect(destination: &Destination, tls: Arc<rustls::ClientConfig>) -> Result<Stream, String> {
    let Destination { host, port, .. } = destination;
    let found = tokio::net::lookup_host((host.as_str(), *port)).await;
    let found: Vec<SocketAddr> = found.map_err(|error| format!("lookup {host}: {error}"))?.collect();
    let mut last = format!("lookup {host}: no such host");
    for address in found {
        if let Some(why) = destination.addresses.refuses(address.ip()) {
            last = format!(
                "dial tcp {address}: the server does not call this address: {why} (its setting --outbound-addresses says which)"
            );
            continue;
        }
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                let name = ServerName::try_from(destination.server_name.clone()).map_err(|error| error.to_string())?;
                return TlsConnector::from(tls).connect(name, stream).await.map_err(|error| format!("tls: {error}"));
            }
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                last = format!("dial tcp {address}: connect: connection refused");
            }
            Ok(Err(error)) => last = format!("dial tcp {address}: {error}"),
            Err(_) => last = format!("dial tcp {address}: i/o timeout"),
        }
    }
    Err(last)
}
