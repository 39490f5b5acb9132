//! Values on their way to and from a component: as flat parameters and results, and in its memory.
//!
//! In come unchecked numbers and bytes of a guest, or values of the host that were checked to have their types; out come
//! values, or what the canonical ABI makes of them. Numbers and bytes that are not
//! a value of the type are a [`ComponentTrap`](super::ComponentTrap).
//! Source: component model, "Canonical ABI" (`load`, `store`, `lift_flat`, `lower_flat`).

use core::cell::{Cell, RefCell};

use wasmelt_runtime::host::guest_memory::GuestMemory;

use super::check::fits;
use super::context::Realloc;
use super::guest::{GuestStore, trap};
use super::handles::Passage;
use super::{FuncType, Type, Val};
use crate::{Error, Memory, Result};

/// How many flat parameters there may be, before all of them lie in memory.
const MAX_FLAT_PARAMS: usize = 16;

/// The most bytes of the host's memory that the values of one call may have.
const MAX_VALUE_BYTES: usize = 128 << 20;

/// The memory of a component, what allocates in it, and its handles.
pub(super) struct Heap<'a> {
    store: RefCell<&'a mut dyn GuestStore>,
    memory: Option<Memory>,
    realloc: Option<Realloc>,
    passage: Passage<'a>,
    /// How many bytes of the host's memory values may still have.
    left: Cell<usize>,
}

impl<'a> Heap<'a> {
    pub(super) fn new(
        store: &'a mut dyn GuestStore,
        memory: Option<Memory>,
        realloc: Option<Realloc>,
        passage: Passage<'a>,
    ) -> Self {
        Self { store: RefCell::new(store), memory, realloc, passage, left: Cell::new(MAX_VALUE_BYTES) }
    }

    /// Takes bytes of what values may have.
    fn spend(&self, bytes: usize) -> Result<()> {
        let left = self.left.get().checked_sub(bytes).ok_or_else(|| trap("the values of a call are too large"))?;
        self.left.set(left);
        Ok(())
    }

    fn memory(&self) -> GuestMemory {
        self.store.borrow_mut().memory(self.memory)
    }

    fn allocate(&self, len_bytes: usize, align: u32) -> Result<u32> {
        let realloc = self.realloc.as_ref().ok_or_else(|| trap("the component has no `realloc` for values"))?;
        let at = self.store.borrow_mut().reallocate(realloc, len_bytes, align)?;
        if !at.is_multiple_of(align) {
            return Err(trap("realloc return: result not aligned"));
        }
        let fits = u32::try_from(len_bytes).is_ok_and(|len| self.memory().bytes(at, len).is_ok());
        if fits { Ok(at) } else { Err(trap("realloc return: beyond end of memory")) }
    }

    fn read<const N: usize>(&self, at: u32) -> Result<[u8; N]> {
        self.memory().read(at).map_err(|_| trap("pointer out of bounds of memory"))
    }

    fn write<const N: usize>(&self, at: u32, bytes: [u8; N]) -> Result<()> {
        self.memory().write(at, bytes).map_err(|_| trap("pointer out of bounds of memory"))
    }
}

/// The payloads of a variant's cases, for types that are variants.
fn cases(ty: &Type) -> Option<Vec<Option<&Type>>> {
    Some(match ty {
        Type::Variant(cases) => cases.iter().map(|(_, ty)| ty.as_ref()).collect(),
        Type::Enum(names) => vec![None; names.len()],
        Type::Option(ty) => vec![None, Some(ty)],
        Type::Result(ok, err) => vec![ok.as_deref(), err.as_deref()],
        _ => return None,
    })
}

/// The types of a record's fields, for types that are records.
fn fields(ty: &Type) -> Option<Vec<&Type>> {
    Some(match ty {
        Type::Record(fields) => fields.iter().map(|(_, ty)| ty).collect(),
        Type::Tuple(types) => types.iter().collect(),
        _ => return None,
    })
}

