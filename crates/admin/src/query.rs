//! What stands behind the question mark of a request.

/// Parameters of one request.
const PARAMETERS_MAX: usize = 32;
/// Bytes of all of them.
const QUERY_BYTES_MAX: usize = 16 << 10;

/// Names, in capitals, and values in turn: bytes, since keys need not be text.
///
/// # Errors
/// Says what is wrong, for whoever asked.
pub(crate) fn parse(query: &str) -> Result<Vec<Vec<u8>>, String> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(format!(
            "the question is longer than {QUERY_BYTES_MAX} bytes"
        ));
    }
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut words = Vec::new();
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(format!(
                "parameter '{parameter}' has no value: write {parameter}=..."
            ));
        };
        words.push(decoded(name)?.to_ascii_uppercase());
        words.push(decoded(value)?);
        if words.len() > 2 * PARAMETERS_MAX {
            return Err(format!("there are more than {PARAMETERS_MAX} parameters"));
        }
    }
    Ok(words)
}

/// Bytes without percent signs and pluses for what a URL cannot hold.
fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let bad = || {
        format!(
            "'{text}' is not encoded as URLs are: a percent sign and two hexadecimal digits for a byte"
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = digit().zip(digit()).ok_or_else(bad)?;
                (high * 16 + low) as u8
            }
            other => other,
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_words() {
        let words = parse("key=cart%3A*&since=1h&&loser=eu+1").unwrap();
        let expected = ["KEY", "cart:*", "SINCE", "1h", "LOSER", "eu 1"];
        assert_eq!(words, expected.map(|word| word.as_bytes().to_vec()));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn keys_need_not_be_text() {
        let words = parse("key=%ff%00a").unwrap();
        assert_eq!(words, [b"KEY".to_vec(), b"\xff\0a".to_vec()]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in ["key", "key=%4", "key=%zz", "k%=1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"a=b&".repeat(PARAMETERS_MAX + 1)).is_err());
        assert!(parse(&"a".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }
}
