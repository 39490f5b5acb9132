//! Types of what modules import and export, as the host sees them.

use core::fmt;

use super::func_type::FuncType;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "names are those of the specification")]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    Ref(RefType),
}

impl ValType {
    /// `funcref`
    pub const FUNCREF: Self = Self::Ref(RefType::FUNCREF);
    /// `externref`
    pub const EXTERNREF: Self = Self::Ref(RefType::EXTERNREF);
    /// `exnref`
    pub const EXNREF: Self = Self::Ref(RefType::EXNREF);
}

/// The type of a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    /// Whether the reference may be null.
    pub nullable: bool,
    /// What the reference refers to.
    pub heap: HeapType,
}

impl RefType {
    /// `funcref`
    pub const FUNCREF: Self = Self { nullable: true, heap: HeapType::Func };
    /// `externref`
    pub const EXTERNREF: Self = Self { nullable: true, heap: HeapType::Extern };
    /// `exnref`
    pub const EXNREF: Self = Self { nullable: true, heap: HeapType::Exn };
}

/// What a reference refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HeapType {
    /// Any function.
    Func,
    /// Any value of the host.
    Extern,
    /// Any exception.
    Exn,
    /// The bottom of the function types: only null has this type.
    NoFunc,
    /// The bottom of the host's references: only null has this type.
    NoExtern,
    /// The bottom of the exception types: only null has this type.
    NoExn,
    /// Functions of this type.
    Concrete(FuncType),
    /// The function type in whose own lists this variant stands: a function type may refer to itself. The variant means
    /// nothing elsewhere: in the type of a table or global, use [`Self::Concrete`].
    Recursive,
}

/// The type of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableType {
    /// Type of the elements.
    pub element: RefType,
    /// Minimum length in elements.
    pub minimum: u64,
    /// Maximum length in elements.
    pub maximum: Option<u64>,
    /// Whether indices have 64 bits.
    pub index_64: bool,
}

impl TableType {
    /// Makes the type of a table with 32-bit indices.
    pub const fn new(element: RefType, minimum: u64, maximum: Option<u64>) -> Self {
        Self { element, minimum, maximum, index_64: false }
    }
}

/// The type of a memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemoryType {
    /// Minimum length in pages.
    pub minimum: u64,
    /// Maximum length in pages.
    pub maximum: Option<u64>,
    /// Whether addresses have 64 bits.
    pub index_64: bool,
    /// Whether threads can share the memory.
    pub shared: bool,
    /// Logarithm of the page size in bytes.
    pub page_size_log2: u8,
}

impl MemoryType {
    /// Makes the type of a memory with 32-bit addresses and pages of 64 KiB that threads do not share.
    pub const fn new(minimum: u64, maximum: Option<u64>) -> Self {
        Self { minimum, maximum, index_64: false, shared: false, page_size_log2: 16 }
    }

    /// Makes the type of a shared memory with 32-bit addresses and pages of 64 KiB.
    pub const fn shared(minimum: u64, maximum: u64) -> Self {
        Self { minimum, maximum: Some(maximum), index_64: false, shared: true, page_size_log2: 16 }
    }
}

/// The type of a global.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GlobalType {
    /// Type of the value.
    pub content: ValType,
    /// Whether the value can change.
    pub mutable: bool,
}

/// The type of an import or export.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "variants are the specification's external types")]
pub enum ExternType {
    Func(FuncType),
    Table(TableType),
    Memory(MemoryType),
    Global(GlobalType),
    Tag(FuncType),
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::V128 => f.write_str("v128"),
            Self::Ref(ty) => ty.fmt(f),
        }
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = match self.heap {
            HeapType::Func => "func",
            HeapType::Extern => "extern",
            HeapType::Exn => "exn",
            HeapType::NoFunc => "nofunc",
            HeapType::NoExtern => "noextern",
            HeapType::NoExn => "noexn",
            // Not in full: types can be nested so that their text is endless.
            HeapType::Concrete(_) => "$func",
            HeapType::Recursive => "$self",
        };
        match (self.nullable, &self.heap) {
            (true, HeapType::Func | HeapType::Extern | HeapType::Exn) => write!(f, "{heap}ref"),
            (true, _) => write!(f, "(ref null {heap})"),
            (false, _) => write!(f, "(ref {heap})"),
        }
    }
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = |minimum: u64, maximum: Option<u64>, index_64: bool| {
            let index = if index_64 { "i64 " } else { "" };
            let maximum = maximum.map_or(String::new(), |maximum| format!(" {maximum}"));
            format!("{index}{minimum}{maximum}")
        };
        match self {
            Self::Func(ty) => ty.fmt(f),
            Self::Table(ty) => write!(f, "(table {} {})", limits(ty.minimum, ty.maximum, ty.index_64), ty.element),
            Self::Memory(ty) => {
                write!(f, "(memory {}", limits(ty.minimum, ty.maximum, ty.index_64))?;
                if ty.shared {
                    f.write_str(" shared")?;
                }
                match 1u64.checked_shl(ty.page_size_log2.into()) {
                    Some(0x10000) => {}
                    Some(bytes) => write!(f, " (pagesize {bytes})")?,
                    None => write!(f, " (pagesize 2^{})", ty.page_size_log2)?,
                }
                f.write_str(")")
            }
            Self::Global(GlobalType { content, mutable: true }) => write!(f, "(global (mut {content}))"),
            Self::Global(GlobalType { content, mutable: false }) => write!(f, "(global {content})"),
            Self::Tag(ty) => write!(f, "(tag {ty})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_as_in_the_text_format() {
        let ty = FuncType::new([ValType::I32, ValType::FUNCREF], [ValType::V128]);
        assert_eq!(ty.to_string(), "(func (param i32 funcref) (result v128))");
        let typed = RefType { nullable: false, heap: HeapType::Concrete(ty) };
        let table = TableType { index_64: true, ..TableType::new(typed, 1, Some(9)) };
        assert_eq!(ExternType::Table(table).to_string(), "(table i64 1 9 (ref $func))");
        assert_eq!(ExternType::Memory(MemoryType::shared(1, 2)).to_string(), "(memory 1 2 shared)");
        let bytes = MemoryType { page_size_log2: 0, ..MemoryType::new(5, None) };
        assert_eq!(ExternType::Memory(bytes).to_string(), "(memory 5 (pagesize 1))");
        let beyond = MemoryType { page_size_log2: 64, ..MemoryType::new(5, None) };
        assert_eq!(ExternType::Memory(beyond).to_string(), "(memory 5 (pagesize 2^64))");
        let global = GlobalType { content: ValType::EXNREF, mutable: true };
        assert_eq!(ExternType::Global(global).to_string(), "(global (mut exnref))");
        assert_eq!(ExternType::Tag(FuncType::new([], [])).to_string(), "(tag (func))");
    }
}
