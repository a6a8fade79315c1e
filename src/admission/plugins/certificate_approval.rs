//! CertificateApproval: who approves a certificate request must have the right to, for its signer.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::signers;
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::authz::Authorizer;
use crate::request::RequestContext;

/// Guards approvals.
pub struct CertificateApproval {
    authorizer: Arc<dyn Authorizer>,
}

impl CertificateApproval {
    /// Asks this authorizer.
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer }
    }
}

impl AdmissionPlugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Update
            && attributes.subresource == "approval"
            && attributes.concerns("certificates.k8s.io", "certificatesigningrequests")
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        _: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let signer = object.map(|request| request.text_at(&["spec", "signerName"])).unwrap_or_default();
        if signers::is_allowed(&*self.authorizer, cx, "approve", signer) {
            return at_once(Ok(()));
        }
        let why = format!("user not permitted to approve requests with signerName {signer:?}");
        at_once(Err(attributes.forbidden(object, &why)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::signers::tests::Only;
    use super::*;
    use crate::admission::testing::Bench;

    async fn check(allowed: &'static str, subresource: &str, fits: bool) {
        let bench = Bench::new().await;
        let plugin = CertificateApproval::new(Arc::new(Only("approve", allowed)));
        let request = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": "r"}, "spec": {"signerName": "example.com/s"}});
        let outcome = bench.update(&plugin, subresource, request.clone(), request).await;
        assert_eq!(outcome.is_ok(), fits, "{allowed} {subresource}: {outcome:?}");
    }

    #[tokio::test]
    async fn approving_needs_a_right_to_the_signer_or_its_domain() {
        check("example.com/s", "approval", true).await;
        check("example.com/*", "approval", true).await;
        check("example.com/t", "approval", false).await;
        check("", "status", true).await;
    }
}
