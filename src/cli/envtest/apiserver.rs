//! The stand-in for `kube-apiserver`: one cluster with all kinds, in memory, with the certificates and at the port that
//! the flags name.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::Failure;
use super::super::serve::{LogFormat, flow_control, start_log};
use super::flags::{Asked, Flag, Given, heeded, passed_over, read, refused};
use super::{flags, told_to_stop};
use crate::authn::AnonymousAccess;
use crate::authn::signed::Issuer;
use crate::authz::AlwaysAllow;
use crate::outbound::{Addresses, Outbound};
use crate::resources::AddressRange;
use crate::server::pki::Pair;
use crate::server::{Builder, Controllers, Server};

const IN_MEMORY: &str = "objects are kept in memory, and the server needs no other";
const NO_SUCH_LOGIN: &str = "there is no such way to recognise users";

const FLAGS: &[Flag] = &[
    heeded("bind-address", "the address to serve HTTPS at"),
    heeded("secure-port", "the port to serve HTTPS at"),
    heeded("cert-dir", "where apiserver.crt and apiserver.key are, unless they are named"),
    heeded("tls-cert-file", "the serving certificate"),
    heeded("tls-private-key-file", "its key"),
    heeded("client-ca-file", "the CA whose client certificates are believed"),
    heeded("token-auth-file", "static users: token,user,uid,\"group1,group2\""),
    heeded("anonymous-auth", "whether requests without credentials are served"),
    heeded("authorization-mode", "RBAC, Node, AlwaysAllow"),
    heeded("service-account-issuer", "the issuer of the tokens of service accounts"),
    heeded("service-account-key-file", "keys whose signatures on such tokens are believed"),
    heeded("service-account-signing-key-file", "the key that signs them"),
    heeded("service-cluster-ip-range", "the addresses that services have"),
    heeded("disable-admission-plugins", "admission plugins that do not run"),
    heeded("max-requests-inflight", "how many requests that read are served at a time"),
    heeded("max-mutating-requests-inflight", "how many requests that write are served at a time"),
    heeded("enable-priority-and-fairness", "whether requests wait for their turn"),
    heeded("atoll-controllers", "whether garbage is collected and deleted namespaces are emptied (Atoll's own flag)"),
    passed_over("etcd-servers", IN_MEMORY),
    passed_over("etcd-prefix", IN_MEMORY),
    passed_over("etcd-cafile", IN_MEMORY),
    passed_over("etcd-certfile", IN_MEMORY),
    passed_over("etcd-keyfile", IN_MEMORY),
    passed_over("storage-backend", IN_MEMORY),
    passed_over("storage-media-type", IN_MEMORY),
    passed_over("watch-cache", "reads are always answered from memory"),
    passed_over("service-node-port-range", "node ports are those of Kubernetes' default range"),
    passed_over("advertise-address", "there is no service kubernetes in the cluster"),
    passed_over("endpoint-reconciler-type", "there is no service kubernetes in the cluster"),
    passed_over("allow-privileged", "privileged containers are always allowed, since none is run"),
    passed_over("enable-admission-plugins", "the plugins Kubernetes has by default always run, unless disabled"),
    passed_over("api-audiences", "tokens are meant for https://kubernetes.default.svc"),
    passed_over("insecure-port", "there is no insecure port, as in Kubernetes since 1.24"),
    passed_over("feature-gates", "what is served is Kubernetes 1.36 with its defaults"),
    passed_over("runtime-config", "what is served is Kubernetes 1.36 with its defaults"),
    passed_over("profiling", "there is no profile to be had"),
    passed_over("v", "the variable ATOLL_LOG says how much is logged"),
    passed_over("vmodule", "the variable ATOLL_LOG says how much is logged"),
    refused("authentication-token-webhook-config-file", NO_SUCH_LOGIN),
    refused("authentication-config", NO_SUCH_LOGIN),
    refused("oidc-issuer-url", NO_SUCH_LOGIN),
    refused("requestheader-client-ca-file", NO_SUCH_LOGIN),
    refused("authorization-config", "only RBAC and AlwaysAllow are there"),
    refused("authorization-webhook-config-file", "only RBAC and AlwaysAllow are there"),
    refused("admission-control-config-file", "admission plugins have no settings"),
    refused("encryption-provider-config", "objects are kept in memory, and are not encrypted"),
    refused("audit-log-path", "there is no audit log"),
    refused("audit-policy-file", "there is no audit log"),
];

/// How long requests under way may take when the server stops; suites do not wait for it.
const GRACE: Duration = Duration::from_secs(1);

