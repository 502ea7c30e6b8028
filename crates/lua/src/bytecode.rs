//! Bytecode without what only debuggers read: names of variables and numbers of lines take as much memory as the code itself.

/// The header of a chunk, which says how wide numbers are; this process has written it.
const HEADER_BYTES: usize = 12;
const INT_BYTES: usize = size_of::<i32>();
const INSTRUCTION_BYTES: usize = 4;
const NUMBER_BYTES: usize = 8;
/// Numbers of parameters, of upvalues and of registers, and whether there are more arguments.
const SHAPE_BYTES: usize = 4;

/// A chunk as Lua 5.1 has dumped it in this process, without its debug information; none if it is not one.
///
/// Its functions are then named `=?`, and errors in them name no line.
pub(crate) fn strip(chunk: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Copy {
        rest: chunk,
        out: Vec::with_capacity(chunk.len()),
    };
    copy.bytes(HEADER_BYTES)?;
    copy.function()?;
    copy.rest.is_empty().then_some(copy.out)
}

/// A chunk on its way from one buffer to another, as `ldump.c` of Lua 5.1 lays it out.
struct Copy<'c> {
    rest: &'c [u8],
    out: Vec<u8>,
}

impl<'c> Copy<'c> {
    fn skip(&mut self, len: usize) -> Option<&'c [u8]> {
        let (skipped, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(skipped)
    }

    fn bytes(&mut self, len: usize) -> Option<&'c [u8]> {
        let bytes = self.skip(len)?;
        self.out.extend_from_slice(bytes);
        Some(bytes)
    }

    fn skip_count(&mut self) -> Option<usize> {
        let count = i32::from_ne_bytes(self.skip(INT_BYTES)?.try_into().ok()?);
        usize::try_from(count).ok()
    }

    fn count(&mut self) -> Option<usize> {
        let count = self.skip_count()?;
        self.out
            .extend_from_slice(&i32::try_from(count).ok()?.to_ne_bytes());
        Some(count)
    }

    fn skip_text(&mut self) -> Option<&'c [u8]> {
        let len = usize::from_ne_bytes(self.skip(size_of::<usize>())?.try_into().ok()?);
        self.skip(len)
    }

    fn text(&mut self) -> Option<()> {
        let text = self.skip_text()?;
        self.out.extend_from_slice(&text.len().to_ne_bytes());
        self.out.extend_from_slice(text);
        Some(())
    }

    fn function(&mut self) -> Option<()> {
        self.skip_text()?;
        self.out.extend_from_slice(&0usize.to_ne_bytes());
        self.bytes(2 * INT_BYTES + SHAPE_BYTES)?;
        let instructions = self.count()?;
        self.bytes(instructions.checked_mul(INSTRUCTION_BYTES)?)?;
        for _ in 0..self.count()? {
            match self.bytes(1)? {
                [0] => {}
                [1] => {
                    self.bytes(1)?;
                }
                [3] => {
                    self.bytes(NUMBER_BYTES)?;
                }
                [4] => self.text()?,
                _ => return None,
            }
        }
        for _ in 0..self.count()? {
            self.function()?;
        }
        let lines = self.skip_count()?;
        self.skip(lines.checked_mul(INT_BYTES)?)?;
        for _ in 0..self.skip_count()? {
            self.skip_text()?;
            self.skip(2 * INT_BYTES)?;
        }
        for _ in 0..self.skip_count()? {
            self.skip_text()?;
        }
        // Of each of the three there is nothing left.
        self.out.extend_from_slice(&[0; 3 * INT_BYTES]);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use mlua::Lua;
    use mlua::chunk::ChunkMode;

    use super::*;

    const CODE: &str = "local base = 40\nlocal function add(a, ...) if a == nil then return false end return base + a + select('#', ...) end\n\
        return add(1, 'x'), tostring(add()), 'text', 0.5, true";

    fn dumped(lua: &Lua) -> Vec<u8> {
        let function = lua.load(CODE).into_function().expect("is Lua");
        function.dump(false)
    }

    #[test]
    fn stripped_code_does_the_same_in_less_room() {
        let lua = Lua::new();
        let whole = dumped(&lua);
        let stripped = strip(&whole).expect("a chunk");
        assert!(stripped.len() < whole.len() * 3 / 4);
        assert_eq!(strip(&stripped).as_deref(), Some(stripped.as_slice()));
        let chunk = lua.load(stripped).set_mode(ChunkMode::Binary);
        let results: (i64, String, String, f64, bool) = chunk.call(()).expect("it runs");
        assert_eq!(
            results,
            (42, "false".to_owned(), "text".to_owned(), 0.5, true)
        );
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let whole = dumped(&Lua::new());
        for len in 0..whole.len() {
            assert_eq!(strip(&whole[..len]), None, "{len}");
        }
        assert_eq!(strip(&[whole.as_slice(), b"x"].concat()), None);
    }
}
