//! Users and rights of your own: an authenticator that knows tokens from elsewhere, and an authorizer that knows rules from
//! elsewhere. Kubernetes' own ways stay: certificates, service accounts, roles and bindings.
//!
//! ```sh
//! cargo run --features examples --example own_auth
//! ```

use atoll::authn::{Attempt, Authenticator, Identity, Method, Scope};
use atoll::authz::{Attributes, Authorizer, Decision, Reason, Verdict};
use atoll::server::{Builder, Server};
use atoll_api::UserInfo;

/// Believes tokens of the form `badge:<name>:<department>`. (A real one would check a signature, or ask a cache of
/// another system: it is called for every request and must not block.)
struct Badges;

impl Authenticator for Badges {
    fn authenticate(&self, attempt: &Attempt<'_>) -> Result<Option<Identity>, String> {
        // Credentials of another sort are for others to judge.
        let Some(badge) = attempt.credentials.bearer.and_then(|token| token.strip_prefix("badge:")) else {
            return Ok(None);
        };
        let (name, department) = badge.split_once(':').ok_or("a badge names a person and a department")?;
        Ok(Some(Identity {
            user: UserInfo::named(name, [department]),
            scope: Scope::Global,
            method: Method::Other("badge"),
            audiences: attempt.audiences.to_vec(),
            expires: None,
        }))
    }
}

/// Lets the library read everything, and nobody touch secrets. What it has no opinion of is decided by roles and bindings.
struct HouseRules;

impl Authorizer for HouseRules {
    fn authorize(&self, asked: &Attributes<'_>) -> Decision {
        if asked.resource == "secrets" {
            let why = Reason::text("secrets are kept in the safe");
            return Decision { verdict: Verdict::Deny, reason: why, error: None };
        }
        match (asked.user.is_in("library"), asked.verb) {
            (true, "get" | "list" | "watch") => Decision::allow(Reason::text("the library reads everything")),
            _ => Decision::no_opinion(Reason::none()),
        }
    }
}

/// A server with both.
fn house() -> Builder {
    Server::builder().authenticator(Badges).authorizer(HouseRules)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = house().data_dir("./.atoll").listen(([127, 0, 0, 1], 6443).into()).build().await?.start().await?;
    println!("try: kubectl --server {} --insecure-skip-tls-verify --token badge:ada:library get cm", running.url());
    tokio::signal::ctrl_c().await?;
    running.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use atoll::test::ControlPlane;
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn badges_name_users_and_house_rules_their_rights() {
        let plane = ControlPlane::start_with(house()).await.expect("a control plane");
        for (token, path, status) in [
            ("badge:ada:library", "/api/v1/configmaps", 200),
            ("badge:ada:library", "/api/v1/secrets", 403),
            ("badge:bob:kitchen", "/api/v1/configmaps", 403),
            ("badge:nobody", "/api/v1/configmaps", 401),
            ("forged", "/api/v1/configmaps", 401),
        ] {
            let request = Request::get(path).header("authorization", format!("Bearer {token}"));
            let request = request.body(Body::empty()).expect("a request");
            let answer = plane.server().service().oneshot(request).await.expect("an answer");
            assert_eq!(answer.status(), status, "{path} by {token}");
        }
        plane.stop().await;
    }
}
