//! Accepts the names of definitions, and thereby serves what they define, before the write that asks for it is answered.
//!
//! The rules are those of apiextensions' naming and establishing controllers.

use std::sync::Arc;

use atoll_api::options::WriteOptions;
use atoll_api::{ClusterScope, GroupResource, Object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::approval;
use crate::registry::follow::Follower;
use crate::registry::resource::Part;
use crate::registry::{ObjectName, Registry, Target};
use crate::request::RequestContext;
use crate::resources::custom::{Names, see_names};
use crate::resources::read;
use crate::resources::surface::Surfaces;
use crate::storage::{Entry, Key, ListQuery};

/// The field manager that kube-apiserver writes conditions under.
const MANAGER: &str = "kube-apiserver";
/// The finalizer by which objects go before their definition.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Follows definitions.
pub(in crate::resources) struct AcceptNames(pub(in crate::resources) Arc<Surfaces>);

/// The names that other definitions of a group have been granted.
#[derive(Default)]
struct Taken {
    resources: Vec<String>,
    kinds: Vec<String>,
}

impl Follower for AcceptNames {
    fn follows(&self, part: Part) -> bool {
        part == Part::Status
    }

    fn follow<'a>(
        &'a self,
        cx: &'a RequestContext,
        registry: &'a Registry,
        target: &'a Target,
        name: &'a ObjectName<'a>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // The definition itself first; names it has given up may then be what others wait for.
            let mut waiting = Vec::new();
            let mut taken = Taken::default();
            for other in group_of(cx, registry, target, name.name) {
                see_names(&other, |names| {
                    taken.add(names);
                    waiting.extend(names.is_waiting.then(|| other.name().to_owned()));
                });
            }
            let mut is_new = false;
            if let Some(entry) = stored(cx, registry, target, name.name) {
                see_names(&entry, |names| is_new = names.is_waiting);
            }
            // What is new has its status to get, and need not be looked at first.
            match is_new {
                true => accept(cx, registry, target, name.name, &taken).await,
                false => settle(cx, registry, target, name.name, &taken).await,
            }
            end_if_empty(cx, registry, target, name).await;
            for other in waiting {
                let mut taken = Taken::default();
                for other in group_of(cx, registry, target, &other) {
                    see_names(&other, |names| taken.add(names));
                }
                settle(cx, registry, target, &other, &taken).await;
            }
            self.0.prepare(&cx.cluster, name.name);
        })
    }
}

/// The other definitions of the group that a definition's name ends with.
fn group_of(cx: &RequestContext, registry: &Registry, target: &Target, name: &str) -> Vec<Arc<Entry>> {
    let Some((_, group)) = name.split_once('.') else { return Vec::new() };
    let scope = ClusterScope::One(cx.cluster.clone());
    let of_group =
        |entry: &Entry| entry.name() != name && entry.name().split_once('.').is_some_and(|(_, other)| other == group);
    let query = ListQuery { filter: Some(&of_group), ..ListQuery::new(&target.descriptor().resource, &scope) };
    registry.store().list(query).map(|page| page.entries).unwrap_or_default()
}

/// A definition as it is stored.
fn stored(cx: &RequestContext, registry: &Registry, target: &Target, name: &str) -> Option<Arc<Entry>> {
    registry.store().get(&Key::new(target.descriptor().resource.clone(), cx.cluster.clone(), "", name))
}

fn told<'a>(definition: &'a Object, kind: &str) -> Option<&'a Value> {
    read::condition(definition.at(&["status", "conditions"])?, kind)
}

/// Writes the status a definition should have beside names that are taken, if it has another.
async fn settle(cx: &RequestContext, registry: &Registry, target: &Target, name: &str, taken: &Taken) {
    let Ok(definition) = registry.get_object(cx, target, &ObjectName { namespace: "", name }) else { return };
    if settled(&definition, taken, cx) != definition {
        accept(cx, registry, target, name, taken).await;
    }
}

/// Writes the status a definition should have.
async fn accept(cx: &RequestContext, registry: &Registry, target: &Target, name: &str, taken: &Taken) {
    let name = ObjectName { namespace: "", name };
    let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
    let done =
        registry.change(cx, target, &name, "status", &options, |definition| Ok(settled(definition, taken, cx))).await;
    if let Err(error) = done {
        tracing::warn!(cluster = %cx.cluster, definition = name.name, %error, "its names could not be accepted");
    }
}

