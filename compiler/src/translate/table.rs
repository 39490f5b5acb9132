//! Tables: reading and writing elements, sizes, and the bulk operations on them.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder as _, Value, types};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::context::{FuncRecord, Table};
use wasmelt_abi::trap::Trap;

use super::{FuncTranslator, Name, Region};
use crate::error::{Error, Result};
use crate::module::TableIndex;
use crate::program::{InstanceIndex, TablePlace};

const TABLE_BASE_OFFSET: i32 = std::mem::offset_of!(Table, base) as i32;
const TABLE_LENGTH_OFFSET: i32 = std::mem::offset_of!(Table, length_elements) as i32;

impl FuncTranslator<'_, '_> {
    /// The owner of a table that can change, and the table's number among those of the owner.
    fn dynamic_table(&self, table: TableIndex) -> Result<(InstanceIndex, u32)> {
        match self.env.instance.tables[table] {
            TablePlace::Dynamic(place) => Ok((self.env.index, place)),
            TablePlace::Foreign(owner, place) => Ok((owner, place)),
            _ => Err(Error::internal(format!("table {} was taken for one that never changes", table.as_u32()))),
        }
    }

    /// Address of the [`wasmelt_abi::context::Table`] record.
    fn table_record(&mut self, table: TableIndex) -> Result<Value> {
        let (owner, place) = self.dynamic_table(table)?;
        let (address, offset) = self.table_place(owner, place);
        Ok(self.ins().iadd_imm_s(address, i64::from(offset)))
    }

    fn table_length(&mut self, table: TableIndex) -> Value {
        match self.env.instance.tables[table] {
            TablePlace::Dynamic(place) => self.dynamic_length(self.env.index, place),
            TablePlace::Foreign(owner, place) => self.dynamic_length(owner, place),
            TablePlace::Const(place) => {
                let length = self.env.instance.const_tables[place as usize].elements.len();
                self.ins().iconst(types::I64, length as i64)
            }
            TablePlace::Unused => self.ins().iconst(types::I64, 0),
        }
    }

    fn dynamic_length(&mut self, owner: InstanceIndex, place: u32) -> Value {
        let (address, offset) = self.table_place(owner, place);
        let flags = self.context_flags();
        self.ins().load(types::I64, flags, address, offset + TABLE_LENGTH_OFFSET)
    }

    /// Address of an element of a table that can change, after the bounds check.
    fn table_element_address(&mut self, table: TableIndex, index: Value, trap: Trap) -> Result<Value> {
        let (owner, place) = self.dynamic_table(table)?;
        let length = self.table_length(table);
        let index = self.check_index(index, length, trap);
        let (address, offset) = self.table_place(owner, place);
        // Tables never move, so the base is a constant of the instance.
        let flags = self.context_flags().with_readonly().with_can_move();
        let base = self.ins().load(types::I64, flags, address, offset + TABLE_BASE_OFFSET);
        let offset = self.ins().ishl_imm_u(index, 3);
        Ok(self.ins().iadd(base, offset))
    }

    /// The region of a table's elements. Imported tables may be the same one.
    fn table_region(&self, table: TableIndex) -> Region {
        Region::Table(self.env.program.table_number(self.env.instance, table))
    }

    /// An element of a table that can change, after the bounds check.
    pub(super) fn table_element(&mut self, table: TableIndex, index: Value, trap: Trap) -> Result<Value> {
        let address = self.table_element_address(table, index, trap)?;
        let flags = self.trusted_region(self.table_region(table));
        Ok(self.ins().load(types::I64, flags, address, 0))
    }

    pub(super) fn table_get(&mut self, table: u32) -> Result<()> {
        let table = TableIndex::from_u32(table);
        let index = self.pop();
        let index = self.zero_extend(index);
        let value = match self.env.instance.tables[table] {
            TablePlace::Dynamic(_) | TablePlace::Foreign(..) => {
                self.table_element(table, index, Trap::TableOutOfBounds)?
            }
            TablePlace::Const(place) => {
                // An element of a table that never changes is itself the record.
                let length = self.table_length(table);
                let index = self.check_index(index, length, Trap::TableOutOfBounds);
                let base = self.symbol(Name::ConstTable(self.env.index, place));
                let offset = self.ins().ishl_imm_u(index, 3);
                let element = self.ins().iadd(base, offset);
                let flags = self.trusted_region(Region::Constants).with_readonly();
                let ty = self.ins().load(types::I32, flags, element, 4);
                let is_null = self.ins().icmp_imm_u(IntCC::Equal, ty, i64::from(FuncRecord::NULL_TYPE));
                let null = self.ins().iconst(types::I64, 0);
                self.ins().select(is_null, null, element)
            }
            TablePlace::Unused => return Err(Error::internal("a table that is read was dropped")),
        };
        self.push(value);
        Ok(())
    }

