//! A server on a port of its own over a replica whose durability the test controls.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use isles_clock::ReplicaId;
use isles_replica::{Position, Replica, ReplicaConfig};
use isles_resp::{Engine, EngineStopped, Host, NodeInfo, ServeOptions, serve};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

const WALL_MS: u64 = 1_790_000_000_000;

/// Whatever waits longer than this in a test waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a connection waits for the replica before it says that it could not have it.
const LOCK_PATIENCE: Duration = Duration::from_millis(2);

pub(crate) struct TestEngine {
    replica: Mutex<Replica>,
    durable: AtomicU64,
    stopped: AtomicBool,
    full: AtomicBool,
    changed: Notify,
    waiting: AtomicU64,
    refused: AtomicU64,
}

impl TestEngine {
    fn new() -> TestEngine {
        TestEngine {
            replica: Mutex::new(Replica::new(
                ReplicaId::from_u128(1),
                ReplicaConfig::default(),
            )),
            durable: AtomicU64::new(u64::MAX),
            stopped: AtomicBool::new(false),
            full: AtomicBool::new(false),
            changed: Notify::new(),
            waiting: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_durable(&self, position: u64) {
        self.durable.store(position, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(crate) fn stop_log(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// Spins until somebody holds the replica: a script, if nothing else is asked.
    pub(crate) fn until_held(&self) {
        let started = std::time::Instant::now();
        while !self.replica.is_locked() {
            assert!(started.elapsed() < PATIENCE, "nobody holds the replica");
            std::thread::yield_now();
        }
    }

    /// Holds the replica while `act` runs, and then until connections were told so often that they cannot have it.
    pub(crate) fn hold_until_refused(&self, times: u64, act: impl FnOnce()) {
        let held = self.replica.lock();
        let wanted = self.refused.load(Ordering::SeqCst) + times;
        act();
        let started = std::time::Instant::now();
        while self.refused.load(Ordering::SeqCst) < wanted {
            assert!(started.elapsed() < PATIENCE, "nobody wants the replica");
            std::thread::yield_now();
        }
        drop(held);
    }

    pub(crate) fn keys(&self) -> usize {
        self.replica.lock().visible_keys()
    }

    /// Spins until so many connections wait for the log.
    pub(crate) fn until_waiting(&self, connections: u64) {
        let started = std::time::Instant::now();
        while self.waiting.load(Ordering::SeqCst) < connections {
            assert!(started.elapsed() < PATIENCE, "nobody waits for the log");
            std::thread::yield_now();
        }
    }

    async fn until(&self, ready: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            if ready() {
                return;
            }
            changed.await;
        }
    }
}

impl Host for TestEngine {
    fn info(&self) -> NodeInfo {
        NodeInfo::default()
    }
}

impl Engine for TestEngine {
    fn hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> R {
        act(&mut self.replica.lock(), WALL_MS)
    }

    fn try_hold<R>(&self, act: impl FnOnce(&mut Replica, u64) -> R) -> Option<R> {
        let Some(mut replica) = self.replica.try_lock_for(LOCK_PATIENCE) else {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return None;
        };
        Some(act(&mut replica, WALL_MS))
    }

    fn durable(&self) -> Position {
        Position::from_u64(self.durable.load(Ordering::SeqCst))
    }

    async fn wait_durable(&self, position: Position) -> Result<(), EngineStopped> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.until(|| self.durable() >= position || self.stopped.load(Ordering::SeqCst))
            .await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.durable() >= position {
            Ok(())
        } else {
            Err(EngineStopped)
        }
    }

    fn has_room(&self) -> bool {
        !self.full.load(Ordering::SeqCst)
    }

    async fn wait_room(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.until(|| self.has_room()).await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct TestServer {
    pub(crate) engine: Arc<TestEngine>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
    serving: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl TestServer {
    pub(crate) fn start(options: ServeOptions) -> TestServer {
        TestServer::start_on(2, options)
    }

    /// A server with so many threads.
    pub(crate) fn start_on(workers: usize, options: ServeOptions) -> TestServer {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        // As a node does.
        #[cfg(tokio_unstable)]
        runtime.disable_lifo_slot();
        let runtime = runtime
            .worker_threads(workers)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let engine = Arc::new(TestEngine::new());
        let (stop, stopped) = watch::channel(false);
        let serving = runtime.spawn(serve(listener, Arc::clone(&engine), options, stopped));
        TestServer {
            engine,
            address,
            stop,
            runtime: Some(runtime),
            serving: Some(serving),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket option");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a socket option");
        Client(stream)
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the server has stopped.
    pub(crate) fn join(&mut self) {
        let serving = self.serving.take().expect("joined once");
        let runtime = self
            .runtime
            .as_ref()
            .expect("the runtime lives as long as the server");
        runtime
            .block_on(serving)
            .expect("no panic")
            .expect("no error");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Reads exactly what is expected.
    pub(crate) fn expect(&mut self, expected: &str) {
        let mut found = vec![0; expected.len()];
        let outcome = self.0.read_exact(&mut found);
        let found = String::from_utf8_lossy(&found);
        assert_eq!(found.trim_end_matches('\0'), expected, "{outcome:?}");
    }

    /// Reads up to the end of a line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a line");
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, request: &str, expected: &str) {
        self.send(request);
        self.expect(expected);
    }

    /// Nothing more comes: the server has closed the connection.
    pub(crate) fn expect_closed(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert_eq!(String::from_utf8_lossy(&rest), ""),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}
