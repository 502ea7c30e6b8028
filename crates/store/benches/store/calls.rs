//! What each call of a table on an object store costs its caller, and how much of that is waiting for the store.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isles_store::object_store::ObjectStore;
use isles_store::object_store::memory::InMemory;
use isles_store::object_store::throttle::{ThrottleConfig, ThrottledStore};
use isles_store::{SlateConfig, SlateTable, Table};

use crate::workload::{Random, for_each_batch, row_key};
use crate::{Result, Settings, percentile_us};

/// What a request to a store in the same region takes.
pub(crate) const ADDED: Duration = Duration::from_millis(50);
/// Enough for some dozens of batches, and to be read through within seconds.
const ROWS: u32 = 60_000;
const SCANNED: u32 = 10_000;

/// A store that takes its time for every request.
pub(crate) fn slow<S: ObjectStore>(store: S, added: Duration) -> ThrottledStore<S> {
    let config = ThrottleConfig {
        wait_put_per_call: added,
        wait_get_per_call: added,
        wait_delete_per_call: added,
        wait_list_per_call: added,
        wait_list_with_delimiter_per_call: added,
        ..ThrottleConfig::default()
    };
    ThrottledStore::new(store, config)
}

pub(crate) fn measure(_: &Settings) -> Result<()> {
    for added in [Duration::ZERO, ADDED] {
        let store: Arc<dyn ObjectStore> = Arc::new(slow(InMemory::new(), added));
        let config = SlateConfig::default();
        let said = |call: &str, times: &mut [Duration]| {
            let (half, most) = (percentile_us(times, 0.5), percentile_us(times, 0.99));
            println!("calls\t{call}\t{}\t{half:.1}\t{most:.1}", added.as_millis());
        };
        let (table, opened) = timed(|| SlateTable::open(store.clone(), "table", &config))?;
        said("open, empty", &mut [opened]);

        let mut times = Vec::new();
        for salt in 0..3 {
            for_each_batch(0..ROWS, salt, |batch| {
                timed(|| table.write(batch)).map(|((), time)| times.push(time))
            })?;
        }
        said("write of 1 MiB", &mut times);
        said("get, in memory", &mut gets(&table, 2_000)?);
        let ((), persisted) = timed(|| table.persist())?;
        said("persist", &mut [persisted]);
        let ((), flushed) = timed(|| table.flush())?;
        said("flush", &mut [flushed]);
        drop(table);

        let (table, opened) = timed(|| SlateTable::open(store.clone(), "table", &config))?;
        said("open", &mut [opened]);
        said("get, the first", &mut gets(&table, 1)?);
        said("get, not in the cache", &mut gets(&table, 20)?);
        let ((), scanned) = timed(|| scan(&table, SCANNED))?;
        said("scan of 10000 rows", &mut [scanned]);
        gets(&table, 100)?;
        said("get, in the cache", &mut gets(&table, 100)?);
    }
    Ok(())
}

fn timed<T, E>(
    call: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<(T, Duration), E> {
    let start = Instant::now();
    Ok((call()?, start.elapsed()))
}

/// Gets of random rows, the same ones for the same count.
fn gets(table: &SlateTable, count: u32) -> Result<Vec<Duration>> {
    let mut random = Random::new(u64::from(count));
    let times = (0..count).map(|_| {
        let (value, time) = timed(|| table.get(&row_key(random.below(ROWS))))?;
        value.ok_or("a row is missing")?;
        Ok(time)
    });
    times.collect()
}

fn scan(table: &SlateTable, rows: u32) -> std::result::Result<(), isles_store::TableError> {
    let mut left = rows;
    table.scan(b"", None, &mut |_, value| {
        std::hint::black_box(value);
        left -= 1;
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })
}
