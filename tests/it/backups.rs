//! Backups of the whole server, chains of them, and servers made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use atoll::outbound::{Addresses, Outbound};
use atoll::storage::conformance::Random;
use serde_json::{Value, json};

use crate::aggregation::{API_SERVICES, Far, ROOT, external_service};
use crate::requests::{CONFIG_MAPS, config_map};
use crate::server::{Atoll, Client, WORKSPACES, eventually, workspace};

const TRUST: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
const CLUSTERS: [&str; 3] = ["one", "two", "three"];

/// Where each config map of the tests is, with its uid and what it says.
type Held = BTreeMap<String, (String, String)>;

async fn at(dir: &Path, storage: &str) -> Atoll {
    let (dir, storage) = (dir.to_owned(), storage.to_owned());
    let outbound = Outbound { addresses: Addresses::Any, services: None };
    Atoll::start_with(|builder| builder.data_dir(dir).storage(storage).outbound(outbound)).await
}

/// Writes a backup, of what changed since a revision if one is given; gives its file.
async fn back_up(atoll: &Atoll, since: Option<u64>, to: &Path) -> PathBuf {
    let query = since.map_or_else(String::new, |since| format!("?since={since}"));
    let answer = atoll.root().get(&format!("/backup{query}")).await;
    assert_eq!(answer.status, 200);
    std::fs::write(to, &answer.body).expect("it is written");
    to.to_owned()
}

