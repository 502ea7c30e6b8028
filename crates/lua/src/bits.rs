//! The library `bit`: operations on 32 bits, as LuaBitOp has them.

use mlua::{Lua, Table, Value};

use crate::native::{Arguments, Problem, add};

pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    one(lua, &table, "tobit", |bits| bits)?;
    one(lua, &table, "bnot", |bits| !bits)?;
    one(lua, &table, "bswap", u32::swap_bytes)?;
    many(lua, &table, "band", |a, b| a & b)?;
    many(lua, &table, "bor", |a, b| a | b)?;
    many(lua, &table, "bxor", |a, b| a ^ b)?;
    shift(lua, &table, "lshift", |bits, by| bits << by)?;
    shift(lua, &table, "rshift", |bits, by| bits >> by)?;
    shift(lua, &table, "arshift", |bits, by| {
        (bits as i32 >> by) as u32
    })?;
    shift(lua, &table, "rol", u32::rotate_left)?;
    shift(lua, &table, "ror", u32::rotate_right)?;
    add(lua, &table, "tohex", |lua, args| {
        let bits = operand(args, 0)?;
        let digits = args.integer_or(1, 8)?;
        let count = digits.unsigned_abs().min(8) as usize;
        let text = format!("{bits:08x}");
        let text = &text[8 - count..];
        let text = if digits < 0 {
            text.to_uppercase()
        } else {
            text.to_owned()
        };
        Ok(vec![Value::String(lua.create_string(text)?)])
    })?;
    Ok(table)
}

/// The number modulo 2^32, rounded to even.
fn operand(args: &Arguments, index: usize) -> Result<u32, Problem> {
    let number = args.number(index)?.round_ties_even();
    Ok(number.rem_euclid(4_294_967_296.0) as u32)
}

fn result(bits: u32) -> Vec<Value> {
    vec![Value::Number(f64::from(bits as i32))]
}

fn one(lua: &Lua, table: &Table, name: &'static str, f: fn(u32) -> u32) -> mlua::Result<()> {
    add(lua, table, name, move |_, args| {
        Ok(result(f(operand(args, 0)?)))
    })
}

fn many(lua: &Lua, table: &Table, name: &'static str, f: fn(u32, u32) -> u32) -> mlua::Result<()> {
    add(lua, table, name, move |_, args| {
        let mut bits = operand(args, 0)?;
        for index in 1..args.len() {
            bits = f(bits, operand(args, index)?);
        }
        Ok(result(bits))
    })
}

fn shift(lua: &Lua, table: &Table, name: &'static str, f: fn(u32, u32) -> u32) -> mlua::Result<()> {
    add(lua, table, name, move |_, args| {
        Ok(result(f(operand(args, 0)?, operand(args, 1)? & 31)))
    })
}
