//! Files: what goes with messages.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parlor_engine::app::{AppError, Noun};
use parlor_engine::domain::{File, FileId, FileName, MediaType};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::conversations::usual_limit;
use super::{Caller, Error, PathText, Problem, Query, Upload};
use crate::kit::Context;
use crate::kit::refusal::Refusal;

/// What a page that shows a file may do: nothing.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");
/// Kept by its reader alone, who asks each time whether it is still theirs.
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// A form with a file.
#[derive(ToSchema)]
#[schema(as = native::UploadRequest)]
#[allow(dead_code, reason = "describes the form, which is read piece by piece")]
pub struct UploadRequest {
    /// The file; its name is the part's `filename`.
    #[schema(value_type = String, format = Binary)]
    file: String,
}

/// A file.
#[derive(Serialize, ToSchema)]
#[schema(as = native::File)]
pub struct FileResponse {
    /// Its id.
    id: String,
    /// What its owner calls it.
    name: String,
    /// What its content is, as decided by looking at it.
    media_type: String,
    /// How long its content is.
    bytes: u64,
    /// When it was stored.
    created_at: String,
    /// The path of its content: what a message names it by among its `attachments`.
    url: String,
}

impl From<File> for FileResponse {
    fn from(file: File) -> Self {
        Self {
            id: file.id.to_string(),
            name: file.name.as_str().to_owned(),
            media_type: file.media_type.as_str().to_owned(),
            bytes: file.bytes,
            created_at: file.created_at.rfc3339(),
            url: file.id.address(),
        }
    }
}

/// Stores a file of the caller's. When this answers, the file is stored for good. What it is, is decided by its content.
#[utoipa::path(post, path = "/api/v1/files", tag = "native", extensions(("x-parlor-right" = json!("user"))), security(("bearer" = [])),
    request_body(content = UploadRequest, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "Stored", body = FileResponse),
        (status = 400, description = "The file is empty, has no name or one that is no line, is of a type that is not taken, or broke off", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The account's files fill their room", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The file is too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body is no form, or has no field `file`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many files are on their way", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn upload_file(
    State(context): State<Context>,
    caller: Caller,
    mut form: Upload,
) -> Result<(StatusCode, axum::Json<FileResponse>), Error> {
    let caller = caller.into_inner();
    let stored = match form.file().await {
        Ok(file) => context.app.upload_file(&caller, &file.name, file.pieces).await.map_err(Error::from),
        Err(error) => Err(error),
    };
    form.finish().await;
    Ok((StatusCode::CREATED, axum::Json(stored?.into())))
}

/// Which files.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilesQuery {
    /// How many at most, 1 to 100.
    #[serde(default = "usual_limit")]
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: u32,
    /// The `next` of the page before.
    before: Option<String>,
}

/// A page of files, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = native::FileList)]
pub struct FileList {
    /// The page.
    items: Vec<FileResponse>,
    /// The `before` of the page after this one; null on the last.
    next: Option<String>,
}

/// The caller's files, newest first.
#[utoipa::path(get, path = "/api/v1/files", tag = "native", extensions(("x-parlor-right" = json!("user"))), security(("bearer" = [])), params(FilesQuery), responses(
    (status = 200, description = "One page", body = FileList),
    (status = 400, description = "No such page size or cursor", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A parameter is of the wrong type", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list_files(
    State(context): State<Context>,
    caller: Caller,
    query: Query<FilesQuery>,
) -> Result<axum::Json<FileList>, Error> {
    let FilesQuery { limit, before } = query.into_inner();
    let found = context.app.list_files(&caller.into_inner(), before.as_deref(), limit).await?;
    Ok(axum::Json(FileList { items: found.items.into_iter().map(Into::into).collect(), next: found.next }))
}

/// What is known of one file.
#[utoipa::path(get, path = "/api/v1/files/{file_id}", tag = "native", extensions(("x-parlor-right" = json!("owner"))), security(("bearer" = [])),
    params(("file_id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, description = "The file", body = FileResponse),
        (status = 404, description = "The caller has no such file", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_file(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
) -> Result<axum::Json<FileResponse>, Error> {
    let id = file_id(&id.into_inner())?;
    Ok(axum::Json(context.app.read_file(&caller.into_inner(), id).await?.into()))
}

/// A file's content. Pictures (PNG, JPEG, GIF, WebP) may be shown; everything else is to be saved, and nothing ever runs.
#[utoipa::path(get, path = "/api/v1/files/{file_id}/content", tag = "native", extensions(("x-parlor-right" = json!("owner"))), security(("bearer" = [])),
    params(
        ("file_id" = String, Path, description = "The file's id"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that the client has"),
    ),
    responses(
        (status = 200, description = "The content", content((Vec<u8> = "*/*"))),
        (status = 304, description = "The client has it already"),
        (status = 404, description = "The caller has no such file", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn read_content(
    State(context): State<Context>,
    caller: Caller,
    id: PathText,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (caller, id) = (caller.into_inner(), file_id(&id.into_inner())?);
    let file = context.app.read_file(&caller, id).await?;
    let tag = format!("\"{}\"", file.hash.as_str());
    let about = [(header::ETAG, text(&tag)), (header::CACHE_CONTROL, PRIVATE)];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let (file, pieces) = context.app.open_file(&caller, id).await?;
    let how = [
        (header::CONTENT_TYPE, HeaderValue::from_static(shown_as(&file.media_type))),
        (header::CONTENT_LENGTH, HeaderValue::from(file.bytes)),
        (header::CONTENT_DISPOSITION, text(&disposition(&file))),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((about, how, Body::from_stream(pieces)).into_response())
}

/// Deletes a file. Messages that it went with keep its address, under which there is nothing any more.
#[utoipa::path(delete, path = "/api/v1/files/{file_id}", tag = "native", extensions(("x-parlor-right" = json!("owner"))), security(("bearer" = [])),
    params(("file_id" = String, Path, description = "The file's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "The caller has no such file", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete_file(State(context): State<Context>, caller: Caller, id: PathText) -> Result<StatusCode, Error> {
    context.app.delete_file(&caller.into_inner(), file_id(&id.into_inner())?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id names nothing.
fn file_id(text: &str) -> Result<FileId, Refusal> {
    text.parse().map_err(|_| AppError::NotFound(Noun::File).into())
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}

/// The type that browsers are told: a picture's own; of everything else, one that no browser does anything with.
fn shown_as(kind: &MediaType) -> &'static str {
    match kind.as_str() {
        "image/png" => "image/png",
        "image/jpeg" => "image/jpeg",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        "application/pdf" => "application/pdf",
        _ if kind.is_text() => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// RFC 6266, with the name as RFC 8187 writes it.
fn disposition(file: &File) -> String {
    let kind = if file.media_type.is_image() { "inline" } else { "attachment" };
    format!("{kind}; filename*=UTF-8''{}", percent_encoded(&file.name))
}

fn percent_encoded(name: &FileName) -> String {
    let mut encoded = String::with_capacity(name.as_str().len());
    for byte in name.as_str().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}
