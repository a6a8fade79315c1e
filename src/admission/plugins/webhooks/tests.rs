//! Webhooks against a server in this process, over TLS: what they are asked, and what their answers do.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::admission::testing::{Bench, context, creation, made};
use crate::admission::{AdmissionPlugin, Attributes, Chain, Operation, Options};
use crate::authz::AlwaysAllow;
use crate::outbound::{Addresses, Outbound, ServiceAddress, Services};

type Answerer = dyn Fn(&Value) -> Response<Full<Bytes>> + Send + Sync;

/// A webhook: where it is, whom it trusts to sign, and what it was asked.
struct Server {
    address: SocketAddr,
    ca: String,
    asked: Arc<Mutex<Vec<Value>>>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Server {
    async fn start(answer: impl Fn(&Value) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let secret = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key");
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], secret)
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (acceptor, answer, kept) = (TlsAcceptor::from(Arc::new(tls)), Arc::new(answer), asked.clone());
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer, kept) = (acceptor.clone(), answer.clone() as Arc<Answerer>, kept.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (answer, kept) = (answer.clone(), kept.clone());
                        async move {
                            let body = request.into_body().collect().await?.to_bytes();
                            let review: Value = serde_json::from_slice(&body).unwrap_or_default();
                            kept.lock().push(review["request"].clone());
                            Ok::<_, hyper::Error>(answer(&review))
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, ca: STANDARD.encode(key.cert.pem()), asked, running }
    }

    fn hook(&self, name: &str, change: Value) -> Value {
        let mut hook = json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
            "timeoutSeconds": 10, "clientConfig": {"url": format!("https://{}/check", self.address), "caBundle": self.ca},
            "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        });
        for (field, value) in change.as_object().expect("an object") {
            hook[field] = value.clone();
        }
        hook
    }
}

fn answered(review: &Value, change: Value) -> Response<Full<Bytes>> {
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    for (field, value) in change.as_object().expect("an object") {
        response[field] = value.clone();
    }
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Response::new(Full::from(answer.to_string()))
}

fn patching(review: &Value, patch: Value) -> Response<Full<Bytes>> {
    answered(review, json!({"patch": STANDARD.encode(patch.to_string()), "patchType": "JSONPatch"}))
}

fn calling(outbound: Outbound) -> WebhookMeans {
    WebhookMeans { caller: Arc::new(Caller::new(outbound)), authorizer: Arc::new(AlwaysAllow) }
}

fn any_address() -> WebhookMeans {
    calling(Outbound { addresses: Addresses::Any, services: None })
}

async fn configure(bench: &Bench, role: Role, hooks: Vec<Value>) {
    let (kind, resource) = match role {
        Role::Mutating => ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        Role::Validating => ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    };
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "c"}, "webhooks": hooks});
    bench.put(GROUP, resource, configuration).await;
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}, "data": data})
}

/// What a validating webhook does to a new object.
async fn validate(hook: Value, means: WebhookMeans) -> Result<(), String> {
    let bench = Bench::new().await;
    configure(&bench, Role::Validating, vec![hook]).await;
    bench.validate(&ValidatingAdmissionWebhook::new(&bench.store, means), map(json!({}))).await
}

#[tokio::test]
async fn a_webhook_sees_the_write_and_may_warn_and_refuse() {
    let server = Server::start(|review| {
        let is_bad = review["request"]["object"]["data"]["bad"].is_string();
        let status = json!({"code": 403, "reason": "Forbidden", "message": "not here"});
        answered(review, json!({"allowed": !is_bad, "status": status, "warnings": ["careful"]}))
    })
    .await;
    let bench = Bench::new().await;
    let plugin = ValidatingAdmissionWebhook::new(&bench.store, any_address());
    configure(&bench, Role::Validating, vec![server.hook("a.example.com", json!({}))]).await;
    assert_eq!(bench.validate(&plugin, map(json!({"a": "b"}))).await, Ok(()));
    assert_eq!(bench.cx.take_warnings(), ["careful"]);
    let denied = "admission webhook \"a.example.com\" denied the request: not here";
    assert_eq!(bench.validate(&plugin, map(json!({"bad": "x"}))).await, Err(denied.to_owned()));
    let asked = server.asked.lock();
    let expected = json!({
        "uid": asked[0]["uid"], "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "m", "namespace": "n", "operation": "CREATE", "dryRun": false,
        "userInfo": {"username": "somebody", "groups": ["devs"]}, "object": map(json!({"a": "b"})), "oldObject": null,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    });
    assert_eq!(asked[0], expected);
}

