//! Changes modules of `wasm-smith` so that every call of them ends: their fuel can be refilled from outside, and a wait
//! for other threads, which do not exist, takes no time.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ExportKind, ExportSection, Instruction};
use wasmparser::{ExportSectionReader, FunctionBody, Operator, Parser};

use crate::observe::FUEL_EXPORT;

/// Exports the global with this index as [`FUEL_EXPORT`], and gives each wait a limit of no time.
pub fn prepare(wasm: &[u8], fuel: u32) -> Result<Vec<u8>, String> {
    let mut module = wasm_encoder::Module::new();
    Preparation { fuel }.parse_core_module(&mut module, Parser::new(0), wasm).map_err(|e| e.to_string())?;
    Ok(module.finish())
}

struct Preparation {
    fuel: u32,
}

impl Reencode for Preparation {
    type Error = Infallible;

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(FUEL_EXPORT, ExportKind::Global, self.fuel);
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, func: FunctionBody<'_>) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&func)?;
        let mut reader = func.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            if matches!(operator, Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. }) {
                function.instruction(&Instruction::Drop).instruction(&Instruction::I64Const(0));
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}
