//! What is answered, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use isles_admin::{
    Admin, BindError, ConflictsError, HotConflict, HotConflicts, NodeStatus, PeerStatus, Probe,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

#[derive(Default)]
struct Node {
    ready: AtomicBool,
    broken: AtomicBool,
}

impl Probe for Node {
    fn metrics(&self) -> String {
        assert!(!self.broken.load(Ordering::Relaxed), "planted");
        "isles_role 1\n".into()
    }

    fn status(&self) -> Result<NodeStatus, String> {
        self.ready()?;
        let peer = PeerStatus {
            node: "us-1".into(),
            rtt_ms: Some(80.5),
            ..PeerStatus::default()
        };
        Ok(NodeStatus {
            node: "eu-1".into(),
            keys: 7,
            peers: vec![peer],
            ..NodeStatus::default()
        })
    }

    fn hot_conflicts(&self, count: Option<usize>) -> Result<HotConflicts, String> {
        self.ready()?;
        let hot = HotConflict {
            key: "cart:7".into(),
            conflicts: 9,
            at_least: 8,
        };
        Ok(HotConflicts {
            conflicts_total: 20,
            keys: vec![hot; count.unwrap_or(1)],
        })
    }

    fn conflicts(&self, question: &[Vec<u8>]) -> Result<serde_json::Value, ConflictsError> {
        let words = question.iter().map(|word| word.escape_ascii().to_string());
        let words: Vec<String> = words.collect();
        match words.last().map(String::as_str) {
            Some("none") => Err(ConflictsError::NotFound("no such record".into())),
            Some("bad") => Err(ConflictsError::Question("no such kind".into())),
            _ => Ok(words.into()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err("replaying the log, 40 % done".into())
        }
    }
}

struct Running {
    address: SocketAddr,
    node: Arc<Node>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start() -> Running {
    let admin = Admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let node = Arc::new(Node::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let address = admin.local_address();
    let probe = Arc::clone(&node);
    let task = tokio::spawn(admin.serve(probe, async move { drop(stopped.await) }));
    Running {
        address,
        node,
        stop,
        task,
    }
}

async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("{request} HTTP/1.1\r\nhost: isles\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let running = start().await;
    let (head, body) = ask(running.address, "GET /metrics").await;
    assert!(
        head.starts_with("http/1.1 200")
            && head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert_eq!(body, "isles_role 1\n");
}

#[tokio::test]
async fn a_node_is_healthy_before_it_is_ready() {
    let running = start().await;
    assert!(
        ask(running.address, "GET /healthz")
            .await
            .0
            .starts_with("http/1.1 200")
    );
    for path in ["/readyz", "/status", "/conflicts/hot"] {
        let (head, body) = ask(running.address, &format!("GET {path}")).await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert_eq!(body, "not ready: replaying the log, 40 % done\n");
    }
    running.node.ready.store(true, Ordering::Relaxed);
    assert!(
        ask(running.address, "GET /readyz")
            .await
            .0
            .starts_with("http/1.1 200")
    );
}

#[tokio::test]
async fn status_is_json_that_reads_back() {
    let running = start().await;
    running.node.ready.store(true, Ordering::Relaxed);
    let (head, body) = ask(running.address, "GET /status").await;
    assert!(head.contains("content-type: application/json"), "{head}");
    let status: NodeStatus = serde_json::from_str(&body).unwrap();
    assert_eq!(Ok(status), running.node.status());
    let (_, body) = ask(running.address, "GET /conflicts/hot").await;
    let hot: HotConflicts = serde_json::from_str(&body).unwrap();
    assert_eq!(Ok(hot), running.node.hot_conflicts(None));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_http_does_no_harm() {
    let running = start().await;
    assert!(
        ask(running.address, "GET /nowhere")
            .await
            .0
            .starts_with("http/1.1 404")
    );
    assert!(
        ask(running.address, "DELETE /status")
            .await
            .0
            .starts_with("http/1.1 405")
    );
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"*1\r\n$4\r\nPING\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert!(
        ask(running.address, "GET /healthz")
            .await
            .0
            .starts_with("http/1.1 200")
    );
}

#[tokio::test]
async fn a_probe_that_panics_costs_its_own_request_only() {
    let running = start().await;
    running.node.broken.store(true, Ordering::Relaxed);
    assert!(
        ask(running.address, "GET /metrics")
            .await
            .0
            .starts_with("http/1.1 500")
    );
    assert!(
        ask(running.address, "GET /healthz")
            .await
            .0
            .starts_with("http/1.1 200")
    );
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let running = start().await;
    let error = Admin::bind(running.address).await.err().unwrap();
    assert!(matches!(error, BindError::InUse { address } if address == running.address));
    let text = error.to_string();
    assert!(
        text.contains(&running.address.to_string()) && text.contains("change admin.listen"),
        "{text}"
    );
}

#[tokio::test]
async fn it_stops_when_told() {
    let running = start().await;
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn connections_are_limited_and_the_next_one_is_served_when_one_leaves() {
    let running = start().await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(TcpStream::connect(running.address).await.unwrap());
    }
    let waiting = tokio::spawn(ask(running.address, "GET /healthz"));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(idle);
    assert!(waiting.await.unwrap().0.starts_with("http/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let mut answer = Vec::new();
    // The paused clock jumps ahead as soon as everybody waits.
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"));
}

#[tokio::test]
async fn questions_about_conflicts_become_words() {
    let running = start().await;
    for (path, words) in [
        ("/conflicts", r#"["LIST"]"#),
        (
            "/conflicts?key=cart%3A*&count=5",
            r#"["LIST","KEY","cart:*","COUNT","5"]"#,
        ),
        ("/conflicts/follow?after=7", r#"["FOLLOW","AFTER","7"]"#),
        ("/conflicts/stats", r#"["STATS"]"#),
        (
            "/conflicts/replay?strategy=max",
            r#"["REPLAY","STRATEGY","max"]"#,
        ),
        ("/conflicts/0123", r#"["SHOW","0123"]"#),
        // Keys need not be text.
        ("/conflicts?key=%ff*", r#"["LIST","KEY","\\xff*"]"#),
    ] {
        let (head, body) = ask(running.address, &format!("GET {path}")).await;
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        assert_eq!(body, words, "{path}");
    }
    for (path, code) in [
        ("/conflicts/none", 404),
        ("/conflicts?kind=bad", 400),
        ("/conflicts?key", 400),
        ("/conflicts?key=%zz", 400),
    ] {
        let (head, _) = ask(running.address, &format!("GET {path}")).await;
        assert!(
            head.starts_with(&format!("http/1.1 {code}")),
            "{path}: {head}"
        );
    }
}

#[tokio::test]
async fn as_many_hot_keys_are_listed_as_are_asked_for() {
    let running = start().await;
    running.node.ready.store(true, Ordering::Relaxed);
    for (query, keys) in [("", 1), ("?", 1), ("?count=0", 0), ("?COUNT=3", 3)] {
        let (_, body) = ask(running.address, &format!("GET /conflicts/hot{query}")).await;
        let hot: HotConflicts = serde_json::from_str(&body).unwrap();
        assert_eq!(hot.keys.len(), keys, "{query}: {body}");
    }
    for (query, words) in [
        ("count=-1", "a number from 0 up, and no '-1'"),
        ("count=x", "a number from 0 up, and no 'x'"),
        ("x=1", "no parameter 'X', but count"),
        ("count=1&count=2", "one parameter, count"),
        ("count", "has no value"),
    ] {
        let (head, body) = ask(running.address, &format!("GET /conflicts/hot?{query}")).await;
        assert!(head.starts_with("http/1.1 400"), "{query}: {head}");
        assert!(body.contains(words), "{query}: {body}");
    }
}

// A web page can have a browser on the operator's machine post to this port.
#[tokio::test]
async fn nothing_is_written_here() {
    let running = start().await;
    for path in ["/conflicts", "/conflicts/0123"] {
        let (head, body) = ask(running.address, &format!("POST {path}")).await;
        assert!(head.starts_with("http/1.1 405"), "{head}");
        assert!(body.contains("isles conflicts restore"), "{body}");
    }
}
