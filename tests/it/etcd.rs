//! Real etcd servers for tests, one or several members, to be killed, frozen and started again.
//!
//! Where no etcd is to be had, the tests say so and skip. It is looked for in `ATOLL_ETCD`, in the PATH, and in `target/tools`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a member may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often members are started anew because somebody else has their ports.
const STARTS: usize = 5;

/// An etcd of one or more members; they end when this is dropped.
pub(crate) struct Etcd {
    members: Vec<Member>,
    binary: PathBuf,
    arguments: Vec<String>,
    scheme: &'static str,
    directory: tempfile::TempDir,
}

struct Member {
    name: String,
    client: SocketAddr,
    peer: SocketAddr,
    process: Option<Child>,
}

impl Etcd {
    /// One member on a disk that needs no time, for tests in which nothing crashes.
    pub(crate) fn single() -> Option<Self> {
        Self::start(1, "http", &["--unsafe-no-fsync"])
    }

    /// Members with some arguments of their own; `None`, said loudly, where there is no etcd.
    pub(crate) fn start(members: usize, scheme: &'static str, arguments: &[&str]) -> Option<Self> {
        let Some(binary) = find() else {
            eprintln!("SKIPPED: there is no etcd in ATOLL_ETCD, PATH or target/tools");
            return None;
        };
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        for _ in 0..STARTS {
            let mut etcd = Self::of(&binary, members, scheme, &arguments);
            (0..members).for_each(|number| etcd.spawn(number));
            match (0..members).try_for_each(|number| etcd.serves(number)) {
                Ok(()) => return Some(etcd),
                // A port that was free went to some connection meanwhile.
                Err(log) if log.contains("address already in use") => {}
                Err(log) => panic!("etcd did not start: {log}"),
            }
        }
        panic!("etcd found its ports taken {STARTS} times")
    }

    /// Members that do not run yet, each with ports of its own.
    fn of(binary: &Path, members: usize, scheme: &'static str, arguments: &[String]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let members = (0..members)
            .map(|number| Member { name: format!("m{number}"), client: free(), peer: free(), process: None })
            .collect();
        Self { members, binary: binary.to_owned(), arguments: arguments.to_vec(), scheme, directory }
    }

    /// The URL by which Atoll finds all members; `rest` follows it.
    pub(crate) fn url(&self, rest: &str) -> String {
        let hosts: Vec<String> = self.members.iter().map(|member| member.client.to_string()).collect();
        let scheme = if self.scheme == "https" { "etcd+https" } else { "etcd" };
        format!("{scheme}://{}{rest}", hosts.join(","))
    }

    /// Ends a member as a power switch would.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.members[number].process.take() {
            // Told to stop at any rate, also when it is frozen.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts a member that was killed, where it was.
    pub(crate) fn restart(&mut self, number: usize) {
        self.kill(number);
        self.spawn(number);
    }

    /// Starts it, and waits until it serves.
    pub(crate) fn restart_and_wait(&mut self, number: usize) {
        self.restart(number);
        self.wait_for(number);
    }

    /// Lets a member hang, or go on: `STOP` or `CONT`. Once told to stop it has stopped when this returns.
    pub(crate) fn signal(&self, number: usize, signal: &str) {
        let process = self.members[number].process.as_ref().expect("it runs");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(process.id().to_string()).status();
        assert!(sent.expect("kill can be run").success());
        // A busy machine lets its threads finish what they are at, which may be a write.
        while signal == "STOP" && !all_threads_stopped(process.id()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn spawn(&mut self, number: usize) {
        let all: Vec<String> =
            self.members.iter().map(|member| format!("{}=http://{}", member.name, member.peer)).collect();
        let member = &self.members[number];
        let (client, peer) = (format!("{}://{}", self.scheme, member.client), format!("http://{}", member.peer));
        let log = std::fs::File::create(self.directory.path().join(format!("{}.log", member.name))).expect("a log");
        let process = Command::new(&self.binary)
            .args(["--log-level", "error", "--name", &member.name, "--data-dir"])
            .arg(self.directory.path().join(&member.name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.members[number].process = Some(process.expect("etcd can be started"));
    }

    fn wait_for(&mut self, number: usize) {
        self.serves(number).unwrap_or_else(|log| panic!("etcd did not start: {log}"));
    }

    /// Waits until a member serves; what it logged, if it does not. One with certificates is only waited for until it listens.
    fn serves(&mut self, number: usize) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let member = &mut self.members[number];
            let address = member.client;
            let healthy =
                if self.scheme == "https" { TcpStream::connect(address).is_ok() } else { is_healthy(address) };
            if healthy {
                return Ok(());
            }
            let ended = member.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                let log = self.directory.path().join(format!("{}.log", member.name));
                return Err(std::fs::read_to_string(log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            self.kill(number);
        }
    }
}

/// The etcd to test with.
fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ATOLL_ETCD").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "ATOLL_ETCD={} is no file", named.display());
        return Some(named);
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([tools]);
    places.map(|place| place.join("etcd")).find(|file| file.is_file())
}

/// An address that nobody listens at.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn is_healthy(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let timeout = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let asked = timeout.and_then(|()| stream.write_all(b"GET /health HTTP/1.0\r\n\r\n"));
    let mut answer = String::new();
    let read = asked.and_then(|()| stream.read_to_string(&mut answer));
    read.is_ok() && answer.contains(r#""health":"true""#)
}

/// Whether the kernel lets none of a process's threads run, as Linux tells it; elsewhere there is nobody to ask.
fn all_threads_stopped(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which stands in parentheses and may hold anything.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}
