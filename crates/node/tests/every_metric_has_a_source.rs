//! Every metric of the design is there once what it measures has happened, and is described; or it is said why not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use redis::Commands;
use support::{Cluster, Options, eventually, metric};

/// How a metric of the design can be had.
enum Source {
    Metric,
    Api(&'static str),
    NotYet(&'static str),
}

use Source::{Api, Metric, NotYet};

const DESIGN: &[(&str, Source)] = &[
    ("isles_conflicts_total", Metric),
    ("isles_remote_ops_total", Metric),
    ("isles_resolution_seconds", Metric),
    ("isles_conflict_open_seconds", Metric),
    ("isles_siblings", Metric),
    ("isles_conflict_discarded_bytes_total", Metric),
    ("isles_conflict_hot_keys", Api("/conflicts/hot")),
    ("isles_replication_lag_seconds", Metric),
    ("isles_replication_backlog_bytes", Metric),
    ("isles_stability_blocked_bytes", Metric),
    ("isles_convergence_watermark_seconds", Metric),
    ("isles_divergence_total", Metric),
    ("isles_clock_skew_seconds", Metric),
    ("isles_commands_total", Metric),
    ("isles_command_seconds", Metric),
    ("isles_log_sync_seconds", Metric),
    ("isles_log_bytes", Metric),
    ("isles_frame_entries", Metric),
    (
        "isles_frame_compression_ratio",
        NotYet("there is no compression to measure"),
    ),
    ("isles_peer_connected", Metric),
    ("isles_role", Metric),
];

/// Both write the same keys while neither hears of the other.
fn disagree(cluster: &Cluster) {
    let mut connections: Vec<_> = cluster.nodes.iter().map(|node| node.connect()).collect();
    let define = ["SET", "cart:", "multi-value"];
    let _: () = redis::cmd("ISLES.KEYSPACE")
        .arg(&define)
        .query(&mut connections[0])
        .unwrap();
    cluster.await_convergence();
    cluster.link(0, 1).cut();
    for (index, connection) in connections.iter_mut().enumerate() {
        for key in ["cart:7", "greeting"] {
            let _: () = connection.set(key, index).unwrap();
        }
    }
    cluster.link(0, 1).heal();
    cluster.await_connected();
    cluster.await_convergence();
    eventually("an open conflict has an age", || {
        metric(&cluster.nodes[0], "isles_conflict_open_oldest_seconds") > 0.0
    });
    // Whoever reads both siblings and writes ends the conflict; and one command in 64 is timed.
    for _ in 0..100 {
        let _: String = connections[0].get("cart:7").unwrap();
    }
    let _: () = connections[0].set("cart:7", "both").unwrap();
    cluster.await_convergence();
}

#[test]
fn every_metric_of_the_design() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let mut cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    disagree(&cluster);
    // It writes nothing any more, and is to be heard all the same.
    cluster.nodes[1].stop();
    cluster.nodes[1].start();
    cluster.await_connected();
    let node = &cluster.nodes[0];
    for (name, source) in DESIGN {
        assert!(
            docs.contains(&format!("`{name}")),
            "docs/metrics.md lacks {name}"
        );
        let head = format!("# TYPE {name} ");
        let is_shown = || node.admin("/metrics").contains(&head);
        match source {
            Metric => {
                eventually(&format!("{name} is shown"), is_shown);
                let help = format!("# HELP {name} ");
                assert!(node.admin("/metrics").contains(&help), "{name} has no help");
            }
            Api(path) => {
                let answer: serde_json::Value = serde_json::from_str(&node.admin(path)).unwrap();
                assert_eq!(answer["conflicts_total"], 2, "{answer}");
                let mut keys: Vec<_> = answer["keys"].as_array().unwrap().iter().collect();
                keys.sort_by_key(|hot| hot["key"].to_string());
                assert_eq!(keys[0]["key"], "cart:7");
                assert_eq!(keys[1]["conflicts"], 1);
            }
            NotYet(why) => {
                assert!(!is_shown(), "{name} is there, and was not to be: {why}");
                assert!(
                    docs.contains(why),
                    "docs/metrics.md does not say why: {why}"
                );
            }
        }
    }
    check_values(&cluster);
}

fn check_values(cluster: &Cluster) {
    let node = &cluster.nodes[0];
    assert_eq!(metric(node, "isles_siblings_count"), 1.0);
    assert_eq!(metric(node, "isles_siblings_sum"), 2.0);
    assert_eq!(metric(node, "isles_conflict_open_seconds_count"), 1.0);
    assert_eq!(metric(node, "isles_conflicts_open"), 0.0);
    assert_eq!(metric(node, "isles_conflict_open_oldest_seconds"), 0.0);
    // Of siblings no write has won, and of the others the later one, which is the second region's.
    let conflicts = |labels: &str| metric(node, &format!("isles_conflicts_total{{{labels}}}"));
    assert_eq!(
        conflicts(
            "keyspace=\"\",kind=\"write-write\",strategy=\"lww\",origin_region=\"eu\",winner_region=\"us\""
        ),
        1.0
    );
    let shown = node.admin("/metrics");
    let siblings = shown.lines().filter(|line| {
        line.starts_with("isles_conflicts_total{keyspace=\"cart:\",kind=\"write-write\",strategy=\"multi-value\"")
    });
    assert_eq!(siblings.count(), 1, "{shown}");
    // One record of each key, and a hundred reads of two siblings.
    assert_eq!(metric(node, "isles_resolution_seconds_count"), 102.0);
    assert_eq!(
        metric(node, "isles_remote_ops_total{keyspace=\"cart:\"}"),
        1.0
    );
    // Both clocks are this machine's.
    assert!(metric(node, "isles_clock_skew_seconds").abs() < 30.0);
    let before = metric(node, "isles_convergence_watermark_seconds");
    eventually("the watermark goes on while nothing is written", || {
        metric(node, "isles_convergence_watermark_seconds") > before
    });
    let status: std::collections::HashMap<String, redis::Value> = redis::cmd("ISLES.STATUS")
        .query(&mut node.connect())
        .unwrap();
    let watermark_ms: u64 =
        redis::FromRedisValue::from_redis_value(status["convergence_watermark_ms"].clone())
            .unwrap();
    assert!(watermark_ms as f64 / 1e3 >= before);
}

#[test]
fn lag_and_names_are_shown_where_they_are_asked_for() {
    let cluster = Cluster::start(&Options {
        nodes: 2,
        relayed: true,
        ..Options::default()
    });
    disagree(&cluster);
    let mut connection = cluster.nodes[0].connect();
    eventually("INFO shows that all of the peer's writes are here", || {
        let info: String = redis::cmd("INFO")
            .arg("isles")
            .query(&mut connection)
            .unwrap();
        info.contains("node=us-1,region=us,") && info.contains(",lag_ms=0,")
    });
    let output = support::isles(&[
        "status",
        "--admin",
        &format!("http://{}", cluster.nodes[0].spec.admin),
    ])
    .output()
    .unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("LAG") && table.contains("0.0 ms"), "{table}");
    let answer: redis::Value = redis::cmd("ISLES.CONFLICTS")
        .arg(&["KEY", "greeting"])
        .query(&mut connection)
        .unwrap();
    let text = format!("{answer:?}");
    for name in ["eu-1", "us-1"] {
        assert!(text.contains(name), "{name} in {text}");
    }
}
