//! `isles start`: one node until it is told to stop.

use std::io::{IsTerminal, Read};

use anyhow::{Context, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, TraceConfig, TraceFormat};
use crate::memory;
use crate::node::{Node, install_recorder};

/// What ends a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ctrl-C or SIGTERM.
    BySignal,
    /// Also the end of standard input: whoever holds its other end has gone, however that came.
    BySignalOrEndOfInput,
}

/// Runs the node until it is interrupted or terminated.
///
/// # Errors
/// Names what the node could not have, where, and what to do.
pub(crate) fn run(config: Config, stop: Stop) -> anyhow::Result<()> {
    trace(&config.trace)?;
    bound_memory(&config);
    let metrics = install_recorder()?;
    let runtime = runtime(config.redis.worker_threads)
        .context("cannot start the threads that serve sockets")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let end_of_input = end_of_input(stop)?;
        let (node, region) = (config.node.clone(), config.region.clone());
        let running = Node::start(config, metrics).await?;
        tracing::info!(
            "node {node} of region {region} serves Redis clients at {} and admin requests at http://{}",
            running.redis,
            running.admin
        );
        let failure = tokio::select! {
            result = tokio::signal::ctrl_c() => result.map(|()| None)?,
            _ = terminate.recv() => None,
            () = end_of_input => None,
            () = running.asked_to_stop() => None,
            reason = running.failed() => Some(reason),
        };
        tracing::info!("stopping");
        running.stop().await;
        match failure {
            Some(reason) => bail!("the node cannot go on: {reason}"),
            None => tracing::info!("stopped"),
        }
        Ok(())
    })
}

/// Where memory is bounded, what the operating system counts is to stay near the bound. Elsewhere there is nothing to stay near.
fn bound_memory(config: &Config) {
    if config.memory.is_none() {
        return;
    }
    if let Err(error) = memory::give_back_at_once() {
        tracing::warn!(
            "huge pages cannot be turned off: {error}; the operating system may count twice what memory.max says"
        );
    }
}

/// The threads that serve sockets. A worker runs its tasks in the order in which they were woken: else, of several clients
/// whose commands arrive together, the last would be served first.
fn runtime(worker_threads: usize) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(worker_threads)
        .thread_name("isles-io")
        .enable_all();
    #[cfg(tokio_unstable)]
    builder.disable_lifo_slot();
    builder.build()
}

/// Completes when standard input ends, if that is to stop the node; else never.
fn end_of_input(stop: Stop) -> anyhow::Result<impl Future<Output = ()>> {
    let (ended, wait) = oneshot::channel::<()>();
    if stop == Stop::BySignalOrEndOfInput {
        // A thread of its own: the runtime would wait for a read that it began itself, also after a signal.
        std::thread::Builder::new()
            .name("isles-input".to_owned())
            .spawn(move || {
                let mut ignored = [0; 1024];
                while std::io::stdin()
                    .read(&mut ignored)
                    .is_ok_and(|count| count > 0)
                {}
                let _ = ended.send(());
            })
            .context("cannot start the thread that watches standard input")?;
    }
    Ok(async move {
        if stop == Stop::BySignal || wait.await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

fn trace(config: &TraceConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).with_context(|| {
        format!(
            "trace.filter {:?} cannot be read; such as \"warn,isles=debug\"",
            config.filter
        )
    })?;
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::config::key::{Fallback, Key};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_reported_by_default() {
        let Fallback::Value(filter) = Key::find("trace.filter").unwrap().default else {
            panic!("trace.filter has a default")
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::try_new(filter).unwrap())
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "isles::start", "ours 1");
            tracing::info!(target: "isles_replica::session", "ours 2");
            tracing::debug!(target: "isles_replica::session", "details");
            tracing::info!(target: "lsm_tree::tree", "internals");
            tracing::warn!(target: "fjall::db", "trouble");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        let shown = ["ours 1", "ours 2", "details", "internals", "trouble"]
            .map(|words| text.contains(words));
        assert_eq!(shown, [true, true, false, false, true], "{text}");
    }
}
