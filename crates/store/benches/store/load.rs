//! What a table does for its keep: takes images in the checkpointer's batches, and gives rows back.

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use isles_store::{
    FjallConfig, FjallTable, MemoryTable, RedbConfig, RedbTable, SlateConfig, SlateTable, Table,
};

use crate::workload::{Random, for_each_batch, image, row_key};
use crate::{Result, Settings, fresh, in_turn, written_bytes};

/// Rows that are read one by one.
const READS: u32 = 20_000;

/// Opens a table in an empty folder.
type Open = fn(&Path) -> Result<Box<dyn Table>>;

const CANDIDATES: &[(&str, Open)] = &[
    ("fjall", |folder| {
        Ok(Box::new(FjallTable::open(folder, &FjallConfig::default())?))
    }),
    ("redb", |folder| {
        Ok(Box::new(RedbTable::open(folder, &RedbConfig::default())?))
    }),
    ("a store in a directory", |folder| {
        let config = SlateConfig::default();
        Ok(Box::new(SlateTable::open_directory(folder, &config)?))
    }),
    ("memory", |_| Ok(Box::new(MemoryTable::new()))),
];

pub(crate) fn measure(settings: &Settings, round: usize) -> Result<()> {
    let bytes = (row_key(0).len() + image(0, 0).len()) as f64 * f64::from(settings.rows);
    println!(
        "load\traw disk\t{:.0}\t\t\t1.00",
        raw_rows_per_second(settings, bytes)?
    );
    for (name, open) in in_turn(CANDIDATES, round) {
        let folder = fresh(settings, "load")?;
        let table = open(&folder)?;
        let before = written_bytes();
        // In random order, twice: the second time every row is one that is there.
        let start = Instant::now();
        for salt in 0..2 {
            let mut random = Random::new(salt);
            let rows = (0..settings.rows).map(|_| random.below(settings.rows));
            for_each_batch(rows, salt, |batch| table.write(batch))?;
            table.persist()?;
        }
        table.flush()?;
        let loaded = f64::from(2 * settings.rows) / start.elapsed().as_secs_f64();
        let amplification = (written_bytes() - before) / (2.0 * bytes);
        let (read, scanned) = (reads_per_second(settings, &*table)?, rows_scanned(&*table)?);
        println!("load\t{name}\t{loaded:.0}\t{read:.0}\t{scanned:.0}\t{amplification:.2}");
    }
    Ok(())
}

/// The same bytes, in order, and one sync: what no table can beat.
fn raw_rows_per_second(settings: &Settings, bytes: f64) -> Result<f64> {
    let mut file = File::create(fresh(settings, "load")?.join("raw"))?;
    let block = vec![7; 1 << 20];
    let start = Instant::now();
    let mut left = 2.0 * bytes;
    while left > 0.0 {
        file.write_all(&block)?;
        left -= block.len() as f64;
    }
    file.sync_data()?;
    Ok(f64::from(2 * settings.rows) / start.elapsed().as_secs_f64())
}

fn reads_per_second(settings: &Settings, table: &dyn Table) -> Result<f64> {
    let mut random = Random::new(9);
    let start = Instant::now();
    for _ in 0..READS {
        std::hint::black_box(table.get(&row_key(random.below(settings.rows)))?);
    }
    Ok(f64::from(READS) / start.elapsed().as_secs_f64())
}

fn rows_scanned(table: &dyn Table) -> Result<f64> {
    let (mut rows, start) = (0u32, Instant::now());
    table.scan(b"", None, &mut |_, value| {
        std::hint::black_box(value);
        rows += 1;
        ControlFlow::Continue(())
    })?;
    Ok(f64::from(rows) / start.elapsed().as_secs_f64())
}
