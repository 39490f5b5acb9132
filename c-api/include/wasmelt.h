/*
 * What wasmelt has beyond the standard C interface of <wasm.h>: errors in words, WASI, limits, fuel, interruption, pools,
 * calls without boxes, linkers, and modules that are linked into the program.
 *
 * What <wasm.h> says about ownership, errors and threads holds here as well. Strings are C strings in UTF-8. A function that
 * returns `bool` returns false when it fails.
 */

#ifndef WASMELT_H
#define WASMELT_H

#include "wasm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define own

/* ------------------------------------------------------------------------------------------------------------------
 * Errors and versions
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * Why the last call that failed on this thread did so; empty when none has. The text is good until the next call that fails
 * on this thread. Calls that succeed leave it as it is.
 */
WASM_API_EXTERN const char* wasmelt_last_error(void);

/* The version of this library. The text is static. */
WASM_API_EXTERN const char* wasmelt_version(void);

/* Whether this library has the compiler: whether `wasm_module_new` takes WebAssembly binaries. */
WASM_API_EXTERN bool wasmelt_has_compiler(void);

/* ------------------------------------------------------------------------------------------------------------------
 * Kinds of values beyond the standard
 * ---------------------------------------------------------------------------------------------------------------- */

enum wasmelt_valkind_enum {
  /* A vector. `wasm_val_t` has no room for it: `wasmelt_func_call` passes vectors. */
  WASMELT_V128 = 4,
  /* A reference to an exception. Null alone can be passed by C. */
  WASMELT_EXNREF = 130
};

/* ------------------------------------------------------------------------------------------------------------------
 * How code is compiled, where this library has the compiler
 * ---------------------------------------------------------------------------------------------------------------- */

/* Code counts what it executes, see `wasmelt_store_set_fuel`. As `wasmelt compile --fuel`. */
WASM_API_EXTERN void wasmelt_config_set_fuel(wasm_config_t*, bool enable);
/* Code can be interrupted, see `wasmelt_interrupt_handle_new`. As `wasmelt compile --interruptible`. */
WASM_API_EXTERN void wasmelt_config_set_interruptible(wasm_config_t*, bool enable);

/* ------------------------------------------------------------------------------------------------------------------
 * Modules
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * The module of this name in a library that wasmelt made, from a file. The name is that of the file without its ending,
 * unless `wasmelt compile --library-name` has said another. The library is native code and is trusted, see
 * `wasm_module_new`. NULL where that fails.
 */
WASM_API_EXTERN own wasm_module_t* wasmelt_load_module(const char* path, const char* name);

/* The module of this name in a library that wasmelt made, from its bytes: as `wasm_module_deserialize` otherwise. */
WASM_API_EXTERN own wasm_module_t* wasmelt_load_module_bytes(const wasm_byte_vec_t*, const char* name);

/* What a module in the program is known by. */
typedef struct wasmelt_descriptor_t wasmelt_descriptor_t;

/*
 * Modules that are linked into the program, from what `wasmelt compile --emit staticlib --library-name NAME` made:
 *
 *   WASMELT_DECLARE_MODULE(plugin);                          // at the top of a file
 *   wasm_module_t* module = WASMELT_LINKED_MODULE(plugin);   // NULL where that fails
 */
#ifdef __cplusplus
#define WASMELT_DECLARE_MODULE(name) extern "C" const wasmelt_descriptor_t wasmelt_module_##name
#else
#define WASMELT_DECLARE_MODULE(name) extern const wasmelt_descriptor_t wasmelt_module_##name
#endif
#define WASMELT_LINKED_MODULE(name) wasmelt_linked_module(&wasmelt_module_##name, #name)

/* The module with this descriptor, which wasmelt made and which stays as long as the process. The name is for messages. */
WASM_API_EXTERN own wasm_module_t* wasmelt_linked_module(const wasmelt_descriptor_t*, const char* name);

/* ------------------------------------------------------------------------------------------------------------------
 * Pools and stores
 * ---------------------------------------------------------------------------------------------------------------- */

