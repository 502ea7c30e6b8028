//! A shopping cart: concurrent carts become one with the items of all.
//!
//! A cart is text, one item in each line: its name, how many, and how often that was changed, as in `milk 2 3`; the last
//! may be left out while it is zero. Of two lines with one name the one that was changed more often counts, and of those
//! changed equally often the greater number: a greatest element in a total order for each item, so nobody's order of
//! merging matters. Who takes an item out writes that there are none and counts the change, as `milk 0 4`: an item that
//! was merely left out would come back from another cart, as it does in many a shop.
//!
//! What is no cart is left to the reader.

use isles_resolver::Sibling;

isles_resolver::export!(resolve);

/// How often an item was changed, and how many there are of it: the greater pair counts.
type Count = (u64, u64);

fn resolve(siblings: &[Sibling<'_>]) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    for sibling in siblings {
        for line in sibling.value.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            lines.push(parse(line)?);
        }
    }
    // Of those with one name the one that counts comes last.
    lines.sort_unstable();
    Some(write(&lines))
}

fn parse(line: &[u8]) -> Option<(&[u8], Count)> {
    let mut words = line.split(|byte| *byte == b' ');
    let item = words.next().filter(|item| !item.is_empty())?;
    let quantity = number(words.next()?)?;
    let changes = words.next().map_or(Some(0), number)?;
    words
        .next()
        .is_none()
        .then_some((item, (changes, quantity)))
}

/// A number without sign or leading zeros, so that each has one spelling.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let mut digits = digits.iter().map(digit);
    digits.try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(digit?)
    })
}

fn write(lines: &[(&[u8], Count)]) -> Vec<u8> {
    let mut text = Vec::new();
    for of_item in lines.chunk_by(|(item, _), (next, _)| item == next) {
        let [.., (item, (changes, quantity))] = of_item else {
            continue;
        };
        text.extend_from_slice(item);
        write_number(&mut text, *quantity);
        if *changes > 0 {
            write_number(&mut text, *changes);
        }
        text.push(b'\n');
    }
    text
}

fn write_number(text: &mut Vec<u8>, number: u64) {
    text.push(b' ');
    text.extend_from_slice(number.to_string().as_bytes());
}
