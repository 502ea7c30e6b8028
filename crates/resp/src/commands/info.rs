//! INFO: sections of lines that monitoring reads.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::connection::REDIS_VERSION;
use crate::call::{Call, is};
use crate::engine::NodeInfo;
use crate::error::Outcome;

type Section = fn(&mut String, &Call<'_, '_>, &NodeInfo) -> std::fmt::Result;

const SECTIONS: &[(&str, Section)] = &[
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication),
    ("cpu", cpu),
    ("isles", isles),
    ("keyspace", keyspace),
];

pub(super) fn info(call: &mut Call<'_, '_>) -> Outcome {
    let node = call.surroundings.host.info();
    let asked = &call.args[1..];
    let everything = asked.is_empty()
        || asked.iter().any(|name| {
            ["all", "default", "everything"]
                .iter()
                .any(|all| is(name, all))
        });
    let mut text = String::with_capacity(2048);
    for (name, write) in SECTIONS {
        if !everything && !asked.iter().any(|section| is(section, name)) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let title = name[..1].to_ascii_uppercase() + &name[1..];
        writeln!(text, "# {title}\r")
            .and_then(|()| write(&mut text, call, &node))
            .expect("writing to a string cannot fail");
    }
    call.reply.verbatim(&text);
    Ok(())
}

macro_rules! lines {
    ($text:expr, $($name:literal: $value:expr),+ $(,)?) => {{
        $(write!($text, concat!($name, ":{}\r\n"), $value)?;)+
        Ok(())
    }};
}

fn server(text: &mut String, call: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    let seconds = node.uptime.as_secs();
    lines!(text,
        "redis_version": REDIS_VERSION,
        "redis_mode": "standalone",
        "isles_version": node.version,
        "os": std::env::consts::OS,
        "arch_bits": usize::BITS,
        "process_id": std::process::id(),
        "tcp_port": node.port,
        "server_time_usec": u128::from(call.surroundings.wall_ms) * 1000,
        "uptime_in_seconds": seconds,
        "uptime_in_days": seconds / 86_400,
        "executable": "isles",
        "config_file": "",
    )
}

fn clients(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    let server = call.surroundings.server;
    lines!(text,
        "connected_clients": server.clients.len(),
        "maxclients": server.options.max_clients,
        "blocked_clients": server.waiting.len(),
    )
}

fn memory(text: &mut String, _: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    let mebibytes = node.memory_bytes as f64 / f64::from(1 << 20);
    lines!(text,
        "used_memory": node.memory_bytes,
        "used_memory_human": format_args!("{mebibytes:.2}M"),
        "used_memory_rss": node.memory_bytes,
        "maxmemory": 0,
        "maxmemory_policy": "noeviction",
    )
}

fn persistence(text: &mut String, call: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    lines!(text,
        "loading": u8::from(call.surroundings.loading),
        "async_loading": 0,
        "rdb_bgsave_in_progress": 0,
        "aof_enabled": 1,
        "aof_rewrite_in_progress": 0,
        "aof_last_write_status": "ok",
        "isles_durability": node.durability,
        "isles_log_bytes": node.log_bytes,
    )
}

fn stats(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    let server = call.surroundings.server;
    lines!(text,
        "total_connections_received": server.connections_total.load(Ordering::Relaxed),
        "total_commands_processed": server.commands_total.load(Ordering::Relaxed),
        "rejected_connections": server.rejected_total.load(Ordering::Relaxed),
        "evicted_keys": 0,
    )
}

/// To Redis clients every node is a master; the peers have a section of their own.
fn replication(text: &mut String, _: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    lines!(text,
        "role": if node.role == "follower" { "slave" } else { "master" },
        "connected_slaves": 0,
    )
}

fn cpu(text: &mut String, _: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    lines!(text,
        "available_cores": std::thread::available_parallelism().map_or(1, usize::from),
    )
}

fn isles(text: &mut String, _: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    lines!(text,
        "node": node.node,
        "region": node.region,
        "cluster": node.cluster,
        "node_role": node.role,
        "convergence_watermark_ms": node.watermark_ms.unwrap_or(0),
        "peers": node.peers.len(),
        "peers_connected": node.peers.iter().filter(|peer| peer.connected).count(),
    )
    .and_then(|()| {
        for (index, peer) in node.peers.iter().enumerate() {
            let lag_ms = peer.lag.map_or(-1, |lag| i64::try_from(lag.as_millis()).unwrap_or(i64::MAX));
            write!(
                text,
                "peer{index}:node={},region={},address={},connected={},lag_ms={lag_ms},backlog_bytes={}\r\n",
                peer.node,
                peer.region,
                peer.address,
                u8::from(peer.connected),
                peer.backlog_bytes,
            )?;
        }
        Ok(())
    })
}

fn keyspace(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    match call.txn.len() {
        0 => Ok(()),
        keys => write!(
            text,
            "db0:keys={keys},expires={},avg_ttl=0\r\n",
            call.txn.expiring()
        ),
    }
}
