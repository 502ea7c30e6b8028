//! INFO: sections of lines that monitoring reads.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::REDIS_VERSION;
use crate::call::{Call, is};
use crate::engine::NodeInfo;
use crate::error::Outcome;
use crate::pubsub::Topic;

type Section = fn(&mut String, &Call<'_, '_>, &NodeInfo) -> std::fmt::Result;

const SECTIONS: &[(&str, Section)] = &[
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication),
    ("cpu", cpu),
    ("errorstats", error_stats),
    ("isles", isles),
    ("keyspace", keyspace),
];

/// Sections that are long, and shown only to those who ask for everything or for them.
const ON_REQUEST: &[(&str, Section)] = &[("commandstats", command_stats)];

pub(super) fn info(call: &mut Call<'_, '_>) -> Outcome {
    let node = call.surroundings.host.info();
    call.surroundings.server.scripting.refresh(call.txn);
    let asked = &call.args[1..];
    let everything = asked.is_empty()
        || asked.iter().any(|name| {
            ["all", "default", "everything"]
                .iter()
                .any(|all| is(name, all))
        });
    let really_everything = asked
        .iter()
        .any(|name| is(name, "all") || is(name, "everything"));
    let usual = SECTIONS.iter().map(|section| (section, everything));
    let on_request = ON_REQUEST
        .iter()
        .map(|section| (section, really_everything));
    let mut text = String::with_capacity(2048);
    for ((name, write), included) in usual.chain(on_request) {
        if !included && !asked.iter().any(|section| is(section, name)) {
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
        "config_file": node.config_file,
    )
}

fn clients(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    let server = call.surroundings.server;
    lines!(text,
        "connected_clients": server.clients.len(),
        "maxclients": server.options.max_clients,
        "blocked_clients": server.waiting.len() + server.pause.waiting(),
        "tracking_clients": server.hub.tracking.figures().clients,
    )
}

fn memory(text: &mut String, call: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    let used = match node.allocated_bytes {
        0 => node.memory_bytes,
        allocated => allocated,
    };
    let mebibytes = used as f64 / f64::from(1 << 20);
    let figures = &call.surroundings.server.scripting.figures;
    let [
        scripts,
        script_bytes,
        script_lua_bytes,
        libraries,
        functions,
        library_bytes,
        library_lua_bytes,
    ] = [
        &figures.scripts,
        &figures.script_bytes,
        &figures.script_lua_bytes,
        &figures.libraries,
        &figures.functions,
        &figures.library_bytes,
        &figures.library_lua_bytes,
    ]
    .map(|figure| figure.load(Ordering::Relaxed));
    lines!(text,
        "used_memory": used,
        "used_memory_human": format_args!("{mebibytes:.2}M"),
        "used_memory_rss": node.memory_bytes,
        "used_memory_lua": script_lua_bytes,
        "used_memory_vm_eval": script_lua_bytes,
        "used_memory_scripts_eval": script_bytes,
        "number_of_cached_scripts": scripts,
        "number_of_functions": functions,
        "number_of_libraries": libraries,
        "used_memory_vm_functions": library_lua_bytes,
        "used_memory_vm_total": script_lua_bytes + library_lua_bytes,
        "used_memory_functions": library_bytes,
        "used_memory_scripts": script_bytes + library_bytes,
        "maxmemory": node.memory_max_bytes,
        "lazyfree_pending_objects": 0,
        "maxmemory_policy": "noeviction",
    )
}

/// A snapshot is a checkpoint here, and what Redis calls its append-only file is the log.
fn persistence(text: &mut String, call: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    let saves = &node.saves;
    let seconds = |time: Option<Duration>| {
        time.map_or(-1, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
    };
    lines!(text,
        "loading": u8::from(call.surroundings.loading),
        "async_loading": 0,
        "rdb_changes_since_last_save": saves.changes,
        "rdb_bgsave_in_progress": u8::from(saves.current.is_some()),
        "rdb_last_save_time": saves.last_ms / 1000,
        "rdb_last_bgsave_status": if saves.is_log_broken { "err" } else { "ok" },
        "rdb_last_bgsave_time_sec": seconds(saves.last_took),
        "rdb_current_bgsave_time_sec": seconds(saves.current),
        "rdb_saves": saves.total,
        "aof_enabled": 1,
        "aof_rewrite_in_progress": 0,
        "aof_rewrite_scheduled": 0,
        "aof_last_bgrewrite_status": "ok",
        "aof_last_write_status": if saves.is_log_broken { "err" } else { "ok" },
        "aof_current_size": node.log_bytes,
        "isles_durability": node.durability,
        "isles_log_bytes": node.log_bytes,
    )
}

fn stats(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    let server = call.surroundings.server;
    let tracking = server.hub.tracking.figures();
    lines!(text,
        "total_connections_received": server.connections_total.load(Ordering::Relaxed),
        "total_commands_processed": server.commands_total.load(Ordering::Relaxed),
        "rejected_connections": server.rejected_total.load(Ordering::Relaxed),
        "expired_keys": call.txn.expired_total(),
        "expired_stale_perc": format_args!("{:.2}", call.txn.stale_share() * 100.0),
        "evicted_keys": 0,
        "migrate_cached_sockets": 0,
        "total_error_replies": server.errors.total(),
        "pubsub_channels": server.hub.channels.len(Topic::Channel),
        "pubsub_patterns": server.hub.channels.len(Topic::Pattern),
        "pubsubshard_channels": server.hub.channels.len(Topic::Shard),
        "client_output_buffer_limit_disconnections": server.hub.overflows_total.load(Ordering::Relaxed),
        "tracking_total_keys": tracking.keys,
        "tracking_total_items": tracking.items,
        "tracking_total_prefixes": tracking.prefixes,
    )
}

/// To Redis clients every node is a master; the peers have a section of their own.
fn replication(text: &mut String, call: &Call<'_, '_>, node: &NodeInfo) -> std::fmt::Result {
    let surroundings = call.surroundings;
    if let Some(good) = surroundings.server.replicas.good(surroundings.host) {
        lines!(text, "min_slaves_good_slaves": good)?;
    }
    lines!(text,
        "role": if node.role == "follower" { "slave" } else { "master" },
        "connected_slaves": 0,
        "master_repl_offset": 0,
    )
}

fn cpu(text: &mut String, _: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    let [user, system, user_children, system_children] = cpu_seconds();
    lines!(text,
        "used_cpu_sys": format_args!("{system:.2}"),
        "used_cpu_user": format_args!("{user:.2}"),
        "used_cpu_sys_children": format_args!("{system_children:.2}"),
        "used_cpu_user_children": format_args!("{user_children:.2}"),
        "available_cores": std::thread::available_parallelism().map_or(1, usize::from),
    )
}

fn error_stats(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    for (code, count) in call.surroundings.server.errors.all() {
        write!(text, "errorstat_{code}:count={count}\r\n")?;
    }
    Ok(())
}

/// Calls are counted exactly; times are those of the calls that were timed, usually one in 64, for all.
fn command_stats(text: &mut String, call: &Call<'_, '_>, _: &NodeInfo) -> std::fmt::Result {
    for (name, stat) in call.surroundings.server.stats.used() {
        let totals = stat.totals();
        write!(
            text,
            "cmdstat_{name}:calls={},usec={},usec_per_call={}.00,rejected_calls={},failed_calls={}\r\n",
            totals.calls,
            totals.calls * totals.us_per_call,
            totals.us_per_call,
            totals.rejected,
            totals.failed,
        )?;
    }
    Ok(())
}

/// Processor time of this process and of those it has waited for, as Linux counts it; zero elsewhere.
fn cpu_seconds() -> [f64; 4] {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name, which may hold anything, in parentheses.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |at: usize| after_name.split_whitespace().nth(at)?.parse::<f64>().ok();
    [11, 12, 13, 14].map(|at| field(at).unwrap_or(0.0) / TICKS_PER_SECOND)
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
