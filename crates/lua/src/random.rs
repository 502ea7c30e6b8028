//! `math.random`: a generator of its own for each interpreter, so that scripts cannot disturb others' luck.

use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, Table, Value};

use crate::native::add;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From zero up to one, without it.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

pub(crate) fn library(lua: &Lua, native: &Table) -> mlua::Result<()> {
    // Where the process has put something differs from start to start; scripts need no better luck than that.
    let seed = std::ptr::from_ref(native).addr() as u64 ^ u64::from(std::process::id());
    let generator = Arc::new(Mutex::new(Generator(seed)));
    let seeded = Arc::clone(&generator);
    add(lua, native, "randomseed", move |_, args| {
        seeded.lock().unwrap_or_else(PoisonError::into_inner).0 = args.integer(0)? as u64;
        Ok(Vec::new())
    })?;
    add(lua, native, "random", move |_, args| {
        let unit = generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .unit();
        let (low, high) = match args.len() {
            0 => return Ok(vec![Value::Number(unit)]),
            1 => (1.0, args.number(0)?.floor()),
            2 => (args.number(0)?.floor(), args.number(1)?.floor()),
            _ => return Err("wrong number of arguments".into()),
        };
        if low > high {
            return Err(args.invalid(args.len() - 1, "interval is empty"));
        }
        Ok(vec![Value::Number(
            (unit * (high - low + 1.0)).floor() + low,
        )])
    })
}
