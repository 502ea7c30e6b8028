//! What all connections of one listener share, and the loop that accepts them.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isles_clock::ReplicaId;
use isles_replica::{Replica, ReplicaConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::busy::TIME_MAX_MS_DEFAULT;
use crate::call::Surroundings;
use crate::clients::Clients;
use crate::connection;
use crate::engine::Engine;
use crate::errors::ErrorStats;
use crate::expiry;
use crate::hub::{Hub, Inbox};
use crate::latency::Latency;
use crate::line::Line;
use crate::meters::Meters;
use crate::parser::BULK_BYTES_DEFAULT;
use crate::pause::Pause;
use crate::replicas::Replicas;
use crate::scripts::Scripting;
use crate::settings::Settings;
use crate::slowlog::SlowLog;
use crate::stats::Stats;
use crate::waiting::{self, Waiting};
use crate::watch::Watch;

/// Bytes of messages that wait for one client, unless told otherwise.
const OUTBOX_BYTES_DEFAULT: usize = 32 << 20;

/// What `min-replicas-max-lag` is unless told otherwise, as in Redis.
const MAX_LAG_DEFAULT: Duration = Duration::from_secs(10);

/// How connections are served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Connections at once; further ones get an error and are closed.
    pub max_clients: usize,
    /// Bytes of one request, and of one argument in it.
    pub max_request_bytes: usize,
    /// Bytes of one write with all its arguments, and of what MULTI queues; the log refuses larger entries.
    pub max_entry_bytes: usize,
    /// Bytes of one answer; a connection that asks for more is closed.
    pub max_reply_bytes: usize,
    /// Bytes of messages that wait for a client which has asked to be told things; a client above it is disconnected, as
    /// by Redis's `client-output-buffer-limit pubsub`.
    pub max_outbox_bytes: usize,
    /// A client that takes nothing of its answers for so long is disconnected.
    pub write_stall: Duration,
    /// A client that sends nothing for so long is disconnected, unless it listens to channels; none means never.
    pub idle: Option<Duration>,
    /// Whether SELECT 1 to 15 is accepted, all of them meaning the one database.
    pub select_any: bool,
    /// How long connections may finish their answers when the server stops.
    pub drain: Duration,
    /// A script that runs longer is ended and undone, as CONFIG's `script-time-max` until that is set; at most ten minutes.
    pub script_time_max: Duration,
    /// Peers that must have acknowledged something recently for writes to be taken, as CONFIG's `min-replicas-to-write`.
    pub min_replicas_to_write: usize,
    /// How recently, in whole seconds, as CONFIG's `min-replicas-max-lag`; zero turns it off.
    pub min_replicas_max_lag: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            max_clients: 10_000,
            max_request_bytes: BULK_BYTES_DEFAULT,
            max_entry_bytes: 64 << 20,
            max_reply_bytes: 1 << 30,
            max_outbox_bytes: OUTBOX_BYTES_DEFAULT,
            write_stall: Duration::from_secs(60),
            idle: None,
            select_any: false,
            drain: Duration::from_secs(5),
            script_time_max: Duration::from_millis(TIME_MAX_MS_DEFAULT),
            min_replicas_to_write: 0,
            min_replicas_max_lag: MAX_LAG_DEFAULT,
        }
    }
}

/// What all connections of one listener share.
pub(crate) struct Server {
    pub(crate) options: ServeOptions,
    pub(crate) clients: Arc<Clients>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) settings: Settings,
    pub(crate) meters: Meters,
    pub(crate) waiting: Waiting,
    pub(crate) stats: Stats,
    pub(crate) slowlog: SlowLog,
    pub(crate) latency: Latency,
    pub(crate) pause: Pause,
    pub(crate) scripting: Scripting,
    pub(crate) errors: ErrorStats,
    pub(crate) replicas: Replicas,
    /// Who checks a module has it.
    pub(crate) checks: Semaphore,
    /// Who could not have the replica waits in it.
    pub(crate) line: Line,
    /// What commands run on while a script keeps the replica for long: empty, and never written to. Made when first needed.
    aside: OnceLock<Mutex<Replica>>,
    pub(crate) connections_total: AtomicU64,
    pub(crate) rejected_total: AtomicU64,
    pub(crate) commands_total: AtomicU64,
}

impl Server {
    pub(crate) fn new(options: ServeOptions) -> Server {
        let clients = Arc::new(Clients::new(options.max_outbox_bytes));
        let scripting = Scripting::default();
        let time_max_ms = u64::try_from(options.script_time_max.as_millis());
        let running = &scripting.running;
        running.set_time_max_ms(time_max_ms.unwrap_or(u64::MAX));
        Server {
            settings: Settings::new(&options),
            replicas: Replicas::new(&options),
            options,
            hub: Hub::new(Arc::clone(&clients)),
            clients,
            meters: Meters::new(),
            waiting: Waiting::default(),
            stats: Stats::new(),
            slowlog: SlowLog::default(),
            latency: Latency::default(),
            pause: Pause::default(),
            scripting,
            errors: ErrorStats::default(),
            checks: Semaphore::new(1),
            line: Line::default(),
            aside: OnceLock::new(),
            connections_total: AtomicU64::new(0),
            rejected_total: AtomicU64::new(0),
            commands_total: AtomicU64::new(0),
        }
    }

