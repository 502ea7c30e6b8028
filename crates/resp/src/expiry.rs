//! Finding expired keys for those who want to know: readers are judged by the clock and need nobody to find them.

use std::sync::Arc;
use std::time::Duration;

use isles_replica::{Position, Replica};

use crate::engine::Engine;
use crate::hub::{FromPeers, Hub};
use crate::notify;

/// How late an expiry may be told while nobody runs a command, which tells it too.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks for expired keys as long as somebody is told of changes.
pub(crate) async fn watch<E: Engine>(engine: Arc<E>, hub: Arc<Hub>) {
    loop {
        hub.wanted.notified().await;
        while hub.wants_changes() {
            tokio::time::sleep(LOOK_EVERY).await;
            engine.hold(|replica, wall_ms| look(replica, &hub, wall_ms));
        }
        engine.hold(|replica, _| {
            if !hub.wants_changes() {
                replica.observe_changes(None);
            }
        });
    }
}

/// Tells of keys that have expired since the last command or look.
pub(crate) fn look(replica: &mut Replica, hub: &Arc<Hub>, wall_ms: u64) {
    // What was there while the log was replayed is another replica than what is there now.
    if hub.wants_changes() && !replica.observes_changes() {
        replica.observe_changes(Some(FromPeers::of(hub)));
    }
    replica.find_expired(wall_ms);
    if replica.has_changes() {
        let changes = replica.take_changes();
        let events = notify::of_own("", &[], &changes);
        hub.tell(None, &events, &changes, Position::ZERO);
    }
}
