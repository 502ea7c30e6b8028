//! Which types of the peers answer to which of ours.

/// Elements of sets and maps; of counters and registers, the writes.
pub(crate) const ELEMENTS: [u64; 3] = [10, 1_000, 100_000];

/// Calls a function for every type and number of elements, with the type of each of the three crates.
macro_rules! for_every_type {
    ($call:ident, $($context:expr)?) => {{
        use isles_clock::{ReplicaId, Stamp};
        use isles_crdt::{AwMap, AwSet, GCounter, GSet, LwwRegister, MvRegister, PnCounter, op};
        use $crate::crdts::Crdts;
        use $crate::isles::Isles;
        use $crate::kit::Kit;

        type Register = ::crdts::MVReg<u64, ReplicaId>;
        type OurMap = Isles<AwMap<u64, op::MvRegister<u64>>>;
        type PeerMap = Crdts<::crdts::Map<u64, Register, ReplicaId>>;

        let few = $crate::types::ELEMENTS[0];
        $call::<Isles<GCounter>, Crdts<::crdts::GCounter<ReplicaId>>, Kit<crdt_kit::GCounter>>(
            $($context,)? "g_counter", few,
        );
        $call::<Isles<PnCounter>, Crdts<::crdts::PNCounter<ReplicaId>>, Kit<crdt_kit::PNCounter>>(
            $($context,)? "pn_counter", few,
        );
        $call::<
            Isles<LwwRegister<u64>>,
            Crdts<::crdts::LWWReg<u64, Stamp>>,
            Kit<crdt_kit::LWWRegister<u64>>,
        >($($context,)? "lww_register", few);
        $call::<Isles<MvRegister<u64>>, Crdts<Register>, Kit<crdt_kit::MVRegister<u64>>>(
            $($context,)? "mv_register", few,
        );
        for elements in $crate::types::ELEMENTS {
            $call::<Isles<GSet<u64>>, Crdts<::crdts::GSet<u64>>, Kit<crdt_kit::GSet<u64>>>(
                $($context,)? "g_set", elements,
            );
            $call::<
                Isles<AwSet<u64>>,
                Crdts<::crdts::Orswot<u64, ReplicaId>>,
                Kit<crdt_kit::ORSet<u64>>,
            >($($context,)? "aw_set", elements);
            $call::<OurMap, PeerMap, Kit<crdt_kit::AWMap<u64, u64>>>(
                $($context,)? "aw_map", elements,
            );
        }
    }};
}
pub(crate) use for_every_type;
