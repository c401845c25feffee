//! `/api/v1/monitors/{id}/certificate`: what was last seen of its target's certificate.

use axum::Json;
use axum::extract::Path;
use komainu_watchdogs::time::Wall;
use serde::Serialize;
use utoipa::ToSchema;

use super::parse_id;
use crate::api::Ctx;
use crate::api::auth::Reader;
use crate::api::openapi::Millis;
use crate::api::page::Nothing;
use crate::api::problem::ApiError;
use crate::api::request::Asked;
use crate::store::certificates::{self, Link};

/// The certificate that the target shows, by whichever node looked last.
#[derive(Serialize, ToSchema)]
#[schema(as = Certificate)]
pub(in crate::api) struct CertificateView {
    /// Its common name.
    #[schema(required)]
    subject: Option<String>,
    /// Of its issuer, the common name or else the organisation.
    #[schema(required)]
    issuer: Option<String>,
    /// When it ends.
    #[schema(value_type = Millis)]
    ends_at: Wall,
    /// Another one of its chain that ends before it, root certificates aside; `null`: none does.
    #[schema(required)]
    first_to_end: Option<LinkView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CertificateOfChain)]
pub(in crate::api) struct LinkView {
    #[schema(required)]
    subject: Option<String>,
    #[schema(value_type = Millis)]
    ends_at: Wall,
}

/// What was last seen of the certificate of a monitor's target: of types that look at one, and where the address is encrypted.
#[utoipa::path(get, path = "/monitors/{id}/certificate", tag = "monitors", security(("key" = ["read"])),
    params(("id" = String, Path, description = "Number of the monitor")),
    responses((status = 200, description = "The certificate", body = CertificateView)))]
pub(in crate::api) async fn show(
    _: Reader,
    context: Ctx,
    Path(id): Path<String>,
    _: Asked<Nothing>,
) -> Result<Json<CertificateView>, ApiError> {
    let monitor = parse_id(&id)?;
    let missing = || ApiError::NotFound(format!("no certificate was seen of monitor {id}"));
    let chain = certificates::seen(&context.reads, monitor).await?;
    let (own, rest) = chain.split_first().ok_or_else(missing)?;
    let before = rest.iter().filter(|link| link.ends_at < own.ends_at).min_by_key(|link| link.ends_at);
    let link = |link: &Link| LinkView { subject: link.subject.clone(), ends_at: link.ends_at };
    Ok(Json(CertificateView {
        subject: own.subject.clone(),
        issuer: own.issuer.clone(),
        ends_at: own.ends_at,
        first_to_end: before.map(link),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::api::support::Surface;

    /// A chain as Kuma keeps it, the server's own first.
    fn kept(intermediate_ends: &str) -> Value {
        json!({"valid": true, "certInfo": {
            "subject": {"CN": "shop.example"}, "issuer": {"O": "Some Authority"}, "validTo": "2027-03-01T00:00:00.000Z",
            "certType": "server", "issuerCertificate": {
                "subject": {"CN": "R11"}, "issuer": {"CN": "Root"}, "validTo": intermediate_ends, "certType": "intermediate CA",
                "issuerCertificate": {"subject": {"CN": "Root"}, "validTo": "2026-01-01T00:00:00.000Z", "certType": "root CA"}}}})
    }

    #[tokio::test]
    async fn the_certificate_of_a_target_is_shown_with_who_issued_it_and_when_it_ends() {
        let surface = Surface::plain().await;
        let key = surface.key("write").await;
        let body = json!({"name": "shop", "type": "http", "url": "https://shop.example/"}).to_string();
        assert_eq!(surface.send("POST", "/api/v1/monitors", Some(&key), &body).await.code, 201);
        let path = "/api/v1/monitors/1/certificate";
        assert_eq!(surface.send("GET", path, Some(&key), "").await.code, 404, "nobody has seen one");
        let mut lease = surface.state.store.lease("test").await.unwrap();
        let keep = format!(
            "INSERT INTO monitor_tls_info (monitor_id, info_json) VALUES (1, '{}')",
            kept("2028-01-01T00:00:00Z")
        );
        lease.execute("test", keep, vec![]).await.unwrap();
        let shown = surface.send("GET", path, Some(&key), "").await.json();
        let expected = json!({"subject": "shop.example", "issuer": "Some Authority", "ends_at": 1_803_859_200_000_i64,
            "first_to_end": null});
        assert_eq!(shown, expected, "a root is the host's own affair");
        let keep = format!("UPDATE monitor_tls_info SET info_json = '{}'", kept("2027-01-01T00:00:00Z"));
        lease.execute("test", keep, vec![]).await.unwrap();
        let shown = surface.send("GET", path, Some(&key), "").await.json();
        assert_eq!(shown["first_to_end"], json!({"subject": "R11", "ends_at": 1_798_761_600_000_i64}));
        lease.execute("test", "UPDATE monitor_tls_info SET info_json = 'nonsense'", vec![]).await.unwrap();
        assert_eq!(surface.send("GET", path, Some(&key), "").await.code, 404);
    }
}
