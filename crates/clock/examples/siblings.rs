//! A shopping cart on two servers. Whoever writes says what they had read; nothing that was not read is overwritten,
//! and nothing that was read comes back.
//!
//! `cargo run -p isles-clock --example siblings`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use isles_clock::{DvvSet, ReplicaId, UpdateError, VectorClock};

/// What a client does: reads the values with their context, and hands the context back when it writes.
struct Reading {
    carts: Vec<&'static str>,
    context: VectorClock,
}

fn read(cart: &DvvSet<&'static str>) -> Reading {
    let carts = cart.values().copied().collect();
    Reading {
        carts,
        context: cart.context(),
    }
}

fn main() -> Result<(), UpdateError> {
    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let (mut in_europe, mut in_america) = (DvvSet::new(), DvvSet::new());

    // Phone and laptop both start from nothing, at the same server.
    let (phone, laptop) = (read(&in_europe), read(&in_europe));
    in_europe.update(&phone.context, eu, "tea")?;
    in_europe.update(&laptop.context, eu, "milk")?;
    println!(
        "concurrent writes stay side by side: {:?}",
        read(&in_europe).carts
    );
    assert_eq!(read(&in_europe).carts, ["tea", "milk"]);

    // The servers meet; the laptop reads both carts in America and writes one.
    in_america.sync(&in_europe);
    let laptop = read(&in_america);
    in_america.update(&laptop.context, us, "tea and milk")?;

    // The phone has read nothing since, and writes again in Europe.
    in_europe.update(&phone.context, eu, "sugar")?;

    // Both ways, twice, in any order: the outcome is the same, and only what nobody had read is left beside.
    in_europe.sync(&in_america);
    in_america.sync(&in_europe);
    in_america.sync(&in_europe);
    println!(
        "after syncing, {:?} with the context {}",
        read(&in_europe).carts,
        in_europe.context()
    );
    assert_eq!(in_europe, in_america);
    assert_eq!(read(&in_america).carts, ["sugar", "tea and milk"]);

    // Merging is a write that has read everything.
    let both = read(&in_europe);
    in_europe.update(&both.context, eu, "tea, milk and sugar")?;
    in_america.sync(&in_europe);
    println!("merged: {:?}", read(&in_america).carts);
    assert_eq!(read(&in_america).carts, ["tea, milk and sugar"]);
    Ok(())
}
