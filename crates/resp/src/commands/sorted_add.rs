//! ZADD and ZINCRBY.

use isles_replica::{AddIf, NotANumber, Score, ScoreIf};

use super::sorted_bounds::score;
use crate::call::{Call, is};
use crate::error::{Failure, Outcome};

/// The words between the key and the first score.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
    changed: bool,
    increment: bool,
}

impl Options {
    /// Reads words until one is none; returns what follows.
    fn parse<'c>(words: &'c [&'c [u8]]) -> (Options, &'c [&'c [u8]]) {
        let mut options = Options::default();
        for (index, word) in words.iter().enumerate() {
            let flag = match () {
                () if is(word, "NX") => &mut options.absent,
                () if is(word, "XX") => &mut options.present,
                () if is(word, "GT") => &mut options.greater,
                () if is(word, "LT") => &mut options.less,
                () if is(word, "CH") => &mut options.changed,
                () if is(word, "INCR") => &mut options.increment,
                () => return (options, &words[index..]),
            };
            *flag = true;
        }
        (options, &[])
    }

    fn check(self, words: usize) -> Outcome {
        if words == 0 || !words.is_multiple_of(2) {
            return Err(Failure::Syntax);
        }
        let refuse = |text: &str| Err(Failure::other(text));
        if self.absent && self.present {
            return refuse("ERR XX and NX options at the same time are not compatible");
        }
        let ordered = usize::from(self.greater) + usize::from(self.less);
        if ordered == 2 || (ordered == 1 && self.absent) {
            return refuse("ERR GT, LT, and/or NX options at the same time are not compatible");
        }
        if self.increment && words > 2 {
            return refuse("ERR INCR option supports a single increment-element pair");
        }
        Ok(())
    }

    fn conditions(self) -> (AddIf, ScoreIf) {
        let add_if = match (self.absent, self.present) {
            (true, _) => AddIf::Absent,
            (_, true) => AddIf::Present,
            _ => AddIf::Always,
        };
        let score_if = match (self.greater, self.less) {
            (true, _) => ScoreIf::Greater,
            (_, true) => ScoreIf::Less,
            _ => ScoreIf::Any,
        };
        (add_if, score_if)
    }
}

pub(super) fn zadd(call: &mut Call<'_, '_>) -> Outcome {
    let (options, words) = Options::parse(&call.args[2..]);
    options.check(words.len())?;
    let (add_if, score_if) = options.conditions();
    if options.increment {
        return increment(call, score(words[0])?, words[1], add_if, score_if);
    }
    let pairs = words.chunks_exact(2);
    let pairs: Result<Vec<(&[u8], Score)>, Failure> =
        pairs.map(|pair| Ok((pair[1], score(pair[0])?))).collect();
    let added = call
        .txn
        .sorted_set_add(call.args[1], &pairs?, add_if, score_if)?;
    let changed = if options.changed { added.changed } else { 0 };
    call.reply.count(added.new + changed);
    Ok(())
}

pub(super) fn zincrby(call: &mut Call<'_, '_>) -> Outcome {
    let by = score(call.args[2])?;
    increment(call, by, call.args[3], AddIf::Always, ScoreIf::Any)
}

fn increment(
    call: &mut Call<'_, '_>,
    by: Score,
    member: &[u8],
    add_if: AddIf,
    score_if: ScoreIf,
) -> Outcome {
    let sum = call
        .txn
        .sorted_set_increment(call.args[1], member, by, add_if, score_if)?;
    match sum {
        Ok(Some(sum)) => call.reply.double(sum.get()),
        Ok(None) => call.reply.null(),
        Err(NotANumber) => {
            return Err(Failure::other("ERR resulting score is not a number (NaN)"));
        }
    }
    Ok(())
}
