//! An object is read back: the descriptor by the contract's own offsets, unwind information against the symbols.

use std::mem::offset_of;

use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, Signature, UserFuncName, types};
use cranelift_codegen::isa::{self, CallConv};
use cranelift_codegen::{Context, control::ControlPlane, settings};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use target_lexicon::Triple;
use wasmelt_abi::context::{FuncRecord, WideRecord};
use wasmelt_abi::descriptor::{
    CallSite, CopyChunk, CpuFeatures, DataSegment, DirGrant, ElementSegment, EnvGrant, ExceptionHandler, InstancePlan,
    InvokePlan, MapChunk, MemoryPlan, Policy, ProgramDescriptor, Rel, TablePlan, ValueType,
};
use wasmelt_abi::trap::Trap;
use wasmelt_abi::{ABI_VERSION, code_map, symbols};

use super::{Code, Terms, text};
use crate::error::Result;
use crate::image::{
    self, CallSite as ImageCallSite, Elements, Handler, Image, ImageFunction, InstanceImage, Invoke, Record,
    RecordIndex, Start,
};
use crate::options;

fn target() -> Triple {
    "x86_64-unknown-linux-gnu".parse().unwrap()
}

fn function(name: &str, index: Option<u32>, traps: Vec<(u32, Trap)>) -> ImageFunction {
    ImageFunction {
        id: 0,
        symbol: name.to_owned(),
        name: name.to_owned(),
        index,
        code: vec![0xc3; 20],
        start: Start::Aligned(32),
        relocs: Vec::new(),
        traps,
        body: 0,
        operators: Vec::new(),
        scopes: Vec::new(),
        inlined: Vec::new(),
        call_sites: Vec::new(),
        unwind: None,
        debug: None,
    }
}

/// Functions with the numbers of their order.
fn numbered(mut functions: Vec<ImageFunction>) -> Vec<ImageFunction> {
    (0..).zip(&mut functions).for_each(|(id, function)| function.id = id);
    functions
}

#[test]
fn functions_start_where_they_may() {
    let starts = [Start::Aligned(1), Start::InLine(48), Start::InLine(0), Start::InLine(16), Start::Aligned(32)];
    let functions = starts.map(|start| ImageFunction { start, ..function("f", None, Vec::new()) });
    let image = Image { functions: numbered(functions.into()), ..Image::default() };
    let layout = text::Layout::of(&image).unwrap();
    // Each has 20 bytes.
    assert_eq!((&layout.offsets[..], layout.len_bytes, layout.align), (&[0, 48, 128, 208, 256][..], 276, 64));
    for wrong in [Start::Aligned(0), Start::Aligned(3), Start::InLine(8), Start::InLine(64)] {
        let functions = vec![ImageFunction { start: wrong, ..function("f", None, Vec::new()) }];
        assert!(text::Layout::of(&Image { functions, ..Image::default() }).is_err(), "{wrong:?}");
    }
}

/// A section of an object, with what its relocations refer to.
struct Section<'a> {
    object: &'a object::File<'a>,
    section: object::Section<'a, 'a>,
    data: &'a [u8],
}

impl<'a> Section<'a> {
    fn of(object: &'a object::File<'a>, name: &str) -> Self {
        let section = object.section_by_name(name).unwrap();
        let data = section.data().unwrap();
        Self { object, section, data }
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.data[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.data[at..at + 8].try_into().unwrap())
    }

    /// What a `Rel` field refers to in the section itself.
    fn rel(&self, at: usize) -> usize {
        assert_ne!(self.u32(at), 0, "the field at {at} refers to nothing");
        at.checked_add_signed(self.u32(at) as i32 as isize).unwrap()
    }

    /// The first element of a `RelSlice` field and the number of elements.
    fn slice(&self, at: usize) -> (usize, usize) {
        let len = self.u32(at + 4) as usize;
        (if len == 0 { 0 } else { self.rel(at) }, len)
    }

