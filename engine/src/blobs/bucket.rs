//! Contents in a bucket that speaks S3's protocol: objects named by their hash, beneath the settings' prefix.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::buffered::BufWriter;
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::{BlobError, Pieces, Spooled};
use crate::config::{ProviderSettings, S3Settings};
use crate::domain::ContentHash;
use crate::providers::http;

/// What is held of a content at once while it is sent; a longer one is sent in parts of this size (S3's own least is 5 MiB).
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 2;
/// Further attempts, and how long all of them may take together.
const RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(60);
/// How long sending a content may take in all, and how long anything else.
const PUT_WAIT: Duration = Duration::from_secs(600);
const WAIT: Duration = Duration::from_secs(90);

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: Path,
}

/// Gives the store the client that Parlor makes for all services: it follows no redirects, and its TLS is rustls with ring.
#[derive(Debug)]
struct OurClient(reqwest::Client);

impl HttpConnector for OurClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

impl Bucket {
    pub(super) fn new(settings: &S3Settings, connect: &ProviderSettings) -> Result<Self, BlobError> {
        let client = http::client(connect).map_err(|error| BlobError::Client(error.to_string()))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_http_connector(OurClient(client))
            .with_retry(RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() });
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some((id, key)) = &settings.key {
            builder = builder.with_access_key_id(id.expose_secret()).with_secret_access_key(key.expose_secret());
        }
        let store = builder.build().map_err(|error| told(&error))?;
        Ok(Self { store: Arc::new(store), prefix: Path::from(settings.prefix.as_str()) })
    }

    fn path(&self, hash: &ContentHash) -> Path {
        self.prefix.clone().join(hash.as_str())
    }

    pub(super) async fn put(&self, content: Spooled) -> Result<(), BlobError> {
        let send = async {
            let mut file = File::open(&content.path).await?;
            let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
            let writer = BufWriter::with_capacity(store, self.path(&content.hash), PART);
            let mut writer = writer.with_max_concurrency(PARTS_AT_ONCE);
            let sent = match tokio::io::copy(&mut file, &mut writer).await {
                Ok(_) => writer.shutdown().await,
                Err(error) => Err(error),
            };
            if sent.is_err() {
                // Parts that never become an object would be paid for all the same; there is nothing left to do where this fails too.
                let _ = writer.abort().await;
            }
            sent.map_err(|error| BlobError::Bucket(error.to_string()))
        };
        tokio::time::timeout(PUT_WAIT, send).await.map_err(|_| BlobError::Silent)?
    }

    pub(super) async fn read(&self, hash: &ContentHash) -> Result<Option<Pieces>, BlobError> {
        let path = self.path(hash);
        match tokio::time::timeout(WAIT, self.store.get(&path)).await.map_err(|_| BlobError::Silent)? {
            Ok(found) => Ok(Some(found.into_stream().map_err(|error| told(&error)).boxed())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    pub(super) async fn remove(&self, hash: &ContentHash) -> Result<(), BlobError> {
        let path = self.path(hash);
        match tokio::time::timeout(WAIT, self.store.delete(&path)).await.map_err(|_| BlobError::Silent)? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(told(&error)),
        }
    }
}

fn told(error: &Error) -> BlobError {
    BlobError::Bucket(error.to_string())
}
