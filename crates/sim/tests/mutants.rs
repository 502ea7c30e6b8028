//! Planted bugs: some seed of a small range finds each of them, by the invariant that it breaks.

use isles_sim::run::silence_panics;
use isles_sim::{Invariant, Mutant, Options, run_seed};

/// So many seeds must be enough.
const SEEDS: u64 = 300;

/// Every planted bug breaks one of these; which one comes first depends on the seed.
fn is_found(mutant: Mutant, expected: &[Invariant]) {
    silence_panics();
    let mut other = Vec::new();
    for seed in 0..SEEDS {
        match run_seed(&Options::of_mutant(mutant, seed), seed) {
            Ok(_) => {}
            Err(failure) if expected.contains(&failure.invariant) => return,
            Err(failure) => other.push((seed, failure.to_string())),
        }
    }
    let _ = std::panic::take_hook();
    panic!(
        "no seed below {SEEDS} breaks {expected:?} with {}, but: {other:?}",
        mutant.name()
    );
}

// F1: the receivers of a removal remove what its writer had not seen.
#[test]
fn deps_read_at_seal() {
    is_found(
        Mutant::DepsAtSeal,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F3: of two concurrent values one is dropped, the other removed.
#[test]
fn one_value_per_map_field() {
    is_found(
        Mutant::OneValuePerField,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F3, F24: the same for the elements of a list.
#[test]
fn one_value_per_list_element() {
    is_found(
        Mutant::OneValuePerElement,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F3: of two entries that were given one id one is dropped, the other removed.
#[test]
fn one_entry_per_id_of_a_stream() {
    is_found(
        Mutant::OneEntryPerId,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// An entry that was acknowledged is handed out again.
#[test]
fn an_acknowledgement_is_lost() {
    is_found(
        Mutant::ForgetAcknowledged,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F4: an increment is taken for a first one.
#[test]
fn a_counter_restarts_on_net_zero() {
    is_found(
        Mutant::RestartOnZero,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F4: what a reset has taken away is counted again.
#[test]
fn covered_contributions_are_dropped_at_once() {
    is_found(
        Mutant::DropCovered,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F21: an addition that was on its way is no longer beaten.
#[test]
fn a_flag_forgets_a_removal_that_was_observed() {
    is_found(
        Mutant::DropRemovals,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// A deletion takes away what it had not seen, and nobody is told.
#[test]
fn losses_by_name_are_not_recorded() {
    is_found(Mutant::ForgetTrails, &[Invariant::Conflicts]);
}

// Whether a difference counts once depends on who has met whom.
#[test]
fn documents_know_only_their_own_differences() {
    is_found(
        Mutant::ForgetInherited,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// A member of both rules is removed, and stays; or a migration that the removal had not seen brings it back.
#[test]
fn a_removal_forgets_the_other_rule() {
    is_found(
        Mutant::ForgetOtherRule,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// F7: an ack counts, and what it is for is gone after a crash.
#[test]
fn acks_tell_what_is_in_memory() {
    is_found(Mutant::AckFromMemory, &[Invariant::Durability]);
}

// F7: a row outlives the entries that it is made of.
#[test]
fn the_table_runs_ahead_of_the_log() {
    is_found(
        Mutant::TableAheadOfLog,
        &[
            Invariant::Meaning,
            Invariant::Recovery,
            Invariant::Convergence,
        ],
    );
}

// F9: others hold entries whose writer has lost them and uses their dots again.
#[test]
fn frames_leave_before_they_are_durable() {
    let expected = [
        Invariant::Dots,
        Invariant::Sessions,
        Invariant::Meaning,
        Invariant::Convergence,
    ];
    is_found(Mutant::SendBeforeDurable, &expected);
}

// F9: a client was told of what is gone after a crash.
#[test]
fn replies_leave_before_they_are_durable() {
    is_found(Mutant::ReplyBeforeDurable, &[Invariant::Durability]);
}

// F19: after a loss the same dots stand for other entries.
#[test]
fn an_id_is_kept_after_a_loss() {
    is_found(
        Mutant::KeepIdAfterLoss,
        &[Invariant::Durability, Invariant::Dots, Invariant::Sessions],
    );
}

// F19: a clean stop is followed by a start that a loss of power takes away, and with it what was written since.
#[test]
fn a_start_is_not_synced() {
    is_found(
        Mutant::StartNotSynced,
        &[Invariant::Durability, Invariant::Dots, Invariant::Sessions],
    );
}

// F20: members that an entry added and took away again are there at its receivers.
#[test]
fn entries_are_logged_command_by_command() {
    is_found(
        Mutant::NoNetEffect,
        &[Invariant::Meaning, Invariant::Convergence],
    );
}

// A row that changed and left memory again while it was read is put in as it had been.
#[test]
fn a_stale_copy_is_admitted() {
    is_found(
        Mutant::AdmitStale,
        &[
            Invariant::Meaning,
            Invariant::Convergence,
            Invariant::Bookkeeping,
        ],
    );
}

// Whoever writes a key that has left memory writes it anew.
#[test]
fn what_is_not_in_memory_is_taken_for_absent() {
    is_found(
        Mutant::UnknownIsAbsent,
        &[
            Invariant::Meaning,
            Invariant::Convergence,
            Invariant::Bookkeeping,
        ],
    );
}

// A1, A2: a restored disk forks its history, and both branches are applied.
#[test]
fn nobody_checks_chains() {
    is_found(Mutant::NoChainCheck, &[Invariant::Dots]);
}