    fn bytes(&self, at: usize) -> &'a [u8] {
        let (start, len) = self.slice(at);
        &self.data[start..start + len]
    }

    /// Name and addend of the symbol that the linker puts into the field.
    fn reference(&self, at: usize) -> Option<(String, i64)> {
        let (_, relocation) = self.section.relocations().find(|(offset, _)| *offset == at as u64)?;
        assert_eq!((relocation.kind(), relocation.size()), (object::RelocationKind::Relative, 32));
        let RelocationTarget::Symbol(index) = relocation.target() else { panic!("{relocation:?}") };
        let symbol = self.object.symbol_by_index(index).unwrap();
        let name = match symbol.kind() {
            object::SymbolKind::Section => {
                self.object.section_by_index(symbol.section_index().unwrap()).unwrap().name().unwrap()
            }
            _ => symbol.name().unwrap(),
        };
        Some((name.to_owned(), relocation.addend()))
    }
}

fn index(instance: u32, record: u32) -> Option<RecordIndex> {
    Some(RecordIndex { instance, record })
}

/// An image with something in each field.
fn image() -> Image<'static> {
    let invoke = Invoke { name: "sum".to_owned(), params: vec![ValueType::I32; 2], results: vec![ValueType::I64] };
    Image {
        functions: numbered(vec![
            function("entry", None, Vec::new()),
            function("sum", Some(7), vec![(3, Trap::Unreachable), (9, Trap::IntegerOverflow)]),
            function("", Some(8), vec![(0, Trap::Unreachable)]),
        ]),
        entry: Some(0),
        invoke_entry: Some(1),
        invoke: Some(invoke),
        instances: vec![InstanceImage {
            records: vec![
                Record { function: 1, type_id: 5, distance: None },
                Record { function: 2, type_id: 6, distance: None },
            ],
            const_tables: vec![vec![None, Some(Record { function: 2, type_id: 6, distance: None })]],
            context_bytes: 96,
            memories: vec![image::MemoryPlan {
                context_offset: -16,
                page_size_log2: 16,
                flags: 0,
                initial_bytes: 1 << 20,
                maximum_bytes: 2 << 20,
                reserve_bytes: 3 << 20,
                guard_bytes: 4 << 20,
            }],
            tables: vec![image::TablePlan {
                context_offset: -48,
                flags: 0,
                initial_elements: 11,
                maximum_elements: 12,
            }],
            data_segments: vec![b"".into(), b"passive".into()],
            element_segments: vec![Elements::Records(vec![index(0, 1), None, index(0, 0)])],
            initial: vec![(-64, b"global".into()), (16, b"data".into()), (4096, vec![9; 100_000].into())],
            ..InstanceImage::default()
        }],
        cpu_features: CpuFeatures::X86_64[3].0,
        stack_bytes: 1 << 16,
        ..Image::default()
    }
}

/// What an image is linked with.
fn terms() -> Terms<'static> {
    let dir = |host: &str, read_only| options::DirGrant { host: host.to_owned(), guest: "/g".to_owned(), read_only };
    let env = |value: Option<&str>| options::EnvGrant { name: "N".to_owned(), value: value.map(str::to_owned) };
    Terms {
        hooks: vec![symbols::HOOK_PREOPENS, symbols::HOOK_INVOKE],
        policy: options::Policy {
            dirs: vec![dir("a", true), dir("b", false)],
            env: vec![env(Some("V")), env(None)],
            inherit_env: true,
            arg0: Some("zero".to_owned()),
            ..Default::default()
        },
        note: Some("{}".to_owned()),
        ..Terms::default()
    }
}

/// The object of an image.
fn object_of(image: &Image<'_>, target: &Triple) -> Result<Vec<u8>> {
    let code = Code::write(image, target)?;
    code.check()?;
    // What is stored is what was written.
    let code: Code = postcard::from_bytes(&postcard::to_stdvec(&code).unwrap()).unwrap();
    super::object(&code, &terms(), target)
}

