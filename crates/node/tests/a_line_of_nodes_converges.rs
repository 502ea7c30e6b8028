//! Two nodes without a link between them still get each other's writes, by way of a third.

mod support;

use redis::Commands;
use support::{Cluster, Load, Options, eventually};

/// Acknowledged by each node in each phase.
const WRITES: u64 = 300;

#[test]
fn what_cannot_come_directly_is_pulled() {
    let cluster = Cluster::start(&Options {
        relayed: true,
        ..Options::default()
    });
    let load = Load::start(&cluster, 2);
    load.await_more_everywhere(WRITES);
    cluster.link(0, 2).cut();
    load.await_more_everywhere(WRITES);
    eventually("both ends know of the cut", || !cluster.are_connected(0, 2));
    load.await_more_everywhere(WRITES);
    let ledger = load.finish();
    cluster.await_convergence();
    ledger.check_everywhere(&cluster);
    assert!(
        !cluster.are_connected(0, 2),
        "the detour was needed to the end"
    );
    // New writes go the same way, without being looked for again.
    let (mut eu, mut ap) = (cluster.nodes[0].connect(), cluster.nodes[2].connect());
    let _: () = eu.set("from eu", "1").unwrap();
    let _: () = ap.set("from ap", "1").unwrap();
    eventually("the ends of the line have each other's writes", || {
        eu.exists("from ap").unwrap() && ap.exists("from eu").unwrap()
    });
    cluster.link(0, 2).heal();
    eventually("the ends of the line are connected", || {
        cluster.are_connected(0, 2)
    });
    let _: () = eu.set("from eu", "2").unwrap();
    cluster.await_convergence();
}
