//! Where settings come from.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::errors::ConfigErrors;
use super::table::TABLE;

/// The largest `.env` or `parlor.toml` that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Names another `parlor.toml` than the working directory's.
const CONFIG_VARIABLE: &str = "PARLOR_CONFIG";
/// Names another `.env` than the working directory's.
const DOTENV_VARIABLE: &str = "PARLOR_ENV_FILE";

/// A file's text and the name under which it is spoken of.
#[derive(Clone)]
pub struct SourceText {
    /// Where the text was read.
    pub path: PathBuf,
    /// The text.
    pub text: String,
}

/// All that a configuration is made of, strongest first. It may hold secrets: its `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Sources {
    /// Command-line flags, by key in `parlor.toml` (`server.port`).
    pub flags: BTreeMap<String, String>,
    /// Environment variables; names that are no setting's are ignored.
    pub env: Vec<(String, String)>,
    /// The text of `.env`.
    pub dotenv: Option<SourceText>,
    /// The text of `parlor.toml`.
    pub file: Option<SourceText>,
    /// A secret key to use when none is set, and where it came from.
    pub generated_secret: Option<(String, String)>,
}

impl Sources {
    /// Reads the process environment, `.env` (or `PARLOR_ENV_FILE`) and `parlor.toml` (or `config_path`, or
    /// `PARLOR_CONFIG`) of the working directory.
    ///
    /// # Errors
    ///
    /// A file that was named but cannot be read, one that is over 1 MiB, and a setting that is no UTF-8. Missing
    /// files that nobody named are none.
    #[allow(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub fn ambient(config_path: Option<&Path>) -> Result<Self, ConfigErrors> {
        let mut problems = Vec::new();
        let mut env = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) => env.push((name.to_owned(), value)),
                Err(_) if is_known(name) => {
                    problems.push(format!("environment {name}: expected UTF-8 text"));
                }
                Err(_) => {}
            }
        }
        let variable = |wanted: &str| {
            env.iter()
                .find(|(name, value)| name == wanted && !value.trim().is_empty())
                .map(|(_, value)| PathBuf::from(value))
        };
        let named_file = config_path.map(Path::to_owned).or_else(|| variable(CONFIG_VARIABLE));
        let named_dotenv = variable(DOTENV_VARIABLE);
        let mut read = |named: Option<PathBuf>, default: &str| {
            read(named, default).unwrap_or_else(|problem| {
                problems.push(problem);
                None
            })
        };
        let file = read(named_file, "parlor.toml");
        let dotenv = read(named_dotenv, ".env");
        if problems.is_empty() {
            Ok(Self { env, dotenv, file, ..Self::default() })
        } else {
            Err(ConfigErrors::new(problems))
        }
    }
}

fn is_known(name: &str) -> bool {
    matches!(name, CONFIG_VARIABLE | DOTENV_VARIABLE)
        || TABLE.iter().any(|setting| {
            setting.env_names().iter().any(|known| match known.strip_suffix('#') {
                Some(stem) => name.starts_with(stem),
                None => known == name,
            })
        })
}

/// The named file, or the default one if it exists.
fn read(named: Option<PathBuf>, default: &str) -> Result<Option<SourceText>, String> {
    let must_exist = named.is_some();
    let path = named.unwrap_or_else(|| PathBuf::from(default));
    let bytes = std::fs::File::open(&path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    match bytes {
        Ok(bytes) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Err(format!("{}: over {MAX_FILE_BYTES} bytes", path.display()))
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(SourceText { path, text })),
            Err(_) => Err(format!("{}: expected UTF-8 text", path.display())),
        },
        Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: cannot be read: {error}", path.display())),
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |source: &Option<SourceText>| source.as_ref().map(|source| source.path.clone());
        f.debug_struct("Sources")
            .field("flags", &self.flags.keys().collect::<Vec<_>>())
            .field("env", &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("dotenv", &path(&self.dotenv))
            .field("file", &path(&self.file))
            .field("generated_secret", &self.generated_secret.as_ref().map(|(_, from)| from))
            .finish()
    }
}

impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceText").field("path", &self.path).finish_non_exhaustive()
    }
}
