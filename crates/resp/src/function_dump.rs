//! What FUNCTION DUMP gives and FUNCTION RESTORE takes: Redis's own layout, so that libraries move in both directions.
//!
//! Per library the opcode 245 and the code as a string of an RDB file, then the version of that format in two bytes and
//! the CRC-64 of everything before, both with the lowest byte first.

/// The opcode of a library in an RDB file.
const LIBRARY: u8 = 245;
/// The version of RDB files that Redis 7.0 writes; a reader accepts it and older ones.
const VERSION: u16 = 10;
/// The version and the check.
const FOOTER_BYTES: usize = 10;
/// Bytes of a library that a dump may hold compressed.
const CODE_BYTES_MAX: usize = 64 << 20;

/// Writes libraries' code.
pub(crate) fn write<'c>(codes: impl Iterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for code in codes {
        out.push(LIBRARY);
        match code.len() {
            len @ 0..=63 => out.push(len as u8),
            len @ 64..=16_383 => out.extend_from_slice(&(0x4000 | len as u16).to_be_bytes()),
            len => {
                out.push(0x80);
                out.extend_from_slice(&(len as u32).to_be_bytes());
            }
        }
        out.extend_from_slice(code);
    }
    out.extend_from_slice(&VERSION.to_le_bytes());
    let check = crc64(&out);
    out.extend_from_slice(&check.to_le_bytes());
    out
}

/// Reads libraries' code; none if the bytes are no such dump.
pub(crate) fn read(dump: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (content, footer) = dump.split_at_checked(dump.len().checked_sub(FOOTER_BYTES)?)?;
    let version = u16::from_le_bytes(footer[..2].try_into().ok()?);
    let check = u64::from_le_bytes(footer[2..].try_into().ok()?);
    if version > VERSION || check != crc64(&dump[..dump.len() - 8]) {
        return None;
    }
    let mut reader = Reader { rest: content };
    let mut codes = Vec::new();
    while !reader.rest.is_empty() {
        if reader.byte()? != LIBRARY {
            return None;
        }
        codes.push(reader.string()?);
    }
    Some(codes)
}

struct Reader<'d> {
    rest: &'d [u8],
}

impl<'d> Reader<'d> {
    fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A length, or none and the encoding of what follows.
    fn len(&mut self) -> Option<Result<usize, u8>> {
        let first = self.byte()?;
        Some(match first >> 6 {
            0 => Ok(usize::from(first & 63)),
            1 => Ok(usize::from(first & 63) << 8 | usize::from(self.byte()?)),
            2 if first == 0x80 => Ok(u32::from_be_bytes(self.take(4)?.try_into().ok()?) as usize),
            2 if first == 0x81 => {
                let len = u64::from_be_bytes(self.take(8)?.try_into().ok()?);
                Ok(usize::try_from(len).ok()?)
            }
            3 => Err(first & 63),
            _ => return None,
        })
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        match self.len()? {
            Ok(len) => self.take(len).map(<[u8]>::to_vec),
            // Compressed with LZF: the length here, the length before, the bytes.
            Err(3) => {
                let (Ok(packed), Ok(len)) = (self.len()?, self.len()?) else {
                    return None;
                };
                unpack(self.take(packed)?, len)
            }
            Err(_) => None,
        }
    }
}

/// LZF: runs of literals, and references to what was written already.
fn unpack(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > CODE_BYTES_MAX {
        return None;
    }
    let mut out = Vec::new();
    while let [control, rest @ ..] = packed {
        packed = rest;
        let control = usize::from(*control);
        if control < 32 {
            let (literals, rest) = packed.split_at_checked(control + 1)?;
            out.extend_from_slice(literals);
            packed = rest;
        } else {
            let mut run = control >> 5;
            if run == 7 {
                let (more, rest) = packed.split_first()?;
                run += usize::from(*more);
                packed = rest;
            }
            let (low, rest) = packed.split_first()?;
            packed = rest;
            let back = ((control & 31) << 8 | usize::from(*low)) + 1;
            let start = out.len().checked_sub(back)?;
            for index in start..start + run + 2 {
                out.push(out[index]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

/// CRC-64 of Jones, reflected: what Redis checks dumps with.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, byte| {
        let mut crc = crc ^ u64::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x95AC_9329_AC4B_C9B5
            } else {
                crc >> 1
            };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_is_redis_own() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn compressed_code_is_read() {
        // "abc" as literals, then six bytes from three back.
        assert_eq!(
            unpack(&[2, b'a', b'b', b'c', 0x80, 2], 9),
            Some(b"abcabcabc".to_vec())
        );
        assert_eq!(unpack(&[0x80, 2], 6), None);
        assert_eq!(unpack(&[2, b'a'], 3), None);
        assert_eq!(unpack(&[0, b'a'], 2), None);
    }

    proptest! {
        #[test]
        fn libraries_come_back(codes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..4), large in 60usize..20_000) {
            let mut codes = codes;
            codes.push(vec![b'x'; large]);
            let dump = write(codes.iter().map(Vec::as_slice));
            prop_assert_eq!(read(&dump), Some(codes));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, sealed: bool) {
            let mut bytes = bytes;
            if sealed {
                bytes.extend_from_slice(&VERSION.to_le_bytes());
                let check = crc64(&bytes);
                bytes.extend_from_slice(&check.to_le_bytes());
            }
            let _ = read(&bytes);
        }
    }
}