fn discriminant_bytes(count: usize) -> u32 {
    match count {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

/// Length and alignment in memory.
fn extent(ty: &Type) -> (u32, u32) {
    if let Some(cases) = cases(ty) {
        let discriminant = discriminant_bytes(cases.len());
        let extents: Vec<_> = cases.into_iter().flatten().map(extent).collect();
        let align = extents.iter().map(|(_, align)| *align).fold(discriminant, u32::max);
        let payload = extents.iter().map(|(len, align)| discriminant.next_multiple_of(*align) + len).max();
        let payload = payload.unwrap_or(discriminant);
        let payload_align = extents.iter().map(|(_, align)| *align).max().unwrap_or(1);
        let start = discriminant.next_multiple_of(payload_align);
        let longest = extents.iter().map(|(len, _)| *len).max().unwrap_or(0);
        return (payload.max(start + longest).next_multiple_of(align), align);
    }
    if let Some(fields) = fields(ty) {
        let (mut len, mut most) = (0u32, 1);
        for field in fields {
            let (bytes, align) = extent(field);
            len = len.next_multiple_of(align) + bytes;
            most = most.max(align);
        }
        return (len.next_multiple_of(most), most);
    }
    match ty {
        Type::Bool | Type::S8 | Type::U8 => (1, 1),
        Type::S16 | Type::U16 => (2, 2),
        Type::S64 | Type::U64 | Type::F64 => (8, 8),
        Type::String | Type::List(_) => (8, 4),
        Type::Flags(names) => match names.len() {
            0..=8 => (1, 1),
            9..=16 => (2, 2),
            count => (4 * count.div_ceil(32) as u32, 4),
        },
        _ => (4, 4),
    }
}

/// Where the payload of a variant lies behind its discriminant.
fn payload_offset(cases: &[Option<&Type>]) -> u32 {
    let align = cases.iter().flatten().map(|ty| extent(ty).1).max().unwrap_or(1);
    discriminant_bytes(cases.len()).next_multiple_of(align)
}

/// The kinds of core values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Core {
    I32,
    I64,
    F32,
    F64,
}

/// The core values of a type.
fn flatten(ty: &Type) -> Vec<Core> {
    if let Some(cases) = cases(ty) {
        let mut joined: Vec<Core> = Vec::new();
        for flat in cases.into_iter().flatten().map(flatten) {
            for (index, core) in flat.into_iter().enumerate() {
                match joined.get_mut(index) {
                    Some(other) => *other = join(*other, core),
                    None => joined.push(core),
                }
            }
        }
        joined.insert(0, Core::I32);
        return joined;
    }
    if let Some(fields) = fields(ty) {
        return fields.into_iter().flat_map(flatten).collect();
    }
    match ty {
        Type::S64 | Type::U64 => vec![Core::I64],
        Type::F32 => vec![Core::F32],
        Type::F64 => vec![Core::F64],
        Type::String | Type::List(_) => vec![Core::I32; 2],
        Type::Flags(names) => vec![Core::I32; names.len().div_ceil(32)],
        _ => vec![Core::I32],
    }
}

fn join(a: Core, b: Core) -> Core {
    match (a, b) {
        _ if a == b => a,
        (Core::I32 | Core::F32, Core::I32 | Core::F32) => Core::I32,
        _ => Core::I64,
    }
}

fn params_type(ty: &FuncType) -> Type {
    Type::Tuple(ty.params.iter().map(|(_, ty)| ty.clone()).collect())
}

/// Puts arguments where the core function expects them.
pub(super) fn lower_params(ty: &FuncType, values: &mut [[u64; 2]], args: &[Val], heap: &Heap<'_>) -> Result<()> {
    let all = params_type(ty);
    if flatten(&all).len() > MAX_FLAT_PARAMS {
        let (len, align) = extent(&all);
        let at = heap.allocate(len as usize, align)?;
        values[0][0] = at.into();
        return store(&all, &Val::Tuple(args.to_vec()), at, heap);
    }
    let mut flat = Vec::new();
    ty.params.iter().zip(args).try_for_each(|((_, ty), arg)| lower_flat(ty, arg, heap, &mut flat))?;
    values.iter_mut().zip(flat).for_each(|(value, flat)| value[0] = flat);
    Ok(())
}

/// Takes arguments from where the core function has put them.
pub(super) fn lift_params(ty: &FuncType, values: &[[u64; 2]], heap: &Heap<'_>) -> Result<Vec<Val>> {
    let all = params_type(ty);
    let lifted = match flatten(&all).len() > MAX_FLAT_PARAMS {
        true => load_at(&all, values[0][0] as u32, heap)?,
        false => lift_flat(&all, &mut values.iter().map(|value| value[0]), heap)?,
    };
    match lifted {
        Val::Tuple(args) => Ok(args),
        _ => Err(Error::system("parameters are a tuple")),
    }
}

/// Takes the result of a core function that a component exports.
pub(super) fn lift_result(ty: &FuncType, values: &[[u64; 2]], heap: &Heap<'_>) -> Result<Option<Val>> {
    let Some(ty) = &ty.result else { return Ok(None) };
    match flatten(ty).len() > 1 {
        true => load_at(ty, values[0][0] as u32, heap).map(Some),
        false => lift_flat(ty, &mut values.iter().map(|value| value[0]), heap).map(Some),
    }
}

/// Puts the result of a function of the host where the component expects it.
pub(super) fn lower_result(ty: &FuncType, values: &mut [[u64; 2]], result: Option<Val>, heap: &Heap<'_>) -> Result<()> {
    let (ty_of_result, result) = match (&ty.result, result) {
        (None, None) => return Ok(()),
        (Some(ty), Some(result)) if fits(ty, &result) => (ty, result),
        (expected, result) => {
            return Err(Error::usage(format!("a function of the host returned {result:?} in place of {expected:?}")));
        }
    };
    if flatten(ty_of_result).len() > 1 {
        let params = flatten(&params_type(ty)).len();
        let place = if params > MAX_FLAT_PARAMS { 1 } else { params };
        let at = values.get(place).map_or(0, |value| value[0] as u32);
        check_at(ty_of_result, at, heap)?;
        return store(ty_of_result, &result, at, heap);
    }
    let mut flat = Vec::new();
    lower_flat(ty_of_result, &result, heap, &mut flat)?;
    if let (Some(value), Some(flat)) = (values.first_mut(), flat.first()) {
        value[0] = *flat;
    }
    Ok(())
}

/// Checks an address of a value.
fn check_at(ty: &Type, at: u32, heap: &Heap<'_>) -> Result<()> {
    let (len, align) = extent(ty);
    if !at.is_multiple_of(align) {
        return Err(trap("pointer not aligned"));
    }
    heap.memory().bytes(at, len).map(|_| ()).map_err(|_| trap("pointer out of bounds of memory"))
}

fn load_at(ty: &Type, at: u32, heap: &Heap<'_>) -> Result<Val> {
    check_at(ty, at, heap)?;
    load(ty, at, heap)
}

/// Which case a value is, and its payload.
fn case_of<'a>(ty: &Type, value: &'a Val) -> (usize, Option<&'a Val>) {
    let place = |name: &String, names: Vec<&String>| names.iter().position(|other| *other == name).unwrap_or(0);
    match (ty, value) {
        (Type::Variant(cases), Val::Variant(name, payload)) => {
            (place(name, cases.iter().map(|(name, _)| name).collect()), payload.as_deref())
        }
        (Type::Enum(names), Val::Enum(name)) => (place(name, names.iter().collect()), None),
        (_, Val::Option(payload)) => (payload.is_some().into(), payload.as_deref()),
        (_, Val::Result(Ok(payload))) => (0, payload.as_deref()),
        (_, Val::Result(Err(payload))) => (1, payload.as_deref()),
        _ => (0, None),
    }
}

