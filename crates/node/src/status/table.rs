//! A node's status as an operator reads it.

use isles_admin::{NodeStatus, PeerStatus};

/// The whole answer, several lines.
pub(super) fn render(status: &NodeStatus) -> String {
    let mut text = format!(
        "{} in region {} of cluster {}: {}, up {}, isles {}\n\n",
        status.node,
        status.region,
        status.cluster,
        status.role,
        duration(status.uptime_seconds),
        status.version
    );
    let log = &status.log;
    let rows = [
        ("redis", status.redis.clone()),
        ("replica", status.replica.clone()),
        ("keys", status.keys.to_string()),
        ("digest", status.digest.clone()),
        (
            "conflicts",
            format!("{} since start", status.conflicts_total),
        ),
        (
            "log",
            format!(
                "{}, positions {} to {}, synced: {}",
                bytes(log.bytes),
                log.first,
                log.last,
                log.sync_policy
            ),
        ),
        ("durable", format!("through position {}", status.durable)),
        (
            "checkpoint",
            format!("through position {}", status.checkpoint),
        ),
    ];
    for (name, value) in rows {
        text.push_str(&format!("{name:<12}{value}\n"));
    }
    text.push('\n');
    text.push_str(&peers(&status.peers));
    let applied = status
        .applied
        .iter()
        .map(|entry| [entry.replica.clone(), entry.sequence.to_string()]);
    text.push('\n');
    text.push_str(&below(["APPLIED FROM REPLICA", "THROUGH"], applied));
    text
}

fn peers(peers: &[PeerStatus]) -> String {
    if peers.is_empty() {
        return "no peers\n".to_owned();
    }
    let rows = peers.iter().map(|peer| {
        [
            peer.node.clone(),
            peer.region.clone(),
            peer.address.clone(),
            if peer.connected { "connected" } else { "away" }.to_owned(),
            milliseconds(peer.rtt_ms),
            milliseconds(peer.lag_ms),
            bytes(peer.backlog_bytes),
            peer.last_error.clone().unwrap_or_default(),
        ]
    });
    below(
        [
            "PEER",
            "REGION",
            "ADDRESS",
            "STATE",
            "RTT",
            "LAG",
            "BACKLOG",
            "LAST ERROR",
        ],
        rows,
    )
}

/// The rows below their head, left-aligned, two blanks apart.
fn below<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let all: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    columns(&all)
}

/// Rows of equal length as left-aligned columns, two blanks apart.
pub(crate) fn columns(rows: &[impl AsRef<[String]>]) -> String {
    let rows: Vec<&[String]> = rows.iter().map(AsRef::as_ref).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0);
            // Not `format!`, whose widths end at 65 535.
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} ms"))
}

fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let step = (count.ilog2() / 10).min(4);
    format!(
        "{:.1} {}",
        count as f64 / f64::from(step * 10).exp2(),
        units[step as usize - 1]
    )
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use isles_admin::{ClockEntry, LogStatus};

    use super::*;

    // A width of `format!` ends at 65 535.
    #[test]
    fn cells_may_be_long() {
        let long = "x".repeat(70_000);
        let rows = [["name", &long], ["n", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), format!("name  {long}\nn\n"));
    }

    #[test]
    fn numbers_for_people() {
        for (count, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (67_108_864, "64.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        for (seconds, expected) in [
            (5, "5 s"),
            (65, "1 min"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn a_node_with_a_peer() {
        let status = NodeStatus {
            version: "0.1.0".into(),
            cluster: "example".into(),
            node: "eu-1".into(),
            region: "eu".into(),
            replica: "ab".into(),
            role: "leader".into(),
            redis: "127.0.0.1:6379".into(),
            uptime_seconds: 65,
            applied: vec![ClockEntry {
                replica: "ab".into(),
                sequence: 9,
            }],
            durable: 12,
            keys: 3,
            digest: "cd".into(),
            conflicts_total: 1,
            convergence_watermark_ms: None,
            peers: vec![PeerStatus {
                node: "us-1".into(),
                region: "us".into(),
                address: "us-1:7400".into(),
                connected: true,
                rtt_ms: Some(80.25),
                last_error: Some("connection lost".into()),
                ..PeerStatus::default()
            }],
            log: LogStatus {
                bytes: 2048,
                first: 1,
                last: 12,
                sync_policy: "always".into(),
            },
            checkpoint: 10,
        };
        let expected = "\
eu-1 in region eu of cluster example: leader, up 1 min, isles 0.1.0

redis       127.0.0.1:6379
replica     ab
keys        3
digest      cd
conflicts   1 since start
log         2.0 KiB, positions 1 to 12, synced: always
durable     through position 12
checkpoint  through position 10

PEER  REGION  ADDRESS    STATE      RTT      LAG  BACKLOG  LAST ERROR
us-1  us      us-1:7400  connected  80.2 ms  -    0 B      connection lost

APPLIED FROM REPLICA  THROUGH
ab                    9
";
        assert_eq!(render(&status), expected);
    }

    #[test]
    fn a_node_alone() {
        assert!(render(&NodeStatus::default()).contains("\nno peers\n"));
    }
}
