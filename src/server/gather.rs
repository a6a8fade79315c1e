//! What a connection writes, gathered: frames that are ready at the same time leave in one TLS record and one call of the
//! system, not each in its own.
//!
//! HTTP/2 flushes after every frame of data. Here a flush is kept until whoever else is ready to run has run, so that
//! the answers and events of many streams go together; nothing is kept once the connection has nothing to do.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// When this much is gathered it is sent at once.
const FULL: usize = 64 * 1024;
/// What is gathered has room for this much from the beginning.
const LEAST: usize = 4 * 1024;

/// The connection as its protocol sees it.
pub(super) struct Gathering<S>(Arc<Mutex<Gathered<S>>>);

/// A stream, and what is to be written to it.
struct Gathered<S> {
    stream: S,
    waiting: BytesMut,
    /// How much was gathered last time, as is likely the next time.
    usual: usize,
    /// The stream may hold what it took and could not send: TLS takes more than there is room for.
    held: bool,
    /// Nobody drives the connection any more: a flush is a flush.
    undriven: bool,
}

/// Splits a stream into what a protocol reads and writes, and what sends what it wrote.
pub(super) fn gathering<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (Gathering<S>, Sender<S>) {
    let gathered =
        Arc::new(Mutex::new(Gathered { stream, waiting: BytesMut::new(), usual: LEAST, held: false, undriven: false }));
    (Gathering(gathered.clone()), Sender(gathered))
}

/// Sends what a connection gathered.
pub(super) struct Sender<S>(Arc<Mutex<Gathered<S>>>);

/// A connection that is driven, and sends what it gathered whenever it has nothing else to do.
struct Driven<C, S> {
    connection: Pin<Box<C>>,
    sender: Sender<S>,
    /// Whether others were let run since something was gathered.
    waited: bool,
}

// === impl Gathered ===

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Writes all that is waiting.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.usual = self.waiting.len().clamp(LEAST, FULL);
        while self.waiting.has_remaining() {
            self.held = true;
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        // An idle connection keeps no memory for what it may once say.
        self.waiting = BytesMut::new();
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.held = false;
        Poll::Ready(Ok(()))
    }

    fn all_is_sent(&self) -> bool {
        self.waiting.is_empty() && !self.held
    }

    /// Makes room for `more` bytes.
    fn poll_room(&mut self, cx: &mut Context<'_>, more: usize) -> Poll<io::Result<()>> {
        if self.undriven || (!self.waiting.is_empty() && self.waiting.len() + more > FULL) {
            return self.poll_send(cx);
        }
        Poll::Ready(Ok(()))
    }
}

// === impl Gathering ===

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.lock();
        if gathered.undriven
            && let Poll::Ready(Err(error)) = gathered.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut gathered.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = self.0.lock();
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        ready!(gathered.poll_room(cx, wanted))?;
        if gathered.undriven || wanted > FULL {
            gathered.held = true;
            return Pin::new(&mut gathered.stream).poll_write_vectored(cx, slices);
        }
        if gathered.waiting.capacity() == 0 {
            let usual = gathered.usual;
            gathered.waiting.reserve(wanted.max(usual));
        }
        for slice in slices {
            gathered.waiting.extend_from_slice(slice);
        }
        Poll::Ready(Ok(wanted))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.lock();
        if gathered.undriven { gathered.poll_send(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.lock();
        ready!(gathered.poll_send(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }
}

// === impl Sender ===

impl<S: AsyncWrite + Unpin> Sender<S> {
    /// Drives the connection that writes what is to be sent, until it ends, or what it wrote can no longer be sent.
    ///
    /// What outlives the connection, as the stream of an upgraded request does, sends what it writes by itself.
    pub(super) fn drive<C, E>(self, connection: C) -> impl Future<Output = Result<(), E>>
    where
        C: Future<Output = Result<(), E>>,
        E: From<io::Error>,
    {
        Driven { connection: Box::pin(connection), sender: self, waited: false }
    }
}

impl<S> Drop for Sender<S> {
    fn drop(&mut self) {
        self.0.lock().undriven = true;
    }
}

// === impl Driven ===

impl<C, S, E> Future for Driven<C, S>
where
    C: Future<Output = Result<(), E>>,
    S: AsyncWrite + Unpin,
    E: From<io::Error>,
{
    type Output = Result<(), E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let ended = this.connection.as_mut().poll(cx);
        let mut gathered = this.sender.0.lock();
        if ended.is_pending() && !this.waited && !gathered.waiting.is_empty() {
            // Behind all who are ready now.
            this.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.waited = false;
        if gathered.all_is_sent() {
            return ended;
        }
        let sent = gathered.poll_send(cx);
        match (ended, sent) {
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            // What is not sent yet is sent by who reads and writes on, if anybody does.
            (ended, _) => ended,
        }
    }
}