/// A value of a variant, from its case and payload.
fn of_case(ty: &Type, case: usize, payload: Option<Val>) -> Val {
    let payload = payload.map(Box::new);
    match ty {
        Type::Variant(cases) => Val::Variant(cases[case].0.clone(), payload),
        Type::Enum(names) => Val::Enum(names[case].clone()),
        Type::Option(_) => Val::Option(payload),
        _ if case == 0 => Val::Result(Ok(payload)),
        _ => Val::Result(Err(payload)),
    }
}

/// The values of a record's fields.
fn values_of(value: &Val) -> Vec<&Val> {
    match value {
        Val::Record(fields) => fields.iter().map(|(_, value)| value).collect(),
        Val::Tuple(values) => values.iter().collect(),
        _ => Vec::new(),
    }
}

fn of_fields(ty: &Type, values: Vec<Val>) -> Val {
    match ty {
        Type::Record(fields) => Val::Record(fields.iter().map(|(name, _)| name.clone()).zip(values).collect()),
        _ => Val::Tuple(values),
    }
}

/// The bits of flags, in words of 32.
fn words_of(names: &[String], set: &[String]) -> Vec<u32> {
    let mut words = vec![0; names.len().div_ceil(32)];
    for (index, _) in names.iter().enumerate().filter(|(_, name)| set.contains(name)) {
        words[index / 32] |= 1 << (index % 32);
    }
    words
}

