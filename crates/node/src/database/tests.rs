//! What a panic under the lock does, in a process of its own: it ends.

use std::path::Path;
use std::process::Command;

use isles_replica::{Expiry, Scope};

use super::{Database, Progress, Settings, Threads, open, wall_ms};
use crate::config::{Config, Overrides};

/// Tells the child where its data directory is.
const DIRECTORY: &str = "ISLES_TEST_PANIC_DIRECTORY";
const NAME: &str = "database::tests::a_panic_under_the_lock_ends_the_process";

fn config(directory: &Path) -> Config {
    let file = directory.join("isles.toml");
    let text = format!(
        "cluster = \"c\"\nnode = \"eu-1\"\nregion = \"eu\"\ndata_dir = \"{}\"\n",
        directory.join("data").display()
    );
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), &Overrides::default()).unwrap()
}

fn start(directory: &Path) -> (std::sync::Arc<Database>, Threads) {
    let config = config(directory);
    let opened = open(&config, &Progress::default()).unwrap();
    let settings = Settings {
        durability: config.durability,
        checkpoint: config.checkpoint.clone(),
        log: config.log.clone(),
        memory_max: None,
        peers: Vec::new(),
    };
    Database::start(opened, settings)
}

async fn set(database: &Database, key: &[u8]) {
    let position = database.hold(|replica, wall_ms| {
        let mut txn = replica.txn(wall_ms, Scope::Once);
        txn.set_string(key, b"v", Expiry::Clear);
        txn.commit().unwrap()
    });
    database.wait_durable(position).await.unwrap();
}

async fn panic_under_the_lock(directory: &Path) {
    let (database, _threads) = start(directory);
    set(&database, b"before").await;
    println!("digest {}", database.hold(|replica, _| replica.digest()));
    // A task of its own, as each connection is: alone, it would take nothing with it.
    let held = std::sync::Arc::clone(&database);
    let panicked = tokio::spawn(async move {
        held.hold(|replica, wall_ms| {
            let mut txn = replica.txn(wall_ms, Scope::Many);
            txn.set_string(b"half", b"v", Expiry::Clear);
            txn.set_string(b"before", b"changed", Expiry::Clear);
            panic!("half-way");
        });
    });
    assert!(panicked.await.is_err());
    set(&database, b"after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_under_the_lock_ends_the_process() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        panic_under_the_lock(Path::new(&directory)).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(DIRECTORY, folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout);
    assert_eq!(child.status.code(), Some(1), "{printed}");
    let digest = printed
        .lines()
        .find_map(|line| line.strip_prefix("digest "));
    // The next start has what the log holds, and nothing of what was half done.
    let (database, threads) = start(folder.path());
    let found = database.hold(|replica, _| {
        let mut txn = replica.txn(wall_ms(), Scope::Once);
        let keys = [&b"before"[..], b"half", b"after"];
        let found = keys.map(|key| txn.string(key).unwrap().map(|value| value.to_vec()));
        txn.commit().unwrap();
        (found, replica.digest().to_string())
    });
    let (values, digest_now) = found;
    assert_eq!(values, [Some(b"v".to_vec()), None, None]);
    assert_eq!(digest, Some(&*digest_now), "{printed}");
    tokio::task::spawn_blocking(move || threads.stop(&database))
        .await
        .unwrap();
}