/* What a pool has room for. `wasmelt_pool_config_default` fills all of it in. */
typedef struct wasmelt_pool_config_t {
  /* How many memories there may be at once. */
  size_t memories;
  /* Address space for each, in bytes: 6 GiB unless code was compiled with `--memory-reserve`. */
  uint64_t memory_slot_bytes;
  /* How many tables there may be at once, besides those that never change. */
  size_t tables;
  /* The length that each can have, in elements. */
  uint64_t table_elements;
  /* How many stores with instances there may be at once. */
  size_t stacks;
  /* The call stack of each, in bytes. */
  uint64_t stack_bytes;
  /* How many bytes of its memory a slot keeps when nobody uses it. */
  size_t keep_resident_bytes;
} wasmelt_pool_config_t;

WASM_API_EXTERN void wasmelt_pool_config_default(wasmelt_pool_config_t* out);

/* Address space that stores take their memories, tables and stacks from. Several threads may use a pool at a time. */
typedef struct wasmelt_pool_t wasmelt_pool_t;

/* Reserves the address space. NULL stands for the defaults. Returns NULL where that fails, and on other systems than Linux. */
WASM_API_EXTERN own wasmelt_pool_t* wasmelt_pool_new(const wasmelt_pool_config_t*);
/* Stores of the pool keep what they have. */
WASM_API_EXTERN void wasmelt_pool_delete(own wasmelt_pool_t*);

/*
 * A store that takes what it needs from a pool; NULL is none. Guests have a call stack of so many bytes; 0 stands for what
 * the first module was compiled for, or for the pool's.
 */
WASM_API_EXTERN own wasm_store_t* wasmelt_store_new(wasm_engine_t*, const wasmelt_pool_t*, uint64_t stack_bytes);

/*
 * Empties the store, which costs less than another one. References to what was in it can only be deleted from then on;
 * finalizers are called. Limits and the context of WASI stay. No fuel is left, and no deadline is set. Fails in a callback.
 */
WASM_API_EXTERN bool wasmelt_store_reset(wasm_store_t*);

/* ------------------------------------------------------------------------------------------------------------------
 * Limits, fuel, interruption
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * Limits of a store, from now on: bytes of each memory, elements of each table, and how many instances, tables and memories
 * there may be. A negative number is no limit. What is beyond fails: `memory.grow` and `table.grow` return -1, or, with
 * `trap_on_grow_failure`, end the call.
 */
WASM_API_EXTERN void wasmelt_store_limiter(
    wasm_store_t*, int64_t memory_bytes, int64_t table_elements, int64_t instances, int64_t tables, int64_t memories,
    bool trap_on_grow_failure);

/*
 * What guests may execute from now on, all of them together: an operator costs 1. What runs out is a trap with
 * `WASMELT_TRAP_OUT_OF_FUEL`. Fails where a module of the store was compiled without fuel, and such a module fails to be
 * instantiated from now on.
 */
WASM_API_EXTERN bool wasmelt_store_set_fuel(wasm_store_t*, uint64_t fuel);
/* How much is left. Fails where none was set. */
WASM_API_EXTERN bool wasmelt_store_get_fuel(const wasm_store_t*, uint64_t* out);

/* Interrupts the guests of a store. The one object of a store that other threads use meanwhile. */
typedef struct wasmelt_interrupt_handle_t wasmelt_interrupt_handle_t;

/*
 * NULL where a module of the store was compiled without `--interruptible`; such a module fails to be instantiated from now
 * on. Fails in a callback. The handle may outlive the store.
 */
WASM_API_EXTERN own wasmelt_interrupt_handle_t* wasmelt_interrupt_handle_new(wasm_store_t*);
WASM_API_EXTERN void wasmelt_interrupt_handle_delete(own wasmelt_interrupt_handle_t*);
/*
 * Stops the call that the store executes at this moment: it ends with `WASMELT_TRAP_INTERRUPT` at the guest's next loop or
 * function. Returns whether there is such a call; where there is none, nothing happens, also to the next one.
 */