fn of_words(names: &[String], words: &[u32]) -> Val {
    let is_set = |index: usize| words[index / 32] >> (index % 32) & 1 != 0;
    Val::Flags(names.iter().enumerate().filter(|(index, _)| is_set(*index)).map(|(_, name)| name.clone()).collect())
}

/// A number or character as 64 bits.
fn bits(value: &Val) -> u64 {
    match *value {
        Val::Bool(value) => value.into(),
        Val::S8(value) => u64::from(value as i32 as u32),
        Val::U8(value) => value.into(),
        Val::S16(value) => u64::from(value as i32 as u32),
        Val::U16(value) => value.into(),
        Val::S32(value) => u64::from(value as u32),
        Val::U32(value) => value.into(),
        Val::S64(value) => value as u64,
        Val::U64(value) => value,
        Val::F32(value) => value.to_bits().into(),
        Val::F64(value) => value.to_bits(),
        Val::Char(value) => u32::from(value).into(),
        _ => 0,
    }
}

/// A number or character from the low bits.
fn of_bits(ty: &Type, bits: u64) -> Result<Val> {
    Ok(match ty {
        Type::Bool => Val::Bool(bits as u32 != 0),
        Type::S8 => Val::S8(bits as i8),
        Type::U8 => Val::U8(bits as u8),
        Type::S16 => Val::S16(bits as i16),
        Type::U16 => Val::U16(bits as u16),
        Type::S32 => Val::S32(bits as i32),
        Type::U32 => Val::U32(bits as u32),
        Type::S64 => Val::S64(bits as i64),
        Type::U64 => Val::U64(bits),
        Type::F32 => Val::F32(f32::from_bits(bits as u32)),
        Type::F64 => Val::F64(f64::from_bits(bits)),
        _ => Val::Char(char::from_u32(bits as u32).ok_or_else(|| trap("invalid `char` bit pattern"))?),
    })
}

/// Writes a string or a list; address and count.
fn store_list(ty: &Type, value: &Val, heap: &Heap<'_>) -> Result<(u32, u32)> {
    let elements = match (ty, value) {
        (_, Val::String(text)) => {
            let at = heap.allocate(text.len(), 1)?;
            let written = heap.memory().write_bytes(at, text.as_bytes());
            written.map_err(|_| trap("realloc return: beyond end of memory"))?;
            return Ok((at, text.len() as u32));
        }
        (_, Val::List(elements)) => elements,
        _ => return Ok((0, 0)),
    };
    let Type::List(ty) = ty else { return Ok((0, 0)) };
    let (len, align) = extent(ty);
    let at = heap.allocate(elements.len() * len as usize, align)?;
    for (index, element) in elements.iter().enumerate() {
        store(ty, element, at + index as u32 * len, heap)?;
    }
    Ok((at, elements.len() as u32))
}

/// Reads a string or a list.
fn load_list(ty: &Type, at: u32, count: u32, heap: &Heap<'_>) -> Result<Val> {
    let Type::List(ty) = ty else {
        let memory = heap.memory();
        let bounds = || trap("string pointer/length out of bounds of memory");
        // Nothing is allocated before the length is known to be one of the memory.
        memory.bytes(at, count).map_err(|_| bounds())?;
        heap.spend(count as usize)?;
        let mut bytes = vec![0; count as usize];
        memory.read_bytes(at, &mut bytes).map_err(|_| bounds())?;
        return String::from_utf8(bytes).map(Val::String).map_err(|_| trap("invalid utf-8 encoding of a string"));
    };
    let (len, align) = extent(ty);
    if !at.is_multiple_of(align) {
        return Err(trap("list pointer is not aligned"));
    }
    if heap.memory().array(at, count, len).is_err() {
        return Err(trap("list pointer/length out of bounds of memory"));
    }
    heap.spend(count as usize * size_of::<Val>())?;
    (0..count).map(|index| load(ty, at + index * len, heap)).collect::<Result<_>>().map(Val::List)
}

