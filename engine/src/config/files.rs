//! Where attached files are kept, and which are taken.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::reader::Reader;

/// Where attached files are kept, and which are taken.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// A folder of this server's own, for what is on its way in and, without a bucket, for what is kept.
    pub folder: PathBuf,
    /// The bucket for what is kept.
    pub bucket: Option<S3Settings>,
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// What one account may keep in all, in bytes.
    pub per_account_bytes: u64,
    /// Media types that are taken; `*` is any.
    pub types: Vec<String>,
}

/// A bucket that speaks S3's protocol.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bucket's name.
    pub bucket: String,
    /// What the names in it begin with; empty, or without `/` at its ends.
    pub prefix: String,
    /// Where the service is; `None` for Amazon's own.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The key's id and the key; `None` for the role that the machine has.
    pub key: Option<(SecretString, SecretString)>,
}

impl FileSettings {
    pub(super) fn read(reader: &mut Reader, data_dir: &Path) -> Self {
        let url = reader.opt_text("files.url");
        let endpoint = reader.opt_text("files.endpoint");
        let region = reader.text("files.region");
        let (id, secret) = (reader.opt_secret("files.access_key_id"), reader.opt_secret("files.secret_access_key"));
        if url.is_some()
            && id.is_some() != secret.is_some()
            && !reader.is_uncertain("files.access_key_id")
            && !reader.is_uncertain("files.secret_access_key")
        {
            reader.problem("files.access_key_id", "goes with files.secret_access_key: set both or none");
        }
        let bucket = url.and_then(|url| {
            let (bucket, prefix) = bucket_and_prefix(&url);
            if bucket.is_empty() {
                reader.problem("files.url", "needs a bucket: s3://bucket or s3://bucket/prefix");
                return None;
            }
            Some(S3Settings { bucket, prefix, endpoint, region, key: id.zip(secret) })
        });
        Self {
            folder: data_dir.join("files"),
            bucket,
            max_bytes: reader.integer("files.max_bytes"),
            per_account_bytes: reader.integer("files.per_account_bytes"),
            types: reader.list("files.types"),
        }
    }
}

fn bucket_and_prefix(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    (bucket.to_owned(), prefix.trim_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_may_have_a_prefix() {
        let of = |url: &str| bucket_and_prefix(url);
        assert_eq!(of("s3://parlor"), ("parlor".to_owned(), String::new()));
        assert_eq!(of("s3://parlor/"), ("parlor".to_owned(), String::new()));
        assert_eq!(of("s3://parlor/chat/files/"), ("parlor".to_owned(), "chat/files".to_owned()));
    }
}