impl Taken {
    fn add(&mut self, names: &Names) {
        self.resources.extend(names.resources.iter().cloned());
        self.kinds.extend(names.kinds.iter().cloned());
    }
}

/// Ends a definition whose deletion has begun, if it has no objects: there is nothing to wait for. No new ones can come, for
/// creations are committed only by a definition that is not being deleted. Those with objects are a controller's.
async fn end_if_empty(cx: &RequestContext, registry: &Registry, target: &Target, name: &ObjectName<'_>) {
    if !stored(cx, registry, target, name.name).is_some_and(|entry| entry.is_deleting()) {
        return;
    }
    let Ok(definition) = registry.get_object(cx, target, name) else { return };
    if definition.deletion_timestamp().is_none() || !definition.finalizers().contains(&CLEANUP) {
        return;
    }
    let spec = read::field(&definition, "spec");
    let resource = GroupResource::new(read::text(&spec["group"]), read::text(&spec["names"]["plural"]));
    let scope = ClusterScope::One(cx.cluster.clone());
    let query = ListQuery { limit: Some(1), ..ListQuery::new(&resource, &scope) };
    if registry.store().list(query).map_or(true, |page| !page.entries.is_empty()) {
        return;
    }
    let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
    let done = registry.change(cx, target, name, "", &options, |definition| {
        let mut definition = definition.clone();
        let kept = definition.finalizers().into_iter().filter(|finalizer| *finalizer != CLEANUP).map(str::to_owned);
        definition.set_finalizers(kept.collect());
        let now = crate::registry::seconds(cx.now);
        let gone = "removed all instances";
        set_condition(&mut definition, condition("Terminating", "False", "InstanceDeletionCompleted", gone, &now));
        Ok(definition)
    });
    if let Err(error) = done.await {
        tracing::warn!(cluster = %cx.cluster, definition = name.name, %error, "it could not be ended");
    }
}

/// The definition with the names it is granted and the conditions that tell of it.
fn settled(definition: &Object, taken: &Taken, cx: &RequestContext) -> Object {
    let mut settled = definition.clone();
    let now = crate::registry::seconds(cx.now);
    let wanted = definition.at(&["spec", "names"]).cloned().unwrap_or_default();
    let accepted = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_else(|| json!({}));
    let has_names = are_same(&wanted, &accepted);
    // Who takes the condition away has it taken away.
    if let Some(approval) = approval::told(definition, &now)
        && (!has_names || told(definition, approval::CONDITION).is_some())
    {
        set_condition(&mut settled, approval);
    }
    let is_told = |kind: &str| told(definition, kind).is_some_and(|condition| condition["status"] == "True");
    // A definition that has the names it wants is not looked at again (naming_controller.go, 1.36).
    if has_names {
        if is_told("NamesAccepted") && !is_told("Established") {
            set_condition(&mut settled, established(&now));
        }
        return settled;
    }
    let (accepted, conflict) = granted(&wanted, accepted, taken);
    let names_accepted = match &conflict {
        Some((reason, message)) => condition("NamesAccepted", "False", reason, message, &now),
        None => condition("NamesAccepted", "True", "NoConflicts", "no conflicts found", &now),
    };
    // What was served once stays served under the names it has, as in Kubernetes.
    let established = match (&conflict, is_told("Established")) {
        (None, _) | (Some(_), true) => established(&now),
        (Some(_), false) => condition("Established", "False", "NotAccepted", "not all names are accepted", &now),
    };
    settled.map_mut("status").insert("acceptedNames".into(), accepted);
    set_condition(&mut settled, names_accepted);
    set_condition(&mut settled, established);
    settled
}

fn established(now: &str) -> Value {
    condition("Established", "True", "InitialNamesAccepted", "the initial names have been accepted", now)
}

/// Whether two sets of names are one, empty lists being no lists.
fn are_same(a: &Value, b: &Value) -> bool {
    let words = ["plural", "singular", "kind", "listKind"];
    words.iter().all(|field| read::text(&a[field]) == read::text(&b[field]))
        && ["shortNames", "categories"].iter().all(|field| read::list(&a[field]) == read::list(&b[field]))
}

