//! A file in a form (`multipart/form-data`, RFC 7578), read piece by piece.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header;
use multer::Multipart;
use parlor_engine::app::BrokenUpload;

use super::Context;
use super::json::FieldError;
use super::refusal::Refusal;

/// The name of the form's field.
const FIELD: &str = "file";
/// What may stand before the file, its own headers among it, in bytes; all of that is held at once, together with what arrives with its end.
const BEFORE_MAX: usize = 1 << 20;
/// What may stand beside the file, in bytes: also how much of a file that is too long is read and thrown away, since a client that is still
/// writing when the connection closes never sees the answer.
const BESIDE_MAX: u64 = 16 << 20;
/// How long the file may take to begin, and how long what follows it is read.
const BEGIN_WAIT: Duration = Duration::from_secs(30);
const REST_WAIT: Duration = Duration::from_secs(5);

/// A form that holds a file. Refuses in the words of its dialect: `E`.
pub struct Upload<E> {
    form: Multipart<'static>,
    /// How much may still arrive before the file begins.
    before: Arc<AtomicUsize>,
    dialect: PhantomData<E>,
}

/// The file.
pub struct FilePart<P> {
    /// What the client calls it; empty when it has no name.
    pub name: String,
    /// Its content.
    pub pieces: P,
}

impl<E: From<Refusal> + IntoResponse> FromRequest<Context> for Upload<E> {
    type Rejection = E;

    async fn from_request(request: Request, context: &Context) -> Result<Self, E> {
        let most = context.app.settings().files.max_bytes.saturating_add(BESIDE_MAX);
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        // Whoever asks first is told before the body is on its way.
        if headers.contains_key(header::EXPECT) && length.is_some_and(|length| length > most) {
            return Err(Refusal::TooLarge.into());
        }
        let before = Arc::new(AtomicUsize::new(BEFORE_MAX));
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok());
        let wrong = || malformed("content_type", "Content-Type must be multipart/form-data with a boundary");
        let boundary = boundary.ok_or_else(wrong)?;
        let form = Multipart::new(bounded(request.into_body(), Arc::clone(&before), most), boundary);
        Ok(Self { form, before, dialect: PhantomData })
    }
}

impl<E: From<Refusal>> Upload<E> {
    /// The form's file; fields before it are passed over.
    ///
    /// # Errors
    /// When there is none, when what stands before it is too long, or when it does not begin in time.
    pub async fn file(
        &mut self,
    ) -> Result<FilePart<impl Stream<Item = Result<Bytes, BrokenUpload>> + Unpin + use<E>>, E> {
        let find = async {
            while let Some(field) = self.form.next_field().await? {
                if field.name() == Some(FIELD) {
                    return Ok::<_, multer::Error>(Some(field));
                }
            }
            Ok(None)
        };
        let field = match tokio::time::timeout(BEGIN_WAIT, find).await {
            Err(_) => return Err(Refusal::Unfinished.into()),
            Ok(Err(_)) if self.before.load(Ordering::Relaxed) == 0 => return Err(Refusal::TooLarge.into()),
            Ok(Err(_)) => return Err(malformed("form", "The form cannot be read").into()),
            Ok(Ok(None)) => {
                return Err(
                    Refusal::Malformed(vec![FieldError::new("body", FIELD, "missing", "Field required")]).into()
                );
            }
            Ok(Ok(Some(field))) => field,
        };
        self.before.store(usize::MAX, Ordering::Relaxed);
        let name = field.file_name().unwrap_or_default().to_owned();
        Ok(FilePart { name, pieces: field.map(|piece| piece.map_err(|_| BrokenUpload)) })
    }

    /// Reads what is left, within bounds.
    pub async fn finish(mut self) {
        let rest = async { while let Ok(Some(_)) = self.form.next_field().await {} };
        // Whether it ends in time makes no difference to the answer.
        let _ = tokio::time::timeout(REST_WAIT, rest).await;
    }
}

fn malformed(kind: &'static str, msg: &'static str) -> Refusal {
    Refusal::Malformed(vec![FieldError { loc: vec!["body".into()], msg: msg.into(), r#type: kind.into() }])
}

/// The body, which breaks off after `most` bytes, and when `before` is used up.
fn bounded(
    body: Body,
    before: Arc<AtomicUsize>,
    most: u64,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    let mut left = most;
    body.into_data_stream().map(move |piece| {
        let piece = piece?;
        let room = before.load(Ordering::Relaxed);
        if room != usize::MAX {
            before.store(room.saturating_sub(piece.len()), Ordering::Relaxed);
        }
        left = left.saturating_sub(piece.len() as u64);
        if left == 0 || room <= piece.len() { Err(axum::Error::new(TooLong)) } else { Ok(piece) }
    })
}

/// Why a body breaks off here; nobody reads it.
#[derive(Debug, thiserror::Error)]
#[error("the form is too long")]
struct TooLong;
