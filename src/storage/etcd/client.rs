//! Calls to an etcd of several members: whom to ask, how long to wait, what may be asked again, and what failures mean.
//!
//! One member is spoken to at a time; when it fails, the next one is. A write is sent again only if it certainly never
//! arrived: else its sender would take its own success for somebody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::Stream;
use http::uri::PathAndQuery;
use parking_lot::{Mutex, RwLock};
use prost::Message;
use tokio::sync::watch as latest;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, ConnectError, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::url::Target;
use super::wire::{self, AuthenticateRequest, AuthenticateResponse};
use crate::storage::OpenError;

/// How long a call may take, with all that is tried again. Longer than the election of a leader.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one member may take to answer a read before another is asked.
const READ_PATIENCE: Duration = Duration::from_millis(2000);
const CONNECT_PATIENCE: Duration = Duration::from_millis(1500);
/// Between two rounds of all members.
const PAUSE: Duration = Duration::from_millis(50);
/// etcd thinks ill of who pings more often than every five seconds.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer: pages are made smaller when they do not fit.
const MAX_ANSWER: usize = 64 << 20;
const MAX_WINDOW: u32 = 8 << 20;

/// Whether a call may be sent again although it may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It changes nothing, or nothing more the second time.
    Always,
    /// Only if it certainly did not arrive.
    IfNotSent,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing happened: no member could be reached, or they would not take it now.
    NotDone(Arc<str>),
    /// Nothing happened: the two sides do not speak the same, or one does not take the other's certificate.
    Mistrusted(Arc<str>),
    /// It was sent, and may or may not have happened.
    Unknown(Arc<str>),
    /// The revision asked for is compacted.
    Compacted,
    /// The request is larger than the server takes.
    TooLarge,
    /// The answer is larger than the client takes.
    AnswerTooLarge,
    /// The server has no room left.
    Full(Arc<str>),
    /// The server refuses, and will do so again.
    Refused(Arc<str>),
}

/// The members and who is spoken to now.
pub(super) struct Client {
    members: Vec<Member>,
    current: latest::Sender<usize>,
    login: Option<Login>,
    token: RwLock<Option<MetadataValue<Ascii>>>,
    /// When somebody last answered.
    heard: Mutex<Instant>,
    /// Whether the last call found nobody: then the next does not wait long either.
    cut_off: AtomicBool,
}

struct Member {
    url: String,
    channel: Channel,
}

struct Login {
    user: String,
    password: String,
}

/// What is to be done about a failed attempt.
enum Next {
    Fail(Failure),
    /// Another member may know better.
    AskAnother(Failure),
    LogIn(Failure),
}

// === impl Client ===

impl Client {
    /// Reads the files that a target names; connects when the first call is made.
    pub(super) fn new(target: &Target) -> Result<Self, OpenError> {
        let tls = tls(target)?;
        let members = target.endpoints.iter().map(|url| Member::new(url, tls.clone())).collect::<Result<_, _>>()?;
        let login = match &target.login {
            None => None,
            Some((user, file)) => {
                let read = std::fs::read_to_string(file);
                let text = read.map_err(|source| OpenError::Io { path: file.clone(), source })?;
                Some(Login { user: user.clone(), password: text.trim_end_matches(['\r', '\n']).to_owned() })
            }
        };
        Ok(Self {
            members,
            current: latest::Sender::new(0),
            login,
            token: RwLock::new(None),
            heard: Mutex::new(Instant::now()),
            cut_off: AtomicBool::new(false),
        })
    }

    /// Calls, and tries again what may be tried again.
    pub(super) async fn call<M, R>(&self, path: &'static str, message: M, again: Again) -> Result<R, Failure>
    where
        M: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let started = Instant::now();
        let called = self.call_until(path, message, again, started + PATIENCE).await;
        match &called {
            Err(Failure::NotDone(_) | Failure::Mistrusted(_) | Failure::Unknown(_)) => {
                self.cut_off.store(true, Ordering::Relaxed)
            }
            _ => {
                self.cut_off.store(false, Ordering::Relaxed);
                *self.heard.lock() = Instant::now();
            }
        }
        called
    }

