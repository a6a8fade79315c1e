//! Tests of who gets seats.

use std::future::Future;
use std::pin::Pin;

use super::*;
use crate::flow::deal;
use crate::flow::policy::Configuration;

fn settings(seats: u32) -> Settings {
    Settings { patience: Duration::from_secs(3600), ..Settings::of_seats(seats) }
}

fn policy(seats: u32) -> Arc<Policy> {
    let shared = Configuration::of(crate::flow::bootstrap::schemas(), crate::flow::bootstrap::levels());
    Arc::new(Policy::new(&Configuration::default(), &shared, settings(seats).seats_of_one()))
}

fn cluster(name: &str) -> Name {
    Some(LogicalClusterName::parse(name).expect("a name"))
}

type Entering = Pin<Box<dyn Future<Output = Result<Seats, Refusal>> + Send>>;

/// A request of a user of a cluster at a level, on its way in.
fn enter(gate: &Arc<Gate>, policy: &Arc<Policy>, name: &str, level: &str, user: &'static str, seats: u32) -> Entering {
    let (gate, policy, name) = (gate.clone(), policy.clone(), cluster(name));
    let level = policy.level(level).expect("a level").clone();
    Box::pin(async move {
        let flow = move || deal::hash("schema", user);
        gate.enter(Ask { name, policy: &policy, level: &level, flow: &flow, seats }).await
    })
}

/// Those who have come in so far, and those who still wait.
async fn settle(waiting: &mut Vec<Entering>) -> Vec<Result<Seats, Refusal>> {
    let mut done = Vec::new();
    let mut still = Vec::new();
    for mut one in waiting.drain(..) {
        // Whoever is not alone begins at its second turn.
        if let std::task::Poll::Ready(result) = futures::poll!(one.as_mut()) {
            done.push(result);
            continue;
        }
        match futures::poll!(one.as_mut()) {
            std::task::Poll::Ready(result) => done.push(result),
            std::task::Poll::Pending => still.push(one),
        }
    }
    *waiting = still;
    done
}

/// As many requests as there are, of which so many come in at once; the others wait.
async fn crowd(gate: &Arc<Gate>, policy: &Arc<Policy>, name: &str, count: usize) -> (Vec<Seats>, Vec<Entering>) {
    let mut waiting: Vec<Entering> =
        (0..count).map(|_| enter(gate, policy, name, "workload-low", "alice", 1)).collect();
    let seated = settle(&mut waiting).await.into_iter().filter_map(Result::ok).collect();
    (seated, waiting)
}

#[tokio::test]
async fn one_cluster_leaves_seats_for_the_next() {
    let (gate, policy) = (Gate::new(settings(64)), policy(64));
    let (a, _waiting) = crowd(&gate, &policy, "a", 100).await;
    assert!(a.len() > 24 && a.len() <= 48, "{}", a.len());
    let (b, _waiting_too) = crowd(&gate, &policy, "b", 1).await;
    assert_eq!(b.len(), 1, "somebody else is let in at once");
}

#[tokio::test]
async fn clusters_that_want_more_than_there_is_get_equally_many() {
    let (gate, policy) = (Gate::new(settings(60)), policy(60));
    let (mut a, mut a_waits) = crowd(&gate, &policy, "a", 300).await;
    let (mut b, mut b_waits) = crowd(&gate, &policy, "b", 100).await;
    let (mut c, mut c_waits) = crowd(&gate, &policy, "c", 100).await;
    for _ in 0..60 {
        // Whoever has most ends one.
        let most = [&mut a, &mut b, &mut c].into_iter().max_by_key(|seats| seats.len()).expect("there are some");
        drop(most.pop());
        for (seated, waiting) in [(&mut a, &mut a_waits), (&mut b, &mut b_waits), (&mut c, &mut c_waits)] {
            seated.extend(settle(waiting).await.into_iter().filter_map(Result::ok));
        }
    }
    let (most, least) = (a.len().max(b.len()).max(c.len()), a.len().min(b.len()).min(c.len()));
    assert!(most - least <= 1, "{} {} {}", a.len(), b.len(), c.len());
}

#[tokio::test]
async fn clusters_that_are_not_there_count_as_one() {
    let (gate, policy) = (Gate::new(settings(16)), policy(16));
    let level = policy.level("workload-low").expect("a level").clone();
    let flow = || 0;
    let mut seated = Vec::new();
    for _ in 0..100 {
        let ask = Ask { name: None, policy: &policy, level: &level, flow: &flow, seats: 1 };
        let mut entering = Box::pin(gate.enter(ask));
        match futures::poll!(entering.as_mut()) {
            std::task::Poll::Ready(Ok(seats)) => seated.push(seats),
            _ => break,
        }
    }
    assert!(seated.len() <= 12, "{}", seated.len());
}