WASM_API_EXTERN bool wasmelt_interrupt_handle_interrupt(const wasmelt_interrupt_handle_t*);

/* Stores with deadlines. Several threads may use it at a time. */
typedef struct wasmelt_deadlines_t wasmelt_deadlines_t;

WASM_API_EXTERN own wasmelt_deadlines_t* wasmelt_deadlines_new(void);
WASM_API_EXTERN void wasmelt_deadlines_delete(own wasmelt_deadlines_t*);
/* Interrupts all calls whose deadline is over, and returns how many these are. A thread of the host's calls it now and then. */
WASM_API_EXTERN size_t wasmelt_deadlines_tick(const wasmelt_deadlines_t*);
/* Sets when the store's calls are to stop, in nanoseconds from now. Fails as `wasmelt_interrupt_handle_new`. */
WASM_API_EXTERN bool wasmelt_store_set_deadline(wasm_store_t*, const wasmelt_deadlines_t*, uint64_t nanoseconds);
/* The store has no deadline any more. Fails in a callback. */
WASM_API_EXTERN bool wasmelt_store_clear_deadline(wasm_store_t*);

/* ------------------------------------------------------------------------------------------------------------------
 * Traps
 * ---------------------------------------------------------------------------------------------------------------- */

/* What `wasmelt_trap_code` returns. */
enum wasmelt_trap_enum {
  /* An error of the host: of a callback, of arguments, of imports; an exit by WASI. */
  WASMELT_TRAP_NONE = 0,
  WASMELT_TRAP_UNREACHABLE = 1,
  WASMELT_TRAP_MEMORY_OUT_OF_BOUNDS = 2,
  WASMELT_TRAP_TABLE_OUT_OF_BOUNDS = 3,
  WASMELT_TRAP_UNDEFINED_ELEMENT = 4,
  WASMELT_TRAP_UNINITIALIZED_ELEMENT = 5,
  WASMELT_TRAP_INDIRECT_CALL_TYPE_MISMATCH = 6,
  WASMELT_TRAP_INTEGER_DIVIDE_BY_ZERO = 7,
  WASMELT_TRAP_INTEGER_OVERFLOW = 8,
  WASMELT_TRAP_INVALID_CONVERSION_TO_INTEGER = 9,
  WASMELT_TRAP_STACK_EXHAUSTED = 10,
  WASMELT_TRAP_NULL_REFERENCE = 11,
  WASMELT_TRAP_UNALIGNED_ATOMIC = 12,
  WASMELT_TRAP_EXPECTED_SHARED_MEMORY = 13,
  WASMELT_TRAP_UNCAUGHT_EXCEPTION = 14,
  WASMELT_TRAP_OUT_OF_FUEL = 15,
  WASMELT_TRAP_INTERRUPT = 16,
  WASMELT_TRAP_UNKNOWN_IMPORT = 17
};

/* Which trap of WebAssembly it is, a number of `wasmelt_trap_enum`. Later versions may have more. */
WASM_API_EXTERN uint8_t wasmelt_trap_code(const wasm_trap_t*);

/* Whether the guest has ended itself by `proc_exit` of WASI; then `status` is its exit code. */
WASM_API_EXTERN bool wasmelt_trap_exit_status(const wasm_trap_t*, int32_t* status);

/* The name under which the frame's module was loaded. */
WASM_API_EXTERN const wasm_name_t* wasmelt_frame_module_name(const wasm_frame_t*);
/* The name of the function, demangled; empty where the module has none. */
WASM_API_EXTERN const wasm_name_t* wasmelt_frame_func_name(const wasm_frame_t*);
/* The frame for people: its function, with file and line where the module was compiled with `-g`. Several lines, where
 * functions were inlined. */
WASM_API_EXTERN const wasm_name_t* wasmelt_frame_text(const wasm_frame_t*);

