//! The etcd engine over real etcds: the contract, and what etcd alone can do to it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use atoll_api::ClusterScope;

use super::etcd_server::Etcd as Server;
use crate::storage::conformance::{self, Recorder, Subject, load, pod, value};
use crate::storage::etcd::Target;
use crate::storage::{
    Action, Backend, ChangeSink, CommitError, Etcd, Expect, KeyRange, ListQuery, OpenError, Options, Store, Txn,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A fresh etcd that takes as much as the contract asks for.
async fn open() -> Option<Subject> {
    let server = Server::start(1, "http", &["--unsafe-no-fsync", "--max-request-bytes", "8388608"])?;
    Some(Subject { backend: engine(&server.url("")).await, keep: Box::new(server) })
}

conformance::all!(open);

async fn engine(url: &str) -> Arc<dyn Backend> {
    crate::storage::open(url, Options::default()).await.unwrap()
}

fn put(path: &str, text: &str) -> Txn {
    Txn::one(pod(path), Expect::Any, Action::Put(value(text).into()))
}

async fn follow(backend: &dyn Backend) -> Arc<Recorder> {
    let after = backend.revision().await.unwrap();
    let recorder = Arc::new(Recorder::after(after));
    let sink: std::sync::Weak<dyn ChangeSink> = Arc::downgrade(&recorder) as _;
    backend.subscribe(after, sink).await.unwrap();
    recorder
}

/// The numbers of all objects, read back from etcd, in order.
async fn numbers(backend: &dyn Backend) -> Vec<u64> {
    let (_, records) = load(backend).await;
    let mut numbers: Vec<u64> = records.iter().map(|record| record.key.name.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefixes_share_an_etcd_and_see_nothing_of_each_other() {
    let Some(server) = Server::single() else { return };
    let (first, second) = (engine(&server.url("/one")).await, engine(&server.url("/two")).await);
    let recorder = follow(&*second).await;
    let (first, second) = (Store::open(first).await.unwrap(), Store::open(second).await.unwrap());
    for number in 0..20 {
        first.commit(put("a/n/x", &number.to_string())).await.unwrap();
    }
    let started = Instant::now();
    second.catch_up().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "others' writes must not keep it waiting");
    assert!(second.revision() >= first.revision(), "it knows that nothing of this was its own");
    assert!(second.get(&pod("a/n/x")).is_none());
    assert!(recorder.changes().is_empty());
    let nothing = Txn::one(pod("a/n/x"), Expect::Absent, Action::Check);
    let started = Instant::now();
    assert!(second.commit(nothing).await.unwrap() >= first.revision());
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_caught_up_has_what_others_wrote_before() {
    let Some(server) = Server::single() else { return };
    let writer = Store::open(engine(&server.url("")).await).await.unwrap();
    let reader = Store::open(engine(&server.url("")).await).await.unwrap();
    for number in 0..300 {
        let revision = writer.commit(put("a/n/x", &number.to_string())).await.unwrap();
        reader.catch_up().await.unwrap();
        assert_eq!(reader.get(&pod("a/n/x")).unwrap().revision, revision);
    }
    // Many at once share few questions.
    let waiting = (0..200).map(|_| {
        let reader = reader.clone();
        tokio::spawn(async move { reader.catch_up().await.unwrap() })
    });
    let revision = writer.commit(put("a/n/x", "last")).await.unwrap();
    futures::future::join_all(waiting).await.into_iter().for_each(|waited| waited.unwrap());
    reader.catch_up().await.unwrap();
    assert!(reader.revision() >= revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_a_race_finds_the_winner_in_the_cache() {
    let Some(server) = Server::single() else { return };
    let stores = [
        Store::open(engine(&server.url("")).await).await.unwrap(),
        Store::open(engine(&server.url("")).await).await.unwrap(),
    ];
    stores[0].commit(put("a/n/x", "0")).await.unwrap();
    let racers = (0..8).map(|number| {
        let store = stores[number % 2].clone();
        tokio::spawn(async move {
            let (mut won, mut lost) = (0, 0);
            store.catch_up().await.unwrap();
            while won < 25 {
                let seen = store.get(&pod("a/n/x")).unwrap().revision;
                match store.commit(Txn::update(pod("a/n/x"), seen, value("1"))).await {
                    Ok(_) => won += 1,
                    Err(CommitError::Conflict { current: Some(current), .. }) => {
                        assert!(store.revision() >= current && current > seen);
                        lost += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            lost
        })
    });
    let lost: u64 = futures::future::join_all(racers).await.into_iter().map(|lost| lost.unwrap()).sum();
    assert!(lost > 0, "there was no race");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_may_change_more_keys_than_etcd_takes_in_one_list() {
    let Some(server) = Server::single() else { return };
    let backend = engine(&server.url("")).await;
    let mut txn = Txn::default();
    for number in 0..1000 {
        let expect = if number < 100 { Expect::Absent } else { Expect::Any };
        txn = txn.and(pod(&format!("a/n/{number}")), expect, Action::Put("1".into()));
    }
    let revision = backend.commit(txn).await.unwrap();
    let (_, records) = load(&*backend).await;
    assert!(records.len() == 1000 && records.iter().all(|record| record.revision == revision));
    let key = pod("a/n/0");
    let range = KeyRange::cluster(&key.resource, &key.cluster);
    let deleted = backend.delete_range(range, 900, None).await.unwrap();
    assert_eq!((deleted.deleted, deleted.more), (900, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_beyond_etcds_limit_and_a_full_etcd_are_told_apart() {
    let Some(server) = Server::start(1, "http", &["--unsafe-no-fsync", "--quota-backend-bytes", "8388608"]) else {
        return;
    };
    let backend = engine(&server.url("")).await;
    let large = Txn::create(pod("a/n/x"), vec![b' '; 2 << 20]);
    assert!(matches!(backend.commit(large).await, Err(CommitError::TooLarge { .. })));
    let mut written = 0;
    let error = loop {
        match backend.commit(Txn::create(pod(&format!("a/n/{written}")), vec![b' '; 1 << 20])).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Full { .. }), "{error}");
    // The one by which etcd finds that it is full it stores, and refuses all the same (`quotaApplierV3`).
    let stored = load(&*backend).await.1.len();
    assert!(stored == written || stored == written + 1, "reads go on: {stored} of {written}");
    let refused = backend.commit(Txn::create(pod("a/n/later"), vec![b' '; 1 << 20])).await;
    assert!(matches!(refused, Err(CommitError::Full { .. })), "it is full from there on");
    assert_eq!(load(&*backend).await.1.len(), stored, "what comes later is not stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_another_format_is_refused() {
    let Some(server) = Server::single() else { return };
    super::super::etcd::testing::put(&server.url("/y"), "format", "7").await;
    let error = crate::storage::open(&server.url("/y"), Options::default()).await.err().unwrap();
    assert!(matches!(error, OpenError::Format { found: 7, expected: 1 }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_is_not_there_is_told_of_at_once() {
    let started = Instant::now();
    let error = crate::storage::open("etcd://127.0.0.1:1", Options::default()).await.err().unwrap();
    assert!(error.to_string().starts_with("the etcd at http://127.0.0.1:1 cannot be used"), "{error}");
    assert!(matches!(error, OpenError::NotReached { .. }), "it may come, for those who wait: {error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// Writes ascending numbers as objects until told to stop; gives those acknowledged, and how many attempts failed.
async fn write(backend: Arc<dyn Backend>, writer: u64, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let number = turn * 100 + writer;
        match backend.commit(put(&format!("a/n/{number}"), "1")).await {
            Ok(_) => {
                acknowledged.push(number);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(CommitError::Unreachable { .. } | CommitError::Unavailable { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    acknowledged
}

/// Lets a phase last at least so long, and until a dozen more writes went through.
async fn stay(at_least: Duration, acknowledged: &AtomicUsize) {
    let enough = acknowledged.load(Ordering::Relaxed) + 12;
    let deadline = Instant::now() + PATIENCE;
    tokio::time::sleep(at_least).await;
    while acknowledged.load(Ordering::Relaxed) < enough {
        assert!(Instant::now() < deadline, "nothing is written any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whatever happens to single members of three, no acknowledged write is lost and no change is told twice or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_die_or_freeze_take_nothing_along() {
    let Some(mut server) = Server::start(3, "http", &[]) else { return };
    let backend = engine(&server.url("")).await;
    let recorder = follow(&*backend).await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = |number| tokio::spawn(write(backend.clone(), number, stop.clone(), count.clone()));
    let writers: Vec<_> = (0..4).map(writer).collect();
    for member in 0..3 {
        stay(Duration::from_millis(300), &count).await;
        server.kill(member);
        stay(Duration::from_millis(1500), &count).await;
        server.restart_and_wait(member);
        stay(Duration::from_millis(300), &count).await;
        server.signal(member, "STOP");
        stay(Duration::from_millis(1500), &count).await;
        server.signal(member, "CONT");
    }
    stay(Duration::from_millis(500), &count).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    let now = backend.revision().await.unwrap();
    recorder.reach(now).await;
    let stored = numbers(&*backend).await;
    assert!(acknowledged.len() > 100, "only {} writes: this tested nothing", acknowledged.len());
    assert!(acknowledged.iter().all(|number| stored.binary_search(number).is_ok()), "an acknowledged write is lost");
    let mut told: Vec<u64> = recorder.changes().iter().map(|change| change.key.name.parse().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, stored, "every change once");
}

/// Without a majority nothing is written, and nobody waits long to learn it; when it is back, all goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_from_the_majority_writes_nothing_and_goes_on_later() {
    let Some(mut server) = Server::start(3, "http", &[]) else { return };
    let store = Store::open(engine(&server.url("")).await).await.unwrap();
    store.commit(put("a/n/1", "1")).await.unwrap();
    server.kill(0);
    server.kill(1);
    for _ in 0..3 {
        let started = Instant::now();
        let error = store.commit(put("a/n/2", "2")).await.unwrap_err();
        assert!(matches!(error, CommitError::Unreachable { .. } | CommitError::Unavailable { .. }), "{error}");
        assert!(store.catch_up().await.is_err());
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        assert!(store.get(&pod("a/n/1")).is_some(), "what is known can be read");
    }
    assert!(store.silence() > Duration::from_secs(1));
    server.restart(0);
    server.restart_and_wait(1);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = store.commit(put("a/n/3", "3")).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    store.catch_up().await.unwrap();
    let page = store.list(ListQuery::new(&pod("a/n/x").resource, &ClusterScope::All)).unwrap();
    let cached: Vec<&str> = page.entries.iter().map(|entry| entry.name()).collect();
    let stored: Vec<String> =
        load(&*engine(&server.url("")).await).await.1.iter().map(|record| record.key.name.to_string()).collect();
    assert_eq!(cached, stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_passwords_open_an_etcd_that_wants_them() {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let file = |name: &str| directory.path().join(name).display().to_string();
    let arguments = ["--unsafe-no-fsync", "--cert-file", &file("server.crt"), "--key-file", &file("server.key")];
    let client_auth = ["--client-cert-auth", "--trusted-ca-file", &file("ca.crt")];
    let Some(server) = Server::start(1, "https", &[&arguments[..], &client_auth[..]].concat()) else { return };
    let tls = format!("?ca-file={}&cert-file={}&key-file={}", file("ca.crt"), file("client.crt"), file("client.key"));
    engine(&server.url(&tls)).await.commit(put("a/n/x", "1")).await.unwrap();
    // What is wrong with a URL or a certificate will be wrong later, too: nobody who starts is to wait for it.
    let refused = async |url: String| {
        let started = Instant::now();
        let error = crate::storage::open(&url, Options::default()).await.err().unwrap();
        assert!(matches!(error, OpenError::Refused { .. }), "{url}: {error}");
        assert!(started.elapsed() < Duration::from_secs(10), "{url}: {:?}", started.elapsed());
        error.to_string()
    };
    refused(server.url(&format!("?ca-file={}", file("ca.crt")))).await;
    let stranger = refused(server.url(&tls.replace("ca.crt", "client.crt"))).await;
    assert!(stranger.contains("certificate") && stranger.contains("look at ca-file"), "{stranger}");
    refused(server.url("").replace("etcd+https", "etcd")).await;
    let plain = Server::single().expect("there was one before");
    refused(plain.url(&tls).replace("etcd://", "etcd+https://")).await;

    super::super::etcd::testing::enable_passwords(&server.url(&tls), "root", "s3cret").await;
    std::fs::write(file("password"), "s3cret\n").unwrap();
    let with_password = format!("{tls}&user=root&password-file={}", file("password"));
    let backend = engine(&server.url(&with_password)).await;
    backend.commit(put("a/n/x", "2")).await.unwrap();
    let recorder = follow(&*backend).await;
    let revision = backend.commit(put("a/n/x", "3")).await.unwrap();
    recorder.reach(revision).await;
    std::fs::write(file("password"), "wrong").unwrap();
    let wrong = refused(server.url(&with_password)).await;
    assert!(wrong.contains("authentication failed"), "{wrong}");
}

/// A CA, a server's and a client's certificate.
fn make_certificates(directory: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.crt", params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        write(&format!("{name}.crt"), params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_compacted_by_one_of_several() {
    let Some(server) = Server::single() else { return };
    let target = || Target::parse(&server.url("?compact=off")).unwrap().unwrap();
    let backend = Etcd::open(target()).await.unwrap();
    backend.commit(put("a/n/x", "1")).await.unwrap();
    let rounds = super::super::etcd::testing::compact_twice(target(), || async {
        backend.commit(put("a/n/x", "2")).await.unwrap()
    });
    let revision = rounds.await;
    let recorder = Arc::new(Recorder::default());
    let sink: std::sync::Weak<dyn ChangeSink> = Arc::downgrade(&recorder) as _;
    let error = backend.subscribe(1, sink).await.unwrap_err();
    assert!(matches!(error, crate::storage::SubscribeError::Compacted { oldest } if oldest < revision), "{error}");
}
