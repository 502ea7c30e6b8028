//! `isles start`: one node until it is told to stop.

use std::io::IsTerminal;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, TraceConfig, TraceFormat};
use crate::node::{Node, install_recorder};

/// Runs the node until it is interrupted or terminated.
///
/// # Errors
/// Names what the node could not have, where, and what to do.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    trace(&config.trace)?;
    let metrics = install_recorder()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.redis.worker_threads)
        .thread_name("isles-io")
        .enable_all()
        .build()
        .context("cannot start the threads that serve sockets")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let (node, region) = (config.node.clone(), config.region.clone());
        let running = Node::start(config, metrics).await?;
        tracing::info!(
            "node {node} of region {region} serves Redis clients at {} and admin requests at http://{}",
            running.redis,
            running.admin
        );
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        running.stop().await;
        tracing::info!("stopped");
        Ok(())
    })
}

fn trace(config: &TraceConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter)
        .with_context(|| format!("trace.filter {:?} cannot be read; such as \"info,isles=debug\"", config.filter))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.format {
        TraceFormat::Json => builder.json().init(),
        TraceFormat::Text => builder.with_target(false).init(),
    }
    Ok(())
}
