//! Links in mails: a forgotten password, and verifying an address.

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Error, Json, Problem};
use crate::kit::Context;
use crate::kit::extract::ClientAddress;

/// Whom to send a link to.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::MailLinkRequest)]
pub struct MailLinkRequest {
    /// An account's address.
    #[schema(format = "email", example = "user@example.com")]
    email: String,
}

/// Sends a link by which a forgotten password is set anew. The answer is the same whether an account has that address.
#[utoipa::path(post, path = "/api/v1/auth/password/forgot", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = MailLinkRequest, responses(
    (status = 202, description = "If an account has that address, a link is on its way"),
    (status = 400, description = "It is no address", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Asked for too often", body = Problem, content_type = "application/problem+json"),
))]
pub async fn forgot(
    State(context): State<Context>,
    ClientAddress(address): ClientAddress,
    body: Json<MailLinkRequest>,
) -> Result<StatusCode, Error> {
    context.app.request_password_reset(&body.into_inner().email, address).await?;
    Ok(StatusCode::ACCEPTED)
}

/// A new password, by a link.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::ResetPasswordRequest)]
pub struct ResetPasswordRequest {
    /// What stands behind `#reset-password=` in the link.
    token: String,
    /// 8 to 128 characters.
    #[serde(alias = "new_password")]
    #[schema(format = "password")]
    password: String,
}

/// Sets a new password by the link that was sent. Everything that the old one opened ends: all sessions and all API keys.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = ResetPasswordRequest, responses(
    (status = 204, description = "Set"),
    (status = 400, description = "The link is unknown, used or expired, or the password breaks a rule", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn reset(State(context): State<Context>, body: Json<ResetPasswordRequest>) -> Result<StatusCode, Error> {
    let body = body.into_inner();
    context.app.reset_password(&body.token.into(), &body.password.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A link that verifies an address.
#[derive(Deserialize, ToSchema)]
#[schema(as = native::VerifyEmailRequest)]
pub struct VerifyEmailRequest {
    /// What stands behind `#verify-email=` in the link.
    token: String,
}

/// Verifies the address that the link was sent to.
#[utoipa::path(post, path = "/api/v1/auth/verify-email", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = VerifyEmailRequest, responses(
    (status = 204, description = "Verified"),
    (status = 400, description = "The link is unknown, used or expired", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
))]
pub async fn verify(State(context): State<Context>, body: Json<VerifyEmailRequest>) -> Result<StatusCode, Error> {
    context.app.verify_email(&body.into_inner().token.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends the link that verifies an address again. The answer is the same whether an account has that address.
#[utoipa::path(post, path = "/api/v1/auth/verify-email/resend", tag = "native", extensions(("x-parlor-right" = json!("public"))), request_body = MailLinkRequest, responses(
    (status = 202, description = "If an account has that address and has not verified it, a link is on its way"),
    (status = 400, description = "It is no address", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The body does not parse", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Asked for too often", body = Problem, content_type = "application/problem+json"),
))]
pub async fn resend(
    State(context): State<Context>,
    ClientAddress(address): ClientAddress,
    body: Json<MailLinkRequest>,
) -> Result<StatusCode, Error> {
    context.app.request_verification(&body.into_inner().email, address).await?;
    Ok(StatusCode::ACCEPTED)
}