/// The names a definition has when it has got those of the wanted ones that are free, and why it has not got the others:
/// the last reason counts. Names of its own are taken too, but for the same use.
fn granted(wanted: &Value, mut accepted: Value, taken: &Taken) -> (Value, Option<(&'static str, String)>) {
    let own = Names::of(&accepted);
    let mut conflict = None;
    for (field, reason, others, own) in [
        ("plural", "PluralConflict", &taken.resources, &own.resources),
        ("singular", "SingularConflict", &taken.resources, &own.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources, &own.resources),
        ("kind", "KindConflict", &taken.kinds, &own.kinds),
        ("listKind", "ListKindConflict", &taken.kinds, &own.kinds),
    ] {
        let (names, has) = (words(&wanted[field]), words(&accepted[field]));
        let is_free = |name: &&str| has.contains(name) || !others.iter().chain(own).any(|other| other == name);
        let clashes: Vec<String> =
            names.iter().filter(|name| !is_free(name)).map(|name| format!("{name:?} is already in use")).collect();
        match clashes.as_slice() {
            [] if wanted[field].is_null() => {
                accepted.as_object_mut().map(|map| map.remove(field));
            }
            [] => accepted[field] = wanted[field].clone(),
            [one] => conflict = Some((reason, one.clone())),
            many => conflict = Some((reason, format!("[{}]", many.join(", ")))),
        }
    }
    match &wanted["categories"] {
        Value::Null => {
            accepted.as_object_mut().map(|map| map.remove("categories"));
        }
        categories => accepted["categories"] = categories.clone(),
    }
    for field in ["kind", "plural"] {
        if accepted[field].is_null() {
            accepted[field] = "".into();
        }
    }
    (accepted, conflict)
}

/// The name or names in a field.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(name) => vec![name],
        other => read::strings(other),
    }
}

/// A condition of a definition.
pub(super) fn condition(kind: &str, status: &str, reason: &str, message: &str, now: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now})
}

/// Puts a condition in the place of the one of its type; the time changes only with the status.
pub(super) fn set_condition(definition: &mut Object, mut wanted: Value) {
    let list = definition.map_mut("status").entry("conditions").or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    let Value::Array(conditions) = list else { return };
    match conditions.iter_mut().find(|known| known["type"] == wanted["type"]) {
        None => conditions.push(wanted),
        Some(known) => {
            if known["status"] == wanted["status"] {
                wanted["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = wanted;
        }
    }
}

/// Adds the finalizer.
pub(super) fn add_finalizer(definition: &mut Object) {
    let mut finalizers: Vec<String> = definition.finalizers().into_iter().map(str::to_owned).collect();
    if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
        definition.set_finalizers(finalizers);
    }
}

#[cfg(test)]
mod tests {
    use atoll_api::{LogicalClusterName, UserInfo};

    use super::*;

    fn definition(plural: &str, kind: &str) -> Object {
        let definition = json!({
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"names": {"plural": plural, "singular": plural, "kind": kind, "listKind": format!("{plural}List")}},
        });
        Object::from_value(definition).expect("an object")
    }

    #[test]
    fn a_kind_that_is_taken_is_not_accepted_and_the_rest_is() {
        let cx = RequestContext::new(LogicalClusterName::root(), UserInfo::default(), jiff::Timestamp::UNIX_EPOCH);
        let first = settled(&definition("things", "Thing"), &Taken::default(), &cx);
        assert_eq!(told(&first, "Established").expect("told")["status"], "True");
        let mut taken = Taken::default();
        taken.add(&Names::read(Value::Object(first.0.clone()).to_string().as_bytes()));
        let second = settled(&definition("others", "Thing"), &taken, &cx);
        let condition = told(&second, "NamesAccepted").expect("told");
        assert_eq!(
            (&condition["reason"], &condition["message"]),
            (&json!("KindConflict"), &json!("\"Thing\" is already in use"))
        );
        assert_eq!(told(&second, "Established").expect("told")["status"], "False");
        assert_eq!(second.at(&["status", "acceptedNames", "plural"]), Some(&json!("others")));
        assert_eq!(
            settled(&second, &Taken::default(), &cx).at(&["status", "acceptedNames", "kind"]),
            Some(&json!("Thing"))
        );
    }
}
