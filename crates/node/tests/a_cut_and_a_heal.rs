//! Both sides of a cut take writes, and agree once it is healed.

mod support;

use support::{Cluster, Load, Options, eventually};

/// Acknowledged by each node in each phase.
const WRITES: u64 = 300;

#[test]
fn both_sides_of_a_cut_take_writes_and_agree_afterwards() {
    let cluster = Cluster::start(&Options {
        relayed: true,
        ..Options::default()
    });
    let load = Load::start(&cluster, 2);
    load.await_more_everywhere(WRITES);
    cluster.isolate(0);
    load.await_more_everywhere(WRITES);
    eventually("both sides know of the cut", || {
        !cluster.are_connected(0, 1) && !cluster.are_connected(0, 2)
    });
    load.await_more_everywhere(WRITES);
    cluster.rejoin(0);
    load.await_more_everywhere(WRITES);
    let ledger = load.finish();
    cluster.await_convergence();
    ledger.check_everywhere(&cluster);
    cluster.await_connected();
}

// A cut that ends before anybody gives the connection up leaves holes that only the connection itself fills.
#[test]
fn a_link_that_comes_and_goes_loses_nothing() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    let load = Load::start(&cluster, 2);
    for _ in 0..5 {
        load.await_more_everywhere(WRITES / 3);
        cluster.isolate(0);
        load.await_more_everywhere(WRITES / 3);
        cluster.rejoin(0);
    }
    let ledger = load.finish();
    cluster.await_convergence();
    ledger.check_everywhere(&cluster);
}
