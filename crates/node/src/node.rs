//! A running node: its database, its peers, and the ports that it serves.

mod engine;
mod front;
mod meters;
mod probe;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use isles_admin::Admin;
use isles_replica::session::Timing;
use isles_resp::ServeOptions;
use isles_transport::Transport;
use isles_transport_quic::{NodeCertificate, PeerRule, QuicConfig, QuicError, QuicTransport};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::front::Front;
pub(crate) use self::meters::install_recorder;
use crate::config::{Config, TlsConfig};
use crate::database::{self, Database, Progress, Settings, Threads};
use crate::peers::Peers;

/// How often gauges are brought up to date and the metrics library is given time.
const UPKEEP: Duration = Duration::from_secs(1);
/// A peer that has been silent for so long is gone; the connection is made again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_millis(1_500);

/// What the parts of a node share.
pub(crate) struct Node {
    config: Config,
    database: Arc<Database>,
    peers: Arc<Peers>,
    meters: meters::Meters,
    metrics: PrometheusHandle,
    redis: SocketAddr,
    started: Instant,
}

/// A node that serves until it is stopped.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    front: Arc<Front>,
    pub(crate) redis: SocketAddr,
    pub(crate) admin: SocketAddr,
    threads: Threads,
    transport: Option<Arc<dyn Transport>>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// The ports of a node, held before anything else is touched.
struct Ports {
    redis: TcpListener,
    admin: Admin,
    transport: Option<Arc<dyn Transport>>,
}

impl Node {
    /// Takes the ports, recovers the database and begins to serve.
    ///
    /// # Errors
    /// Names what cannot be had, where, and what to do.
    pub(crate) async fn start(
        config: Config,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Running> {
        let Ports {
            redis,
            admin,
            transport,
        } = take_ports(&config).await?;
        let progress = Arc::new(Progress::default());
        let redis_address = redis.local_addr()?;
        let front = Front::new(
            &config,
            redis_address.port(),
            metrics.clone(),
            Arc::clone(&progress),
        );
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let admin_address = admin.local_address();
        front.serve_redis(redis, &config, stopped.clone(), &mut tasks);
        front.serve_admin(admin, stopped.clone(), &mut tasks);
        let opening = config.clone();
        let open = move || database::open(&opening, &progress);
        let opened = tokio::task::spawn_blocking(open).await??;
        let settings = Settings {
            durability: config.durability,
            checkpoint: config.checkpoint.clone(),
            log: config.log.clone(),
            memory_max: config.memory.as_ref().map(|memory| memory.max),
            peers: config.peer.iter().map(|peer| peer.node.clone()).collect(),
        };
        let (database, threads) = Database::start(opened, settings);
        database.hold(|replica, _| replica.observe(meters::observer()));
        let node = Arc::new(Node {
            peers: Peers::new(Arc::clone(&database), &config, Timing::default()),
            meters: meters::Meters::new(),
            database,
            metrics,
            redis: redis_address,
            started: Instant::now(),
            config,
        });
        node.peers.refresh();
        if let Some(transport) = &transport {
            let peers = Arc::clone(&node.peers);
            tasks.spawn(peers.run(Arc::clone(transport), node.config.peer.clone()));
        }
        tasks.spawn(upkeep(Arc::clone(&node), stopped));
        front.open(Arc::clone(&node));
        Ok(Running {
            node,
            front,
            redis: redis_address,
            admin: admin_address,
            threads,
            transport,
            stop,
            tasks,
        })
    }
}

impl Front {
    fn serve_redis(
        self: &Arc<Self>,
        listener: TcpListener,
        config: &Config,
        stopped: watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let options = ServeOptions {
            max_clients: config.redis.max_clients,
            max_request_bytes: config.redis.max_request_bytes,
            max_outbox_bytes: config.redis.max_outbox_bytes,
            select_any: config.redis.select_any,
            script_time_max: config.redis.script_time_max,
            min_replicas_to_write: config.redis.min_replicas_to_write,
            min_replicas_max_lag: config.redis.min_replicas_max_lag,
            ..ServeOptions::default()
        };
        let serving = isles_resp::serve(listener, Arc::clone(self), options, stopped);
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!("Redis clients are no longer served: {error}");
            }
        });
    }

    fn serve_admin(
        self: &Arc<Self>,
        admin: Admin,
        stopped: watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let (probe, until) = (Arc::clone(self), ended(stopped));
        tasks.spawn(async move {
            if let Err(error) = admin.serve(probe, until).await {
                tracing::error!("admin requests are no longer answered: {error}");
            }
        });
    }
}

impl Running {
    /// Waits until the node can go no further by itself, and says why.
    pub(crate) async fn failed(&self) -> String {
        self.node.database.failed().await
    }

    /// Waits until a client asks for the end, where clients may.
    pub(crate) async fn asked_to_stop(&self) {
        self.front.stop_asked.notified().await;
    }

