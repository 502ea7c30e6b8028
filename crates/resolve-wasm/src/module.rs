//! A module that is loaded, and one call of it.

use std::fmt;

use isles_resolve::{Failure, Resolution, Resolver, Sibling};
use wasmi::errors::{ErrorKind, MemoryError};
use wasmi::{
    CompilationMode, Config, EnforcedLimits, Engine, Error, ExternType, Func, FuncType, Instance,
    Linker, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, TrapCode, ValType,
};

use crate::abi;
use crate::limits::{INPUT_BYTES_MAX, Limits, MODULE_BYTES_MAX};

/// How deeply a module's functions may call each other.
const CALLS_MAX: usize = 1_000;
/// Bytes of the values on the stack of a module that runs.
const STACK_BYTES_MAX: usize = 1 << 20;
/// Tables of a module, and elements of each: compilers make one, of the functions whose address is taken.
const TABLES_MAX: usize = 1;
const TABLE_ELEMENTS_MAX: usize = 10_000;
/// Bytes of a page of memory.
const PAGE_BYTES: u64 = 64 << 10;

/// A resolver whose rule is a module.
pub struct WasmResolver {
    /// One for each module, so that all that was compiled goes with it.
    engine: Engine,
    module: Module,
    /// Of nothing: a module imports nothing.
    linker: Linker<StoreLimits>,
    has_initialize: bool,
    limits: Limits,
}

/// Why a module is refused before it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The module is too large.
    #[error("the module has {bytes} bytes, and {MODULE_BYTES_MAX} are the limit")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It computes with floats.
    #[error(
        "the module uses floating-point numbers, whose results could differ between machines: {0}"
    )]
    Floats(String),
    /// It wants something from outside.
    #[error(
        "the module imports \"{module}\" \"{name}\", but a resolver depends on nothing but the siblings"
    )]
    Import {
        /// From where.
        module: String,
        /// What.
        name: String,
    },
    /// It does not offer what a resolver must.
    #[error("the module does not export {0}")]
    Export(&'static str),
    /// It wants more memory from the start than it may have.
    #[error("the module begins with {bytes} bytes of memory, and {max} are the limit")]
    Memory {
        /// What it begins with.
        bytes: u64,
        /// What it may have.
        max: u32,
    },
    /// It is the source of a module.
    #[error("this is WebAssembly text: compile it first, as wat2wasm does")]
    Text,
    /// It is no WebAssembly, or uses a feature or a size that resolvers cannot have.
    #[error("the module cannot be compiled: {0}")]
    Invalid(String),
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// The kind of failure.
    pub failure: Failure,
    /// What the machine said, for the author of the module; empty if that says no more.
    pub detail: String,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.failure)?;
        match self.detail.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.detail),
        }
    }
}

impl std::error::Error for RunError {}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            detail: String::new(),
        }
    }
}

impl From<Error> for RunError {
    fn from(error: Error) -> Self {
        Self {
            failure: failure_of(&error),
            detail: error.to_string(),
        }
    }
}

fn failure_of(error: &Error) -> Failure {
    match (error.as_trap_code(), error.kind()) {
        (Some(TrapCode::OutOfFuel), _) | (_, ErrorKind::Fuel(_)) => Failure::Fuel,
        (_, ErrorKind::Memory(MemoryError::OutOfFuel { .. })) => Failure::Fuel,
        (Some(TrapCode::StackOverflow), _) => Failure::Depth,
        (Some(TrapCode::GrowthOperationLimited | TrapCode::OutOfSystemMemory), _) => {
            Failure::Memory
        }
        (_, ErrorKind::Memory(_)) => Failure::Memory,
        _ => Failure::Trap,
    }
}

impl WasmResolver {
    /// Compiles a module, of which nothing is run. Costs some 100 ns for each byte.
    ///
    /// # Errors
    /// Says why it can be no resolver.
    pub fn load(module: &[u8], limits: Limits) -> Result<Self, LoadError> {
        if module.len() > MODULE_BYTES_MAX {
            let bytes = module.len();
            return Err(LoadError::TooLarge { bytes });
        }
        // Whoever has written one by hand would be told of a magic number.
        if matches!(module.trim_ascii_start(), [b'(' | b';', ..]) {
            return Err(LoadError::Text);
        }
        let limits = limits.clamped();
        let engine = Engine::new(&config());
        let module = Module::new(&engine, module).map_err(|error| refusal(&error))?;
        if let Some(import) = module.imports().next() {
            return Err(LoadError::Import {
                module: import.module().to_owned(),
                name: import.name().to_owned(),
            });
        }
        check_memory(&module, limits)?;
        let i32s = |count| vec![ValType::I32; count];
        check_function(
            &module,
            abi::ALLOC,
            "a function isles_alloc_v1(i32) -> i32",
            || FuncType::new(i32s(1), i32s(1)),
        )?;
        check_function(
            &module,
            abi::RESOLVE,
            "a function isles_resolve_v1(i32, i32) -> i64",
            || FuncType::new(i32s(2), [ValType::I64]),
        )?;
        let has_initialize = match module.get_export(abi::INITIALIZE) {
            Some(ExternType::Func(found)) => found == FuncType::new([], []),
            _ => false,
        };
        let linker = Linker::new(&engine);
        Ok(Self {
            engine,
            module,
            linker,
            has_initialize,
            limits,
        })
    }