    async fn call_until<M, R>(
        &self,
        path: &'static str,
        message: M,
        again: Again,
        deadline: Instant,
    ) -> Result<R, Failure>
    where
        M: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        let (mut attempts, mut logins, mut mistrusted) = (0, 0, Vec::new());
        loop {
            let member = *self.current.borrow();
            let left = deadline.saturating_duration_since(Instant::now());
            let patience = if again == Again::Always { left.min(READ_PATIENCE) } else { left };
            let attempt = tokio::time::timeout(patience, self.attempt(member, path, message.clone())).await;
            let next = match attempt {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => judge(&status, again),
                Err(_) if again == Again::Always => Next::AskAnother(Failure::NotDone(self.silent(member))),
                Err(_) => Next::Fail(Failure::Unknown(self.silent(member))),
            };
            attempts += 1;
            let failure = match next {
                Next::Fail(failure) => {
                    if matches!(failure, Failure::Unknown(_)) {
                        self.leave(member);
                    }
                    return Err(failure);
                }
                Next::LogIn(failure) => {
                    logins += 1;
                    *self.token.write() = None;
                    if logins > 2 || self.login.is_none() {
                        return Err(failure);
                    }
                    continue;
                }
                Next::AskAnother(failure) => {
                    self.leave(member);
                    if matches!(failure, Failure::Mistrusted(_)) {
                        mistrusted.push(failure.clone());
                    }
                    failure
                }
            };
            let round_done = attempts % self.members.len() == 0;
            let hopeless = self.cut_off.load(Ordering::Relaxed) || mistrusted.len() == attempts;
            if round_done && hopeless || Instant::now() + PAUSE >= deadline {
                // What does not pass by itself is what somebody must know of.
                return Err(mistrusted.pop().unwrap_or(failure));
            }
            if round_done {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn attempt<M, R>(&self, member: usize, path: &'static str, message: M) -> Result<R, Status>
    where
        M: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut request = Request::new(message);
        self.sign(member, request.metadata_mut()).await?;
        let mut grpc = self.members[member].grpc();
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let codec = ProstCodec::default();
        Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    /// Opens a watch on a member; it ends when the member loses its leader.
    pub(super) async fn watch(
        &self,
        member: usize,
        requests: impl Stream<Item = wire::WatchRequest> + Send + 'static,
    ) -> Result<Streaming<wire::WatchResponse>, Status> {
        let opening = async {
            let mut request = Request::new(requests);
            self.sign(member, request.metadata_mut()).await?;
            request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
            let mut grpc = self.members[member].grpc();
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            let codec = ProstCodec::default();
            Ok(grpc.streaming(request, PathAndQuery::from_static(wire::WATCH), codec).await?.into_inner())
        };
        let opened = tokio::time::timeout(READ_PATIENCE, opening).await;
        opened.unwrap_or_else(|_| Err(Status::unavailable(self.silent(member).to_string())))
    }

    /// The version of a member's program, if it tells.
    pub(super) async fn version(&self, member: usize) -> Option<(u32, u32, u32)> {
        let asked = self.attempt::<_, wire::StatusResponse>(member, wire::STATUS, wire::StatusRequest {});
        let answer = tokio::time::timeout(READ_PATIENCE, asked).await.ok()?.ok()?;
        let mut numbers = answer.version.split(['.', '-', '+']).map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    }

    /// Puts the token into a request, and gets one first if there is none.
    async fn sign(&self, member: usize, metadata: &mut tonic::metadata::MetadataMap) -> Result<(), Status> {
        let Some(login) = &self.login else { return Ok(()) };
        let known = self.token.read().clone();
        let token = match known {
            Some(token) => token,
            None => {
                let message = AuthenticateRequest { name: login.user.clone(), password: login.password.clone() };
                let mut grpc = self.members[member].grpc();
                grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
                let path = PathAndQuery::from_static(wire::AUTHENTICATE);
                let codec = ProstCodec::default();
                let answer: AuthenticateResponse = grpc.unary(Request::new(message), path, codec).await?.into_inner();
                let token = MetadataValue::try_from(answer.token);
                let token = token.map_err(|_| Status::internal("etcd's token is no header"))?;
                *self.token.write() = Some(token.clone());
                token
            }
        };
        metadata.insert("token", token);
        Ok(())
    }

    /// Who is spoken to now, and who will be.
    pub(super) fn current(&self) -> latest::Receiver<usize> {
        self.current.subscribe()
    }

    /// Speaks to the next member from now on, unless somebody has seen to that.
    pub(super) fn leave(&self, member: usize) {
        let next = (member + 1) % self.members.len();
        self.current.send_if_modified(|current| {
            let leaves = *current == member && next != member;
            if leaves {
                tracing::warn!(
                    from = self.members[member].url,
                    to = self.members[next].url,
                    "changing the etcd member"
                );
                *current = next;
            }
            leaves
        });
    }

    /// Notes that a member spoke unasked.
    pub(super) fn heard(&self) {
        *self.heard.lock() = Instant::now();
    }

    /// How long nobody has answered.
    pub(super) fn silence(&self) -> Duration {
        self.heard.lock().elapsed()
    }

    fn silent(&self, member: usize) -> Arc<str> {
        format!("{} does not answer in time", self.members[member].url).into()
    }
}

// === impl Member ===

impl Member {
    fn new(url: &str, tls: Option<ClientTlsConfig>) -> Result<Self, OpenError> {
        let fail = |error: tonic::transport::Error| OpenError::Engine { source: Box::new(error) };
        let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(fail)?;
        if let Some(tls) = tls {
            endpoint = endpoint.tls_config(tls).map_err(fail)?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT_PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_PATIENCE)
            .initial_stream_window_size(MAX_WINDOW)
            .initial_connection_window_size(MAX_WINDOW)
            .connect_lazy();
        Ok(Self { url: url.to_owned(), channel })
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }
}

fn tls(target: &Target) -> Result<Option<ClientTlsConfig>, OpenError> {
    let Some(tls) = &target.tls else { return Ok(None) };
    let read =
        |path: &std::path::Path| std::fs::read(path).map_err(|source| OpenError::Io { path: path.to_owned(), source });
    let mut config = match &tls.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some((certificate, key)) = &tls.client {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(Some(config))
}

/// What a refused attempt means. etcd's errors are told by their texts, which its clients rely on.
fn judge(status: &Status, again: Again) -> Next {
    let text = status.message();
    let says = |part: &str| text.contains(part);
    let reason: Arc<str> = Arc::from(if text.is_empty() { status.code().description() } else { text });
    match status.code() {
        Code::OutOfRange if says("has been compacted") => Next::Fail(Failure::Compacted),
        Code::OutOfRange if says("message length too large") => Next::Fail(Failure::AnswerTooLarge),
        Code::InvalidArgument if says("request is too large") => Next::Fail(Failure::TooLarge),
        Code::ResourceExhausted if says("larger than max") => Next::Fail(Failure::TooLarge),
        Code::ResourceExhausted if says("space exceeded") => Next::Fail(Failure::Full(reason)),
        Code::ResourceExhausted => Next::AskAnother(Failure::NotDone(reason)),
        Code::Unauthenticated => Next::LogIn(Failure::Refused(reason)),
        Code::InvalidArgument if says("revision of auth store is old") || says("invalid auth token") => {
            Next::LogIn(Failure::Refused(reason))
        }
        // An answer of the server that has no leader: it has not tried.
        Code::Unavailable if says("no leader") => Next::AskAnother(Failure::NotDone(reason)),
        Code::Unavailable if never_sent(status) => Next::AskAnother(not_done(status)),
        // The line broke, the leader changed, or the member waited for the others in vain.
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal | Code::DeadlineExceeded => match again {
            Again::Always => Next::AskAnother(not_done(status)),
            Again::IfNotSent => Next::Fail(Failure::Unknown(with_cause(status))),
        },
        _ => Next::Fail(Failure::Refused(reason)),
    }
}

/// Whether a call failed because there is no connection.
fn never_sent(status: &Status) -> bool {
    causes(status).any(|error| error.is::<ConnectError>())
}

/// A failure that changed nothing: one that may pass, or one of what the two sides are to each other.
fn not_done(status: &Status) -> Failure {
    let encryption = |error: &(dyn std::error::Error + 'static)| {
        let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        error.is::<rustls::Error>() || within.is_some_and(|error| error.is::<rustls::Error>())
    };
    match causes(status).any(encryption) {
        true => Failure::Mistrusted(with_cause(status)),
        false => Failure::NotDone(with_cause(status)),
    }
}

/// An error and what it was caused by, in this order.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = status;
    std::iter::successors(Some(first), |error| error.source())
}

fn with_cause(status: &Status) -> Arc<str> {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.into()
}

impl Failure {
    /// The failure as a sentence for the log.
    pub(super) fn reason(&self) -> Arc<str> {
        match self {
            Self::NotDone(reason)
            | Self::Mistrusted(reason)
            | Self::Unknown(reason)
            | Self::Full(reason)
            | Self::Refused(reason) => reason.clone(),
            Self::Compacted => "the revision is compacted".into(),
            Self::TooLarge => "the request is too large".into(),
            Self::AnswerTooLarge => "the answer is too large".into(),
        }
    }
}
