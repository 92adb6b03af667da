//! The API's description: OpenAPI 3.1, generated from the handlers' types.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

/// What every part of the description shares.
pub fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Parlor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "An AI chatbot backend that serves several HTTP surfaces (\"dialects\") over one core: an account made in one works in all, \
             and a conversation begun in one can be continued in any other that its owner can reach.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
        .build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT or API key").build();
    let components =
        utoipa::openapi::ComponentsBuilder::new().security_scheme("bearer", SecurityScheme::Http(bearer)).build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}
