//! `isles demo`: several regions on one machine, as real processes, with links that can be slowed, cut and healed.
//!
//! In reading order:
//! - [`plan`]: from options to checked regions and ports
//! - [`home`]: the folder with certificates, data, configurations and logs
//! - [`cluster`], [`process`]: the nodes as child processes, and the links between them
//! - [`board`]: the table, and the keys that cut and heal; [`snapshot`] fills it, [`screen`] is the terminal
//! - [`story`]: the demo that plays by itself; [`client`] speaks to Redis ports, [`wait`] waits for conditions

mod board;
mod client;
mod cluster;
mod home;
mod plan;
mod process;
mod screen;
mod snapshot;
mod story;
mod wait;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use self::cluster::Cluster;
use self::home::{Fate, Home};
use self::plan::Plan;
use self::screen::Screen;
use crate::cli::DemoOptions;

/// Runs the demo until it is interrupted, or the story to its end.
///
/// # Errors
/// Names what could not be had or did not hold, where, and what to do.
pub(crate) fn run(options: DemoOptions) -> anyhow::Result<()> {
    let plan = Plan::new(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("isles-demo")
        .enable_all()
        .build()
        .context("cannot start the threads of the demo")?;
    runtime.block_on(perform(&options, &plan))
}

async fn perform(options: &DemoOptions, plan: &Plan) -> anyhow::Result<()> {
    let interrupted = interrupted()?;
    plan.check_ports()?;
    let home = Home::open(plan, options.keep.as_deref())?;
    let mut screen = Screen::new();
    screen.line(&format!(
        "{}, in {}",
        plan.introduction(),
        home.path().display()
    ))?;
    let mut cluster = Cluster::start(plan, &home)?;
    let (outcome, fate) = tokio::select! {
        outcome = play(options, &mut cluster, &mut screen) => match outcome {
            Ok(()) => (Ok(()), Fate::Remove),
            Err(error) => (Err(error), Fate::KeepForInspection),
        },
        () = interrupted => (end_early(options), Fate::Remove),
    };
    cluster.stop().await;
    home.close(fate);
    outcome
}

async fn play(
    options: &DemoOptions,
    cluster: &mut Cluster,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    cluster.wait_until_ready().await?;
    match options.story {
        true => story::play(cluster, screen).await,
        false => board::show(cluster, screen).await,
    }
}

/// Ctrl-C is how the table ends, but it leaves a story untold.
fn end_early(options: &DemoOptions) -> anyhow::Result<()> {
    anyhow::ensure!(!options.story, "interrupted before the end of the story");
    Ok(())
}

/// Completes with the first signal that asks the demo to end.
fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