    /// What commands run on beside a script that is late.
    pub(crate) fn aside(&self) -> MutexGuard<'_, Replica> {
        let nobody = ReplicaId::from_u128(0);
        let empty = || Mutex::new(Replica::new(nobody, ReplicaConfig::default()));
        let aside = self.aside.get_or_init(empty).lock();
        aside.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reset_totals(&self) {
        for total in [
            &self.connections_total,
            &self.rejected_total,
            &self.commands_total,
        ] {
            total.store(0, Ordering::Relaxed);
        }
        self.stats.reset();
        self.errors.reset();
    }
}

/// Accepting fails when file handles run out; trying again at once would burn a core.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves Redis clients until `shutdown` becomes true or its sender goes, then lets them finish their answers.
///
/// # Errors
/// When the listener is unusable from the start. Later failures to accept are logged and retried.
pub async fn serve<E: Engine>(
    listener: TcpListener,
    engine: Arc<E>,
    options: ServeOptions,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let server = Arc::new(Server::new(options));
    engine.attach(Inbox::of(&server.hub));
    let mut connections = JoinSet::new();
    let mut background = JoinSet::new();
    background.spawn(expiry::watch(Arc::clone(&engine), Arc::clone(&server)));
    info!(%address, "serving the Redis protocol");
    let usher = tokio::spawn(usher(Arc::clone(&engine), Arc::clone(&server)));
    loop {
        tokio::select! {
            biased;
            () = told_to_stop(&mut shutdown) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => admit(stream, peer, &engine, &server, &mut connections),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
    drop(listener);
    drain(&server, connections).await;
    usher.abort();
    Ok(())
}

/// Serves those who wait for keys that peers write.
async fn usher<E: Engine>(engine: Arc<E>, server: Arc<Server>) {
    loop {
        engine.wait_changed_keys().await;
        let (durable, loading) = (engine.durable(), engine.is_loading());
        engine.hold(|replica, wall_ms| {
            let surroundings = Surroundings {
                server: &server,
                host: &*engine,
                wall_ms,
                durable,
                loading,
                busy: None,
                watch: Watch::of(&server, &*engine),
            };
            waiting::serve(replica, surroundings);
        });
    }
}

/// Waits until the flag is set or its sender is gone.
async fn told_to_stop(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn admit<E: Engine>(
    stream: TcpStream,
    peer: SocketAddr,
    engine: &Arc<E>,
    server: &Arc<Server>,
    connections: &mut JoinSet<()>,
) {
    if server.clients.len() >= server.options.max_clients {
        server.rejected_total.fetch_add(1, Ordering::Relaxed);
        debug!(%peer, "refused a connection above the limit");
        // The socket is new, so its buffer takes the line at once, or the client is gone already.
        let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
        return;
    }
    server.connections_total.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = prepare(&stream) {
        debug!(%peer, %error, "a connection ended before it began");
        return;
    }
    let local = stream
        .local_addr()
        .map_or_else(|_| String::new(), |address| address.to_string());
    let (input, output) = stream.into_split();
    let output = Arc::new(output);
    let client = server.clients.add(
        peer.to_string(),
        local,
        Some(Arc::clone(&output)),
        wall_ms(),
    );
    let (engine, server) = (Arc::clone(engine), Arc::clone(server));
    connections.spawn(async move {
        let id = client.id;
        // The guard also runs when the task is dropped or panics.
        let _leave = Leave {
            server: &server,
            id,
        };
        if let Err(reason) = connection::drive(input, &output, &*engine, &server, client).await {
            debug!(%peer, %reason, "closed a connection");
        }
    });
}

struct Leave<'s> {
    server: &'s Server,
    id: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.server.clients.remove(self.id);
    }
}

/// After this much silence the system asks whether the client still exists.
const KEEP_ALIVE: Duration = Duration::from_secs(300);

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

async fn drain(server: &Server, mut connections: JoinSet<()>) {
    for client in server.clients.all() {
        client.stop_reading();
        server.waiting.dismiss(client.id);
    }
    // Nobody waits for the end of a script that has to be ended anyway.
    server.scripting.running.stop();
    // What it holds back would otherwise be cut off instead of answered.
    server.pause.end();
    let all_left = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(server.options.drain, all_left)
        .await
        .is_err()
    {
        warn!(
            clients = server.clients.len(),
            "closed connections that did not finish in time"
        );
    }
    connections.shutdown().await;
}

/// The system's wall clock in milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
