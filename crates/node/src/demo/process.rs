//! A node as a child process that ends with the demo, however the demo ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, ChildStdin, Command};

/// A node that has not stopped by then is killed; its log recovers from that like from any crash.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A running node.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    /// The node stops when this closes, which the operating system sees to even if the demo is killed.
    leash: Option<ChildStdin>,
    configuration: PathBuf,
    log: PathBuf,
    /// Where this start's lines begin in the log.
    log_start: u64,
}

impl Process {
    /// Starts a node of this very program; what it reports is appended to `log`.
    ///
    /// # Errors
    /// If the program or the log cannot be opened.
    pub(super) fn start(name: String, configuration: &Path, log: PathBuf) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the program itself")?;
        let open = File::options().create(true).append(true).open(&log);
        let output = open.with_context(|| format!("cannot write {}", log.display()))?;
        let log_start = output.metadata().map_or(0, |metadata| metadata.len());
        let mut command = Command::new(&program);
        command
            .args(["start", "--exit-with-stdin", "--config"])
            .arg(configuration);
        // Variables for a node of the user's own would beat the demo's configuration.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ISLES_") {
                command.env_remove(variable);
            }
        }
        command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        // Ctrl-C goes to the whole foreground group; the demo wants to end its nodes in order.
        command.process_group(0).kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let leash = child.stdin.take();
        Ok(Self {
            name,
            child,
            leash,
            configuration: configuration.to_owned(),
            log,
            log_start,
        })
    }

    /// Starts the node again if it has ended.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn restart_if_ended(&mut self) -> anyhow::Result<()> {
        if self.ended().is_some() {
            *self = Self::start(self.name.clone(), &self.configuration, self.log.clone())?;
        }
        Ok(())
    }

    /// Whether the node runs.
    ///
    /// # Errors
    /// How it ended, with the last words of its log.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self
            .child
            .try_wait()
            .context("cannot ask for a node's state")?
        {
            None => Ok(()),
            Some(status) => Err(anyhow::anyhow!(
                "node {} has ended ({}): {}\nits log is {}",
                self.name,
                ending(status),
                self.last_words(),
                self.log.display()
            )),
        }
    }

    /// How the node ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(ending)
    }

    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let this_start = log.get(self.log_start as usize..).unwrap_or_default();
        last_line(&String::from_utf8_lossy(this_start)).to_owned()
    }

    /// Asks the node to stop; [`stopped`](Self::stopped) waits for it.
    pub(super) fn ask_to_stop(&mut self) {
        self.leash = None;
    }

    /// Waits until the node has stopped, and kills it if that takes too long.
    pub(super) async fn stopped(&mut self) {
        if tokio::time::timeout(STOP_LIMIT, self.child.wait())
            .await
            .is_err()
        {
            eprintln!(
                "note: node {} did not stop within {} s and is killed",
                self.name,
                STOP_LIMIT.as_secs()
            );
            // It may have ended in this moment; then there is nothing to kill.
            let _ = self.child.kill().await;
        }
    }
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "for an unknown reason".to_owned(),
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines() {
        assert_eq!(last_line("one\ntwo\n\n"), "two");
        assert_eq!(last_line("\n"), "it said nothing");
    }

    #[test]
    fn endings() {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(ending(ExitStatus::from_raw(1 << 8)), "exit code 1");
        assert_eq!(ending(ExitStatus::from_raw(9)), "signal 9");
    }
}
