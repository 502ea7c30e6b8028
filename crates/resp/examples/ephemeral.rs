//! Serves Redis clients from a replica that logs nothing: the smallest implementation of [`Engine`].
//!
//! ```text
//! cargo run --release -p isles-resp --example ephemeral -- 127.0.0.1:7379
//! redis-cli -p 7379 SET greeting hello
//! ```
//! With `select-any` as the second argument SELECT 0 to 15 all mean the one database, as test suites want it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use isles_clock::ReplicaId;
use isles_replica::{Position, Replica, ReplicaConfig, UnloggedContent};
use isles_resp::{Engine, EngineStopped, Host, NodeInfo, ServeOptions, serve};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;

struct Ephemeral(Mutex<Replica>);

impl Host for Ephemeral {
    fn info(&self) -> NodeInfo {
        NodeInfo {
            node: "ephemeral".to_owned(),
            role: "leader".to_owned(),
            durability: "none".to_owned(),
            ..NodeInfo::default()
        }
    }
}

impl Engine for Ephemeral {
    fn hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> R {
        let wall_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        let mut replica = self.0.lock();
        let result = act(&mut replica, wall_ms);
        forget_log(&mut replica);
        result
    }

    fn durable(&self) -> Position {
        Position::from_u64(u64::MAX)
    }

    async fn wait_durable(&self, _: Position) -> Result<(), EngineStopped> {
        Ok(())
    }

    fn has_room(&self) -> bool {
        true
    }

    async fn wait_room(&self) {}
}

/// Where a node would write the log.
fn forget_log(replica: &mut Replica) {
    if replica.undurable_bytes() < 64 << 10 {
        return;
    }
    let mut last = 0;
    for unlogged in replica.take_unlogged() {
        last = unlogged.number;
        if let UnloggedContent::Own(open) = unlogged.content {
            replica.recycle(open.body);
        }
    }
    replica.note_durable(last, []);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7379".to_owned());
    let select_any = std::env::args()
        .nth(2)
        .is_some_and(|word| word == "select-any");
    let replica = Replica::new(ReplicaId::from_u128(1), ReplicaConfig::default());
    let engine = Arc::new(Ephemeral(Mutex::new(replica)));
    let (_stop, stopped) = watch::channel(false);
    let options = ServeOptions {
        select_any,
        ..ServeOptions::default()
    };
    serve(TcpListener::bind(address).await?, engine, options, stopped).await
}