/* ------------------------------------------------------------------------------------------------------------------
 * Functions
 * ---------------------------------------------------------------------------------------------------------------- */

/* A value without its kind: a number, or a vector. */
typedef union wasmelt_value_t {
  int32_t i32;
  int64_t i64;
  float32_t f32;
  float64_t f64;
  /* Little-endian. */
  uint8_t v128[16];
} wasmelt_value_t;

/*
 * Calls a function of numbers and vectors, without allocating anything. `values` has the arguments, and the results take
 * their place: there are as many elements as parameters or results, whichever are more. Nothing checks that the arguments
 * were set as the right members; a function whose type has references is an error. Returns NULL, or why the call ended.
 */
WASM_API_EXTERN own wasm_trap_t* wasmelt_func_call(const wasm_func_t*, wasmelt_value_t* values, size_t count);

/* Who has called a callback. Good until the callback returns. */
typedef struct wasmelt_caller_t wasmelt_caller_t;

/* The store. It is borrowed, as long as the caller is there. */
WASM_API_EXTERN wasm_store_t* wasmelt_caller_store(const wasmelt_caller_t*);
/*
 * The export of the calling instance with this name: its memory, mostly. NULL where there is none, and where the instance
 * is not known: it is the one that imports the function, not one that got the function as a value.
 */
WASM_API_EXTERN own wasm_extern_t* wasmelt_caller_export(const wasmelt_caller_t*, const char* name);

/* A callback that gets its caller; otherwise as `wasm_func_callback_with_env_t`. */
typedef own wasm_trap_t* (*wasmelt_func_callback_t)(
    void* env, const wasmelt_caller_t*, const wasm_val_vec_t* args, wasm_val_vec_t* results);

/* As `wasm_func_new_with_env`. */
WASM_API_EXTERN own wasm_func_t* wasmelt_func_new(
    wasm_store_t*, const wasm_functype_t*, wasmelt_func_callback_t, void* env, void (*finalizer)(void*));

/*
 * A callback for numbers and vectors, which allocates nothing: `values` has the arguments, and the results take their place, as
 * in `wasmelt_func_call`; `count` is the number of elements. Bits of an element that are not part of an argument may be anything.
 */
typedef own wasm_trap_t* (*wasmelt_unboxed_callback_t)(
    void* env, const wasmelt_caller_t*, wasmelt_value_t* values, size_t count);

/* As `wasmelt_func_new`. Fails where the type has references. */
WASM_API_EXTERN own wasm_func_t* wasmelt_func_new_unboxed(
    wasm_store_t*, const wasm_functype_t*, wasmelt_unboxed_callback_t, void* env, void (*finalizer)(void*));

/* ------------------------------------------------------------------------------------------------------------------
 * Exceptions
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * A tag, which tells exceptions apart: an external of the kind `WASM_EXTERN_TAG`. The parameters of its type are the values of
 * an exception, and it has no results. Two tags are different also where their types are equal.
 */
WASM_API_EXTERN own wasm_extern_t* wasmelt_tag_new(wasm_store_t*, const wasm_functype_t*);

/*
 * An exception, as a trap: a callback that returns the trap throws the exception, and guests may catch it. It belongs to the
 * store, which the trap keeps. Fails where the values are not of the tag's type. Vectors do not fit into a `wasm_val_t`.
 */
WASM_API_EXTERN own wasm_trap_t* wasmelt_trap_new_exception(
    wasm_store_t*, const wasm_extern_t* tag, const wasm_val_vec_t* values);

/*
 * The tag and the values of the exception that a trap stands for: one that no guest has caught, or one of
 * `wasmelt_trap_new_exception`. NULL, and false, where the trap is another one. The values are copied.
 */
