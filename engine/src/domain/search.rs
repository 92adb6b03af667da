//! The words of texts, for searching: one set of rules for what is said and for what is searched for, whatever the database.
//!
//! A word is a run of letters and digits, in small letters and without accents. Scripts that put no spaces between words (Chinese, Japanese,
//! Thai) give pairs of neighbouring letters instead, as does Korean, whose words take endings. What is searched for finds the words that begin
//! with it.
//!
//! Words are made of `a` to `z`, `0` to `9` and `_` alone, so that every database takes each of them for one word, and none for a command: any
//! other letter is written as digits, between two `_`. Whatever a word begins with, its written form begins with the written form of.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Words that a search looks for at most; what goes beyond them is not looked at.
pub const SEARCH_WORDS: usize = 16;
/// How much of a text is searched, in characters.
pub const SEARCHED_CHARS: usize = 262_144;
/// Different words of a text that are searched: with their owners before them they stay below the MiB that PostgreSQL's `tsvector` holds.
pub const INDEXED_WORDS: usize = 10_000;
/// The written length of a word; what goes beyond it is cut off. With its owner before it, it fits in the 84 characters of MySQL's
/// `innodb_ft_max_token_size`.
pub const WORD_BYTES: usize = 64;

/// What is searched for: each of these words begins a word of what is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search(Vec<String>);

impl Search {
    /// The words of a text that somebody searches for, each once; none where it holds only signs.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        each_word(text, Pairs::Begun, &mut |word| {
            if !words.contains(&word) {
                words.push(word);
            }
            words.len() < SEARCH_WORDS
        });
        Self(words)
    }

    /// The words as they are written.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether the text holds all of it, by the rules by which it would be found through the index.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        let mut missing: Vec<&str> = self.0.iter().map(String::as_str).collect();
        each_searched_word(text, &mut |word| {
            missing.retain(|wanted| !word.starts_with(wanted));
            !missing.is_empty()
        });
        missing.is_empty()
    }
}

/// The different words of a text, as they are written: the first [`INDEXED_WORDS`] of its first [`SEARCHED_CHARS`] characters.
#[must_use]
pub fn words_of(text: &str) -> HashSet<String> {
    each_searched_word(text, &mut |_| true)
}

/// Calls `take` with each different word that is searched, until it says false. Gives those that it was called with.
fn each_searched_word(text: &str, take: &mut dyn FnMut(&str) -> bool) -> HashSet<String> {
    let end = text.char_indices().nth(SEARCHED_CHARS).map_or(text.len(), |(end, _)| end);
    let mut known = HashSet::new();
    each_word(&text[..end], Pairs::All, &mut |word| {
        if known.contains(&word) {
            return true;
        }
        let goes_on = take(&word);
        known.insert(word);
        goes_on && known.len() < INDEXED_WORDS
    });
    known
}

/// What stands for a run of letters that has no spaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    /// Each pair of neighbours, and the last letter, so that every letter begins one.
    All,
    /// Each pair of neighbours; a letter that stands alone.
    Begun,
}

/// Calls `take` with each word, until it says false; returns whether it never did.
fn each_word(text: &str, pairs: Pairs, take: &mut dyn FnMut(String) -> bool) -> bool {
    text.split(|letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric()).all(|piece| {
        if piece.is_empty() {
            return true;
        }
        if piece.is_ascii() {
            return take(piece[..piece.len().min(WORD_BYTES)].to_ascii_lowercase());
        }
        each_run(&folded(piece), &mut |run| {
            if run.first().copied().is_some_and(has_no_spaces) {
                each_pair(run, pairs, take)
            } else {
                take(written(run))
            }
        })
    })
}

/// In small letters and without accents; `ß` as `ss`, and whatever else has a plainer form in that form.
fn folded(text: &str) -> Vec<char> {
    let plain = text.nfkd().filter(|letter| !is_left_out(*letter));
    // Some letters find to their fellows through the small letter, some through the large one.
    plain.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// Calls `take` with each run of letters of one sort, until it says false.
fn each_run(letters: &[char], take: &mut dyn FnMut(&[char]) -> bool) -> bool {
    let mut rest = letters;
    while let Some(start) = rest.iter().position(|letter| letter.is_alphanumeric()) {
        rest = &rest[start..];
        let sort = has_no_spaces(rest[0]);
        let goes_on =
            |letter: &char| is_combining_mark(*letter) || (letter.is_alphanumeric() && has_no_spaces(*letter) == sort);
        let end = rest.iter().position(|letter| !goes_on(letter)).unwrap_or(rest.len());
        if !take(&rest[..end]) {
            return false;
        }
        rest = &rest[end..];
    }
    true
}

/// Calls `take` with the pairs of a run, until it says false. Marks stay with their letters.
fn each_pair(run: &[char], pairs: Pairs, take: &mut dyn FnMut(String) -> bool) -> bool {
    let mut starts: Vec<usize> = (0..run.len()).filter(|at| *at == 0 || !is_combining_mark(run[*at])).collect();
    starts.push(run.len());
    let alone = starts.len() == 2;
    starts.windows(3).all(|place| take(written(&run[place[0]..place[2]])))
        && (!(alone || pairs == Pairs::All) || take(written(&run[starts[starts.len() - 2]..])))
}

/// A word as it is written, cut between letters.
fn written(word: &[char]) -> String {
    let mut text = String::with_capacity(word.len() * 4);
    let mut in_digits = false;
    for letter in word {
        let mut piece = String::with_capacity(6);
        if letter.is_ascii() == in_digits {
            piece.push('_');
        }
        if letter.is_ascii() {
            piece.push(*letter);
        } else {
            push_digits(&mut piece, u32::from(*letter));
        }
        if text.len() + piece.len() > WORD_BYTES {
            break;
        }
        text.push_str(&piece);
        in_digits = !letter.is_ascii();
    }
    text
}

/// A letter's number to the base of 36: three digits, or `z` and four more where that would begin with `z`.
fn push_digits(text: &mut String, number: u32) {
    /// Whose first digit would be `z`.
    const LONG: u32 = 35 * 36 * 36;
    let (number, places) = if number < LONG {
        (number, 3)
    } else {
        text.push('z');
        (number - LONG, 4)
    };
    for place in (0..places).rev() {
        text.push(char::from_digit(number / 36_u32.pow(place) % 36, 36).unwrap_or('0'));
    }
}

/// Accents, vowel points and what is not seen: marks that make no other word. Those of Thai, of Indian scripts and of kana do.
fn is_left_out(letter: char) -> bool {
    match letter {
        // The soft hyphen, Arabic's kashida, joiners and marks of direction.
        '\u{ad}' | '\u{640}' | '\u{200c}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => true,
        // Of Latin, Greek and Cyrillic; of Hebrew and Arabic; for any script; variants of a letter's look.
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{6ed}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe2f}'
        | '\u{e0100}'..='\u{e01ef}' => is_combining_mark(letter),
        _ => false,
    }
}

/// Whether it belongs to a script whose words are not parted by spaces, or are searched for by their beginnings all the same.
const fn has_no_spaces(letter: char) -> bool {
    matches!(letter,
        // Thai, Lao; Burmese; the letters of Hangul; Khmer.
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        // Signs of repetition, kana, bopomofo.
        | '\u{3005}'..='\u{3007}' | '\u{3031}'..='\u{318f}' | '\u{31a0}'..='\u{31ff}'
        // Chinese characters; Hangul.
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests;