fn store_bits(at: u32, bits: u64, len: u32, heap: &Heap<'_>) -> Result<()> {
    match len {
        1 => heap.write(at, (bits as u8).to_le_bytes()),
        2 => heap.write(at, (bits as u16).to_le_bytes()),
        4 => heap.write(at, (bits as u32).to_le_bytes()),
        _ => heap.write(at, bits.to_le_bytes()),
    }
}

fn load_bits(at: u32, len: u32, heap: &Heap<'_>) -> Result<u64> {
    Ok(match len {
        1 => u8::from_le_bytes(heap.read(at)?).into(),
        2 => u16::from_le_bytes(heap.read(at)?).into(),
        4 => u32::from_le_bytes(heap.read(at)?).into(),
        _ => u64::from_le_bytes(heap.read(at)?),
    })
}

/// Writes a value into memory.
fn store(ty: &Type, value: &Val, at: u32, heap: &Heap<'_>) -> Result<()> {
    if let Some(cases) = cases(ty) {
        let (case, payload) = case_of(ty, value);
        store_bits(at, case as u64, discriminant_bytes(cases.len()), heap)?;
        return match (cases[case], payload) {
            (Some(ty), Some(payload)) => store(ty, payload, at + payload_offset(&cases), heap),
            _ => Ok(()),
        };
    }
    if let Some(fields) = fields(ty) {
        let mut offset = 0u32;
        for (field, value) in fields.into_iter().zip(values_of(value)) {
            let (len, align) = extent(field);
            offset = offset.next_multiple_of(align);
            store(field, value, at + offset, heap)?;
            offset += len;
        }
        return Ok(());
    }
    match (ty, value) {
        (Type::String | Type::List(_), _) => {
            let (start, count) = store_list(ty, value, heap)?;
            heap.write(at, start.to_le_bytes())?;
            heap.write(at + 4, count.to_le_bytes())
        }
        (Type::Flags(names), Val::Flags(set)) => {
            let len = extent(ty).0;
            let mut words = words_of(names, set).into_iter().enumerate();
            words.try_for_each(|(index, word)| store_bits(at + 4 * index as u32, word.into(), len.min(4), heap))
        }
        (Type::Own(_) | Type::Borrow(_), _) => heap.write(at, lower_handle(ty, value, heap)?.to_le_bytes()),
        _ => store_bits(at, bits(value), extent(ty).0, heap),
    }
}

/// Gives or lends a resource to the component: its handle.
fn lower_handle(ty: &Type, value: &Val, heap: &Heap<'_>) -> Result<u32> {
    match (ty, value) {
        (Type::Own(ty), &Val::Resource(resource)) => heap.passage.lower_own(ty, resource),
        (Type::Borrow(ty), &Val::Resource(resource)) => heap.passage.lower_borrow(ty, resource),
        _ => Err(Error::system("a value was not checked")),
    }
}

/// Takes or borrows the resource that a handle of the component stands for.
fn lift_handle(ty: &Type, handle: u32, heap: &Heap<'_>) -> Result<Val> {
    match ty {
        Type::Borrow(ty) => heap.passage.lift_borrow(ty, handle).map(Val::Resource),
        Type::Own(ty) => heap.passage.lift_own(ty, handle).map(Val::Resource),
        _ => Err(Error::system("a type without handles")),
    }
}

/// The most bytes that a value of a type has besides the [`Val`] itself, without those of the values in it: names, boxes
/// and lists of fields. A guest that gives few bytes for many of them must not cost the host more than others.
fn bytes_besides(ty: &Type) -> usize {
    let longest = |names: &mut dyn Iterator<Item = &String>| names.map(String::len).max().unwrap_or(0);
    match ty {
        Type::Variant(cases) => size_of::<Val>() + longest(&mut cases.iter().map(|(name, _)| name)),
        Type::Enum(names) => longest(&mut names.iter()),
        Type::Option(_) | Type::Result(..) => size_of::<Val>(),
        Type::Record(fields) => fields.iter().map(|(name, _)| size_of::<(String, Val)>() + name.len()).sum(),
        Type::Tuple(types) => types.len() * size_of::<Val>(),
        Type::Flags(names) => names.iter().map(|name| size_of::<String>() + name.len()).sum(),
        _ => 0,
    }
}