    pub(super) fn table_set(&mut self, table: u32) -> Result<()> {
        let table = TableIndex::from_u32(table);
        let (index, value) = self.pop2();
        let index = self.zero_extend(index);
        let address = self.table_element_address(table, index, Trap::TableOutOfBounds)?;
        let flags = self.trusted_region(self.table_region(table));
        self.ins().store(flags, value, address, 0);
        Ok(())
    }

    pub(super) fn table_size(&mut self, table: u32) {
        let length = self.table_length(TableIndex::from_u32(table));
        self.push_index(length, self.env.module().tables[TableIndex::from_u32(table)].index_64);
    }

    pub(super) fn table_grow(&mut self, table: u32) -> Result<()> {
        let (owner, place) = self.dynamic_table(TableIndex::from_u32(table))?;
        let (value, delta) = self.pop2();
        self.fuel_for_bulk(delta);
        let delta = self.zero_extend(delta);
        let vmctx = self.vmctx_of(owner);
        let place = self.ins().iconst(types::I32, i64::from(place));
        let old = self.call_builtin(Builtin::table_grow, &[vmctx, place, delta, value]);
        let old = old.ok_or_else(|| Error::internal("table_grow has a result"))?;
        self.push_index(old, self.env.module().tables[TableIndex::from_u32(table)].index_64);
        Ok(())
    }

    pub(super) fn table_fill(&mut self, table: u32) -> Result<()> {
        let (dest, value, len) = self.pop3();
        self.fuel_for_bulk(len);
        self.table_fill_values(TableIndex::from_u32(table), dest, value, len)
    }

    pub(super) fn table_fill_values(&mut self, table: TableIndex, dest: Value, value: Value, len: Value) -> Result<()> {
        let (dest, len) = (self.zero_extend(dest), self.zero_extend(len));
        let record = self.table_record(table)?;
        let failed = self.call_builtin(Builtin::table_fill, &[record, dest, value, len]);
        self.trap_if_failed(failed, Trap::TableOutOfBounds)
    }

    pub(super) fn table_copy(&mut self, dest_table: u32, src_table: u32) -> Result<()> {
        let (dest, src, len) = self.pop3();
        self.fuel_for_bulk(len);
        let (dest, src, len) = (self.zero_extend(dest), self.zero_extend(src), self.zero_extend(len));
        let dest_record = self.table_record(TableIndex::from_u32(dest_table))?;
        let src_record = self.table_record(TableIndex::from_u32(src_table))?;
        let failed = self.call_builtin(Builtin::table_copy, &[dest_record, src_record, dest, src, len]);
        self.trap_if_failed(failed, Trap::TableOutOfBounds)
    }

    pub(super) fn table_init(&mut self, segment: u32, table: u32) -> Result<()> {
        let (dest, src, len) = self.pop3();
        self.fuel_for_bulk(len);
        let dest = self.zero_extend(dest);
        self.table_init_values(TableIndex::from_u32(table), segment, dest, src, len)
    }

    pub(super) fn table_init_values(
        &mut self,
        table: TableIndex,
        segment: u32,
        dest: Value,
        src: Value,
        len: Value,
    ) -> Result<()> {
        let record = self.table_record(table)?;
        let vmctx = self.vmctx();
        let segment = self.ins().iconst(types::I32, i64::from(segment));
        let failed = self.call_builtin(Builtin::table_init, &[vmctx, record, segment, dest, src, len]);
        self.trap_if_failed(failed, Trap::TableOutOfBounds)
    }

    pub(super) fn elem_drop(&mut self, segment: u32) {
        let vmctx = self.vmctx();
        let segment = self.ins().iconst(types::I32, i64::from(segment));
        self.call_builtin(Builtin::elem_drop, &[vmctx, segment]);
    }

    /// Traps where a runtime function reported that a range was exceeded.
    pub(super) fn trap_if_failed(&mut self, failed: Option<Value>, trap: Trap) -> Result<()> {
        let failed = failed.ok_or_else(|| Error::internal("a checking runtime function has a result"))?;
        self.trap_if(failed, trap);
        Ok(())
    }
}