    /// What each call may use.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Calls the module in an instance of its own. None if it says that it cannot decide.
    ///
    /// # Errors
    /// It gave no answer within its limits, or one that is none.
    pub fn run(&self, siblings: &[Sibling<'_>]) -> Result<Option<Vec<u8>>, RunError> {
        self.run_measured(siblings).0
    }

    /// The same, and how much fuel it took.
    pub fn run_measured(
        &self,
        siblings: &[Sibling<'_>],
    ) -> (Result<Option<Vec<u8>>, RunError>, u64) {
        let bytes = abi::input_bytes(siblings);
        let values: usize = siblings.iter().map(|sibling| sibling.value.len()).sum();
        if values > INPUT_BYTES_MAX {
            return (Err(Failure::Input.into()), 0);
        }
        let mut call = Call::begin(self);
        let result = call.run(self, siblings, bytes);
        let left = call.store.get_fuel().unwrap_or(0);
        (result, self.limits.fuel.saturating_sub(left))
    }
}

/// One call: an instance and its store.
struct Call {
    store: Store<StoreLimits>,
}

impl Call {
    fn begin(resolver: &WasmResolver) -> Self {
        let limits = StoreLimitsBuilder::new()
            .memory_size(resolver.limits.memory_bytes as usize)
            .memories(1)
            .tables(TABLES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(1)
            // A module would only crash in a way of its own.
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(&resolver.engine, limits);
        store.limiter(|limits| limits);
        store
            .set_fuel(resolver.limits.fuel)
            .expect("invariant: the engine is configured to consume fuel");
        Self { store }
    }

    fn run(
        &mut self,
        resolver: &WasmResolver,
        siblings: &[Sibling<'_>],
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, RunError> {
        let store = &mut self.store;
        let instance = resolver
            .linker
            .instantiate_and_start(&mut *store, &resolver.module)?;
        if resolver.has_initialize {
            function(&instance, store, abi::INITIALIZE)
                .typed::<(), ()>(&*store)?
                .call(&mut *store, ())?;
        }
        let alloc = function(&instance, store, abi::ALLOC).typed::<u32, u32>(&*store)?;
        let input = alloc.call(&mut *store, bytes as u32)?;
        let memory = memory(&instance, store);
        let room = within(memory.data_mut(&mut *store), input, bytes).ok_or(Failure::Bounds)?;
        abi::write_input(siblings, room);
        let resolve = function(&instance, store, abi::RESOLVE).typed::<(u32, u32), u64>(&*store)?;
        let answer = resolve.call(&mut *store, (input, bytes as u32))?;
        if answer == abi::UNDECIDED {
            return Ok(None);
        }
        let (start, bytes) = ((answer >> 32) as u32, answer as u32);
        if bytes > resolver.limits.answer_bytes {
            return Err(Failure::Answer.into());
        }
        let value = within(memory.data_mut(&mut *store), start, bytes as usize);
        Ok(Some(value.ok_or(Failure::Bounds)?.to_vec()))
    }
}

fn within(memory: &mut [u8], start: u32, bytes: usize) -> Option<&mut [u8]> {
    let start = start as usize;
    memory.get_mut(start..start.checked_add(bytes)?)
}

fn function(instance: &Instance, store: &Store<StoreLimits>, name: &str) -> Func {
    instance
        .get_func(store, name)
        .expect("invariant: what a module exports was checked when it was loaded")
}

fn memory(instance: &Instance, store: &Store<StoreLimits>) -> Memory {
    instance
        .get_memory(store, abi::MEMORY)
        .expect("invariant: what a module exports was checked when it was loaded")
}

fn config() -> Config {
    let mut config = Config::default();
    config
        .floats(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .ignore_custom_sections(true)
        .consume_fuel(true)
        // Translating on the first call would take its fuel, and not that of the second.
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .set_max_recursion_depth(CALLS_MAX)
        .set_max_stack_height(STACK_BYTES_MAX);
    config
}

fn refusal(error: &Error) -> LoadError {
    let text = error.to_string();
    match text.contains("floating-point") {
        true => LoadError::Floats(text),
        false => LoadError::Invalid(text),
    }
}

fn check_memory(module: &Module, limits: Limits) -> Result<(), LoadError> {
    let Some(ExternType::Memory(memory)) = module.get_export(abi::MEMORY) else {
        return Err(LoadError::Export("its memory under the name \"memory\""));
    };
    let bytes = memory.minimum().saturating_mul(PAGE_BYTES);
    let max = limits.memory_bytes;
    match bytes <= u64::from(max) {
        true => Ok(()),
        false => Err(LoadError::Memory { bytes, max }),
    }
}

fn check_function(
    module: &Module,
    name: &str,
    shown: &'static str,
    expected: impl FnOnce() -> FuncType,
) -> Result<(), LoadError> {
    match module.get_export(name) {
        Some(ExternType::Func(found)) if found == expected() => Ok(()),
        _ => Err(LoadError::Export(shown)),
    }
}

impl Resolver for WasmResolver {
    /// One sibling, however often it comes, is the answer without being asked about.
    fn resolve<'a>(&self, siblings: &[Sibling<'a>]) -> Resolution<'a> {
        if let [first, rest @ ..] = siblings
            && rest.iter().all(|sibling| sibling.dot == first.dot)
        {
            return Resolution::winner_at(siblings, 0);
        }
        match self.run(siblings) {
            // Which of several writers of one value has won would depend on who had merged before.
            Ok(Some(value)) => Resolution::made(value.into()),
            Ok(None) => Resolution::Many,
            Err(error) => Resolution::Failed(error.failure),
        }
    }
}

impl fmt::Debug for WasmResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmResolver")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
