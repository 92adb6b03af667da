//! Files: what people attach, and what their content says they are.

use std::fmt;

use super::{FileId, IMAGE_TOKENS, Invalid, Timestamp};

/// The longest text that is put before a model, in bytes; of a longer one it is told the name.
pub const SHOWN_TEXT_MAX: u64 = 32 * 1024;

/// The longest name, in characters; in bytes it fits what file systems allow a name even in scripts of three bytes a character.
const NAME_CHARS: usize = 85;

/// A file of somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: FileId,
    /// Its content's SHA-256.
    pub hash: ContentHash,
    /// What its owner calls it.
    pub name: FileName,
    /// What its content is.
    pub media_type: MediaType,
    /// How long its content is, in bytes.
    pub bytes: u64,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl File {
    /// Whether it is a text that is put before a model.
    #[must_use]
    pub fn is_shown_text(&self) -> bool {
        self.media_type.is_text() && self.bytes <= SHOWN_TEXT_MAX
    }

    /// About how many tokens it costs a model to look at it.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        if self.media_type.is_image() {
            IMAGE_TOKENS
        } else if self.is_shown_text() {
            self.bytes.div_ceil(4)
        } else {
            0
        }
    }
}

impl FileId {
    /// Where its owner reads the file: the address that every surface shows, and that a message names it by.
    #[must_use]
    pub fn address(self) -> String {
        format!("{FILES}{self}{CONTENT}")
    }

    /// The file that an address names, with or without the word that leads to its content.
    #[must_use]
    pub fn of_address(address: &str) -> Option<Self> {
        let id = address.strip_prefix(FILES)?;
        id.strip_suffix(CONTENT).unwrap_or(id).parse().ok()
    }
}

const FILES: &str = "/api/v1/files/";
const CONTENT: &str = "/content";

/// What a file is called: one line, and no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// Of a path, as some browsers send it, the last part counts.
    ///
    /// # Errors
    /// When it is empty, has more than 85 characters, or one that is no part of a line.
    pub fn parse(given: &str) -> Result<Self, Invalid> {
        let name = given.rsplit(['/', '\\']).next().unwrap_or_default().trim();
        if name.is_empty() || name == "." || name == ".." {
            return Err(Invalid::new("file", "the file needs a name"));
        }
        if name.chars().count() > NAME_CHARS {
            return Err(Invalid::new("file", format!("the file's name must have at most {NAME_CHARS} characters")));
        }
        // What turns the reading direction makes `exe.png` of `gnp.exe`.
        let unfit = |c: char| {
            c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if name.contains(unfit) {
            return Err(Invalid::new("file", "the file's name must be one line of text"));
        }
        Ok(Self(name.to_owned()))
    }

    /// One that was stored.
    #[must_use]
    pub const fn stored(name: String) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows its last dot, in lower case.
    fn ending(&self) -> String {
        self.0.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default()
    }
}

/// A SHA-256, as 64 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContentHash(String);

impl ContentHash {
    /// Writes a hash's 32 bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads what was stored; `None` for anything but such a hash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a content is, as decided by looking at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Decides by a content's first bytes (1 KiB of them will do) and by whether all of it is text; among texts, which look alike, by the name.
    /// What whoever sends it says of it counts for nothing.
    #[must_use]
    pub fn of_content(head: &[u8], is_text: bool, name: &FileName) -> Self {
        let sniffed = infer::get(head).map(|kind| kind.mime_type());
        if !is_text {
            return Self(sniffed.unwrap_or("application/octet-stream").to_owned());
        }
        let by_name = match name.ending().as_str() {
            "md" | "markdown" => Some("text/markdown"),
            "csv" => Some("text/csv"),
            "json" => Some("application/json"),
            "html" | "htm" | "xhtml" => Some("text/html"),
            "svg" => Some(SVG),
            "xml" => Some("text/xml"),
            _ => None,
        };
        // A PDF may be text throughout; it is a PDF all the same.
        let is_markup = matches!(sniffed, None | Some("text/html" | "text/xml" | "text/x-shellscript"));
        let kind = match (by_name, sniffed) {
            (_, Some(other)) if !is_markup => other,
            (Some(named), _) => named,
            (None, _) if begins_as_svg(head) => SVG,
            (None, Some("text/x-shellscript") | None) => "text/plain",
            (None, Some(markup)) => markup,
        };
        Self(kind.to_owned())
    }

    /// One that was stored.
    #[must_use]
    pub const fn stored(text: String) -> Self {
        Self(text)
    }