    /// Lets clients finish, tells the peers, and closes the log cleanly.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(transport) = self.transport {
            transport.close().await;
        }
        while self.tasks.join_next().await.is_some() {}
        let (threads, database) = (self.threads, Arc::clone(&self.node.database));
        if tokio::task::spawn_blocking(move || threads.stop(&database))
            .await
            .is_err()
        {
            tracing::error!("stopping the log has panicked");
        }
    }
}

/// Waits until the node is told to stop.
async fn ended(mut stopped: watch::Receiver<bool>) {
    loop {
        let stop = *stopped.borrow_and_update();
        if stop || stopped.changed().await.is_err() {
            return;
        }
    }
}

async fn upkeep(node: Arc<Node>, stopped: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(UPKEEP);
    let ended = ended(stopped);
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => return,
            _ = ticks.tick() => {}
        }
        node.refresh_meters();
        node.metrics.run_upkeep();
    }
}

async fn take_ports(config: &Config) -> anyhow::Result<Ports> {
    let transport = match &config.tls {
        Some(tls) => Some(transport(config, tls)?),
        None => None,
    };
    let listen = config.redis.listen;
    let redis = TcpListener::bind(listen)
        .await
        .map_err(|error| anyhow!(REDIS_CLIENTS.refused(listen, &error)))?;
    Ok(Ports {
        redis,
        admin: Admin::bind(config.admin.listen).await?,
        transport,
    })
}

/// Who was to be served at an address that cannot be had.
struct Served {
    who: &'static str,
    key: &'static str,
    /// How `ss` lists sockets of this protocol with their programs.
    list: &'static str,
}

const REDIS_CLIENTS: Served = Served {
    who: "Redis clients",
    key: "redis.listen",
    list: "ss -ltnp",
};
const PEERS: Served = Served {
    who: "peers (UDP)",
    key: "peers.listen",
    list: "ss -lunp",
};

impl Served {
    /// Why not, and what to do.
    fn refused(&self, listen: SocketAddr, error: &std::io::Error) -> String {
        use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
        let Self { who, key, list } = self;
        let why = match error.kind() {
            AddrInUse => format!(
                "another program uses this port; stop it (`{list} 'sport = :{}'` names it) or",
                listen.port()
            ),
            AddrNotAvailable => "this machine has no such address;".to_owned(),
            PermissionDenied => "not allowed; ports below 1024 need privileges,".to_owned(),
            _ => format!("{error};"),
        };
        format!("cannot serve {who} at {listen}: {why} change {key}")
    }
}

fn transport(config: &Config, tls: &TlsConfig) -> anyhow::Result<Arc<dyn Transport>> {
    let certificate = NodeCertificate::load_files(&tls.ca, &tls.cert, &tls.key)?;
    let place = || format!("{} cannot be used", tls.cert.display());
    certificate
        .info()
        .check_at(SystemTime::now())
        .with_context(place)?;
    let named = certificate.identity();
    anyhow::ensure!(
        (&named.cluster, &named.node, &named.region)
            == (&config.cluster, &config.node, &config.region),
        "the certificate {} is for {named}, the configuration says {} (region {}, cluster {}); \
         make one with `isles certs node`, or correct cluster, node and region",
        tls.cert.display(),
        config.node,
        config.region,
        config.cluster
    );
    let listen = config
        .peers
        .listen
        .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let mut quic = QuicConfig::new(listen, certificate);
    quic.idle_timeout = IDLE_TIMEOUT;
    quic.keep_alive = KEEP_ALIVE;
    quic.peers = config
        .peer
        .iter()
        .map(|peer| PeerRule {
            node: peer.node.clone(),
            region: peer.region.clone(),
            address: Some(peer.address.clone()),
        })
        .collect();
    let transport = QuicTransport::new(quic).map_err(|error| match error {
        QuicError::Listen { address, error } => anyhow!(PEERS.refused(address, &error)),
        error => anyhow!(error).context(format!("cannot serve peers at peers.listen = {listen}")),
    })?;
    Ok(Arc::new(transport))
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_names_its_own_cause() {
        let listen = "8.8.8.8:80".parse().unwrap();
        let causes = [
            (ErrorKind::AddrInUse, "another program uses this port"),
            (
                ErrorKind::AddrNotAvailable,
                "this machine has no such address",
            ),
            (ErrorKind::PermissionDenied, "ports below 1024"),
            (ErrorKind::OutOfMemory, "out of memory"),
        ];
        for served in [REDIS_CLIENTS, PEERS] {
            for (kind, cause) in causes {
                let text = served.refused(listen, &Error::from(kind));
                assert!(
                    text.contains("at 8.8.8.8:80: ") && text.contains(cause),
                    "{text}"
                );
                assert!(text.ends_with(&format!("change {}", served.key)), "{text}");
                assert_eq!(
                    text.contains("another program"),
                    kind == ErrorKind::AddrInUse
                );
            }
        }
    }
}
