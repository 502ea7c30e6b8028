//! Finding expired keys for those who count them or are told of them: readers are judged by the clock and need nobody to
//! find them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isles_replica::{Position, Replica};

use crate::conflict_news::ConflictNews;
use crate::engine::Engine;
use crate::hub::FromPeers;
use crate::notify;
use crate::pause::Paused;
use crate::server::Server;

/// How late an expiry may be noticed while nobody runs a command, which notices some too.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keys that are found in one hold of the lock: some 100 µs of it, and more where clients are told of each.
const FOUND_PER_HOLD: usize = 1000;

/// Looks for expired keys as long as the server runs.
pub(crate) async fn watch<E: Engine>(engine: Arc<E>, server: Arc<Server>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (mut took, mut at_s) = (Duration::ZERO, 0);
        loop {
            // While a script holds the replica, nobody counts.
            let found = engine.try_hold(|replica, wall_ms| {
                let started = Instant::now();
                let found = look(replica, &server, wall_ms);
                took += started.elapsed();
                at_s = wall_ms / 1000;
                found
            });
            if found.is_none_or(|found| found < FOUND_PER_HOLD) {
                break;
            }
            // Commands come first.
            tokio::task::yield_now().await;
        }
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        server.latency.note("expire-cycle", at_s, took_ms);
    }
}

/// Counts and tells of keys that have expired since the last command or look, as many as one hold may; returns how many.
pub(crate) fn look(replica: &mut Replica, server: &Server, wall_ms: u64) -> usize {
    let hub = &server.hub;
    // What was there while the log was replayed is another replica than what is there now.
    if hub.wants_changes() && !replica.observes_changes() {
        replica.observe_changes(Some(FromPeers::of(hub)));
    }
    if hub.wants_conflicts() != replica.observes_journal() {
        replica.observe_journal(hub.wants_conflicts().then(|| ConflictNews::of(hub)));
    }
    hold_while_paused(replica, server.pause.now());
    let found = replica.find_expired(wall_ms, FOUND_PER_HOLD);
    if replica.has_changes() {
        let changes = replica.take_changes();
        let events = notify::of_own("", &[], &changes);
        hub.tell(None, &events, &changes, Position::ZERO);
    }
    if !hub.wants_changes() && replica.observes_changes() {
        replica.observe_changes(None);
    }
    found
}

/// While clients are paused nothing is to happen of which they could be told: what expires is found afterwards. Nobody
/// reads it in the meantime.
#[inline]
pub(crate) fn hold_while_paused(replica: &mut Replica, paused: Paused) {
    replica.hold_expiries(paused != Paused::Nothing);
}