#[tokio::test]
async fn the_webhooks_of_another_cluster_are_not_asked() {
    let server = Server::start(|review| answered(review, json!({"allowed": false}))).await;
    let bench = Bench::new().await;
    configure(&bench, Role::Validating, vec![server.hook("a.example.com", json!({}))]).await;
    let elsewhere = Bench { store: bench.store.clone(), cx: context("other") };
    let plugin = ValidatingAdmissionWebhook::new(&bench.store, any_address());
    assert_eq!(elsewhere.validate(&plugin, map(json!({}))).await, Ok(()));
    assert!(bench.validate(&plugin, map(json!({}))).await.is_err());
    assert_eq!(server.asked.lock().len(), 1);
}

#[tokio::test]
async fn a_webhook_for_another_version_sees_the_object_in_that_version() {
    let server = Server::start(|review| answered(review, json!({}))).await;
    let rules = json!([{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v2"], "resources": ["configmaps"]}]);
    assert_eq!(validate(server.hook("a.example.com", json!({"rules": rules})), any_address()).await, Ok(()));
    {
        let asked = server.asked.lock();
        assert_eq!(asked[0]["object"]["apiVersion"], "v2");
        assert_eq!((&asked[0]["kind"]["version"], &asked[0]["requestKind"]["version"]), (&json!("v2"), &json!("v1")));
    }
    let exact = server.hook("a.example.com", json!({"rules": rules, "matchPolicy": "Exact"}));
    assert_eq!(validate(exact, any_address()).await, Ok(()));
    assert_eq!(server.asked.lock().len(), 1);
}

#[tokio::test]
async fn answers_that_are_none_fail_the_write_or_are_passed_over() {
    let big = "x".repeat(5 << 20);
    let answers: Vec<(&str, Box<Answerer>)> = vec![
        // In YAML that is a boolean.
        ("couldn't get version/kind", Box::new(|_| Response::new(Full::from("no")))),
        ("the answer is not JSON", Box::new(|_| Response::new(Full::from("{no")))),
        ("webhook response was absent", Box::new(|_| Response::new(Full::from("{}")))),
        ("expected response.uid=", Box::new(|review| answered(review, json!({"uid": "other"})))),
        ("validating webhook may not return response.patch", Box::new(|review| patching(review, json!([])))),
        ("length limit exceeded", Box::new(move |_| Response::new(Full::from(big.clone())))),
        ("failed to call webhook: an error on the server (\"\") has prevented the request from succeeding", {
            let elsewhere = || Response::builder().status(302).header("location", "https://127.0.0.1:1/");
            Box::new(move |_| elsewhere().body(Full::default()).expect("a response"))
        }),
    ];
    for (why, answer) in answers {
        let server = Server::start(move |review| answer(review)).await;
        let error = validate(server.hook("a.example.com", json!({})), any_address()).await.expect_err(why);
        assert!(error.starts_with("Internal error occurred: failed calling webhook \"a.example.com\": "), "{error}");
        assert!(error.contains(why), "{error}");
        let ignored = server.hook("a.example.com", json!({"failurePolicy": "Ignore"}));
        assert_eq!(validate(ignored, any_address()).await, Ok(()), "{why}");
        assert_eq!(server.asked.lock().len(), 2, "{why}");
    }
}

#[tokio::test]
async fn places_that_cannot_or_must_not_be_called_are_told() {
    let server = Server::start(|review| answered(review, json!({}))).await;
    let nobody = json!({"clientConfig": {"url": "https://127.0.0.1:1/x", "caBundle": server.ca}});
    let service =
        json!({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/p"}, "caBundle": server.ca}});
    let stranger = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a certificate").cert.pem();
    let untrusted = json!({"clientConfig": {"url": format!("https://{}/", server.address),
        "caBundle": STANDARD.encode(stranger)}});
    for (change, means, why) in [
        (nobody, any_address(), "Post \"https://127.0.0.1:1/x?timeout=10s\": dial tcp 127.0.0.1:1: "),
        (service, any_address(), "nothing in this server provides service \"n/s\""),
        (untrusted, any_address(), "tls: "),
        (json!({}), calling(Outbound::default()), "the server does not call this address"),
    ] {
        let error = validate(server.hook("a.example.com", change), means).await.expect_err(why);
        assert!(error.contains(why), "{error}");
    }
    assert!(server.asked.lock().is_empty());
}

#[tokio::test]
async fn a_service_is_called_where_it_is_under_its_own_name() {
    struct Here(SocketAddr);
    impl Services for Here {
        fn find(
            &self,
            cluster: &LogicalClusterName,
            ns: &str,
            name: &str,
            port: u16,
        ) -> Result<ServiceAddress, String> {
            assert_eq!((cluster.as_str(), ns, name, port), ("one", "n", "s", 443));
            Ok(ServiceAddress { host: self.0.ip().to_string(), port: self.0.port() })
        }
    }
    let server = Server::start(|review| answered(review, json!({}))).await;
    let outbound = Outbound { addresses: Addresses::Remote, services: Some(Arc::new(Here(server.address))) };
    let client = json!({"service": {"name": "s", "namespace": "n"}, "caBundle": server.ca});
    let hook = server.hook("a.example.com", json!({"clientConfig": client}));
    let error = validate(hook, calling(outbound)).await.expect_err("has a certificate of another name");
    assert!(error.contains("tls: ") && error.contains("s.n.svc"), "{error}");
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_in_time_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    let server = Server::start(|review| answered(review, json!({}))).await;
    let hook = server.hook("a.example.com", json!({"clientConfig": {"url": url, "caBundle": server.ca}}));
    let bench = Bench::new().await;
    configure(&bench, Role::Validating, vec![hook]).await;
    let webhooks = Webhooks::new(&bench.store, "validatingwebhookconfigurations", any_address(), Role::Validating);
    let configurations = webhooks.of(&bench.cx.cluster);
    let soon = Instant::now() + Duration::from_millis(20);
    let outcome = webhooks.caller.call(&bench.cx.cluster, &configurations[0].hooks[0], &json!({}), soon).await;
    assert!(outcome.is_err_and(|why| why.contains("context deadline exceeded")));
}

#[tokio::test]
async fn a_dry_run_is_not_shown_to_webhooks_with_side_effects() {
    let server = Server::start(|review| answered(review, json!({}))).await;
    let bench = Bench::new().await;
    let hooks = vec![server.hook("a.example.com", json!({"sideEffects": "Some"}))];
    configure(&bench, Role::Validating, hooks).await;
    let plugin = ValidatingAdmissionWebhook::new(&bench.store, any_address());
    let object = made(map(json!({})));
    let options = atoll_api::options::WriteOptions { dry_run: true, ..Default::default() };
    let attributes = Attributes { dry_run: true, options: Options::Write(options), ..creation(&object) };
    let error = plugin.validate(&bench.cx, &attributes, Some(&object), None).await.expect_err("cannot be asked");
    assert_eq!(error.status.message, "admission webhook \"a.example.com\" does not support dry run");
    assert!(server.asked.lock().is_empty());
}

#[tokio::test]
async fn a_patch_changes_the_object_and_who_wants_looks_again() {
    let first = Server::start(|review| {
        let seen = review["request"]["object"]["data"]["later"].is_string();
        patching(review, json!([{"op": "add", "path": "/data/first", "value": if seen { "saw later" } else { "x" }}]))
    })
    .await;
    let later = Server::start(|review| {
        let patch = json!([{"op": "add", "path": "/data/later", "value": "y"},
            {"op": "add", "path": "/unknown", "value": 1}]);
        patching(review, patch)
    })
    .await;
    let bench = Bench::new().await;
    let hooks = vec![
        first.hook("a.example.com", json!({"reinvocationPolicy": "IfNeeded"})),
        later.hook("b.example.com", json!({"reinvocationPolicy": "Never"})),
    ];
    configure(&bench, Role::Mutating, hooks).await;
    let chain = Chain::new(vec![Arc::new(MutatingAdmissionWebhook::new(&bench.store, any_address()))]);
    let mut object = made(map(json!({})));
    let attributes = creation(&object);
    chain.mutate(&bench.cx, &attributes, &mut object, None).await.expect("is let through");
    assert_eq!(object.get("data"), Some(&json!({"first": "saw later", "later": "y"})));
    assert_eq!(object.get("unknown"), None);
    assert_eq!((first.asked.lock().len(), later.asked.lock().len()), (2, 1));
}

#[tokio::test]
async fn patches_that_do_not_fit_fail_the_write() {
    for (patch, why) in [
        (json!([{"op": "remove", "path": "/nothing"}]), "Unable to remove nonexistent key: nothing: missing value"),
        (json!([{"op": "replace", "path": "", "value": 1}]), "replace operation value must be object or array"),
        (json!({"op": "x"}), "received undecodable patch"),
    ] {
        let shown = patch.to_string();
        let server = Server::start(move |review| patching(review, patch.clone())).await;
        let bench = Bench::new().await;
        configure(&bench, Role::Mutating, vec![server.hook("a.example.com", json!({}))]).await;
        let plugin = MutatingAdmissionWebhook::new(&bench.store, any_address());
        let error = bench.mutate(&plugin, map(json!({}))).await.expect_err(why);
        assert!(error.contains(why), "{shown}: {error}");
    }
}

#[tokio::test]
async fn a_deletion_is_shown_but_not_changed() {
    let server = Server::start(|review| patching(review, json!([{"op": "add", "path": "/x", "value": 1}]))).await;
    let bench = Bench::new().await;
    configure(&bench, Role::Mutating, vec![server.hook("a.example.com", json!({}))]).await;
    let plugin = MutatingAdmissionWebhook::new(&bench.store, any_address());
    let old = made(map(json!({})));
    let attributes = Attributes { operation: Operation::Delete, ..creation(&old) };
    let error = plugin.validate(&bench.cx, &attributes, None, Some(&old)).await.expect_err("cannot be changed");
    assert!(error.status.message.contains("attempted to modify the object"), "{error}");
    assert_eq!(server.asked.lock()[0]["oldObject"], map(json!({})));
}

#[tokio::test]
async fn conditions_decide_who_is_asked() {
    let condition = |expression: &str| json!({"matchConditions": [{"name": "c", "expression": expression}]});
    let failing = "oldObject.nothing == 1";
    for (expression, policy, expected, asked) in [
        ("object.metadata.name == 'm' && request.operation == 'CREATE'", "Fail", Ok(()), 1),
        ("authorizer.requestResource.check('get').allowed()", "Fail", Ok(()), 1),
        ("object.metadata.name == 'x'", "Fail", Ok(()), 0),
        (failing, "Ignore", Ok(()), 0),
        (
            failing,
            "Fail",
            Err(
                "configmaps \"m\" is forbidden: expression 'oldObject.nothing == 1' resulted in error: no such key: nothing",
            ),
            0,
        ),
    ] {
        let server = Server::start(|review| answered(review, json!({}))).await;
        let mut hook = server.hook("a.example.com", condition(expression));
        hook["failurePolicy"] = policy.into();
        assert_eq!(validate(hook, any_address()).await, expected.map_err(str::to_owned), "{expression}");
        assert_eq!(server.asked.lock().len(), asked, "{expression}");
    }
}
