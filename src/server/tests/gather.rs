//! What is gathered goes together, all of it arrives, and nothing is held back once nobody drives the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, DuplexStream, ReadBuf, duplex};

use super::super::gather::gathering;

/// A stream that counts how often it is written to.
struct Counted {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream with `room` bytes under way at most, its other end, and how often it was written to.
fn counted(room: usize) -> (Counted, DuplexStream, Arc<AtomicUsize>) {
    let (stream, other) = duplex(room);
    let writes = Arc::new(AtomicUsize::new(0));
    (Counted { stream, writes: writes.clone() }, other, writes)
}

#[tokio::test]
async fn frames_that_are_ready_together_are_written_together() {
    let (stream, mut other, writes) = counted(1 << 20);
    let (mut gathering, sender) = gathering(stream);
    let driven = tokio::spawn(sender.drive(async move {
        for frame in 0..100_u8 {
            gathering.write_all(&[frame; 100]).await?;
            gathering.flush().await?;
        }
        // It has nothing to do until the other end speaks.
        gathering.read_u8().await?;
        gathering.shutdown().await
    }));
    let mut seen = vec![0; 100 * 100];
    other.read_exact(&mut seen).await.unwrap();
    assert!((0..100_u8).all(|frame| seen[usize::from(frame) * 100..][..100] == [frame; 100]));
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    other.write_u8(1).await.unwrap();
    driven.await.unwrap().unwrap();
    assert_eq!(other.read(&mut [0]).await.unwrap(), 0, "the end is told");
}

#[tokio::test]
async fn all_of_it_arrives_however_little_room_there_is() {
    let (stream, mut other, _) = counted(7);
    let (mut gathering, sender) = gathering(stream);
    let wanted: Vec<u8> = (0..300_000_u32).map(|byte| (byte % 251) as u8).collect();
    let sent = wanted.clone();
    let driven = tokio::spawn(sender.drive(async move {
        // More than is ever gathered, then pieces of all sizes.
        gathering.write_all(&sent[..100_000]).await?;
        for piece in sent[100_000..].chunks(1_777) {
            gathering.write_all(piece).await?;
            gathering.flush().await?;
        }
        gathering.shutdown().await
    }));
    let mut seen = Vec::new();
    other.read_to_end(&mut seen).await.unwrap();
    assert!(seen == wanted);
    driven.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_stream_holds_back_is_sent_too() {
    for size in [1_000, 200_000] {
        let (stream, mut other, _) = counted(7);
        // As TLS does, it takes all there is, and only a flush sees to it that it goes on.
        let (mut gathering, sender) = gathering(BufWriter::with_capacity(1 << 20, stream));
        let driven = tokio::spawn(sender.drive(async move {
            gathering.write_all(&vec![5; size]).await?;
            gathering.flush().await?;
            // It has nothing more to write.
            gathering.read_u8().await?;
            gathering.shutdown().await
        }));
        let mut seen = vec![0; size];
        let all = tokio::time::timeout(Duration::from_secs(20), other.read_exact(&mut seen)).await;
        all.expect("nothing is held back").unwrap();
        assert!(seen.iter().all(|byte| *byte == 5));
        other.write_u8(1).await.unwrap();
        driven.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_outlives_the_connection_sends_by_itself() {
    let (stream, mut other, _) = counted(16);
    let (mut gathering, sender) = gathering(stream);
    // As an upgrade does: the connection ends with an answer written, and the stream goes on.
    let (give, take) = tokio::sync::oneshot::channel();
    sender
        .drive(async move {
            gathering.write_all(b"101 Switching Protocols").await?;
            gathering.flush().await?;
            give.send(gathering).map_err(|_| io::Error::other("nobody takes it"))
        })
        .await
        .unwrap();
    let mut upgraded = take.await.unwrap();
    let speaks = tokio::spawn(async move {
        let asked = upgraded.read_u8().await?;
        upgraded.write_all(&[asked + 1]).await?;
        upgraded.flush().await?;
        io::Result::Ok(upgraded)
    });
    let mut answer = [0; 23];
    other.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"101 Switching Protocols");
    other.write_u8(7).await.unwrap();
    assert_eq!(other.read_u8().await.unwrap(), 8);
    drop(speaks.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_stream_that_breaks_ends_its_connection() {
    let (stream, other, _) = counted(16);
    let (mut gathering, sender) = gathering(stream);
    drop(other);
    let driven = sender.drive(async move {
        gathering.write_all(b"hello").await?;
        gathering.flush().await?;
        std::future::pending::<io::Result<()>>().await
    });
    assert_eq!(driven.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}
