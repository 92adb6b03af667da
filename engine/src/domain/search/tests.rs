use proptest::prelude::*;

use super::*;

fn sorted(text: &str) -> Vec<String> {
    let mut words: Vec<String> = words_of(text).into_iter().collect();
    words.sort();
    words
}

fn finds(search: &str, text: &str) -> bool {
    let search = Search::parse(search);
    assert!(!search.words().is_empty(), "nothing to search for");
    // By the text, and by its words as an index has them: the same.
    let words = words_of(text);
    let by_index = search.words().iter().all(|wanted| words.iter().any(|word| word.starts_with(wanted.as_str())));
    assert_eq!(search.finds(text), by_index, "{search:?} in {text}");
    by_index
}

#[test]
fn words_are_letters_and_digits_in_small_letters() {
    assert_eq!(sorted("Don't PANIC: 42 panic, snake_case!"), ["42", "case", "don", "panic", "snake", "t"]);
    assert_eq!(Search::parse("don't \"NEAR\" * OR -").words(), ["don", "t", "near", "or"]);
    assert_eq!(Search::parse("a a A").words(), ["a"]);
    for signs in ["", "* \" ( ) -- '", "🙂 👩‍👩‍👧‍👦", "…，。"] {
        assert_eq!(Search::parse(signs).words(), [""; 0], "{signs}");
        assert_eq!(words_of(signs), HashSet::new(), "{signs}");
    }
}

#[test]
fn letters_fold_to_what_people_type() {
    for (search, text) in [
        ("zurich", "ZÜRICH"),
        ("Zürich", "zu\u{308}rich"),
        ("STRASSE", "Straße"),
        ("strasse", "STRAẞE"),
        ("οδοσ", "ΟΔΟΣ"),
        ("ὁδός", "ΟΔΟΣ"),
        ("istanbul", "İstanbul"),
        ("file", "ﬁle"),
        ("елка", "Ёлка"),
        ("שלום", "שָׁלוֹם"),
        ("محمد", "مُحَمَّد"),
        ("zucker", "Zu\u{ad}cker"),
        ("Unicode", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢"),
        ("kg", "㎏"),
        ("to be or not", "To be, or not to be"),
    ] {
        assert!(finds(search, text), "{search} in {text}");
    }
    for (search, text) in [("reen", "green"), ("greens", "green"), ("के", "का"), ("が", "か"), ("ø", "o")] {
        assert!(!finds(search, text), "{search} in {text}");
    }
}

#[test]
fn scripts_without_spaces_are_found_by_their_pairs() {
    for (search, text) in [
        ("東京", "明日東京都に行く"),
        ("都", "明日東京都"),
        ("京都に", "東京都に"),
        ("한국", "대한민국 한국어"),
        ("ภาษา", "เรียนภาษาไทย"),
        ("カタカナ", "ｶﾀｶﾅ"),
        ("パリ", "ﾊﾟﾘ"),
        ("𠮷野家", "今日は𠮷野家で"),
        ("iphone", "新しいiPhone15の色"),
        ("の色", "新しいiPhone15の色"),
    ] {
        assert!(finds(search, text), "{search} in {text}");
    }
    for (search, text) in [("京東", "東京"), ("東都", "東京都"), ("ばば", "はは")] {
        assert!(!finds(search, text), "{search} in {text}");
    }
}

#[test]
fn long_words_are_cut_and_many_words_left_out() {
    let long = "Abcdefghij".repeat(20);
    assert_eq!(sorted(&long), [long[..WORD_BYTES].to_lowercase()]);
    assert!(finds(&long, &long) && finds(&long[..WORD_BYTES], &long));
    assert!(!finds(&long[1..], &long));
    let russian = "достопримечательности".repeat(3);
    assert!(words_of(&russian).iter().all(|word| word.len() <= WORD_BYTES) && finds(&russian, &russian));
    let many: Vec<String> = (0..=INDEXED_WORDS).map(|number| format!("w{number}")).collect();
    assert_eq!(words_of(&many.join(" ")).len(), INDEXED_WORDS);
    assert!(!finds(&many[INDEXED_WORDS], &many.join(" ")));
    let far = format!("{}end", "ü ".repeat(SEARCHED_CHARS / 2));
    assert!(!finds("end", &far) && finds("end", &far["ü ü ".len()..]));
    assert_eq!(Search::parse(&many.join(" ")).words().len(), SEARCH_WORDS);
}

#[test]
fn other_letters_are_written_as_digits_in_which_beginnings_stay_beginnings() {
    assert_eq!(sorted("я"), ["_0un"]);
    assert_eq!(sorted("aяb"), ["a_0un_b"]);
    // The last letter that takes three digits, and the first that takes five.
    assert_eq!([written(&['\u{b12f}']), written(&['\u{b130}'])], ["_yzz", "_z0000"]);
    assert_eq!(written(&[char::MAX]), "_zmwnj");
    assert!(!finds("я", "ю") && !finds("aя", "a") && finds("a", "aя"));
}

/// Letters of many scripts, and what stands between words.
fn any_text() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        "[a-zA-Z0-9]{1,3}",
        "[äöüßÄéñçøłđŞıİﬁǅ]",
        "[а-яА-ЯёЁїґ]{1,3}",
        "[α-ωΑ-Ωάς]{1,2}",
        "[א-ת]{1,2}",
        "[ا-ي]{1,2}",
        "[ก-ฮ]{1,2}[ิีุู่้]?",
        "[क-ह][ािी्]?",
        "[一-龥𠮷々]{1,3}",
        "[ぁ-んァ-ヶー]{1,3}",
        "[가-힣]{1,3}",
        "[🙂👩‍👧𝔘½㎏Ⅷ]",
        "[ \n.,;:!?'\"*()_-]{1,2}",
    ];
    proptest::collection::vec(letters, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_beginning_of_every_word_of_a_text_finds_it(text in any_text()) {
        for piece in text.split_whitespace() {
            for (end, next) in piece.char_indices() {
                // A mark cut off from its letter leaves another letter.
                if end == 0 || is_combining_mark(next) {
                    continue;
                }
                let search = Search::parse(&piece[..end]);
                prop_assert!(search.finds(&text), "{} in {text}", &piece[..end]);
            }
        }
    }

    #[test]
    fn a_word_fits_every_index_and_is_found_by_itself(text in "\\PC{0,80}") {
        for word in words_of(&text) {
            prop_assert!(!word.is_empty() && word.len() <= WORD_BYTES, "{word}");
            prop_assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{word}");
        }
        let search = Search::parse(&text);
        prop_assert!(search.finds(&text), "{search:?}");
    }

    #[test]
    fn folding_twice_is_folding_once(text in any_text()) {
        let once: String = folded(&text).into_iter().collect();
        prop_assert_eq!(folded(&once).into_iter().collect::<String>(), once);
    }
}
