//! Embeddings without a model: texts that share words lie near each other.

const WORD_SLOTS: usize = 8;
/// So that the empty text has a direction too.
const FLOOR: f32 = 1e-4;

/// A unit vector of `dimensions` numbers: the hashed bag of the text's words.
pub(super) fn embed(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![FLOOR; dimensions];
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    for word in words {
        let mut hash = fnv1a(word);
        for _ in 0..WORD_SLOTS {
            hash = splitmix(hash);
            let slots = dimensions.max(1) as u64;
            let Ok(slot) = usize::try_from(hash % slots) else {
                continue;
            };
            if let Some(value) = vector.get_mut(slot) {
                *value += if hash >> 63 == 0 { 1.0 } else { -1.0 };
            }
        }
    }
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    vector
}

/// FNV-1a, 64 bits (RFC 9923).
fn fnv1a(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// SplitMix64's step: spreads one word over several slots.
fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        let (a, b) = (embed(a, 256), embed(b, 256));
        a.iter().zip(&b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn texts_that_share_words_are_nearer() {
        let near = cosine("opening hours of the shop", "What are the opening hours?");
        let far = cosine("opening hours of the shop", "my parcel never came");
        assert!(near > far + 0.2, "{near} {far}");
    }
}
