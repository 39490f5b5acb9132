//! How a host program makes an instance of a component: which core modules are instantiated in which order, what their
//! imports are, and what the component imports and exports, with types. The compiler writes a plan into a library; plans are
//! read as `postcard` writes them.

use serde::{Deserialize, Serialize};

/// A component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// `wasmelt_abi::ABI_VERSION`.
    pub version: u32,
    /// How many core modules there are.
    pub module_count: u32,
    /// Instances of core modules, in order.
    pub instances: Vec<PlannedInstance>,
    /// Functions that core modules import and none defines.
    pub lowerings: Vec<Lowering>,
    /// What the component exports.
    pub exports: Vec<ExportedFunc>,
    /// The types of resources that it has defined, by number.
    pub resources: Vec<DefinedResource>,
    /// The types of resources that it imports: interface and name.
    pub imported_resources: Vec<(String, String)>,
    /// Tables of handles, by the numbers that adapters between components know them by; `None` where no handle can be in one.
    pub tables: Vec<Option<HandleTable>>,
    /// For component instances that others call, or that call others: the global that is 0 while the instance may call nobody
    /// outside.
    pub may_leave: Vec<(u32, CoreExport)>,
}

/// A type of resources that a component has defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedResource {
    /// The component instance.
    pub component: u32,
    /// What is called with what the component knows a resource by, when the resource is dropped.
    pub destructor: Option<CoreExport>,
}

/// An instance of a core module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInstance {
    /// Which module.
    pub module: u32,
    /// What its imports are, in their order.
    pub arguments: Vec<Argument>,
}

/// What an import of a core module is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// An export of an earlier instance.
    Export(CoreExport),
    /// A function, by index in [`Plan::lowerings`].
    Lowering(u32),
}

/// An export of an instance of a core module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CoreExport {
    /// Index in [`Plan::instances`].
    pub instance: u32,
    /// Its name.
    pub name: String,
}

/// A function that no core module defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lowering {
    /// The component instance that calls.
    pub component: u32,
    /// What it does.
    pub work: Work,
}

/// What such a function does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// It calls what the component imports.
    Import {
        /// The interface with its version, or `$root`.
        interface: String,
        /// The name in the interface.
        name: String,
        /// The memory that strings, lists and results lie in.
        memory: Option<CoreExport>,
        /// What allocates in it.
        realloc: Option<CoreExport>,
        /// Its type; `None` for drops of resources.
        ty: Option<FuncType>,
    },
    /// `resource.new`, for a type of the component's own, by number as below.
    ResourceNew(u32),
    /// `resource.rep`.
    ResourceRep(u32),
    /// `resource.drop`.
    ResourceDrop(u32),
    /// It copies a string from one memory to another, as the function of the runtime with this name does it.
    Transcode {
        /// The name in `wasmelt_abi::canonical`.
        function: String,
        /// The memory that is read.
        from: CoreExport,
        /// The memory that is written to.
        to: CoreExport,
    },
    /// It makes what a handle owns another component's, by numbers of [`Plan::tables`].
    TransferOwn,
    /// It lends it.
    TransferBorrow,
    /// It begins a call that lends.
    EnterCall,
    /// It ends such a call.
    ExitCall,
    /// It traps.
    Trap {
        /// What numbers of an adapter mean: each with that of a `wasmelt_abi::canonical::CanonicalTrap`.
        reasons: Vec<(u32, u32)>,
    },
}

/// The handles of one type that a component instance has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleTable {
    /// The component instance.
    pub component: u32,
    /// The type of what they stand for.
    pub resource: ResourceType,
    /// Whether the instance has defined the type itself.
    pub is_definer: bool,
}

/// A function that the component exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFunc {
    /// The interface with its version; empty for a function outside interfaces.
    pub interface: String,
    /// Its name.
    pub name: String,
    /// The core function.
    pub func: CoreExport,
    /// The memory that strings and lists lie in.
    pub memory: Option<CoreExport>,
    /// What allocates in it.
    pub realloc: Option<CoreExport>,
    /// What is called when the results were read.
    pub post_return: Option<CoreExport>,
    /// The component instance.
    pub component: u32,
    /// Its type.
    pub ty: FuncType,
}

/// The type of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuncType {
    /// Names and types of the parameters.
    pub params: Vec<(String, Type)>,
    /// The type of the result.
    pub result: Option<Type>,
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "names are those of the component model")]
pub enum Type {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    List(Box<Self>),
    Record(Vec<(String, Self)>),
    Tuple(Vec<Self>),
    Variant(Vec<(String, Option<Self>)>),
    Enum(Vec<String>),
    Option(Box<Self>),
    Result(Option<Box<Self>>, Option<Box<Self>>),
    Flags(Vec<String>),
    /// A resource that is given away, by the number of its type in the calling component's tables.
    Own(ResourceType),
    /// A resource that is lent.
    Borrow(ResourceType),
}

/// A type of resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceType {
    /// One that the component has defined, by number in [`Plan::resources`].
    Own(u32),
    /// One that the component imports, by interface and name.
    Imported(String, String),
}