    /// Its text, such as `image/png`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a picture as models and browsers take them. An SVG is none: it is a program.
    #[must_use]
    pub fn is_image(&self) -> bool {
        matches!(self.0.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp")
    }

    /// Whether it is text that may be put before a model.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.0.starts_with("text/") || self.0 == "application/json"
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const SVG: &str = "image/svg+xml";

fn begins_as_svg(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let text = head.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<svg") || (text.starts_with("<?xml") || text.starts_with("<!")) && text.contains("<svg")
}

/// Whether what comes in pieces is text: UTF-8 without NUL.
#[derive(Debug, Default)]
pub struct TextCheck {
    /// The beginning of a character that the next piece may end.
    rest: Vec<u8>,
    failed: bool,
}

impl TextCheck {
    /// Looks at the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        if self.failed {
            return;
        }
        if piece.contains(&0) {
            self.failed = true;
            return;
        }
        let joined;
        let bytes = if self.rest.is_empty() {
            piece
        } else {
            joined = [std::mem::take(&mut self.rest).as_slice(), piece].concat();
            &joined
        };
        if let Err(error) = std::str::from_utf8(bytes) {
            match error.error_len() {
                None => self.rest = bytes[error.valid_up_to()..].to_vec(),
                Some(_) => self.failed = true,
            }
        }
    }

    /// Whether all of it was text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        !self.failed && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> FileName {
        FileName::parse(text).unwrap()
    }

    fn kind(content: &[u8], called: &str) -> String {
        let mut check = TextCheck::default();
        check.push(content);
        MediaType::of_content(content, check.is_text(), &name(called)).as_str().to_owned()
    }

    #[test]
    fn the_content_decides_what_it_is_and_its_name_does_not() {
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "evil.html"), "image/png");
        assert_eq!(kind(b"\xff\xd8\xff\xe0\0\x10JFIF", "a.png"), "image/jpeg");
        assert_eq!(kind(b"GIF89a\x01\0\x01\0", "a"), "image/gif");
        assert_eq!(kind(b"%PDF-1.7\nall of it is text", "a.txt"), "application/pdf");
        assert_eq!(kind(b"no picture at all", "a.png"), "text/plain");
        assert_eq!(kind(b"\x00\x01\x02\x03", "a.png"), "application/octet-stream");
    }

    #[test]
    fn texts_are_told_apart_by_their_names_and_markup_is_never_a_picture() {
        assert_eq!(kind(b"a,b\n1,2\n", "data.CSV"), "text/csv");
        assert_eq!(kind(b"# Title", "a.md"), "text/markdown");
        assert_eq!(kind(b"<p align=center>A readme</p>", "README.md"), "text/markdown");
        assert_eq!(kind(b"{}", "a.json"), "application/json");
        assert_eq!(kind("żółć".as_bytes(), "a.txt"), "text/plain");
        assert_eq!(kind(b"#!/bin/sh\necho", "a.sh"), "text/plain");
        assert_eq!(kind(b"<!DOCTYPE html><script>alert(1)</script>", "a.png"), "text/html");
        for svg in ["<svg xmlns='x'/>", "\u{feff} <svg>", "<?xml version='1.0'?>\n<svg/>", "<!-- a --><svg/>"] {
            assert_eq!(kind(svg.as_bytes(), "a.png"), "image/svg+xml", "{svg}");
            assert!(!MediaType::stored(kind(svg.as_bytes(), "a.png")).is_image());
        }
    }

    #[test]
    fn text_is_recognised_wherever_its_pieces_end() {
        let whole = "aż漢🦀".as_bytes();
        for cut in 0..whole.len() {
            let mut check = TextCheck::default();
            whole[..cut].iter().for_each(|byte| check.push(&[*byte]));
            check.push(&whole[cut..]);
            assert!(check.is_text(), "{cut}");
        }
        let of = |pieces: &[&[u8]]| {
            let mut check = TextCheck::default();
            pieces.iter().for_each(|piece| check.push(piece));
            check.is_text()
        };
        assert!(!of(&[b"a\0b"]));
        assert!(!of(&[b"a\xff"]));
        assert!(!of(&["ż".as_bytes().split_at(1).0]));
        assert!(!of(&["漢".as_bytes().split_at(2).0, b"a"]));
    }

    #[test]
    fn a_name_is_one_line_and_no_path() {
        assert_eq!(name("C:\\Users\\me\\photo.png").as_str(), "photo.png");
        assert_eq!(name("../../etc/passwd").as_str(), "passwd");
        assert_eq!(name(" żółć.txt ").as_str(), "żółć.txt");
        let long = "x".repeat(86);
        for bad in ["", "  ", "..", "a/", "a\nb", "a\u{202e}gnp.exe", long.as_str()] {
            assert!(FileName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_leads_back_to_its_file() {
        let id = FileId::new(1_234_567_890_123_456).unwrap();
        assert_eq!(id.address(), "/api/v1/files/1234567890123456/content");
        assert_eq!(FileId::of_address(&id.address()), Some(id));
        assert_eq!(FileId::of_address("/api/v1/files/1234567890123456"), Some(id));
        for other in ["1234567890123456", "/api/v1/files/", "/api/v1/files/x/content", "/api/v1/files/1/content/more"] {
            assert_eq!(FileId::of_address(other), None, "{other}");
        }
    }
}
