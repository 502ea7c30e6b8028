//! Planted bugs: each is a mistake that an implementer could make, and the simulator must notice.

use isles_replica::damage::Damage;

/// A planted bug, named after the history in the design's list of counter-examples that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// F1: a frame names what its writer had applied when it was sealed, not when its entries were written.
    DepsAtSeal,
    /// F3: a map field keeps one value.
    OneValuePerField,
    /// F3: of several entries under one id a stream keeps one.
    OneEntryPerId,
    /// A consumer group passes over an entry that arrives below what it has delivered.
    SkipLateEntries,
    /// An acknowledgement is lost: a consumer group hands out again what was delivered and acknowledged.
    ForgetAcknowledged,
    /// F4: a counter restarts where its difference is zero.
    RestartOnZero,
    /// F4: contributions are dropped as soon as they are covered.
    DropCovered,
    /// F21: a disable-wins flag forgets a removal that an addition has observed.
    DropRemovals,
    /// F7: acks tell what is in memory.
    AckFromMemory,
    /// F7: the table is written before the log is synced.
    TableAheadOfLog,
    /// F9: frames leave before they are durable.
    SendBeforeDurable,
    /// F9: replies leave before what they tell is durable.
    ReplyBeforeDurable,
    /// F19: a node that has lost the end of its log goes on under its old id.
    KeepIdAfterLoss,
    /// F19: a start is noted in the log, but not synced before the first write.
    StartNotSynced,
    /// F20: an entry is logged command by command and not as its net effect.
    NoNetEffect,
    /// A1, A2: nobody checks whether a frame continues its writer's history.
    NoChainCheck,
    /// F3, F24: a list element keeps one value.
    OneValuePerElement,
    /// A row comes back from the table as it was when it was read, whatever has happened to it since.
    AdmitStale,
    /// A key that is not in memory is taken for one that does not exist.
    UnknownIsAbsent,
    /// What a deletion takes away of a sketch or bounded counter without having seen it has no record.
    ForgetTrails,
    /// A document knows by how much it differs from what it replaces, and not what that had known.
    ForgetInherited,
    /// A removal takes a member out of the add-wins set and forgets the remove-wins set of the same key.
    ForgetOtherRule,
}

impl Mutant {
    /// Every planted bug.
    pub const ALL: [Mutant; 22] = [
        Mutant::DepsAtSeal,
        Mutant::OneValuePerField,
        Mutant::OneEntryPerId,
        Mutant::SkipLateEntries,
        Mutant::ForgetAcknowledged,
        Mutant::RestartOnZero,
        Mutant::DropCovered,
        Mutant::DropRemovals,
        Mutant::AckFromMemory,
        Mutant::TableAheadOfLog,
        Mutant::SendBeforeDurable,
        Mutant::ReplyBeforeDurable,
        Mutant::KeepIdAfterLoss,
        Mutant::StartNotSynced,
        Mutant::NoNetEffect,
        Mutant::NoChainCheck,
        Mutant::OneValuePerElement,
        Mutant::AdmitStale,
        Mutant::UnknownIsAbsent,
        Mutant::ForgetTrails,
        Mutant::ForgetInherited,
        Mutant::ForgetOtherRule,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Mutant::DepsAtSeal => "deps-at-seal",
            Mutant::OneValuePerField => "one-value-per-field",
            Mutant::OneEntryPerId => "one-entry-per-id",
            Mutant::SkipLateEntries => "skip-late-entries",
            Mutant::ForgetAcknowledged => "forget-acknowledged",
            Mutant::RestartOnZero => "restart-on-zero",
            Mutant::DropCovered => "drop-covered",
            Mutant::DropRemovals => "drop-removals",
            Mutant::AckFromMemory => "ack-from-memory",
            Mutant::TableAheadOfLog => "table-ahead-of-log",
            Mutant::SendBeforeDurable => "send-before-durable",
            Mutant::ReplyBeforeDurable => "reply-before-durable",
            Mutant::KeepIdAfterLoss => "keep-id-after-loss",
            Mutant::StartNotSynced => "start-not-synced",
            Mutant::NoNetEffect => "no-net-effect",
            Mutant::NoChainCheck => "no-chain-check",
            Mutant::OneValuePerElement => "one-value-per-element",
            Mutant::AdmitStale => "admit-stale",
            Mutant::UnknownIsAbsent => "unknown-is-absent",
            Mutant::ForgetTrails => "forget-trails",
            Mutant::ForgetInherited => "forget-inherited",
            Mutant::ForgetOtherRule => "forget-other-rule",
        }
    }

    /// The planted bug of this name.
    pub fn of_name(name: &str) -> Option<Mutant> {
        Mutant::ALL.into_iter().find(|mutant| mutant.name() == name)
    }

    /// What it does to the rows of a replica after every change, if that is where the bug lies.
    pub fn damage(self) -> Option<Damage> {
        match self {
            Mutant::OneValuePerField => Some(Damage::OneValuePerField),
            Mutant::OneValuePerElement => Some(Damage::OneValuePerElement),
            Mutant::OneEntryPerId => Some(Damage::OneEntryPerId),
            Mutant::SkipLateEntries => Some(Damage::LateIsSkipped),
            Mutant::ForgetAcknowledged => Some(Damage::AcknowledgedIsForgotten),
            Mutant::RestartOnZero => Some(Damage::ZeroIsCovered),
            Mutant::DropCovered => Some(Damage::CoveredIsDropped),
            Mutant::DropRemovals => Some(Damage::ObservedRemovalIsDropped),
            Mutant::ForgetTrails => Some(Damage::TrailIsForgotten),
            Mutant::ForgetInherited => Some(Damage::InheritedIsForgotten),
            _ => None,
        }
    }
}
