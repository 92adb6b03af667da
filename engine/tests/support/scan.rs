//! Reads which modules of their own crate a crate's files name: `crate::…` and `super::…`, in `use` lines and in the middle of code.

use std::fs;
use std::path::{Path, PathBuf};

/// A file and what it names.
#[derive(Debug)]
pub struct Source {
    /// The path from `src/` on, with `/`.
    pub file: String,
    /// The module that the file is, from the crate's root.
    pub module: Vec<String>,
    /// The paths inside the crate that it names, from the crate's root, with their lines.
    pub paths: Vec<(usize, Vec<String>)>,
    /// The text without comments and without what stands in quotes.
    pub code: String,
}

/// All files under `src`.
pub fn sources(src: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    collect(src, &mut files);
    files.sort();
    files.iter().map(|file| source(src, file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
}

fn source(src: &Path, path: &Path) -> Source {
    let relative = path.strip_prefix(src).unwrap();
    let mut module: Vec<String> =
        relative.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib"].contains(&last.as_str())) {
        module.pop();
    }
    let code = blank(&fs::read_to_string(path).unwrap());
    let file = relative.to_string_lossy().replace('\\', "/");
    Source { paths: paths(&code, &module), file, module, code }
}

/// Every path that begins with `crate` or `super`.
pub fn paths(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let mut rest = &code[at..];
        let mut base = module.to_vec();
        if let Some(after) = rest.strip_prefix("crate::") {
            base.clear();
            rest = after;
        }
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        let mut tails = Vec::new();
        tree(rest, &base, &mut tails);
        found.extend(tails.into_iter().map(|path| (line, path)));
    }
    found
}

/// Every path into another crate, that crate's name first.
pub fn paths_into(code: &str, name: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{name}::")) {
        let mut tails = Vec::new();
        tree(&code[at..], &[], &mut tails);
        let line = code[..at].matches('\n').count() + 1;
        found.extend(tails.into_iter().map(|path| (line, path)));
    }
    found
}

/// Reads a `use` tree, or the plain path that it may be. Returns what is left.
fn tree<'a>(mut rest: &'a str, base: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = base.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let left = tree(rest, &path, found);
                // Over an `as` or a `*` to the next branch.
                let end = left.find([',', '}']).unwrap_or(left.len());
                rest = left[end..].trim_start_matches(',').trim_start();
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(after) if end > 0 => rest = after,
            _ => {
                found.push(path);
                return rest;
            }
        }
    }
}

/// Replaces comments and what stands in quotes with blanks; lines stay where they are.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = skipped(rest, out.chars().next_back());
        if skipped == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        }
    }
    out
}

/// The length of the comment, text or character that `rest` begins with; 0 for code.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let until = |from: usize, end: &str| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    if rest.starts_with('r') && !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
        if rest[1 + hashes..].starts_with('"') {
            return until(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if rest.starts_with('\'') {
        let mut following = rest.chars().skip(1);
        let (first, second) = (following.next(), following.next());
        // Otherwise a lifetime.
        if first == Some('\\') || second == Some('\'') {
            return quoted(rest, '\'');
        }
    }
    0
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The imports that go upwards: out of a layer into one that stands later in `layers`.
pub fn upward(sources: &[Source], layers: &[&str]) -> Vec<String> {
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let mut wrong = Vec::new();
    for source in sources {
        let Some(from) = source.module.first().and_then(|top| place(top)) else { continue };
        for (line, path) in &source.paths {
            if path.first().and_then(|top| place(top)).is_some_and(|to| to > from) {
                wrong.push(format!("{}:{line} names {}", source.file, path.join("::")));
            }
        }
    }
    wrong
}

/// Top-level modules that the list of layers forgets.
pub fn unlisted(sources: &[Source], layers: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = sources.iter().filter_map(|source| source.module.first().cloned()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !layers.contains(&name.as_str()));
    names
}

/// The line of ARCHITECTURE.md that shows the layers to people; nothing to compare where there is no such file yet.
pub fn is_shown(root: &Path, crate_name: &str, layers: &[&str]) -> bool {
    let line = format!("{crate_name}: {}", layers.join(" < "));
    match fs::read_to_string(root.join("ARCHITECTURE.md")) {
        Ok(text) => text.lines().any(|shown| shown.trim() == line),
        Err(_) => true,
    }
}
