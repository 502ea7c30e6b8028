//! All types, each held against its oracle in all three ways: on random histories, and on all small ones.

use isles_crdt::op;
use isles_crdt::update::CounterUpdate::{Add as Plus, Reset};
use isles_crdt::update::FlagUpdate::{Disable, Enable};
use isles_crdt::update::MapUpdate::{Clear as ClearMap, Remove as RemoveKey, Update};
use isles_crdt::update::RegisterUpdate::{Clear as ClearRegister, Write};
use isles_crdt::update::SetUpdate::{Add, Clear, Remove};
use isles_crdt::{
    AwMap, AwSet, DwFlag, EwFlag, GCounter, GSet, LwwRegister, MaxRegister, MinRegister,
    MvRegister, PnCounter, ResettableCounter, RwSet,
};

use crate::laws;
use crate::oracle::{
    Counter, DisableWins, Elements, EnableWins, Greatest, Keys, Latest, Siblings, Smallest, SumUp,
    SumUpAndDown, Union,
};

// In each menu the explorer tries as many updates, from the front, as its scope says (of two in four writes, of four in
// three); random histories try them all.

laws!(g_counter: SumUp, GCounter, op::GCounter, [1, 5, 0]);
laws!(pn_counter: SumUpAndDown, PnCounter, op::PnCounter, [2, -3, 0, 7]);
laws!(resettable_counter: Counter, ResettableCounter, op::ResettableCounter, [Plus(2), Reset, Plus(-2), Plus(0)]);
laws!(tally: Counter, ResettableCounter, op::Tally, [Plus(2), Reset, Plus(-2), Plus(0)]);
laws!(lww_register: Latest, LwwRegister<u8>, LwwRegister<u8>, [0, 1, 2]);
laws!(max_register: Greatest, MaxRegister<u8>, MaxRegister<u8>, [3, 7, 5]);
laws!(min_register: Smallest, MinRegister<u8>, MinRegister<u8>, [3, 7, 5]);
laws!(mv_register: Siblings, MvRegister<u8>, op::MvRegister<u8>, [Write(0), ClearRegister, Write(1), Write(2)]);
laws!(ew_flag: EnableWins, EwFlag, op::EwFlag, [Enable, Disable]);
laws!(dw_flag: DisableWins, DwFlag, op::DwFlag, [Enable, Disable]);
laws!(g_set: Union, GSet<u8>, GSet<u8>, [0, 1, 2]);
laws!(aw_set: Elements<EnableWins>, AwSet<u8>, op::AwSet<u8>, [Add(0), Remove(0), Clear, Add(1), Remove(1)]);
laws!(rw_set: Elements<DisableWins>, RwSet<u8>, op::RwSet<u8>, [Add(0), Remove(0), Clear, Add(1), Remove(1)]);

laws!(map_of_registers: Keys<Siblings>, AwMap<u8, op::MvRegister<u8>>, op::AwMap<u8, op::MvRegister<u8>>, [
    Update(0, Write(0)), RemoveKey(0), Update(0, Write(1)), Update(0, ClearRegister), Update(1, Write(1)), ClearMap
]);
laws!(map_of_counters: Keys<Counter>, AwMap<u8, op::ResettableCounter>, op::AwMap<u8, op::ResettableCounter>, [
    Update(0, Plus(2)), RemoveKey(0), Update(0, Reset), Update(0, Plus(-2)), Update(1, Plus(1)), ClearMap
]);
laws!(map_of_sets: Keys<Elements<EnableWins>>, AwMap<u8, op::AwSet<u8>>, op::AwMap<u8, op::AwSet<u8>>, [
    Update(0, Add(0)), RemoveKey(0), Update(0, Remove(0)), Update(0, Add(1)), Update(1, Add(0)), Update(0, Clear), ClearMap
]);
laws!(map_of_remove_wins_sets: Keys<Elements<DisableWins>>, AwMap<u8, op::RwSet<u8>>, op::AwMap<u8, op::RwSet<u8>>, [
    Update(0, Add(0)), RemoveKey(0), Update(0, Remove(0)), Update(0, Add(1)), Update(1, Add(0)), Update(0, Clear), ClearMap
]);
laws!(map_of_enabled_flags: Keys<EnableWins>, AwMap<u8, op::EwFlag>, op::AwMap<u8, op::EwFlag>, [
    Update(0, Enable), RemoveKey(0), Update(0, Disable), Update(1, Enable), Update(1, Disable), ClearMap
]);
laws!(map_of_flags: Keys<DisableWins>, AwMap<u8, op::DwFlag>, op::AwMap<u8, op::DwFlag>, [
    Update(0, Enable), RemoveKey(0), Update(0, Disable), Update(1, Enable), Update(1, Disable), ClearMap
]);
laws!(map_of_maps_of_sets: Keys<Keys<Elements<EnableWins>>>, AwMap<u8, op::AwMap<u8, op::AwSet<u8>>>, op::AwMap<u8, op::AwMap<u8, op::AwSet<u8>>>, [
    Update(0, Update(0, Add(0))), RemoveKey(0), Update(0, RemoveKey(0)), Update(0, Update(0, Remove(0))), Update(0, Update(1, Add(0))),
    Update(1, Update(0, Add(1))), Update(0, ClearMap), Update(0, Update(0, Clear)), ClearMap
]);
laws!(map_of_maps_of_counters: Keys<Keys<Counter>>, AwMap<u8, op::AwMap<u8, op::ResettableCounter>>, op::AwMap<u8, op::AwMap<u8, op::ResettableCounter>>, [
    Update(0, Update(0, Plus(2))), RemoveKey(0), Update(0, RemoveKey(0)), Update(0, Update(0, Reset)), Update(0, Update(1, Plus(1))),
    Update(1, Update(0, Plus(-3))), Update(0, ClearMap), ClearMap
]);
