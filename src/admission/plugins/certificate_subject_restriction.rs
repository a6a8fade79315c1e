//! CertificateSubjectRestriction: nobody asks the signer of client certificates for a place in `system:masters`.

use atoll_api::user::SYSTEM_MASTERS;
use atoll_api::{ApiResult, Object};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::request::RequestContext;

const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Guards requests for client certificates.
pub struct CertificateSubjectRestriction;

/// The groups that a certificate request asks for.
fn groups(request: &str) -> Result<Vec<String>, String> {
    let text = STANDARD.decode(request).map_err(|error| error.to_string())?;
    let pem = Pem::iter_from_buffer(&text).next().ok_or("PEM block type must be CERTIFICATE REQUEST")?;
    let pem = pem.map_err(|error| error.to_string())?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
    let subject = &request.certification_request_info.subject;
    Ok(subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect())
}

impl AdmissionPlugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Create
            && attributes.subresource.is_empty()
            && attributes.concerns("certificates.k8s.io", "certificatesigningrequests")
    }

    fn validate<'a>(
        &'a self,
        _: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let Some(request) = object.filter(|request| request.text_at(&["spec", "signerName"]) == CLIENT_SIGNER) else {
            return at_once(Ok(()));
        };
        let why = match groups(request.text_at(&["spec", "request"])) {
            Ok(groups) if groups.iter().any(|group| group == SYSTEM_MASTERS) => {
                format!("use of {CLIENT_SIGNER} signer with {SYSTEM_MASTERS} group is not allowed")
            }
            Ok(_) => return at_once(Ok(())),
            Err(why) => format!("failed to parse CSR: {why}"),
        };
        at_once(Err(attributes.forbidden(object, &why)))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use serde_json::json;

    use super::*;
    use crate::admission::testing::Bench;

    fn request(organization: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        let key = KeyPair::generate().expect("a key");
        let pem = params.serialize_request(&key).expect("a request").pem().expect("as PEM");
        STANDARD.encode(pem)
    }

    async fn check(signer: &str, request: &str, fits: bool) {
        let object = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": "r"}, "spec": {"signerName": signer, "request": request}});
        let outcome = Bench::new().await.validate(&CertificateSubjectRestriction, object).await;
        assert_eq!(outcome.is_ok(), fits, "{signer}: {outcome:?}");
    }

    #[tokio::test]
    async fn client_certificates_of_the_privileged_group_are_not_asked_for() {
        check(CLIENT_SIGNER, &request("devs"), true).await;
        check(CLIENT_SIGNER, &request(SYSTEM_MASTERS), false).await;
        check("example.com/other", &request(SYSTEM_MASTERS), true).await;
        check(CLIENT_SIGNER, "", false).await;
        check(CLIENT_SIGNER, "nonsense", false).await;
    }
}
