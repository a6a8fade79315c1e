//! Finds whether a member that does not answer is one that wants to be spoken to in another way than the URL says.
//!
//! An etcd closes connections that begin otherwise than it expects without a word, as one that is ending does.

use std::time::Duration;

use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(1);
/// A TLS record with a greeting that says nothing, to which every server of TLS answers with an alert.
const TLS_GREETING: &[u8] = &[0x16, 3, 1, 0, 4, 1, 0, 0, 0];
/// The type of a record with an alert, which is its first byte.
const ALERT: (usize, u8) = (0, 0x15);
/// How a client of HTTP/2 begins, with settings of which there are none.
const HTTP_GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The type of a frame with settings, which is its fourth byte.
const SETTINGS: (usize, u8) = (3, 0x04);

/// What a URL should say otherwise, as far as can be told in a moment.
pub(super) async fn misunderstanding(url: &str) -> Option<String> {
    let uri = url.parse::<Uri>().ok()?;
    let place = uri.authority()?.as_str();
    let encrypted = uri.scheme_str() == Some("https");
    let (greeting, answer) = if encrypted { (HTTP_GREETING, SETTINGS) } else { (TLS_GREETING, ALERT) };
    let understood = tokio::time::timeout(PATIENCE, answers(place, greeting, answer)).await;
    if !matches!(understood, Ok(Ok(true))) {
        return None;
    }
    let (speaks, begin) = if encrypted { ("no TLS", "etcd://") } else { ("TLS", "etcd+https://") };
    Some(format!("{url} speaks {speaks}: the store's URL should begin with {begin}"))
}

/// Whether whoever is there answers a greeting with the right byte in the right place.
async fn answers(place: &str, greeting: &[u8], (at, expected): (usize, u8)) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(place).await?;
    stream.write_all(greeting).await?;
    for _ in 0..at {
        stream.read_u8().await?;
    }
    Ok(stream.read_u8().await? == expected)
}