/// Runs `atoll` with these arguments; gives whether it went well and what it said.
fn atoll(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_atoll")).args(arguments).output().expect("the binary can be run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn restore(file: &Path, dir: &Path, storage: Option<&str>) -> (bool, String) {
    let (file, dir) = (file.display().to_string(), dir.display().to_string());
    let mut arguments = vec!["restore", "--from", &file, "--data-dir", &dir];
    arguments.extend(storage.into_iter().flat_map(|url| ["--storage", url]));
    atoll(&arguments)
}

/// The revision of a backup, as the program tells it.
fn revision(file: &Path) -> u64 {
    let (sound, said) = atoll(&["restore", "--verify", "--from", &file.display().to_string()]);
    assert!(sound, "{said}");
    let number = said.split("revision ").nth(1).and_then(|rest| rest.split(',').next());
    number.and_then(|number| number.parse().ok()).expect("a revision")
}

async fn held(atoll: &Atoll) -> Held {
    let all = atoll.root().below("/clusters/*");
    let list = all.get("/api/v1/configmaps?labelSelector=of%3Dtest").await.expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"].as_array().expect("items");
    let shown = items.iter().map(|item| {
        let metadata = &item["metadata"];
        let cluster = text(&metadata["annotations"]["kcp.io/cluster"]);
        (format!("{cluster}/{}", text(&metadata["name"])), (text(&metadata["uid"]), text(&item["data"]["k"])))
    });
    shown.collect()
}

/// Creates, changes and deletes by chance.
async fn write(atoll: &Atoll, random: &mut Random, count: usize) {
    for number in 0..count {
        let cluster = atoll.admin_of(CLUSTERS[random.below(CLUSTERS.len() as u64) as usize]);
        let name = format!("m{}", random.below(25));
        let path = format!("{CONFIG_MAPS}/{name}");
        let mut object = config_map(&name, "x");
        object["metadata"]["labels"]["of"] = "test".into();
        object["data"]["k"] = format!("{number}-{}", random.below(1_000_000)).into();
        if random.below(3) == 0 {
            let status = cluster.delete(&path).await.status.as_u16();
            assert!(matches!(status, 200 | 404), "{status}");
        } else if cluster.post(CONFIG_MAPS, object.clone()).await.status == 409 {
            cluster.put(&path, object).await.expect(200);
        }
    }
}

/// A chain of three, what the server held at each of them, and the directory they are in.
struct Chain {
    dir: tempfile::TempDir,
    links: Vec<(PathBuf, Held)>,
}

async fn chain(scheme: &str) -> Chain {
    let dir = tempfile::tempdir().expect("a directory");
    let storage = format!("{scheme}{}", dir.path().join("source/store").display());
    std::fs::create_dir(dir.path().join("source")).expect("a directory");
    let source = at(&dir.path().join("source"), &storage).await;
    for name in CLUSTERS {
        source.cluster(name).await;
    }
    let mut random = Random::new(7);
    let mut links: Vec<(PathBuf, Held)> = Vec::new();
    let mut since = None;
    for name in ["a", "b", "c"] {
        write(&source, &mut random, 90).await;
        let held = held(&source).await;
        let file = back_up(&source, since, &dir.path().join(name)).await;
        since = Some(revision(&file));
        links.push((file, held));
    }
    source.stop().await;
    assert!(links.iter().all(|(_, held)| held.len() > 15) && links[0].1 != links[2].1);
    Chain { dir, links }
}

async fn each_link_restores_what_there_was(scheme: &str) {
    let chain = chain(scheme).await;
    for (number, (file, expected)) in chain.links.iter().enumerate() {
        let dir = chain.dir.path().join(format!("restored-{number}"));
        let storage = format!("{scheme}{}", dir.join("store").display());
        std::fs::create_dir_all(&dir).expect("a directory");
        let (done, said) = restore(file, &dir, Some(&storage));
        assert!(done, "{said}");
        let restored = at(&dir, &storage).await;
        assert_eq!(held(&restored).await, *expected, "link {number}");
        restored.admin_of("one").post(CONFIG_MAPS, config_map("after", "x")).await.expect(201);
        restored.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_link_of_a_chain_of_the_embedded_engine_restores_what_there_was() {
    each_link_restores_what_there_was("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_link_of_a_chain_of_sqlite_restores_what_there_was() {
    each_link_restores_what_there_was("sqlite://").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_not_whole_is_refused_and_nothing_is_restored() {
    let chain = chain("").await;
    let whole: Vec<Vec<u8>> = chain.links.iter().map(|(file, _)| std::fs::read(file).expect("a backup")).collect();
    let other = self::chain("").await;
    let foreign = std::fs::read(&other.links[1].0).expect("a backup");
    let flipped = |link: &[u8]| {
        let mut link = link.to_vec();
        let middle = link.len() / 2;
        link[middle] ^= 0x10;
        link
    };
    let cut = |link: &[u8]| link[..link.len() * 2 / 3].to_vec();
    let [a, b, c] = [&whole[0], &whole[1], &whole[2]].map(|link| Some(link.clone()));
    // What becomes of each link, and what is told.
    let cases = [
        ("the first is missing", [None, b.clone(), c.clone()], "builds on a backup of revision"),
        ("the second is missing", [a.clone(), None, c.clone()], "builds on a backup of revision"),
        ("the second is another server's", [a.clone(), Some(foreign), c.clone()], "builds on a backup of revision"),
        ("the second is cut off", [a.clone(), Some(cut(&whole[1])), c.clone()], "ends too early"),
        ("the last is cut off", [a.clone(), b.clone(), Some(cut(&whole[2]))], "ends too early"),
        ("a bit of the first is flipped", [Some(flipped(&whole[0])), b.clone(), c.clone()], "checksum"),
        ("a bit of the second is flipped", [a.clone(), Some(flipped(&whole[1])), c], "checksum"),
        ("a bit of the last is flipped", [a, b, Some(flipped(&whole[2]))], "checksum"),
    ];
    for (number, (what, links, told)) in cases.into_iter().enumerate() {
        let apart = chain.dir.path().join(format!("case-{number}"));
        std::fs::create_dir(&apart).expect("a directory");
        for (name, link) in ["a", "b", "c"].into_iter().zip(links) {
            link.into_iter().for_each(|link| std::fs::write(apart.join(name), link).expect("it is written"));
        }
        for storage in [None, Some(format!("sqlite://{}", apart.join("new.db").display()))] {
            let (done, said) = restore(&apart.join("c"), &apart.join("new"), storage.as_deref());
            assert!(!done && said.contains(told), "{what}: {said}");
            assert!(!apart.join("new").exists() && !apart.join("new.db").exists(), "{what}: something was written");
        }
        let (sound, said) = atoll(&["restore", "--verify", "--from", &apart.join("c").display().to_string()]);
        assert!(!sound && said.contains(told), "{what}: {said}");
    }
    // Names do not matter: links find each other by what they say of themselves.
    let swapped = chain.dir.path().join("swapped");
    std::fs::create_dir(&swapped).expect("a directory");
    for (name, link) in ["b", "a", "c"].into_iter().zip(&whole) {
        std::fs::write(swapped.join(name), link).expect("it is written");
    }
    let (sound, said) = atoll(&["restore", "--verify", "--from", &swapped.join("c").display().to_string()]);
    assert!(sound, "{said}");
}

/// A base that is not the one that a link was written over, although it says that it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_over_another_past_of_the_same_server_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let storage = |name: &str| dir.path().join(name).join("store").display().to_string();
    let source = at(&dir.path().join("source"), &storage("source")).await;
    for name in CLUSTERS {
        source.cluster(name).await;
    }
    let mut random = Random::new(3);
    write(&source, &mut random, 40).await;
    let first = back_up(&source, None, &dir.path().join("first")).await;
    source.stop().await;
    // Two servers go on from there, each in its own way.
    let mut files = Vec::new();
    for (name, seed) in [("left", 11), ("right", 12)] {
        let (done, said) = restore(&first, &dir.path().join(name), None);
        assert!(done, "{said}");
        let server = at(&dir.path().join(name), &storage(name)).await;
        write(&server, &mut Random::new(seed), 60).await;
        let second = back_up(&server, Some(revision(&first)), &dir.path().join(format!("{name}-2"))).await;
        write(&server, &mut Random::new(seed + 10), 20).await;
        let third = back_up(&server, Some(revision(&second)), &dir.path().join(format!("{name}-3"))).await;
        server.stop().await;
        files.push([second, third]);
    }
    let mixed = dir.path().join("mixed");
    std::fs::create_dir(&mixed).expect("a directory");
    for file in [&first, &files[0][0], &files[1][1]] {
        std::fs::copy(file, mixed.join(file.file_name().expect("a name"))).expect("it is copied");
    }
    let (done, said) = restore(&mixed.join("right-3"), &dir.path().join("new"), None);
    assert!(!done && (said.contains("builds on a backup of revision") || said.contains("as it should")), "{said}");
    assert!(!dir.path().join("new").exists());
    let (done, said) = restore(&files[1][1], &dir.path().join("new"), None);
    assert!(done, "{said}");
}

#[test]
fn an_incremental_backup_of_what_has_not_changed_leaves_the_one_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = at(&dir.path().join("data"), &path("data/store")).await;
        server.cluster("one").await;
        server.stop().await;
    });
    std::fs::create_dir(dir.path().join("backups")).expect("a directory");
    let (backups, data) = (path("backups"), path("data"));
    for _ in 0..2 {
        let (done, said) = atoll(&["backup", "--to", &backups, "--incremental", "--data-dir", &data]);
        assert!(done, "{said}");
    }
    let files = || std::fs::read_dir(&backups).expect("a directory").map(|file| file.expect("a file").path());
    assert_eq!(files().count(), 1);
    let first = files().next().expect("a file").display().to_string();
    let (done, said) = atoll(&["backup", "--to", &path("again"), "--since", &first, "--data-dir", &data]);
    assert!(done && said.contains("nothing has changed"), "{said}");
    for from in [backups.clone(), path("again")] {
        let (sound, said) = atoll(&["restore", "--verify", "--from", &from]);
        assert!(sound, "{said}");
    }
}

/// What the server behind an APIService answers a user of a cluster.
async fn passed_on(cluster: &Client) -> u16 {
    cluster.get(&format!("{ROOT}/things")).await.status.as_u16()
}

/// Backups had no front proxy's CA, so that servers behind APIServices, which had been told whom to believe, believed nobody any
/// more after a restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_server_is_known_to_its_clients_and_to_the_servers_behind_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let before = at(&old, &old.join("store").display().to_string()).await;
    let team = before.cluster("team").await;
    let trust = team.get(TRUST).await.expect(200)["data"].take();
    let far = Far::start_for(trust["requestheader-client-ca-file"].as_str()).await;
    team.post("/api/v1/namespaces/default/services", external_service()).await.expect(201);
    team.post(API_SERVICES, far.api_service()).await.expect(201);
    eventually("the server behind to answer", || async { (passed_on(&team).await == 200).then_some(()) }).await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let token = team.post("/api/v1/namespaces/default/serviceaccounts/default/token", request).await.expect(201);
    let token = token["status"]["token"].as_str().expect("a token").to_owned();
    let authority = before.certificate_authority().to_owned();
    let file = back_up(&before, None, &dir.path().join("backup")).await;
    before.stop().await;

    let (done, said) = restore(&file, &new, None);
    assert!(done, "{said}");
    let kept =
        ["pki/ca.crt", "pki/ca.key", "pki/service-account.key", "pki/front-proxy-ca.crt", "pki/front-proxy-ca.key"];
    for name in kept {
        let read = |dir: &Path| std::fs::read(dir.join(name)).expect("it is there");
        assert_eq!(read(&old), read(&new), "{name}");
    }
    let after = at(&new, &new.join("store").display().to_string()).await;
    let team = after.admin_of("team");
    assert_eq!(after.certificate_authority(), authority);
    assert_eq!(team.get(TRUST).await.expect(200)["data"], trust);
    assert_eq!(team.bearer(&token).get(CONFIG_MAPS).await.status, 403, "the token is somebody's");
    eventually("the server behind to answer", || async { (passed_on(&team).await == 200).then_some(()) }).await;
    // A front proxy of another server is nobody there.
    let stranger =
        Atoll::start_with(|builder| builder.outbound(Outbound { addresses: Addresses::Any, services: None })).await;
    stranger.root().post(WORKSPACES, workspace("team")).await.expect(201);
    let theirs = stranger.admin_of("team");
    theirs.settled().await;
    theirs.post("/api/v1/namespaces/default/services", external_service()).await.expect(201);
    theirs.post(API_SERVICES, far.api_service()).await.expect(201);
    for _ in 0..3 {
        assert_eq!(passed_on(&theirs).await, 503);
    }
}

