//! Causal contexts as clients carry them: base64url, without padding, of a postcard vector clock.

use isles_clock::VectorClock;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// A token of some thousand replicas; what is longer is no token.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// The token that names everything in the clock.
pub fn encode_token(clock: &VectorClock) -> String {
    let bytes = postcard::to_allocvec(clock).expect("a clock holds nothing that cannot be encoded");
    encode_base64url(&bytes)
}

/// The clock that the token names; nothing if it is no token.
pub fn decode_token(token: &[u8]) -> Option<VectorClock> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let bytes = decode_base64url(token)?;
    match postcard::take_from_bytes(&bytes) {
        Ok((clock, [])) => Some(clock),
        _ => None,
    }
}

fn encode_base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, &byte| group << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for sextet in 0..=chunk.len() {
            text.push(char::from(
                ALPHABET[(group >> (18 - 6 * sextet)) as usize & 63],
            ));
        }
    }
    text
}

fn decode_base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.chunks(4) {
        let mut group = 0u32;
        for &symbol in chunk {
            group = group << 6 | ALPHABET.iter().position(|&known| known == symbol)? as u32;
        }
        let kept = match chunk.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        group <<= 6 * (4 - chunk.len());
        // Bits that no byte takes must be zero, so that each clock has exactly one token.
        if group & ((1 << (24 - 8 * kept)) - 1) != 0 {
            return None;
        }
        bytes.extend_from_slice(&group.to_be_bytes()[1..=kept]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use isles_clock::ReplicaId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64url_of_known_texts() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("\u{ff}", "w78"),
        ] {
            assert_eq!(encode_base64url(bytes.as_bytes()), text);
            assert_eq!(
                decode_base64url(text.as_bytes()).as_deref(),
                Some(bytes.as_bytes())
            );
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        for text in ["A", "Zh", "Zm9", "Zg==", "Z+8", "\n", "Zm9vY"] {
            assert_eq!(decode_base64url(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(decode_token(b""), None);
        assert_eq!(decode_token(&vec![b'A'; TOKEN_BYTES_MAX + 1]), None);
    }

    proptest! {
        #[test]
        fn tokens_round_trip(entries: Vec<(u128, u64)>) {
            let entries = entries.into_iter().map(|(replica, sequence)| (ReplicaId::from_u128(replica), sequence.max(1)));
            let clock = VectorClock::from_iter(entries);
            prop_assert_eq!(decode_token(encode_token(&clock).as_bytes()), Some(clock));
        }

        #[test]
        fn bytes_round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode_base64url(encode_base64url(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn random_text_never_panics(bytes: Vec<u8>) {
            decode_token(&bytes);
        }
    }
}
