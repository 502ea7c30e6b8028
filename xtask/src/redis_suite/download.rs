//! Redis's suite comes with Debian's source package. It is downloaded when needed, checked by apt, and never committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The version whose results are the baseline.
const VERSION: &str = "7.0.15";
/// Has that version, whatever the machine itself runs.
const SOURCES: &str = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n";

const BY_HAND: &str = "put Debian's redis_7.0.15.orig.tar.gz there yourself: enable deb-src in apt's sources, then \
                       `apt-get update && apt-get source --download-only redis`";

const GUARD: &str = "if {[string match {*jemalloc*} [s mem_allocator]]} {";

/// The unpacked source of Redis, downloaded on the first call.
pub(super) fn source(folder: &Path) -> Result<PathBuf> {
    let unpacked = folder.join(format!("redis-{VERSION}"));
    if unpacked.join("tests/test_helper.tcl").is_file() {
        run_guarded_tests(&unpacked)?;
        return Ok(unpacked);
    }
    fs::create_dir_all(folder)?;
    let archive = folder.join(format!("redis_{VERSION}.orig.tar.gz"));
    if !archive.is_file() {
        download(folder).with_context(|| {
            format!(
                "cannot download the suite to {}; {BY_HAND}",
                folder.display()
            )
        })?;
    }
    if !archive.is_file() {
        bail!(
            "apt has another version of redis than {VERSION}; {BY_HAND}, into {}",
            folder.display()
        );
    }
    process::run(
        Command::new("tar")
            .arg("xzf")
            .arg(&archive)
            .arg("-C")
            .arg(folder),
    )?;
    run_guarded_tests(&unpacked)?;
    Ok(unpacked)
}

/// A test of memory use runs only if INFO names jemalloc. We use another allocator and hold to the same bound.
fn run_guarded_tests(unpacked: &Path) -> Result<()> {
    let strings = unpacked.join("tests/unit/type/string.tcl");
    let text = fs::read_to_string(&strings)
        .with_context(|| format!("cannot read {}", strings.display()))?;
    fs::write(strings, text.replace(GUARD, "if {1} {"))?;
    Ok(())
}

/// apt with a configuration of its own, so that the system's stays as it is.
fn download(folder: &Path) -> Result<()> {
    let apt = folder.join("apt");
    for needed in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(needed))?;
    }
    fs::write(apt.join("sources.list"), SOURCES)?;
    process::run(apt_get(&apt, folder).args(["-qq", "update"]))?;
    process::run(apt_get(&apt, folder).args(["-qq", "source", "--download-only", "redis"]))
}

fn apt_get(apt: &Path, folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let option = |name: &str, path: PathBuf| format!("-o{name}={}", path.display());
    command.current_dir(folder).args([
        option("Dir::Etc::sourcelist", apt.join("sources.list")),
        option("Dir::Etc::sourceparts", PathBuf::from("/dev/null")),
        option("Dir::State::lists", apt.join("lists")),
        option("Dir::Cache", apt.join("cache")),
        // apt drops to a user who may not write below our folder.
        "-oAPT::Sandbox::User=root".to_owned(),
    ]);
    command
}
