//! The embedded web app and the API's documentation pages: everything from the binary, nothing from another host.

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use rust_embed::RustEmbed;

use crate::kit::fastapi;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Assets;

/// Hashed names never change their content.
const FOREVER: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";

const APP_CSP: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";
const SWAGGER_CSP: &str =
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; object-src 'none'";
const REDOC_CSP: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; \
                         frame-ancestors 'none'; base-uri 'none'; object-src 'none'";

/// The web app's page, for who asks for HTML at its address. It tells the app how long a message may be.
pub fn index(message_max_chars: usize) -> Response {
    let page = Assets::get("index.html").and_then(|file| {
        let told = format!("<head>\n    <meta name=\"message-max-chars\" content=\"{message_max_chars}\" />");
        let html = String::from_utf8_lossy(&file.data).replacen("<head>", &told, 1);
        respond("index.html", Body::from(html), REVALIDATE)
    });
    let Some(mut response) = page else { return fastapi::not_found() };
    let out = response.headers_mut();
    out.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(APP_CSP));
    out.append(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Swagger UI.
pub async fn swagger(headers: HeaderMap) -> Response {
    page("docs.html", SWAGGER_CSP, &headers)
}

/// ReDoc.
pub async fn redoc(headers: HeaderMap) -> Response {
    page("redoc.html", REDOC_CSP, &headers)
}

/// `GET /static/{path}`: one of the web app's files.
pub async fn file(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let Ok(Path(path)) = path else { return fastapi::not_found() };
    // Names are looked up in a list, so that no path leads out of the folder.
    let cache = if is_hashed(&path) { FOREVER } else { REVALIDATE };
    asset(&format!("static/{path}"), cache, &headers).unwrap_or_else(fastapi::not_found)
}

fn page(name: &str, csp: &'static str, headers: &HeaderMap) -> Response {
    let Some(mut response) = asset(name, REVALIDATE, headers) else { return fastapi::not_found() };
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(csp));
    response
}

fn asset(name: &str, cache: &'static str, headers: &HeaderMap) -> Option<Response> {
    if name.ends_with(".br") {
        return None;
    }
    let accepts_brotli = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|coding| coding.trim() == "br" || coding.trim().starts_with("br;q=1"));
    let compressed = if accepts_brotli { Assets::get(&format!("{name}.br")) } else { None };
    let is_compressed = compressed.is_some();
    let file = compressed.or_else(|| Assets::get(name))?;
    let mut response = respond(name, Body::from(file.data), cache)?;
    if is_compressed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    Some(response)
}

fn respond(name: &str, body: Body, cache: &'static str) -> Option<Response> {
    let mut response = Response::new(body);
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let mime = if mime.type_() == "text" { format!("{mime}; charset=utf-8") } else { mime.to_string() };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_str(&mime).ok()?);
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

/// Whether a name ends in the build's eight-character hash, as in `index-D3adB33f.js`.
fn is_hashed(path: &str) -> bool {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    stem.rsplit_once('-').is_some_and(|_| {
        let tail = stem.get(stem.len().saturating_sub(9)..).unwrap_or_default();
        tail.len() == 9
            && tail.starts_with('-')
            && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashed_names_are_kept_forever() {
        assert!(is_hashed("index-D3adB33f.js"));
        assert!(is_hashed("a-b-_-x9Yz-1.css"));
        assert!(!is_hashed("licences.txt"));
        assert!(!is_hashed("index.js"));
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        for path in ["../index.html", "..%2findex.html", "/etc/passwd", "static/../../Cargo.toml", ".stamp"] {
            assert!(asset(&format!("static/{path}"), REVALIDATE, &HeaderMap::new()).is_none(), "{path}");
        }
    }
}