/// Runs the API server until it is told to stop.
pub(super) async fn run(arguments: &[String]) -> Result<(), Failure> {
    let given = match read(FLAGS, arguments)? {
        Asked::Help => {
            print!("{}", flags::help(FLAGS));
            return Ok(());
        }
        Asked::Version => {
            println!("Kubernetes v1.36.0");
            return Ok(());
        }
        Asked::Run(given) => given,
    };
    start_log(&std::env::var("ATOLL_LOG").unwrap_or_else(|_| "warn".to_owned()), LogFormat::Text)?;
    for sentence in &given.passed_over {
        eprintln!("{sentence}");
    }
    let cannot = |error| Failure::because("the server cannot start", error);
    let server = builder(&given)?.build().await.map_err(cannot)?;
    let running = server.start().await.map_err(cannot)?;
    println!("Atoll serves {} in place of kube-apiserver", running.url());
    told_to_stop().await?;
    running.stop().await;
    Ok(())
}

/// What the flags ask for.
fn builder(given: &Given) -> Result<Builder, Failure> {
    let mut builder = Server::builder()
        .single_cluster()
        .resources(["all"])
        .listen(address(given)?)
        .grace_period(GRACE)
        // The webhooks of a suite are on the machine it runs on.
        .outbound(Outbound { addresses: Addresses::Any, ..Outbound::default() })
        .without_admission(given.list("disable-admission-plugins"))
        .controllers(match given.last("atoll-controllers") {
            Some("true") => Controllers::All,
            _ => Controllers::ApiServer,
        });
    if let Some(pair) = serving_certificate(given)? {
        builder = builder.serving_certificate(pair);
    }
    if let Some(file) = given.last("client-ca-file") {
        builder = builder.client_ca(text(Path::new(file))?);
    }
    if let Some(file) = given.last("token-auth-file") {
        builder = builder.token_auth_file(file);
    }
    let number = |flag| given.last(flag).and_then(|number| number.parse().ok()).filter(|number| *number > 0);
    let fair = given.last("enable-priority-and-fairness") != Some("false");
    let (reading, writing) = (number("max-requests-inflight"), number("max-mutating-requests-inflight"));
    builder = builder.flow_control(flow_control(reading, writing, fair));
    if given.last("anonymous-auth") == Some("false") {
        builder = builder.anonymous(AnonymousAccess::Refused);
    }
    // Of two ranges the first is that of version 4, which is the one that there is.
    if let Some(range) = given.list("service-cluster-ip-range").first().and_then(|range| AddressRange::parse(range)) {
        builder = builder.service_addresses(range);
    }
    // Of several issuers the first is that of new tokens.
    if let Some(issuer) = given.list("service-account-issuer").first() {
        builder = builder.token_issuer(Issuer::Fixed((*issuer).to_owned()));
    }
    if let Some(file) = given.last("service-account-signing-key-file") {
        let others = given.list("service-account-key-file").into_iter().map(public_key);
        builder = builder.token_keys(text(Path::new(file))?, others.collect::<Result<_, _>>()?);
    }
    for mode in given.list("authorization-mode") {
        builder = match mode {
            "RBAC" | "Node" => builder,
            "AlwaysAllow" => builder.authorizer(AlwaysAllow),
            other => {
                return Err(Failure::new(format!("--authorization-mode {other:?} is not to be had; RBAC is")));
            }
        };
    }
    Ok(builder)
}

fn address(given: &Given) -> Result<SocketAddr, Failure> {
    let (ip, port) = (given.last("bind-address").unwrap_or("0.0.0.0"), given.last("secure-port").unwrap_or("6443"));
    let ip = if ip == "localhost" { "127.0.0.1" } else { ip };
    match (ip.parse::<IpAddr>(), port.parse()) {
        (Ok(ip), Ok(port)) => Ok(SocketAddr::new(ip, port)),
        _ => Err(Failure::new(format!("--bind-address {ip} and --secure-port {port} make no address"))),
    }
}

/// The certificate that the flags name, or that is where kube-apiserver looks for one; without either the server makes its own.
fn serving_certificate(given: &Given) -> Result<Option<Pair>, Failure> {
    let beside = |name| given.last("cert-dir").map(|dir| PathBuf::from(dir).join(name)).filter(|file| file.is_file());
    let file = |flag, name| given.last(flag).map(PathBuf::from).or_else(|| beside(name));
    match (file("tls-cert-file", "apiserver.crt"), file("tls-private-key-file", "apiserver.key")) {
        (Some(certificate), Some(key)) => Ok(Some(Pair { certificate: text(&certificate)?, key: text(&key)? })),
        _ => Ok(None),
    }
}

/// A key as it stands in a file, or the one in the certificate that stands there.
fn public_key(file: &str) -> Result<String, Failure> {
    let pem = text(Path::new(file))?;
    if !pem.contains("BEGIN CERTIFICATE") {
        return Ok(pem);
    }
    let unusable = |why: String| Failure::because(format!("{file} holds no usable certificate"), why);
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable(error.to_string()))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| unusable(error.to_string()))?;
    let encoded = STANDARD.encode(parsed.public_key().raw);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}

fn text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::because(format!("cannot read {}", file.display()), error))
}
