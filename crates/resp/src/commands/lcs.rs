//! LCS: the longest common subsequence of two strings.

use crate::call::{Call, integer, is};
use crate::error::{Failure, Outcome};

/// Cells of the table that is computed, which bounds both memory (four bytes each) and time under the lock.
const CELLS_MAX: usize = 16 << 20;

#[derive(Default)]
struct Options {
    length: bool,
    indexes: bool,
    with_lengths: bool,
    length_min: usize,
}

pub(super) fn lcs(call: &mut Call<'_, '_>) -> Outcome {
    let first = read(call, call.args[1])?;
    let second = read(call, call.args[2])?;
    let options = Options::parse(&call.args[3..])?;
    let table = Table::new(&first, &second)?;
    if options.indexes {
        write_matches(call, &table, &options);
    } else if options.length {
        call.reply.count(table.length());
    } else {
        let mut common: Vec<u8> = Vec::with_capacity(table.length());
        table.walk(|i, _| common.push(first[i]));
        common.reverse();
        call.reply.bulk(&common);
    }
    Ok(())
}

fn read(call: &mut Call<'_, '_>, key: &[u8]) -> Result<Vec<u8>, Failure> {
    match call.txn.string(key) {
        Ok(value) => Ok(value.map(std::borrow::Cow::into_owned).unwrap_or_default()),
        Err(_) => Err(Failure::other(
            "ERR The specified keys must contain string values",
        )),
    }
}

impl Options {
    fn parse(words: &[&[u8]]) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if is(word, "IDX") {
                options.indexes = true;
            } else if is(word, "LEN") {
                options.length = true;
            } else if is(word, "WITHMATCHLEN") {
                options.with_lengths = true;
            } else if is(word, "MINMATCHLEN") {
                let length = integer(rest.next().ok_or(Failure::Syntax)?)?;
                options.length_min = usize::try_from(length).unwrap_or(0);
            } else {
                return Err(Failure::Syntax);
            }
        }
        if options.length && options.indexes {
            return Err(Failure::other(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// The length of the longest common subsequence of every two prefixes.
struct Table<'s> {
    first: &'s [u8],
    second: &'s [u8],
    lengths: Vec<u32>,
}

impl<'s> Table<'s> {
    fn new(first: &'s [u8], second: &'s [u8]) -> Result<Table<'s>, Failure> {
        let width = second.len() + 1;
        let cells = (first.len() + 1)
            .checked_mul(width)
            .filter(|cells| *cells <= CELLS_MAX);
        let cells = cells.ok_or_else(|| Failure::other("ERR String too long for LCS"))?;
        let mut table = Table {
            first,
            second,
            lengths: vec![0; cells],
        };
        for i in 1..=first.len() {
            for j in 1..width {
                table.lengths[i * width + j] = if first[i - 1] == second[j - 1] {
                    table.at(i - 1, j - 1) + 1
                } else {
                    table.at(i - 1, j).max(table.at(i, j - 1))
                };
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.lengths[i * (self.second.len() + 1) + j]
    }

    fn length(&self) -> usize {
        self.at(self.first.len(), self.second.len()) as usize
    }

    /// Visits the places of the common bytes in both strings, last first.
    fn walk(&self, mut visit: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (self.first.len(), self.second.len());
        while i > 0 && j > 0 {
            if self.first[i - 1] == self.second[j - 1] {
                (i, j) = (i - 1, j - 1);
                visit(i, j);
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
}

/// A run of common bytes that is contiguous in both strings.
struct Run {
    first: usize,
    second: usize,
    length: usize,
}

fn write_matches(call: &mut Call<'_, '_>, table: &Table<'_>, options: &Options) {
    let mut runs: Vec<Run> = Vec::new();
    table.walk(|i, j| match runs.last_mut() {
        Some(run) if run.first == i + 1 && run.second == j + 1 => {
            *run = Run {
                first: i,
                second: j,
                length: run.length + 1,
            };
        }
        _ => runs.push(Run {
            first: i,
            second: j,
            length: 1,
        }),
    });
    runs.retain(|run| run.length >= options.length_min);
    let reply = &mut *call.reply;
    reply.map(2);
    reply.text("matches");
    reply.array(runs.len());
    for run in runs {
        reply.array(if options.with_lengths { 3 } else { 2 });
        for start in [run.first, run.second] {
            reply.array(2);
            reply.count(start);
            reply.count(start + run.length - 1);
        }
        if options.with_lengths {
            reply.count(run.length);
        }
    }
    reply.text("len");
    reply.count(table.length());
}
