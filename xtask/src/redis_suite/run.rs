//! One file of the suite as one process group that ends in time.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::SuiteFile;
use super::results::{Results, without_colours};
use crate::process;

const TAGS: &str = "-slow -needs:debug -needs:repl -needs:save -needs:pfdebug -needs:reset -needs:config-maxmemory -needs:config-resetstat";
/// After this long without progress the suite itself gives up on a test.
const STUCK_SECONDS: &str = "120";
const POLL_EVERY: Duration = Duration::from_millis(50);

/// The unpacked suite and how to run it.
pub(super) struct Suite {
    pub(super) source: PathBuf,
    /// Where output and temporary files go.
    pub(super) work: PathBuf,
    pub(super) skipfile: Option<PathBuf>,
    /// Patterns beside those of the skipfile.
    pub(super) also_skipped: &'static [&'static str],
    pub(super) timeout: Duration,
}

impl Suite {
    /// Runs one file against the server on `port`.
    pub(super) fn run(&self, file: SuiteFile, port: u16) -> Result<Results> {
        if !process::answers("sh", &["-c", "command -v tclsh"]) {
            bail!("tclsh is not installed; to install it: apt-get install tcl");
        }
        let output = self.output_path(file)?;
        let log = fs::File::create(&output)?;
        let mut command = Command::new("tclsh");
        command.current_dir(&self.source).args([
            "tests/test_helper.tcl",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]);
        command.args([
            "--durable",
            "--singledb",
            "--ignore-encoding",
            "--ignore-digest",
            "--timeout",
            STUCK_SECONDS,
        ]);
        command.args(["--single", file.name, "--tags", TAGS]);
        if let Some(skipfile) = &self.skipfile {
            command
                .arg("--skipfile")
                .arg(self.plain_skipfile(skipfile)?);
        }
        // Its own group: the suite's clients are children that outlive a killed parent.
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let in_time = wait(&mut command, self.timeout)?;
        let text = without_colours(&String::from_utf8_lossy(&fs::read(&output)?));
        fs::write(&output, &text)?;
        let mut results = Results::parse(&text);
        if !in_time {
            results.failures.push(format!(
                "the file did not end within {} s",
                self.timeout.as_secs()
            ));
        }
        if results.passed == 0 && results.failures.is_empty() {
            bail!("{} ran no test; see {}", file.name, output.display());
        }
        Ok(results)
    }

    fn output_path(&self, file: SuiteFile) -> Result<PathBuf> {
        let folder = self.work.join("output");
        fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{}.txt", file.name.replace('/', "-"))))
    }

    /// The suite takes every line for a pattern, so comments have to go.
    fn plain_skipfile(&self, commented: &Path) -> Result<PathBuf> {
        let text = fs::read_to_string(commented)
            .with_context(|| format!("cannot read {}", commented.display()))?;
        let plain = self.work.join("skip.txt");
        let others = self
            .also_skipped
            .iter()
            .map(|pattern| format!("\n{pattern}"));
        fs::write(&plain, patterns(&text) + &others.collect::<String>())?;
        Ok(plain)
    }
}

fn patterns(commented: &str) -> String {
    let lines = commented
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether it ended by itself in time; if not, its whole group is gone afterwards.
fn wait(command: &mut Command, timeout: Duration) -> Result<bool> {
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run `{}`", process::line(command)))?;
    let deadline = Instant::now() + timeout;
    let in_time = loop {
        if child.try_wait()?.is_some() {
            break true;
        }
        if Instant::now() > deadline {
            break false;
        }
        thread::sleep(POLL_EVERY);
    };
    // Also after a normal end: a client that hangs would keep its connection.
    let group = format!("-{}", child.id());
    process::answers("kill", &["-KILL", "--", &group]);
    child.wait()?;
    Ok(in_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_reach_the_suite() {
        assert_eq!(
            patterns("# why\nA test\n\n/pattern.*  \n"),
            "A test\n/pattern.*"
        );
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let begin = Instant::now();
        let mut stuck = Command::new("sh");
        stuck.args(["-c", "sleep 600 & wait"]).process_group(0);
        assert!(!wait(&mut stuck, Duration::from_millis(100)).unwrap());
        assert!(begin.elapsed() < Duration::from_secs(60));
        assert!(
            wait(
                Command::new("true").process_group(0),
                Duration::from_secs(60)
            )
            .unwrap()
        );
    }
}
