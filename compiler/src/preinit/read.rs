//! A snapshot to a [`State`]: bytes that the runtime copied, and what the compiler knows of the program that they are from.
//! Source of the form: [`wasmelt_abi::snapshot`].

use std::collections::HashMap;

use cranelift_entity::EntityRef as _;
use wasmelt_abi::layout::dropped_bytes;
use wasmelt_abi::snapshot;
use wasmparser::{RefType, ValType};

use super::{MemoryState, State};
use crate::emit::Code;
use crate::error::{Error, Result};
use crate::module::{ConstValue, DataIndex, ElemIndex, FuncIndex, Memory};
use crate::program::{FuncId, GlobalPlace, Instance, Piece, Program, TablePlace};

impl State {
    /// Reads a snapshot of the one instance of `program`, whose code is `code`.
    pub(crate) fn read(bytes: &[u8], program: &Program<'_>, code: &Code) -> Result<Self> {
        let mut reader = Reader { rest: bytes };
        reader.expect(snapshot::START)?;
        let references = References::new(reader.word()?, program, code);
        let instance = program.main();
        reader.expect(instance.context_bytes.into())?;
        let context = reader.part(instance.context_bytes.into())?;
        let mut state = Self::default();
        state.read_globals(context, instance, &references)?;
        state.read_dropped(&mut reader, instance)?;
        reader.expect(instance.module.memories.len() as u64)?;
        for memory in instance.module.memories.values() {
            state.memories.push(read_memory(&mut reader, memory)?);
        }
        state.read_tables(&mut reader, instance, &references)?;
        reader.expect(snapshot::END)?;
        if reader.rest.is_empty() { Ok(state) } else { Err(damaged()) }
    }

    fn read_globals(&mut self, context: &[u8], instance: &Instance<'_>, references: &References<'_>) -> Result<()> {
        for (index, place) in &instance.globals {
            let GlobalPlace::Context(offset) = *place else { continue };
            let start = context.len().checked_add_signed(offset as isize).ok_or_else(damaged)?;
            let mut reader = Reader { rest: context.get(start..).ok_or_else(damaged)? };
            let value = match instance.module.globals[index].ty {
                ValType::I32 => ConstValue::I32(i32::from_le_bytes(reader.array()?)),
                ValType::I64 => ConstValue::I64(i64::from_le_bytes(reader.array()?)),
                ValType::F32 => ConstValue::F32(u32::from_le_bytes(reader.array()?)),
                ValType::F64 => ConstValue::F64(u64::from_le_bytes(reader.array()?)),
                ValType::V128 => ConstValue::V128(reader.array()?),
                ValType::Ref(ty) => {
                    let holder = || format!("global {}", index.as_u32());
                    references.value(ty, reader.word()?, holder)?.map_or(ConstValue::Null, ConstValue::Func)
                }
            };
            self.globals.insert(index, value);
        }
        Ok(())
    }

    fn read_dropped(&mut self, reader: &mut Reader<'_>, instance: &Instance<'_>) -> Result<()> {
        let elements = instance.module.elements.len();
        let count = elements + instance.module.data.len();
        reader.expect(count as u64)?;
        // At most as many as a module can have.
        let bits = reader.part(dropped_bytes(count as u32))?;
        let dropped = (0..count).filter(|segment| bits[segment / 8] >> (segment % 8) & 1 != 0);
        for segment in dropped {
            match segment.checked_sub(elements) {
                None => self.dropped_elements.push(ElemIndex::new(segment)),
                Some(data) => self.dropped_data.push(DataIndex::new(data)),
            }
        }
        Ok(())
    }

    fn read_tables(
        &mut self,
        reader: &mut Reader<'_>,
        instance: &Instance<'_>,
        references: &References<'_>,
    ) -> Result<()> {
        reader.expect(instance.table_plans.len() as u64)?;
        let dynamic = instance.tables.iter().filter(|(_, place)| matches!(place, TablePlace::Dynamic(_)));
        // Plans are in the order of the tables.
        for (index, _) in dynamic {
            let count = reader.word()?;
            let mut words = Reader { rest: reader.part(count.checked_mul(8).ok_or_else(damaged)?)? };
            let holder = || format!("table {}", index.as_u32());
            let ty = instance.module.tables[index].element;
            let values = (0..count).map(|_| references.value(ty, words.word()?, holder));
            self.tables.insert(index, values.collect::<Result<_>>()?);
        }
        Ok(())
    }
}

fn read_memory(reader: &mut Reader<'_>, memory: &Memory) -> Result<MemoryState> {
    let len_bytes = reader.word()?;
    if len_bytes >> memory.page_size_log2 << memory.page_size_log2 != len_bytes {
        return Err(damaged());
    }
    let mut pieces = Vec::new();
    let mut end = 0;
    loop {
        let (offset, len) = (reader.word()?, reader.word()?);
        if len == 0 {
            return Ok(MemoryState { len_bytes, pieces });
        }
        let is_next = offset >= end;
        end = offset.checked_add(len).filter(|&end| is_next && end <= len_bytes).ok_or_else(damaged)?;
        let bytes = reader.part(len)?;
        // What is written piece by piece starts and ends at multiples of a page.
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(zeros, |last| last + 1);
        if zeros < used {
            pieces.push((offset + zeros as u64, bytes[zeros..used].to_vec()));
        }
    }
}

/// What references in a snapshot lead to.
struct References<'a> {
    /// Where the program's descriptor was.
    address: u64,
    program: &'a Program<'a>,
    code: &'a Code,
    /// Functions by where they start in the text.
    starts: HashMap<u32, u32>,
}

impl<'a> References<'a> {
    fn new(address: u64, program: &'a Program<'a>, code: &'a Code) -> Self {
        Self { address, program, code, starts: code.function_starts().collect() }
    }

    /// What a reference of the type `ty` is that `holder` holds.
    fn value(&self, ty: RefType, word: u64, holder: impl Fn() -> String) -> Result<Option<FuncIndex>> {
        if word == 0 {
            return Ok(None);
        }
        if !ty.is_func_ref() && !ty.is_concrete_type_ref() {
            return Err(Error::input(format!(
                "the initialiser left a reference of type `{}` in {}, which no later run would have",
                ValType::Ref(ty),
                holder()
            ))
            .hint("references that are not null have to be references to functions when it is done"));
        }
        self.function(word).map(Some).ok_or_else(damaged)
    }

    /// The function that a word refers to.
    fn function(&self, word: u64) -> Option<FuncIndex> {
        let start = self.code.record_target(word.checked_sub(self.address)?)?;
        match self.program.functions.piece(FuncId::from_u32(*self.starts.get(&start)?)) {
            Piece::Function(_, func) => Some(self.program.main().module.func_index(func)),
            Piece::Thunk(_, func) => Some(func),
            _ => None,
        }
    }
}

/// What is left of a snapshot.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn part(&mut self, len: u64) -> Result<&'a [u8]> {
        let (part, rest) =
            usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len)).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.part(N as u64)?.try_into().map_err(|_| damaged())
    }

    fn word(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn expect(&mut self, expected: u64) -> Result<()> {
        if self.word()? == expected { Ok(()) } else { Err(damaged()) }
    }
}

fn damaged() -> Error {
    Error::internal("the snapshot of the initialised instance is damaged")
}
