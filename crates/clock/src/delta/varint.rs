//! Unsigned numbers in as few bytes as they need.

use alloc::vec::Vec;

use super::DeltaError;

const GROUP_BITS: u32 = 7;
const MORE: u8 = 1 << GROUP_BITS;

pub(super) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= u64::from(MORE) {
        out.push(number as u8 | MORE);
        number >>= GROUP_BITS;
    }
    out.push(number as u8);
}

/// Refuses needless groups and what does not fit 64 bits: each number has one encoding.
#[inline]
pub(super) fn read(input: &mut &[u8]) -> Result<u64, DeltaError> {
    match input.split_first() {
        Some((&byte, rest)) if byte < MORE => {
            *input = rest;
            Ok(u64::from(byte))
        }
        _ => read_long(input),
    }
}

fn read_long(input: &mut &[u8]) -> Result<u64, DeltaError> {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = input.split_first().ok_or(DeltaError::Truncated)?;
        *input = rest;
        let group = u64::from(byte & !MORE);
        if group << shift >> shift != group || (byte == 0 && shift > 0) {
            return Err(DeltaError::NotCanonical);
        }
        number |= group << shift;
        if byte & MORE == 0 {
            return Ok(number);
        }
        shift += GROUP_BITS;
        if shift >= u64::BITS {
            return Err(DeltaError::NotCanonical);
        }
    }
}

/// Numbers near zero, on either side, as small numbers.
pub(super) const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_stop_where_they_end() {
        for number in [0, 1, 127, 128, 300, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            bytes.push(0xee);
            let mut input = bytes.as_slice();
            assert_eq!((read(&mut input), input), (Ok(number), &[0xee][..]));
        }
    }

    #[test]
    fn a_number_has_one_encoding() {
        let read = |mut bytes: &[u8]| read(&mut bytes);
        assert_eq!(read(&[]), Err(DeltaError::Truncated));
        assert_eq!(read(&[0x80]), Err(DeltaError::Truncated));
        assert_eq!(read(&[0x80, 0x00]), Err(DeltaError::NotCanonical));
        let all_but_last = [0xff; 9];
        assert_eq!(read(&[&all_but_last[..], &[0x01]].concat()), Ok(u64::MAX));
        assert_eq!(
            read(&[&all_but_last[..], &[0x02]].concat()),
            Err(DeltaError::NotCanonical)
        );
        assert_eq!(
            read(&[&all_but_last[..], &[0x81, 0x00]].concat()),
            Err(DeltaError::NotCanonical)
        );
    }

    #[test]
    fn zigzag_alternates() {
        for (number, zigzagged) in [
            (0, 0),
            (-1, 1),
            (1, 2),
            (-2, 3),
            (i64::MAX, u64::MAX - 1),
            (i64::MIN, u64::MAX),
        ] {
            assert_eq!((zigzag(number), unzigzag(zigzagged)), (zigzagged, number));
        }
    }
}
