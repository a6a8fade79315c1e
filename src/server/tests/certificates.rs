//! Certificates that are asked for in one cluster: who gets one, and where it makes somebody of its owner.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::BodyExt;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{ADMIN, TestServer};
use crate::http::Peer;
use crate::server::peers::Peers;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

fn asking(name: &str, signer: &str, organization: &str, usages: &[&str]) -> Value {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "jane");
    params.distinguished_name.push(DnType::OrganizationName, organization);
    let request = params.serialize_request(&key).expect("a request").pem().expect("PEM");
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"signerName": signer, "request": STANDARD.encode(request), "usages": usages, "expirationSeconds": 7200},
    })
}

/// Asks for a certificate and has it approved; the request once it is dealt with.
async fn approved(server: &TestServer, prefix: &str, asked: Value) -> Value {
    let mut request = server.check(ADMIN, "POST", &format!("{prefix}{REQUESTS}"), asked, 201).await;
    let path = format!("{prefix}{REQUESTS}/{}", request["metadata"]["name"].as_str().expect("a name"));
    request["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "Test", "message": "x"}]);
    server.check(ADMIN, "PUT", &format!("{path}/approval"), request, 200).await;
    for _ in 0..500 {
        let found = server.check(ADMIN, "GET", &path, Value::Null, 200).await;
        let failed = found["status"]["conditions"].as_array().is_some_and(|conditions| conditions.len() > 1);
        if found["status"]["certificate"].is_string() || failed {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{path} was not dealt with");
}

/// Who that certificate makes of somebody in a cluster: the status, and the user.
async fn user_in(server: &TestServer, prefix: &str, certificate: &[u8]) -> (u16, Value) {
    let pki = server.running.keys.get();
    let peers = Peers::new(&[&*pki.ca.certificate, &pki.clusters.certificate].join("\n"), &[]).expect("CAs");
    let peer: Peer = peers.recognise(Some(&[CertificateDer::from_pem_slice(certificate).expect("a certificate")]));
    assert!(peer.certificate.is_some());
    let path = format!("{prefix}/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let request = Request::post(path).header("content-type", "application/json").extension(peer);
    let sent = request.body(Body::from(json!({}).to_string())).expect("a request");
    let (parts, body) = server.running.service().oneshot(sent).await.expect("infallible").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    (parts.status.as_u16(), answer["status"]["userInfo"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_holds_in_the_cluster_where_it_was_asked_for_alone() {
    let server = TestServer::with_clusters(&["team-a", "team-b"]).await;
    for own in ["/clusters/team-a", ""] {
        let asked = asking("jane", "kubernetes.io/kube-apiserver-client", "devs", &["client auth"]);
        let signed = approved(&server, own, asked).await;
        assert_eq!(signed["status"]["conditions"].as_array().map(Vec::len), Some(1), "{signed}");
        let certificate = STANDARD.decode(signed["status"]["certificate"].as_str().expect("one")).expect("base64");
        for prefix in ["/clusters/team-a", "/clusters/team-b", ""] {
            let (status, user) = user_in(&server, prefix, &certificate).await;
            if prefix == own {
                assert_eq!((status, &user["username"]), (201, &json!("jane")), "{prefix}");
                assert_eq!(user["groups"], json!(["devs", "system:authenticated"]));
            } else {
                assert_eq!(status, 401, "one of {own:?} in {prefix:?}");
            }
        }
        if own.is_empty() {
            continue;
        }
        // Nor is it worth anything in a later cluster of that name.
        server.delete_cluster("team-a").await;
        server.create_cluster(ADMIN, "team-a").await;
        assert_eq!(user_in(&server, own, &certificate).await.0, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_signer_does_not_sign_fails_and_says_why() {
    let server = TestServer::with_clusters(&["team-a"]).await;
    let client = "kubernetes.io/kube-apiserver-client";
    let asked = asking("server", client, "devs", &["server auth"]);
    let failed = approved(&server, "/clusters/team-a", asked).await;
    let condition = &failed["status"]["conditions"][1];
    assert_eq!((&condition["type"], &condition["reason"]), (&json!("Failed"), &json!("SignerValidationFailure")));
    assert_eq!(condition["message"], "invalid usage for client certificate: server auth");
    assert!(condition["lastUpdateTime"].is_string() && condition["lastTransitionTime"].is_string());
    let kubelet = asking("kubelet", "kubernetes.io/kube-apiserver-client-kubelet", "devs", &["client auth"]);
    let failed = approved(&server, "/clusters/team-a", kubelet).await;
    assert_eq!(failed["status"]["conditions"][1]["message"], "subject organization is not system:nodes");
    // The group whose members may do everything is nobody's to ask for.
    let masters = asking("masters", client, "system:masters", &["client auth"]);
    server.check(ADMIN, "POST", &format!("/clusters/team-a{REQUESTS}"), masters, 403).await;
}
