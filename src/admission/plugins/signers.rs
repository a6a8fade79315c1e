//! The right to deal with certificate requests for a signer.

use crate::authz::{Attributes, Authorizer, Verdict};
use crate::request::RequestContext;

/// Whether the user may do this (`approve`, `sign`) with requests for a signer, or for all signers of its domain.
pub(super) fn is_allowed(authorizer: &dyn Authorizer, cx: &RequestContext, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    let all_of_domain = format!("{domain}/*");
    [signer, &all_of_domain].into_iter().any(|name| {
        let asked = Attributes::resource(&cx.cluster, &cx.user, verb, "certificates.k8s.io", "signers");
        authorizer.authorize(&Attributes { name, ..asked }).verdict == Verdict::Allow
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::authz::{Decision, Reason};

    /// Allows one verb with one name.
    pub(in crate::admission::plugins) struct Only(
        pub(in crate::admission::plugins) &'static str,
        pub(in crate::admission::plugins) &'static str,
    );

    impl Authorizer for Only {
        fn authorize(&self, asked: &Attributes<'_>) -> Decision {
            let fits = (asked.verb, asked.name) == (self.0, self.1)
                && (asked.group, asked.resource) == ("certificates.k8s.io", "signers");
            let verdict = if fits { Verdict::Allow } else { Verdict::NoOpinion };
            Decision { verdict, reason: Reason::none(), error: None }
        }
    }
}