/// Reads a value from memory, where there is room for one.
fn load(ty: &Type, at: u32, heap: &Heap<'_>) -> Result<Val> {
    heap.spend(bytes_besides(ty))?;
    if let Some(cases) = cases(ty) {
        let case = load_bits(at, discriminant_bytes(cases.len()), heap)? as usize;
        let payload = cases.get(case).ok_or_else(|| trap("unexpected discriminant"))?;
        let payload = payload.map(|ty| load(ty, at + payload_offset(&cases), heap)).transpose()?;
        return Ok(of_case(ty, case, payload));
    }
    if let Some(fields) = fields(ty) {
        let mut offset = 0u32;
        let values = fields.into_iter().map(|field| {
            let (len, align) = extent(field);
            offset = offset.next_multiple_of(align);
            let value = load(field, at + offset, heap);
            offset += len;
            value
        });
        return Ok(of_fields(ty, values.collect::<Result<_>>()?));
    }
    match ty {
        Type::String | Type::List(_) => {
            let (start, count) = (u32::from_le_bytes(heap.read(at)?), u32::from_le_bytes(heap.read(at + 4)?));
            load_list(ty, start, count, heap)
        }
        Type::Flags(names) => {
            let len = extent(ty).0.min(4);
            let words = (0..names.len().div_ceil(32)).map(|index| load_bits(at + 4 * index as u32, len, heap));
            let words = words.map(|word| word.map(|word| word as u32)).collect::<Result<Vec<_>>>()?;
            Ok(of_words(names, &words))
        }
        Type::Own(_) | Type::Borrow(_) => lift_handle(ty, u32::from_le_bytes(heap.read(at)?), heap),
        _ => of_bits(ty, load_bits(at, extent(ty).0, heap)?),
    }
}

/// Appends the core values of a value.
fn lower_flat(ty: &Type, value: &Val, heap: &Heap<'_>, flat: &mut Vec<u64>) -> Result<()> {
    if let Some(cases) = cases(ty) {
        let (case, payload) = case_of(ty, value);
        let start = flat.len();
        flat.push(case as u64);
        if let (Some(ty), Some(payload)) = (cases[case], payload) {
            lower_flat(ty, payload, heap, flat)?;
        }
        flat.resize(start + flatten(ty).len(), 0);
        return Ok(());
    }
    if let Some(fields) = fields(ty) {
        let mut all = fields.into_iter().zip(values_of(value));
        return all.try_for_each(|(field, value)| lower_flat(field, value, heap, flat));
    }
    match (ty, value) {
        (Type::String | Type::List(_), _) => {
            let (start, count) = store_list(ty, value, heap)?;
            flat.extend([u64::from(start), u64::from(count)]);
        }
        (Type::Flags(names), Val::Flags(set)) => flat.extend(words_of(names, set).into_iter().map(u64::from)),
        (Type::Own(_) | Type::Borrow(_), _) => flat.push(lower_handle(ty, value, heap)?.into()),
        _ => flat.push(bits(value)),
    }
    Ok(())
}

/// Takes a value from core values.
fn lift_flat(ty: &Type, flat: &mut dyn Iterator<Item = u64>, heap: &Heap<'_>) -> Result<Val> {
    heap.spend(bytes_besides(ty))?;
    let next = |flat: &mut dyn Iterator<Item = u64>| flat.next().unwrap_or(0);
    if let Some(cases) = cases(ty) {
        let case = next(flat) as u32 as usize;
        let payload = *cases.get(case).ok_or_else(|| trap("unexpected discriminant"))?;
        let all: Vec<u64> = (1..flatten(ty).len()).map(|_| next(flat)).collect();
        let payload = payload.map(|ty| lift_flat(ty, &mut all.into_iter(), heap)).transpose()?;
        return Ok(of_case(ty, case, payload));
    }
    if let Some(fields) = fields(ty) {
        let values = fields.into_iter().map(|field| lift_flat(field, flat, heap)).collect::<Result<_>>()?;
        return Ok(of_fields(ty, values));
    }
    match ty {
        Type::String | Type::List(_) => {
            let (at, count) = (next(flat) as u32, next(flat) as u32);
            load_list(ty, at, count, heap)
        }
        Type::Flags(names) => {
            let words: Vec<u32> = (0..names.len().div_ceil(32)).map(|_| next(flat) as u32).collect();
            Ok(of_words(names, &words))
        }
        Type::Own(_) | Type::Borrow(_) => lift_handle(ty, next(flat) as u32, heap),
        _ => of_bits(ty, next(flat)),
    }
}
