//! Vectors without a model: each word points somewhere, and a text where its words point together.

/// A vector of length 1. The same text has the same one, and texts that share words lie near each other.
pub(super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0_f32; dimensions];
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    // So that a text without words has a direction too.
    for word in words.chain(["\u{0}"]) {
        let weight = if word == "\u{0}" { 1e-3 } else { 1.0 };
        let mut state = word.bytes().fold(dimensions as u64, |seed, byte| next(seed ^ u64::from(byte)));
        for number in &mut vector {
            state = next(state);
            *number += weight * if state & 1 == 0 { 1.0 } else { -1.0 };
        }
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|number| *number /= length);
    vector
}

/// One step of SplitMix64 (<https://doi.org/10.1145/2714064.2660195>).
fn next(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearness(a: &str, b: &str) -> f32 {
        vector(a, 256).iter().zip(vector(b, 256)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn texts_that_share_words_are_nearer() {
        let near = nearness("opening hours of the shop", "What are the opening hours?");
        assert!(near > nearness("opening hours of the shop", "my parcel never came") + 0.2);
    }

    #[test]
    fn every_text_has_a_vector_of_length_one() {
        for text in ["", "Hello", "漢字 🦀"] {
            assert!((nearness(text, text) - 1.0).abs() < 1e-3, "{text}");
        }
    }
}