macro_rules! at {
    ($base:expr, $type:ty, $field:ident $(. $rest:ident)*) => { $base + offset_of!($type, $field $(. $rest)*) };
}

#[test]
fn the_descriptor_is_what_the_contract_says() {
    let bytes = object_of(&image(), &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let program = file.symbols().find(|s| s.name() == Ok(symbols::PROGRAM)).unwrap();
    assert_eq!((program.address(), program.size()), (0, size_of::<ProgramDescriptor>() as u64));
    let s = Section::of(&file, ".rodata.wasmelt");

    assert_eq!(s.u32(at!(0, ProgramDescriptor, abi_version)), ABI_VERSION);
    assert_eq!(s.u32(at!(0, ProgramDescriptor, cpu_features)), CpuFeatures::X86_64[3].0);
    assert_eq!(s.u32(at!(0, ProgramDescriptor, first.context_bytes)), 96);
    assert_eq!(s.u32(at!(0, ProgramDescriptor, first.segment_count)), 3);
    assert_eq!(s.u64(at!(0, ProgramDescriptor, stack_bytes)), 1 << 16);
    assert_eq!(s.reference(at!(0, ProgramDescriptor, code.text)), Some((".text".to_owned(), 0)));
    assert_eq!(s.u32(at!(0, ProgramDescriptor, code.text_bytes)), 84);
    assert_eq!(s.reference(at!(0, ProgramDescriptor, entry)), Some((".text".to_owned(), 0)));
    assert_eq!(s.reference(at!(0, ProgramDescriptor, invoke_entry)), Some((".text".to_owned(), 32)));
    assert_eq!(s.reference(at!(0, ProgramDescriptor, anchor)), Some((symbols::ABI_ANCHOR.to_owned(), 0)));

    let (hooks, count) = s.slice(at!(0, ProgramDescriptor, hooks));
    let hooks: Vec<_> = (0..count).map(|i| s.reference(hooks + i * size_of::<Rel<u8>>()).unwrap()).collect();
    assert_eq!(hooks, [(symbols::HOOK_PREOPENS.to_owned(), 0), (symbols::HOOK_INVOKE.to_owned(), 0)]);

    let invoke = s.rel(at!(0, ProgramDescriptor, invoke));
    assert_eq!(s.bytes(at!(invoke, InvokePlan, name)), b"sum");
    assert_eq!(s.bytes(at!(invoke, InvokePlan, params)), [0x7f, 0x7f]);
    assert_eq!(s.bytes(at!(invoke, InvokePlan, results)), [0x7e]);
}

#[test]
fn memories_tables_and_segments_are_what_the_contract_says() {
    let bytes = object_of(&image(), &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let s = Section::of(&file, ".rodata.wasmelt");

    let (memory, count) = s.slice(at!(0, ProgramDescriptor, first.memories));
    assert_eq!((count, memory % align_of::<MemoryPlan>()), (1, 0));
    assert_eq!(s.u32(at!(memory, MemoryPlan, context_offset)) as i32, -16);
    assert_eq!(s.u32(at!(memory, MemoryPlan, page_size_log2)), 16, "no flags above it");
    assert_eq!(s.u64(at!(memory, MemoryPlan, initial_bytes)), 1 << 20);
    assert_eq!(s.u64(at!(memory, MemoryPlan, maximum_bytes)), 2 << 20);
    assert_eq!(s.u64(at!(memory, MemoryPlan, reserve_bytes)), 3 << 20);
    assert_eq!(s.u64(at!(memory, MemoryPlan, guard_bytes)), 4 << 20);

    let (table, count) = s.slice(at!(0, ProgramDescriptor, first.tables));
    assert_eq!((count, table % align_of::<TablePlan>()), (1, 0));
    assert_eq!(s.u32(at!(table, TablePlan, context_offset)) as i32, -48);
    assert_eq!(s.u64(at!(table, TablePlan, initial_elements)), 11);
    assert_eq!(s.u64(at!(table, TablePlan, maximum_elements)), 12);

    let (data, count) = s.slice(at!(0, ProgramDescriptor, first.data_segments));
    assert_eq!(count, 2);
    assert_eq!(s.bytes(at!(data, DataSegment, bytes)), b"");
    assert_eq!(s.bytes(at!(data + size_of::<DataSegment>(), DataSegment, bytes)), b"passive");

    let (segment, count) = s.slice(at!(0, ProgramDescriptor, first.element_segments));
    assert_eq!(count, 1);
    let (elements, count) = s.slice(at!(segment, ElementSegment, elements));
    assert_eq!((count, s.u32(elements + 4)), (3, 0));
    for (element, code_offset, type_id) in [(elements, 64, 6), (elements + 8, 32, 5)] {
        let record = s.rel(element);
        assert_eq!(s.u32(at!(record, FuncRecord, code_offset)), code_offset);
        assert_eq!(s.u32(at!(record, FuncRecord, type_id)), type_id);
    }
}

#[test]
fn initial_bytes_and_policy_are_what_the_contract_says() {
    let bytes = object_of(&image(), &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let s = Section::of(&file, ".rodata.wasmelt");

    let (copies, count) = s.slice(at!(0, ProgramDescriptor, first.copies));
    let copies: Vec<_> = (0..count)
        .map(|i| copies + i * size_of::<CopyChunk>())
        .map(|at| (s.u64(at!(at, CopyChunk, dest_offset)) as i64, s.bytes(at!(at, CopyChunk, bytes))))
        .collect();
    assert_eq!(copies, [(-64, &b"global"[..])]);
    let (map, count) = s.slice(at!(0, ProgramDescriptor, first.maps));
    assert_eq!(count, 1);
    assert_eq!(s.u64(at!(map, MapChunk, dest_offset)), 0);
    assert_eq!(s.u64(at!(map, MapChunk, len_bytes)), 106_496);
    assert_eq!(s.reference(at!(map, MapChunk, source)), Some((".wasmelt.image".to_owned(), 0)));
    let pages = Section::of(&file, ".wasmelt.image");
    assert_eq!((pages.data.len(), pages.section.align()), (106_496, 4096));
    assert_eq!((&pages.data[16..20], &pages.data[4096..4098]), (&b"data"[..], &[9, 9][..]));

    let policy = at!(0, ProgramDescriptor, policy);
    assert_eq!(s.u32(at!(policy, Policy, flags)), Policy::INHERIT_ENV | Policy::HAS_ARG0);
    assert_eq!(s.bytes(at!(policy, Policy, arg0)), b"zero");
    let (dirs, count) = s.slice(at!(policy, Policy, dirs));
    assert_eq!(count, 2);
    for (dir, host, flags) in [(dirs, b"a", DirGrant::READ_ONLY), (dirs + size_of::<DirGrant>(), b"b", 0)] {
        assert_eq!(s.bytes(at!(dir, DirGrant, host)), host);
        assert_eq!(s.bytes(at!(dir, DirGrant, guest)), b"/g");
        assert_eq!(s.u32(at!(dir, DirGrant, flags)), flags);
    }
    let (env, count) = s.slice(at!(policy, Policy, env));
    assert_eq!(count, 2);
    for (env, value, flags) in [(env, &b"V"[..], 0), (env + size_of::<EnvGrant>(), b"", EnvGrant::INHERIT)] {
        assert_eq!(s.bytes(at!(env, EnvGrant, name)), b"N");
        assert_eq!(s.bytes(at!(env, EnvGrant, value)), value);
        assert_eq!(s.u32(at!(env, EnvGrant, flags)), flags);
    }
}

#[test]
fn call_sites_are_what_the_contract_says() {
    let mut image = Image { exception_payload_bytes: 32, ..image() };
    let site = |return_offset, handlers| ImageCallSite { return_offset, frame_bytes: 48, handlers };
    image.functions[1].call_sites = vec![site(5, vec![Handler::Tag(3, 10), Handler::All(12)]), site(8, Vec::new())];
    image.functions[2].call_sites = vec![site(1, vec![Handler::All(2)])];
    let bytes = object_of(&image, &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let s = Section::of(&file, ".rodata.wasmelt");

    assert_eq!(s.u32(at!(0, ProgramDescriptor, code.exception_payload_bytes)), 32);
    let (sites, count) = s.slice(at!(0, ProgramDescriptor, code.call_sites));
    let (handlers, handler_count) = s.slice(at!(0, ProgramDescriptor, code.handlers));
    assert_eq!((count, handler_count), (3, 3));
    for (i, (return_offset, first_handler, handler_count)) in
        [(37, 0, 2), (40, 2, 0), (65, 2, 1)].into_iter().enumerate()
    {
        let at = sites + i * size_of::<CallSite>();
        assert_eq!(s.u32(at!(at, CallSite, return_offset)), return_offset);
        assert_eq!(s.u32(at!(at, CallSite, frame_bytes)), 48);
        assert_eq!(s.u32(at!(at, CallSite, first_handler)), first_handler);
        assert_eq!(s.u32(at!(at, CallSite, handler_count)), handler_count);
    }
    let all = ExceptionHandler::ALL;
    for (i, (tag, landing_offset)) in [(3, 42), (all, 44), (all, 66)].into_iter().enumerate() {
        let at = handlers + i * size_of::<ExceptionHandler>();
        assert_eq!(s.u32(at!(at, ExceptionHandler, tag)), tag);
        assert_eq!(s.u32(at!(at, ExceptionHandler, landing_offset)), landing_offset);
    }
}

#[test]
fn code_maps_find_traps_and_functions() {
    let bytes = object_of(&image(), &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let s = Section::of(&file, ".rodata.wasmelt");
    let maps = Section::of(&file, ".rodata.wasmelt.maps");
    let table = |field: usize| {
        let (name, start) = s.reference(field).unwrap();
        assert_eq!(name, ".rodata.wasmelt.maps");
        &maps.data[start as usize..start as usize + s.u32(field + 4) as usize]
    };
    let code_map = table(at!(0, ProgramDescriptor, code.code_map));
    let trap = |offset| Trap::from_u8(code_map::find(code_map, offset).trap as u8);
    assert_eq!(trap(35), Some(Trap::Unreachable));
    assert_eq!(trap(41), Some(Trap::IntegerOverflow));
    assert_eq!(trap(64), Some(Trap::Unreachable));
    let found = |offset| {
        let found = code_map::find(code_map, offset);
        (found.start, found.index, found.name)
    };
    assert_eq!(found(19), (0, code_map::NO_FUNCTION, &b"entry"[..]));
    assert_eq!(found(51), (32, 7, &b"sum"[..]));
    assert_eq!(found(64), (64, 8, &b""[..]));
}

/// A function that Cranelift made, with its unwind information.
fn compiled(symbol: &str) -> ImageFunction {
    let isa = isa::lookup(target()).unwrap().finish(settings::Flags::new(settings::builder())).unwrap();
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.push(AbiParam::new(types::I32));
    signature.returns.push(AbiParam::new(types::I32));
    let mut context = Context::for_function(Function::with_name_signature(UserFuncName::default(), signature));
    let mut builder_context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut context.func, &mut builder_context);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    builder.seal_all_blocks();
    let param = builder.block_params(block)[0];
    let sum = builder.ins().iadd_imm_s(param, 40);
    builder.ins().return_(&[sum]);
    builder.finalize(isa.frontend_config());
    let code = context.compile(&*isa, &mut ControlPlane::default()).unwrap();
    let unwind = code.create_unwind_info(&*isa).unwrap();
    assert!(unwind.is_some());
    ImageFunction { code: code.code_buffer().to_vec(), unwind, ..function(symbol, Some(0), Vec::new()) }
}

#[test]
fn unwind_information_names_every_function() {
    let functions = numbered(vec![compiled("a"), compiled("b"), compiled("c")]);
    let image = Image { functions, instances: vec![InstanceImage::default()], ..Image::default() };
    let bytes = object_of(&image, &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let s = Section::of(&file, ".eh_frame");
    let (mut at, mut found) = (0, Vec::new());
    while at < s.data.len() {
        let (len, id) = (s.u32(at) as usize, s.u32(at + 4));
        if id == 0 {
            // A CIE says that addresses are 32 bits relative to their place: augmentation "zR", DW_EH_PE 0x1b.
            assert_eq!(&s.data[at + 9..at + 12], b"zR\0");
            assert_eq!(s.data[at + 8 + 1 + 3 + 3 + 1], 0x1b);
        } else {
            let (section, start) = s.reference(at + 8).unwrap();
            assert_eq!(section, ".text");
            found.push((start as u64, u64::from(s.u32(at + 12))));
        }
        at += 4 + len;
    }
    let expected: Vec<_> = ["a", "b", "c"]
        .map(|name| file.symbols().find(|s| s.name() == Ok(name)).map(|s| (s.address(), s.size())).unwrap())
        .into();
    assert_eq!(found, expected);
}

#[test]
fn mistakes_of_earlier_stages_are_errors() {
    let of = |instance| Image { instances: vec![instance], ..image() };
    let broken = [
        Image { entry: Some(3), ..image() },
        of(InstanceImage { records: vec![Record { function: 9, type_id: 0, distance: None }], ..Default::default() }),
        of(InstanceImage { element_segments: vec![Elements::Records(vec![index(0, 2)])], ..Default::default() }),
    ];
    for image in broken {
        assert!(object_of(&image, &target()).is_err());
    }
    for triple in ["i686-pc-windows-gnu", "riscv64gc-unknown-linux-gnu"] {
        assert!(object_of(&image(), &triple.parse().unwrap()).is_err());
    }
}

#[test]
fn instances_have_plans_and_wide_records() {
    let record = |function, distance| Record { function, type_id: 3, distance };
    let instance = |distance, records| InstanceImage { distance, records, context_bytes: 48, ..Default::default() };
    let instances =
        vec![instance(0, vec![record(1, None)]), instance(1 << 33, vec![record(2, None), record(1, Some(0))])];
    let elements = vec![Elements::Records(vec![index(1, 1), index(0, 0)])];
    let mut image = Image { instances, has_wide_records: true, ..image() };
    image.instances[1].element_segments = elements;
    let bytes = object_of(&image, &target()).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let s = Section::of(&file, ".rodata.wasmelt");
    let (plan, count) = s.slice(at!(0, ProgramDescriptor, others));
    assert_eq!((count, plan % align_of::<InstancePlan>()), (1, 0));
    assert_eq!(s.u64(at!(0, ProgramDescriptor, first.distance)), 0);
    assert_eq!(s.u64(at!(plan, InstancePlan, distance)), 1 << 33);
    assert_eq!(s.u32(at!(plan, InstancePlan, context_bytes)), 48);
    let (segment, _) = s.slice(at!(plan, InstancePlan, element_segments));
    let (elements, _) = s.slice(at!(segment, ElementSegment, elements));
    let record = s.rel(elements);
    assert_eq!(s.u32(at!(record, WideRecord, record.code_offset)), 32);
    assert_eq!(s.u64(at!(record, WideRecord, distance)), 0, "a function of the first instance");
    let own = record - size_of::<WideRecord>();
    assert_eq!(s.u32(at!(own, WideRecord, record.code_offset)), 64);
    assert_eq!(s.u64(at!(own, WideRecord, distance)), 1 << 33);
    let foreign = s.rel(elements + size_of::<Rel<FuncRecord>>());
    assert_eq!(s.u32(at!(foreign, WideRecord, record.code_offset)), s.u32(at!(record, WideRecord, record.code_offset)));
    assert_eq!(s.u64(at!(foreign, WideRecord, distance)), 0, "a record of the first instance");
}
