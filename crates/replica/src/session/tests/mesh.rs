//! Several nodes, cuts, crashes and lanes that overtake each other: everybody ends with everything.

use isles_transport::TrafficClass;

use super::toy::ToyLimits;
use super::world::{World, id};
use crate::delivery::DeliveryLimits;
use crate::session::{BatchLimits, Host};

const SEEDS: u64 = 10;

/// Lanes so short that they fill, and so little memory that most is read from the log.
fn tight() -> ToyLimits {
    ToyLimits {
        delivery: DeliveryLimits {
            lane_bytes: 1 << 20,
            lane_frames: 3,
        },
        history_bytes: 1000,
        batch: BatchLimits {
            bytes: 300,
            examined: 5,
        },
    }
}

/// Writes everywhere for a while; `disturb` does what it likes meanwhile.
fn churn(world: &mut World, steps: u64, mut disturb: impl FnMut(&mut World)) {
    for _ in 0..steps {
        for node in 0..world.nodes.len() {
            if world.chance.one_in(6) {
                world.write(node);
            }
        }
        disturb(world);
        world.step();
    }
}

fn cut_and_heal(world: &mut World) {
    if !world.chance.one_in(100) {
        return;
    }
    let pairs = world.pairs();
    let pair = pairs[world.chance.below(pairs.len() as u64) as usize];
    match world.is_cut(pair) {
        true => world.heal(pair.0, pair.1),
        false => world.cut(pair.0, pair.1),
    }
}

fn heal_all(world: &mut World) {
    world
        .pairs()
        .into_iter()
        .for_each(|(a, b)| world.heal(a, b));
}

fn finish(mut world: World) {
    heal_all(&mut world);
    world.settle(20_000);
    world.assert_converged();
    for node in &world.nodes {
        assert_eq!(node.errors, [], "nothing but cuts ended a session");
    }
}

#[test]
fn three_nodes_with_cut_links_end_with_everything() {
    for seed in 0..SEEDS {
        let mut world = World::mesh(seed, 3, ToyLimits::default());
        churn(&mut world, 1500, cut_and_heal);
        finish(world);
    }
}

// F16: with one stream per peer, frames that wait would have filled the buffer and blocked those that they wait for.
#[test]
fn short_lanes_never_deadlock() {
    for seed in 0..SEEDS {
        let mut world = World::mesh(seed, 4, tight());
        assert_eq!(world.limits().delivery.lane_frames, 3);
        churn(&mut world, 1500, cut_and_heal);
        finish(world);
    }
}

#[test]
fn what_was_not_durable_never_left() {
    for seed in 0..SEEDS {
        let mut world = World::mesh(seed, 3, tight());
        churn(&mut world, 1500, |world| {
            cut_and_heal(world);
            if world.chance.one_in(150) {
                let node = world.chance.below(3) as usize;
                world.crash(node);
            }
        });
        finish(world);
    }
}

#[test]
fn a_line_relays_from_end_to_end() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, tight());
        (0..3).for_each(|node| world.heal(node, node + 1));
        churn(&mut world, 1500, cut_and_heal);
        finish(world);
    }
}

// Each node lacks what the one opposite writes, and two neighbours could send it.
#[test]
fn a_ring_goes_both_ways_round() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, 4, tight());
        (0..4).for_each(|node| world.heal(node, (node + 1) % 4));
        churn(&mut world, 1500, |world| {
            cut_and_heal(world);
            if world.chance.one_in(300) {
                let node = world.chance.below(4) as usize;
                world.crash(node);
            }
        });
        finish(world);
    }
}

// A9: a question per missing frame would wait for `pull_after` each time and fall behind for ever.
#[test]
fn a_pull_keeps_up_while_a_link_is_down() {
    let mut world = World::mesh(7, 3, ToyLimits::default());
    world.run(200);
    world.cut(1, 2);
    churn(&mut world, 1000, |_| {});
    assert!(
        world
            .session(0, 2)
            .unwrap()
            .feed_request(TrafficClass::Pull)
            .is_some()
    );
    let mut lag_max = 0;
    churn(&mut world, 3000, |world| {
        let [there, here] = [1, 2].map(|node| world.nodes[node].host.applied().get(id(1)));
        lag_max = lag_max.max(there - here);
    });
    // About one entry in three milliseconds is written there; two hops and two syncs take some 60.
    assert!(lag_max < 100, "at most {lag_max} entries behind");
    world.heal(1, 2);
    churn(&mut world, 500, |_| {});
    for peer in [1, 2] {
        let answering = world
            .session(0, peer)
            .unwrap()
            .feed_request(TrafficClass::Pull);
        assert_eq!(
            answering, None,
            "the pull is stopped when frames arrive directly again"
        );
    }
    finish(world);
}

#[test]
fn a_frame_crosses_a_healthy_mesh_once() {
    let mut world = World::mesh(3, 3, ToyLimits::default());
    world.run(200);
    churn(&mut world, 2000, |_| {});
    world.settle(2000);
    for (node, peer) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let counts = world.session(node, peer).unwrap().counts();
        assert!(counts.accepted > 0);
        assert_eq!(
            (counts.duplicates, counts.void),
            (0, 0),
            "{node} from {peer}"
        );
    }
    finish(world);
}

#[test]
fn two_nodes_that_dial_each_other_at_once_keep_one_connection() {
    for seed in 0..20 {
        let mut world = World::new(seed, 2, ToyLimits::default());
        world.dial(0, 1);
        world.dial(1, 0);
        world.write(0);
        world.write(1);
        world.run(300);
        assert!(world.session(0, 1).is_some() && world.session(1, 0).is_some());
        world.settle(10);
        world.assert_converged();
    }
}

#[test]
fn two_dials_however_far_apart_never_close_each_other() {
    let apart = (0..60).chain((4_950..5_050).step_by(3));
    for (seed, apart_ms) in apart.enumerate() {
        let mut world = World::new(seed as u64, 2, ToyLimits::default());
        let first = seed % 2;
        world.dial(first, 1 - first);
        world.run(apart_ms);
        world.dial(1 - first, first);
        world.run(500);
        // Without any they would have dialled again.
        assert_eq!(world.connections(), (1, 2), "{apart_ms} ms apart");
        assert!(world.session(0, 1).is_some() && world.session(1, 0).is_some());
    }
}

#[test]
fn the_audit_sees_agreement_and_a_single_wrong_bit() {
    let mut world = World::mesh(5, 2, ToyLimits::default());
    churn(&mut world, 500, |_| {});
    world.settle(1000);
    world.run(2000);
    let audit = world.session(0, 1).unwrap().audit().clone();
    assert_eq!(&audit.agreed, world.nodes[0].host.applied());
    assert!(audit.compared > 100 && audit.diverged == 0, "{audit:?}");
    world.nodes[1].host.sums.values_mut().next().unwrap().sum ^= 1;
    world.write(0);
    world.run(500);
    assert!(world.session(0, 1).unwrap().audit().diverged > 0);
}