/// Why no server starts on a store, if none does.
async fn refusal(data_dir: Option<&Path>, storage: &str) -> Option<String> {
    let builder = atoll::server::Server::builder().storage(storage);
    let builder = match data_dir {
        Some(dir) => builder.data_dir(dir),
        None => builder,
    };
    builder.build().await.err().map(|error| error.to_string())
}

/// A backup of some thousand objects: large enough to be caught halfway.
async fn large_backup(dir: &Path) -> PathBuf {
    let source = Atoll::start().await;
    let team = source.cluster("team").await;
    let text = "x".repeat(4000);
    for batch in 0..60 {
        let posts = (0..25).map(|number| {
            let mut object = config_map(&format!("m{batch}-{number}"), "x");
            object["metadata"]["labels"]["of"] = "test".into();
            object["data"]["k"] = text.as_str().into();
            let team = team.clone();
            async move { drop(team.post(CONFIG_MAPS, object).await.expect(201)) }
        });
        futures::future::join_all(posts).await;
    }
    let file = back_up(&source, None, &dir.join("large")).await;
    source.stop().await;
    file
}

/// Kills a restore when `is_halfway`; gives whether it was still under way.
fn cut_off(file: &Path, dir: &Path, storage: &str, mut is_halfway: impl FnMut() -> bool) -> bool {
    let mut restore = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(["restore", "--from", &file.display().to_string(), "--data-dir", &dir.display().to_string()])
        .args(["--storage", storage])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary can be run");
    while !is_halfway() {
        if restore.try_wait().expect("it can be asked").is_some() {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    restore.kill().expect("it can be killed");
    !restore.wait().expect("it ends").success()
}

/// What is checked on each engine: no server starts on half a backup, and another restore makes all of it.
async fn cut_off_restores_leave_no_server(storage: &str, mut is_halfway: impl FnMut() -> bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = large_backup(dir.path()).await;
    let new = dir.path().join("new");
    for attempt in ["first", "second"] {
        assert!(cut_off(&file, &new, storage, &mut is_halfway), "the {attempt} attempt was not caught halfway");
        for data_dir in [Some(new.as_path()), None] {
            let why = refusal(data_dir, storage).await;
            assert!(why.as_ref().is_some_and(|why| why.contains("run `atoll restore` again")), "{data_dir:?}: {why:?}");
        }
    }
    let (done, said) = restore(&file, &dir.path().join("other"), Some("memory://"));
    assert!(done, "{said}");
    let (done, said) = restore(&file, &new, Some("memory://"));
    assert!(!done && said.contains("run it again with the same --storage"), "{said}");
    let (done, said) = restore(&file, &new, Some(storage));
    assert!(done, "{said}");
    let restored = at(&new, storage).await;
    assert_eq!(held(&restored).await.len(), 1500);
    restored.stop().await;
    let (done, said) = restore(&file, &dir.path().join("another"), Some(storage));
    assert!(!done && said.contains("is there already"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_into_sqlite_that_is_killed_halfway_leaves_no_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("store.db");
    let mut caught = 0;
    cut_off_restores_leave_no_server(&format!("sqlite://{}", file.display()), || {
        // The log is begun anew by each process; the second attempt is caught later than the first.
        let written = std::fs::metadata(dir.path().join("store.db-wal")).map_or(0, |log| log.len());
        let halfway = written > (1 + caught) << 20;
        caught += u64::from(halfway);
        halfway
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_into_etcd_that_is_killed_halfway_leaves_no_server() {
    let Some(etcd) = crate::etcd::Etcd::single() else { return };
    let url = etcd.url("/restored");
    let asked = url.clone();
    let handle = tokio::runtime::Handle::current();
    cut_off_restores_leave_no_server(&url, move || {
        let asked = asked.clone();
        let count = async move {
            let backend = atoll::storage::open(&asked, atoll::storage::Options::default()).await.expect("etcd answers");
            let found = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counted = found.clone();
            let visit = Box::new(move |_| {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
            backend.load(visit).await.expect("it can be read");
            backend.close().await;
            found.load(std::sync::atomic::Ordering::Relaxed)
        };
        let found = tokio::task::block_in_place(|| handle.block_on(count));
        (200..1400).contains(&found)
    })
    .await;
}
