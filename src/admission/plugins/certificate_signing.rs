//! CertificateSigning: who issues a certificate must have the right to sign for the signer of the request.

use std::sync::Arc;

use atoll_api::{ApiResult, Object};
use futures::future::BoxFuture;

use super::signers;
use crate::admission::{AdmissionPlugin, Attributes, Operation, at_once};
use crate::authz::Authorizer;
use crate::request::RequestContext;

/// Guards the issuing of certificates.
pub struct CertificateSigning {
    authorizer: Arc<dyn Authorizer>,
}

impl CertificateSigning {
    /// Asks this authorizer.
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer }
    }
}

impl AdmissionPlugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, attributes: &Attributes) -> bool {
        attributes.operation == Operation::Update
            && attributes.subresource == "status"
            && attributes.concerns("certificates.k8s.io", "certificatesigningrequests")
    }

    fn validate<'a>(
        &'a self,
        cx: &'a RequestContext,
        attributes: &'a Attributes,
        object: Option<&'a Object>,
        old: Option<&'a Object>,
    ) -> BoxFuture<'a, ApiResult<()>> {
        let (Some(new), Some(old)) = (object, old) else { return at_once(Ok(())) };
        let same = |field: &str| new.at(&["status", field]) == old.at(&["status", field]);
        let signer = old.text_at(&["spec", "signerName"]);
        if (same("certificate") && same("conditions")) || signers::is_allowed(&*self.authorizer, cx, "sign", signer) {
            return at_once(Ok(()));
        }
        let why = format!("user not permitted to sign requests with signerName {signer:?}");
        at_once(Err(attributes.forbidden(object, &why)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::signers::tests::Only;
    use super::*;
    use crate::admission::testing::Bench;

    async fn check(allowed: &'static str, status: Value, fits: bool) {
        let bench = Bench::new().await;
        let plugin = CertificateSigning::new(Arc::new(Only("sign", allowed)));
        let request = |status: Value| {
            json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
                "metadata": {"name": "r"}, "spec": {"signerName": "example.com/s"}, "status": status})
        };
        let outcome = bench.update(&plugin, "status", request(json!({})), request(status)).await;
        assert_eq!(outcome.is_ok(), fits, "{allowed}: {outcome:?}");
    }

    #[tokio::test]
    async fn issuing_needs_a_right_to_the_signer() {
        check("example.com/s", json!({"certificate": "eA=="}), true).await;
        check("", json!({"certificate": "eA=="}), false).await;
        check("", json!({"conditions": [{"type": "Failed"}]}), false).await;
        check("", json!({}), true).await;
    }
}
