//! How many errors were answered, by their code, for INFO ERRORSTATS.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Codes that are counted apart. Scripts make their own, so there could be any number of them.
const CODES_MAX: usize = 128;
/// An error's code ends within so many bytes, as in Redis; else it has none.
const CODE_BYTES_MAX: usize = 32;
/// Where the errors are counted that have no code.
const WITHOUT_CODE: &str = "ERR";
/// Where those are counted whose code is one too many.
const OTHERS: &str = "OTHERS";

/// Errors answered since the start or since CONFIG RESETSTAT. Answering one is no hot path.
#[derive(Debug, Default)]
pub(crate) struct ErrorStats {
    total: AtomicU64,
    by_code: Mutex<BTreeMap<String, u64>>,
}

impl ErrorStats {
    /// Counts an error, given as it is answered, without the minus sign before it.
    #[cold]
    pub(crate) fn count(&self, text: &[u8]) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let code = code_of(text);
        let mut by_code = self.lock();
        if let Some(count) = by_code.get_mut(code) {
            *count += 1;
            return;
        }
        let room = by_code.len() < CODES_MAX;
        let code = if room { code } else { OTHERS };
        *by_code.entry(code.to_owned()).or_default() += 1;
    }

    /// All errors.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Each code that was answered, and how often.
    pub(crate) fn all(&self) -> Vec<(String, u64)> {
        let owned = |(code, count): (&String, &u64)| (code.clone(), *count);
        self.lock().iter().map(owned).collect()
    }

    pub(crate) fn reset(&self) {
        self.total.store(0, Ordering::Relaxed);
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.by_code.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands before the first blank. Codes with other than printable letters would break the lines of INFO.
fn code_of(text: &[u8]) -> &str {
    let start = &text[..text.len().min(CODE_BYTES_MAX)];
    let end = start.iter().position(|byte| *byte == b' ');
    let code = end.and_then(|end| std::str::from_utf8(&start[..end]).ok());
    code.filter(|code| {
        !code.is_empty()
            && code
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b':')
    })
    .unwrap_or(WITHOUT_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_their_code() {
        let stats = ErrorStats::default();
        for text in [
            "WRONGTYPE Operation",
            "ERR a",
            "ERR",
            "MY_CODE b\r\n",
            "a:b c",
            " d",
            "",
        ] {
            stats.count(text.as_bytes());
        }
        let expected = [("ERR", 5), ("MY_CODE", 1), ("WRONGTYPE", 1)];
        assert_eq!(
            stats.all(),
            expected.map(|(code, count)| (code.to_owned(), count))
        );
        assert_eq!(stats.total(), 7);
        stats.reset();
        assert_eq!((stats.total(), stats.all()), (0, Vec::new()));
    }

    #[test]
    fn codes_are_bounded() {
        let stats = ErrorStats::default();
        for number in 0..1000 {
            stats.count(format!("CODE{number} text").as_bytes());
        }
        let all = stats.all();
        assert!(all.len() <= CODES_MAX + 1);
        assert_eq!(all.iter().map(|(_, count)| count).sum::<u64>(), 1000);
    }
}
