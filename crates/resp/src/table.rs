//! Finding a command by its name: a hash table that the compiler builds, without allocation or upper-casing a copy.

use crate::commands::GROUPS;
use crate::spec::Spec;

const COUNT: usize = count();
const SLOTS: usize = 1024;
/// No probe is longer than this; the compiler checks it.
const PROBES_MAX: usize = 6;
const EMPTY: u16 = u16::MAX;

static COMMANDS: [&Spec; COUNT] = flatten();
static TABLE: [u16; SLOTS] = build();

/// The number of a command in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandId(u16);

impl CommandId {
    pub(crate) fn spec(self) -> &'static Spec {
        COMMANDS[usize::from(self.0)]
    }

    pub(crate) fn as_u16(self) -> u16 {
        self.0
    }

    pub(crate) fn from_u16(number: u16) -> Option<CommandId> {
        (usize::from(number) < COUNT).then_some(CommandId(number))
    }
}

/// The command of this name in any case.
pub(crate) fn find(name: &[u8]) -> Option<CommandId> {
    let mut slot = hash(name);
    for _ in 0..PROBES_MAX {
        let number = TABLE[slot];
        if number == EMPTY {
            return None;
        }
        if COMMANDS[usize::from(number)]
            .name
            .as_bytes()
            .eq_ignore_ascii_case(name)
        {
            return Some(CommandId(number));
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// Every command, by family.
pub(crate) fn all() -> &'static [&'static Spec] {
    &COMMANDS
}

/// Clears the bit that tells letters' case; other bytes change too, but always in the same way.
const CASE: u64 = 0xDFDF_DFDF_DFDF_DFDF;

const fn hash(name: &[u8]) -> usize {
    let len = name.len();
    let word = match len {
        0 => 0,
        1..=3 => name[0] as u64 | (name[len / 2] as u64) << 8 | (name[len - 1] as u64) << 16,
        4..=7 => half(name, 0) | half(name, len - 4) << 32,
        _ => half(name, 0) | half(name, 4) << 32,
    };
    let tail = if len > 8 {
        half(name, len - 4) << 24
    } else {
        0
    };
    let mixed = ((word & CASE) ^ (tail & CASE) ^ len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize % SLOTS
}

const fn half(name: &[u8], at: usize) -> u64 {
    u32::from_le_bytes([name[at], name[at + 1], name[at + 2], name[at + 3]]) as u64
}

const fn count() -> usize {
    let (mut group, mut sum) = (0, 0);
    while group < GROUPS.len() {
        sum += GROUPS[group].len();
        group += 1;
    }
    sum
}

const fn flatten() -> [&'static Spec; COUNT] {
    let mut all = [&GROUPS[0][0]; COUNT];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut index = 0;
        while index < GROUPS[group].len() {
            all[at] = &GROUPS[group][index];
            at += 1;
            index += 1;
        }
        group += 1;
    }
    all
}

const fn build() -> [u16; SLOTS] {
    let commands = flatten();
    let mut table = [EMPTY; SLOTS];
    let mut number = 0;
    while number < COUNT {
        let mut slot = hash(commands[number].name.as_bytes());
        let mut probes = 1;
        while table[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
            probes += 1;
            assert!(
                probes <= PROBES_MAX,
                "too many names fall together: change the hash or the number of slots"
            );
        }
        table[slot] = number as u16;
        number += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_in_any_case() {
        for spec in all() {
            for name in [spec.name.to_owned(), spec.name.to_uppercase()] {
                assert_eq!(
                    find(name.as_bytes()).expect("a known command").spec().name,
                    spec.name
                );
            }
        }
    }

    #[test]
    fn names_are_unique_and_in_lower_case() {
        let mut names: Vec<&str> = all().iter().map(|spec| spec.name).collect();
        assert!(
            names
                .iter()
                .all(|name| !name.bytes().any(|byte| byte.is_ascii_uppercase()))
        );
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn other_names_are_not_found() {
        for name in [
            "",
            "g",
            "gets",
            "foo",
            "GET ",
            "isles.",
            "hincrbyfloats",
            "\u{7}et",
        ] {
            assert!(find(name.as_bytes()).is_none(), "{name:?}");
        }
    }
}
