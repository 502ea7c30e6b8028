//! Numbers of variable length: seven bits in each byte, lowest first; of signed ones the sign is the lowest bit.

use super::WHOLE;

const MORE: u8 = 0x80;

pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        bytes.push(number as u8 | MORE);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect(WHOLE);
        *bytes = rest;
        number |= u64::from(byte & !MORE) << shift;
        if byte & MORE == 0 {
            return number;
        }
        shift += 7;
    }
}

pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, (number << 1 ^ number >> 63) as u64);
}

pub(super) fn take_signed(bytes: &mut &[u8]) -> i64 {
    let number = take(bytes);
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Totals of counters: the low half, and whether the high half is more than its sign.
pub(super) fn put_total(bytes: &mut Vec<u8>, total: i128) {
    match i64::try_from(total) {
        Ok(small) => {
            bytes.push(0);
            put_signed(bytes, small);
        }
        Err(_) => {
            bytes.push(1);
            bytes.extend(total.to_le_bytes());
        }
    }
}

pub(super) fn take_total(bytes: &mut &[u8]) -> i128 {
    let (size, rest) = bytes.split_first().expect(WHOLE);
    *bytes = rest;
    if *size == 0 {
        return i128::from(take_signed(bytes));
    }
    let (total, rest) = bytes.split_first_chunk().expect(WHOLE);
    *bytes = rest;
    i128::from_le_bytes(*total)
}
