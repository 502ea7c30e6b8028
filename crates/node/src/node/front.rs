//! What clients and operators reach from the first moment on: the node, once it is there.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use isles_clock::ReplicaId;
use isles_replica::{Replica, ReplicaConfig};
use isles_resp::{Inbox, NodeInfo};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Node;
use super::engine::policy;
use crate::config::Config;
use crate::database::Progress;

/// The ports are served through this. Until the node has replayed its log, clients hear `-LOADING` and operators how far
/// it has come.
pub(crate) struct Front {
    node: OnceLock<Arc<Node>>,
    /// Rings once when the node is there.
    opened: Notify,
    /// Rings when a client has asked for the end.
    pub(super) stop_asked: Notify,
    /// Where messages of peers go, from the first moment on that clients are served.
    pub(super) inbox: OnceLock<Inbox>,
    pub(super) opening: Opening,
}

/// What there is before the node.
pub(super) struct Opening {
    pub(super) config: Config,
    redis_port: u16,
    pub(super) metrics: PrometheusHandle,
    pub(super) progress: Arc<Progress>,
    /// Empty, and never written to: commands that need no data run on something.
    pub(super) replica: Mutex<Replica>,
    started: Instant,
}

impl Front {
    pub(super) fn new(
        config: &Config,
        redis_port: u16,
        metrics: PrometheusHandle,
        progress: Arc<Progress>,
    ) -> Arc<Front> {
        let nobody = ReplicaId::from_u128(0);
        Arc::new(Front {
            node: OnceLock::new(),
            opened: Notify::new(),
            stop_asked: Notify::new(),
            inbox: OnceLock::new(),
            opening: Opening {
                config: config.clone(),
                redis_port,
                metrics,
                progress,
                replica: Mutex::new(Replica::new(nobody, ReplicaConfig::default())),
                started: Instant::now(),
            },
        })
    }

    /// From here on it is the node that answers.
    pub(super) fn open(&self, node: Arc<Node>) {
        let couriers = Arc::clone(&node);
        let opened_before = self.node.set(node).is_err();
        assert!(!opened_before, "invariant: a node opens once");
        if let Some(inbox) = self.inbox.get() {
            couriers.peers.couriers.deliver_to(inbox.clone());
        }
        self.opened.notify_one();
    }

    /// Waits until the node is there; for one caller.
    pub(super) async fn opened(&self) -> &Arc<Node> {
        loop {
            if let Some(node) = self.node() {
                return node;
            }
            self.opened.notified().await;
        }
    }

    #[inline]
    pub(super) fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }
}

impl Opening {
    pub(super) fn info(&self) -> NodeInfo {
        let config = &self.config;
        NodeInfo {
            node: config.node.clone(),
            region: config.region.clone(),
            cluster: config.cluster.clone(),
            role: "leader".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port: self.redis_port,
            directory: config.data_dir.display().to_string(),
            durability: policy(config.durability).to_owned(),
            uptime: self.started.elapsed(),
            ..NodeInfo::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use isles_admin::Admin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;
    use tokio::task::JoinSet;

    use super::*;
    use crate::config::{Overrides, example};

    async fn ask(address: std::net::SocketAddr, question: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    // While a log of gigabytes was replayed the ports took connections and said nothing.
    #[tokio::test]
    async fn a_node_that_replays_its_log_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("isles.toml");
        std::fs::write(&file, example()).unwrap();
        let config = Config::load(Some(&file), &Overrides::default()).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let redis = TcpListener::bind(any).await.unwrap();
        let admin = Admin::bind(any).await.unwrap();
        let (to_redis, to_admin) = (redis.local_addr().unwrap(), admin.local_address());
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .build_recorder()
            .handle();
        let progress = Arc::new(Progress::default());
        let front = Front::new(&config, 7001, metrics, Arc::clone(&progress));
        let (_stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        front.serve_redis(redis, &config, stopped.clone(), &mut tasks);
        front.serve_admin(admin, stopped, &mut tasks);
        progress.note_record(5, 9);
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: isles\r\n\r\n");
        let alive = ask(to_admin, &get("/healthz")).await;
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
        for path in ["/readyz", "/status"] {
            let answer = ask(to_admin, &get(path)).await;
            assert!(
                answer.starts_with("HTTP/1.1 503")
                    && answer.contains("replaying the log, at record 5 of 9"),
                "{answer}"
            );
        }
        for command in ["GET a", "SET a 1", "ISLES.DIGEST"] {
            let answer = ask(to_redis, &format!("{command}\r\n")).await;
            assert!(answer.starts_with("-LOADING "), "{command}: {answer}");
        }
        let info = ask(to_redis, "INFO persistence\r\n").await;
        assert!(info.contains("loading:1"), "{info}");
    }
}