#[tokio::test]
async fn levels_divide_what_the_cluster_has() {
    let (gate, policy) = (Gate::new(settings(64)), policy(64));
    let (_seated, _waiting) = crowd(&gate, &policy, "a", 300).await;
    // One that keeps seats to itself has them, however many want others.
    let mut leases = vec![enter(&gate, &policy, "a", "leader-election", "controller", 1)];
    assert_eq!(settle(&mut leases).await.len(), 1);
    // What is called exempt in a cluster is first among its own only.
    let mut exempt: Vec<Entering> = (0..64).map(|_| enter(&gate, &policy, "a", "exempt", "root", 1)).collect();
    let seated = settle(&mut exempt).await;
    assert!(seated.len() < 64 && gate.load().seats < 64, "{}", seated.len());
}

#[tokio::test]
async fn flows_of_a_level_take_turns() {
    let (gate, policy) = (Gate::new(settings(8)), policy(8));
    let (mut seated, mut waiting) = crowd(&gate, &policy, "a", 40).await;
    let mut other = vec![enter(&gate, &policy, "a", "workload-low", "bob", 1)];
    assert!(settle(&mut other).await.is_empty());
    let mut turns = 0;
    while settle(&mut other).await.is_empty() {
        drop(seated.pop());
        seated.extend(settle(&mut waiting).await.into_iter().filter_map(Result::ok));
        turns += 1;
        assert!(turns < 20, "the one who came last waits for all others");
    }
}

#[tokio::test]
async fn queues_are_bounded_and_what_is_refused_is_told_when_to_come_again() {
    let (gate, policy) = (Gate::new(settings(8)), policy(8));
    let mut all: Vec<Entering> = (0..1000).map(|_| enter(&gate, &policy, "a", "workload-low", "alice", 1)).collect();
    let refused: Vec<Refusal> = settle(&mut all).await.into_iter().filter_map(Result::err).collect();
    assert!(gate.load().waiting <= 64, "{:?}", gate.load());
    assert!(refused.iter().all(|refusal| refusal.reason == "queue-full" && refusal.retry_after >= 1));
    assert!(refused.len() > 900, "{}", refused.len());
}

#[tokio::test]
async fn whoever_goes_away_leaves_nothing_behind() {
    let (gate, policy) = (Gate::new(settings(8)), policy(8));
    let (seated, waiting) = crowd(&gate, &policy, "a", 50).await;
    drop(waiting);
    assert_eq!(gate.load().waiting, 0);
    drop(seated);
    assert_eq!(gate.load(), Load::default());
    let held: Vec<Held> = (0..10).filter_map(|_| gate.hold(cluster("b"), &policy).ok()).collect();
    assert_eq!((held.len(), gate.load().clusters), (10, 1));
    drop(held);
    assert_eq!(gate.load(), Load::default());
}

#[tokio::test]
async fn whoever_waits_too_long_is_refused() {
    let impatient = Settings { patience: Duration::from_millis(5), ..settings(8) };
    let (gate, policy) = (Gate::new(impatient), policy(8));
    let (_seated, mut waiting) = crowd(&gate, &policy, "a", 20).await;
    let refused = waiting.pop().expect("one that waits").await.err().expect("refused");
    assert_eq!(refused.reason, "time-out");
}

#[tokio::test]
async fn wide_requests_are_let_in_too() {
    let (gate, policy) = (Gate::new(settings(64)), policy(64));
    let level = policy.level("global-default").expect("a level").widest();
    let mut wide = vec![enter(&gate, &policy, "a", "global-default", "alice", level)];
    assert_eq!(settle(&mut wide).await.len(), 1);
    let (mut seated, mut waiting) = crowd(&gate, &policy, "a", 300).await;
    let mut wide = vec![enter(&gate, &policy, "a", "global-default", "alice", level)];
    for _ in 0..200 {
        if !settle(&mut wide).await.is_empty() {
            return;
        }
        drop(seated.pop());
        seated.extend(settle(&mut waiting).await.into_iter().filter_map(Result::ok));
    }
    panic!("it never got enough seats");
}

#[tokio::test]
async fn long_running_requests_of_one_cluster_leave_some_for_others() {
    let few = Settings { long_running: 8, ..settings(8) };
    let (gate, policy) = (Gate::new(few), policy(8));
    let a: Vec<Held> = (0..20).filter_map(|_| gate.hold(cluster("a"), &policy).ok()).collect();
    assert!(a.len() < 8, "{}", a.len());
    assert!(gate.hold(cluster("b"), &policy).is_ok());
}

#[tokio::test]
async fn a_change_of_policy_holds_for_those_under_way() {
    let (gate, old) = (Gate::new(settings(8)), policy(8));
    let (seated, waiting) = crowd(&gate, &old, "a", 20).await;
    let nothing = Configuration::default();
    let new = Arc::new(Policy::new(&nothing, &nothing, 6));
    let level = new.level("catch-all").expect("a level").clone();
    let flow = || 0;
    let mut entering =
        Box::pin(gate.enter(Ask { name: cluster("a"), policy: &new, level: &level, flow: &flow, seats: 1 }));
    let _entered = futures::poll!(entering.as_mut());
    drop(seated);
    let mut waiting = waiting;
    let mut served = 0;
    while !waiting.is_empty() && served < 20 {
        served += settle(&mut waiting).await.len();
    }
    assert!(waiting.is_empty(), "{} of a level that is gone wait for ever", waiting.len());
}
