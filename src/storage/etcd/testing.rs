//! What tests do to an etcd beside the engine.

use prost::Message;

use super::client::{Again, Client};
use super::wire::{AuthenticateRequest, PUT, PutRequest, PutResponse};
use super::{Keys, Target, compactor};

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

fn reach(url: &str) -> (Client, Keys) {
    let target = Target::parse(url).unwrap().unwrap();
    (Client::new(&target).unwrap(), Keys::new(target.prefix))
}

/// Puts one of the engine's own keys.
pub(in crate::storage) async fn put(url: &str, name: &str, value: &'static str) {
    let (client, keys) = reach(url);
    let request = PutRequest { key: keys.own(name), value: value.into() };
    let _: PutResponse = client.call(PUT, request, Again::Always).await.unwrap();
}

/// Makes a user who may do everything, and lets nobody in without a password from then on.
pub(in crate::storage) async fn enable_passwords(url: &str, user: &str, password: &str) {
    let (client, _) = reach(url);
    // These messages too have a name first and another word second.
    let steps = [
        ("/etcdserverpb.Auth/UserAdd", user, password),
        ("/etcdserverpb.Auth/RoleAdd", "root", ""),
        ("/etcdserverpb.Auth/UserGrantRole", user, "root"),
        ("/etcdserverpb.Auth/AuthEnable", "", ""),
    ];
    for (path, name, other) in steps {
        let request = AuthenticateRequest { name: name.to_owned(), password: other.to_owned() };
        let _: Nothing = client.call(path, request, Again::Always).await.unwrap();
    }
}

/// Two servers compact in turn, with a write between; gives the write's revision.
pub(in crate::storage) async fn compact_twice<W: Future<Output = u64>>(target: Target, write: impl Fn() -> W) -> u64 {
    let client = Client::new(&target).unwrap();
    let key = Keys::new(target.prefix.clone()).own("compacted");
    let first = compactor::advance(&client, &key, 0, 0).await.unwrap();
    let second = compactor::advance(&client, &key, 0, 0).await.unwrap();
    assert_eq!(first.0, second.0, "the second found that the first had been faster");
    let revision = write().await;
    let done = compactor::advance(&client, &key, first.0, first.1).await.unwrap();
    let late = compactor::advance(&client, &key, second.0, second.1).await.unwrap();
    assert_eq!((done.0, late.0), (first.0 + 1, first.0 + 1));
    revision
}