WASM_API_EXTERN own wasm_extern_t* wasmelt_trap_exception_tag(const wasm_trap_t*);
WASM_API_EXTERN bool wasmelt_trap_exception_values(const wasm_trap_t*, own wasm_val_vec_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Memories and instances
 * ---------------------------------------------------------------------------------------------------------------- */

/* Copies bytes out of a memory or into one, also one that threads share. Fails where the range exceeds the memory. */
WASM_API_EXTERN bool wasmelt_memory_read(const wasm_memory_t*, size_t offset, void* bytes, size_t size);
WASM_API_EXTERN bool wasmelt_memory_write(wasm_memory_t*, size_t offset, const void* bytes, size_t size);

/* The export with this name; NULL where there is none. */
WASM_API_EXTERN own wasm_extern_t* wasmelt_instance_export(const wasm_instance_t*, const char* name);

/* ------------------------------------------------------------------------------------------------------------------
 * Linkers
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * Names from which modules take their imports. One linker serves any number of stores, as long as only functions are
 * defined in it that belong to no store: those of `wasmelt_linker_define_func` and of WASI. Several threads may instantiate
 * with a linker at a time, as long as none changes it.
 */
typedef struct wasmelt_linker_t wasmelt_linker_t;

WASM_API_EXTERN own wasmelt_linker_t* wasmelt_linker_new(wasm_engine_t*);
WASM_API_EXTERN void wasmelt_linker_delete(own wasmelt_linker_t*);

/* Whether a name may be defined again. Otherwise, that fails. */
WASM_API_EXTERN void wasmelt_linker_allow_shadowing(wasmelt_linker_t*, bool allow);

/* Defines `name` of `module` as what belongs to a store. */
WASM_API_EXTERN bool wasmelt_linker_define(
    wasmelt_linker_t*, const char* module, const char* name, const wasm_extern_t*);

/*
 * Defines a function of the host for any store. `finalizer`, unless it is NULL, is called with `env` when the linker and all
 * stores with instances that import the function are gone; at once, when this function fails. Where stores of several
 * threads use the linker, the callback runs on these threads at a time.
 */
WASM_API_EXTERN bool wasmelt_linker_define_func(
    wasmelt_linker_t*, const char* module, const char* name, const wasm_functype_t*, wasmelt_func_callback_t, void* env,
    void (*finalizer)(void*));

/* The same with an unboxed callback. Fails where the type has references as well. */
WASM_API_EXTERN bool wasmelt_linker_define_func_unboxed(
    wasmelt_linker_t*, const char* module, const char* name, const wasm_functype_t*, wasmelt_unboxed_callback_t,
    void* env, void (*finalizer)(void*));

/* Defines the functions of WASI preview 1, which work on the context of the store, see `wasmelt_store_set_wasi`. */
WASM_API_EXTERN bool wasmelt_linker_define_wasi(wasmelt_linker_t*);

/* Defines all exports of an instance, under their names. */
WASM_API_EXTERN bool wasmelt_linker_define_instance(
    wasmelt_linker_t*, wasm_store_t*, const char* module, const wasm_instance_t*);

/*
 * Instantiates a module, calls its `_initialize` where there is one, and defines its exports. Fails for a command, which
 * exports `_start`. `trap` as in `wasm_instance_new`.
 */
WASM_API_EXTERN bool wasmelt_linker_define_module(
    wasmelt_linker_t*, wasm_store_t*, const char* name, const wasm_module_t*, own wasm_trap_t** trap);

/* Defines each function that the module imports and that has no definition: calling it is an error that names it. */
WASM_API_EXTERN bool wasmelt_linker_define_unknown_imports_as_traps(wasmelt_linker_t*, const wasm_module_t*);

/* What is defined; NULL where nothing is. */
WASM_API_EXTERN own wasm_extern_t* wasmelt_linker_get(
    const wasmelt_linker_t*, wasm_store_t*, const char* module, const char* name);

/* An instance of a module whose imports are all defined. Otherwise as `wasm_instance_new`. */
WASM_API_EXTERN own wasm_instance_t* wasmelt_linker_instantiate(
    const wasmelt_linker_t*, wasm_store_t*, const wasm_module_t*, own wasm_trap_t** trap);

/* ------------------------------------------------------------------------------------------------------------------
 * WASI
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * What the guests of a store may have of the system. Without anything said, they have no arguments, no environment and no
 * directories, read the end of an empty stream, and what they write goes nowhere.
 */
typedef struct wasmelt_wasi_config_t wasmelt_wasi_config_t;

WASM_API_EXTERN own wasmelt_wasi_config_t* wasmelt_wasi_config_new(void);
WASM_API_EXTERN void wasmelt_wasi_config_delete(own wasmelt_wasi_config_t*);

/* Adds an argument. The first one is the guest's own name. */
WASM_API_EXTERN bool wasmelt_wasi_config_arg(wasmelt_wasi_config_t*, const char* argument);
/* Adds an environment variable, or gives it another value. */
WASM_API_EXTERN bool wasmelt_wasi_config_env(wasmelt_wasi_config_t*, const char* name, const char* value);
/* Adds all environment variables of the process. */
WASM_API_EXTERN bool wasmelt_wasi_config_inherit_env(wasmelt_wasi_config_t*);

/* The standard streams of the process. */
WASM_API_EXTERN bool wasmelt_wasi_config_inherit_stdin(wasmelt_wasi_config_t*);
WASM_API_EXTERN bool wasmelt_wasi_config_inherit_stdout(wasmelt_wasi_config_t*);
WASM_API_EXTERN bool wasmelt_wasi_config_inherit_stderr(wasmelt_wasi_config_t*);

/* Standard input has these bytes, which are copied. */
WASM_API_EXTERN bool wasmelt_wasi_config_stdin_bytes(wasmelt_wasi_config_t*, const wasm_byte_vec_t*);

/* A buffer that takes what guests write, up to a number of bytes; then their writes fail. It may outlive the store. */
typedef struct wasmelt_output_t wasmelt_output_t;

WASM_API_EXTERN own wasmelt_output_t* wasmelt_output_new(size_t capacity_bytes);
WASM_API_EXTERN void wasmelt_output_delete(own wasmelt_output_t*);
/* What was written so far. Other threads may write meanwhile. */
WASM_API_EXTERN void wasmelt_output_contents(const wasmelt_output_t*, own wasm_byte_vec_t* out);

/* Standard output or standard error goes into a buffer; both may go into the same one. */
WASM_API_EXTERN bool wasmelt_wasi_config_stdout(wasmelt_wasi_config_t*, const wasmelt_output_t*);
WASM_API_EXTERN bool wasmelt_wasi_config_stderr(wasmelt_wasi_config_t*, const wasmelt_output_t*);

/*
 * Grants a directory of the host under a name of the guest's: to read, or to read and change. No path leads out of it.
 * The directory is opened here. Fails where that is not possible.
 */
WASM_API_EXTERN bool wasmelt_wasi_config_preopened_dir(
    wasmelt_wasi_config_t*, const char* host_path, const char* guest_path, bool read_only);

/*
 * Grants one file of the host under a name of the guest's: to read, or to read and write. The directory in the guest's name has
 * nothing in it but files that are granted like this, and cannot be changed. Fails where the file is not there, is a directory,
 * or the name is taken.
 */
WASM_API_EXTERN bool wasmelt_wasi_config_preopened_file(
    wasmelt_wasi_config_t*, const char* host_path, const char* guest_path, bool read_only);

/* Listens on an address of TCP, such as "127.0.0.1:8080", for the guest to accept connections. Directories come first. */
WASM_API_EXTERN bool wasmelt_wasi_config_listen(wasmelt_wasi_config_t*, const char* address);

/* How many descriptors the guest may have besides the standard streams: 256 unless said otherwise. */
WASM_API_EXTERN bool wasmelt_wasi_config_max_open_files(wasmelt_wasi_config_t*, uint32_t count);

/* Gives the guests of a store what a configuration says, from now on, in place of what they had. */
WASM_API_EXTERN bool wasmelt_store_set_wasi(wasm_store_t*, own wasmelt_wasi_config_t*);

#undef own

#ifdef __cplusplus
}
#endif

#endif
