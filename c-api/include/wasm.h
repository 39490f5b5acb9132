/*
 * The standard C interface to WebAssembly (the wasm-c-api proposal), as wasmelt has it.
 *
 * Programs that were written for this interface link with `libwasmelt` (with the compiler) or `libwasmelt-runtime` (without
 * it: modules are libraries that `wasmelt compile --emit cdylib` made). What the standard lacks is in <wasmelt.h>.
 *
 * OWNERSHIP. `own` marks what somebody has to delete. It is empty for the compiler.
 *   - `own wasm_x_t*` as a result: the caller deletes it with `wasm_x_delete`.
 *   - `own` parameters: the callee deletes them, also when it fails. The caller must not use them any more.
 *   - `own` parameters named `out` are written to: the caller deletes what is in them then.
 *   - An `own` vector owns its elements.
 *   - Everything else is borrowed: a parameter for the call, a result as long as what it was asked of.
 * Deleting a reference does not end what it refers to: functions, memories, tables, globals and instances live as long as
 * their store, and the store lives until `wasm_store_delete` was called and all references to what is in it are deleted.
 *
 * ERRORS. A function that fails returns NULL, false, a trap or an empty vector, as it says. The reason is then the text that
 * `wasmelt_last_error()` of <wasmelt.h> returns, for the calling thread. A null pointer where the function needs something,
 * a value of the wrong type, an index that is too large and an object of another store are such errors. A pointer to what
 * was deleted, or to something else than its type says, is undefined behaviour. No function ends the process, and no panic
 * of Rust gets into C; a C++ exception must not leave a callback.
 *
 * THREADS. A store and all that belongs to it are used by one thread at a time; they may move from thread to thread.
 * Engines, configurations, shared modules and types may be used by several threads at a time, as long as none deletes them.
 * Any thread will do, also one with a stack of 64 KiB.
 *
 * PROCESSES. The first call of a guest installs handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE, which hand on all that is not
 * a guest's trap to the handlers from before; handlers that are installed later have to do the same, and need SA_ONSTACK. None
 * are installed while all modules were compiled with `--bounds-checks explicit`: those need no signals. After
 * `fork` the child has guests of its own. A shared library that contains this one stays loaded, also after `dlclose`.
 */

#ifndef WASM_H
#define WASM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef WASM_API_EXTERN
#if defined(_WIN32) && !defined(__MINGW32__) && !defined(LIBWASM_STATIC)
#define WASM_API_EXTERN __declspec(dllimport)
#else
#define WASM_API_EXTERN
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * Auxiliaries
 * ---------------------------------------------------------------------------------------------------------------- */

typedef char byte_t;
typedef float float32_t;
typedef double float64_t;

/* Who has to delete, see above. */
#define own

/*
 * A type of objects that are known by their addresses.
 *   wasm_NAME_delete   Deletes the object. NULL is ignored.
 */
#define WASM_DECLARE_OWN(name)                                                                                         \
  typedef struct wasm_##name##_t wasm_##name##_t;                                                                      \
                                                                                                                       \
  WASM_API_EXTERN void wasm_##name##_delete(own wasm_##name##_t*);

/*
 * A vector: `size` elements at `data`, which is NULL where there are none.
 *   wasm_NAME_vec_new_empty           An empty one.
 *   wasm_NAME_vec_new_uninitialized   One of this size, for the caller to fill. Elements are zero or NULL until then.
 *   wasm_NAME_vec_new                 One with these elements, which it owns from now on; an empty one where they are at NULL.
 *   wasm_NAME_vec_copy                One with copies of the elements.
 *   wasm_NAME_vec_delete              Deletes the elements and the array; the vector is empty then. Only for vectors that
 *                                     one of these functions has made, or another function of this interface.
 */
#define WASM_DECLARE_VEC(name, ptr_or_none)                                                                            \
  typedef struct wasm_##name##_vec_t {                                                                                 \
    size_t size;                                                                                                       \
    wasm_##name##_t ptr_or_none* data;                                                                                 \
  } wasm_##name##_vec_t;                                                                                               \
                                                                                                                       \
  WASM_API_EXTERN void wasm_##name##_vec_new_empty(own wasm_##name##_vec_t* out);                                      \
  WASM_API_EXTERN void wasm_##name##_vec_new_uninitialized(own wasm_##name##_vec_t* out, size_t);                      \
  WASM_API_EXTERN void wasm_##name##_vec_new(                                                                          \
      own wasm_##name##_vec_t* out, size_t, own wasm_##name##_t ptr_or_none const[]);                                  \
  WASM_API_EXTERN void wasm_##name##_vec_copy(own wasm_##name##_vec_t* out, const wasm_##name##_vec_t*);               \
  WASM_API_EXTERN void wasm_##name##_vec_delete(own wasm_##name##_vec_t*);

/* Bytes. */
typedef byte_t wasm_byte_t;
WASM_DECLARE_VEC(byte, )

/* Names are UTF-8, without a NUL at their end. */
typedef wasm_byte_vec_t wasm_name_t;

#define wasm_name wasm_byte_vec
#define wasm_name_new wasm_byte_vec_new
#define wasm_name_new_empty wasm_byte_vec_new_empty
#define wasm_name_new_uninitialized wasm_byte_vec_new_uninitialized
#define wasm_name_copy wasm_byte_vec_copy
#define wasm_name_delete wasm_byte_vec_delete

/* The name that a C string holds. */
static inline void wasm_name_new_from_string(own wasm_name_t* out, const char* s) {
  wasm_name_new(out, strlen(s), s);
}

/* The same with the NUL, as messages are. */
static inline void wasm_name_new_from_string_nt(own wasm_name_t* out, const char* s) {
  wasm_name_new(out, strlen(s) + 1, s);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Configuration, engine, store
 * ---------------------------------------------------------------------------------------------------------------- */

/* How code is to be compiled: <wasmelt.h> has what can be set. */
WASM_DECLARE_OWN(config)
WASM_API_EXTERN own wasm_config_t* wasm_config_new(void);

/* What stores have in common. */
WASM_DECLARE_OWN(engine)
WASM_API_EXTERN own wasm_engine_t* wasm_engine_new(void);
WASM_API_EXTERN own wasm_engine_t* wasm_engine_new_with_config(own wasm_config_t*);

/*
 * Everything that instances share. What is in a store goes when the store was deleted and the last reference to something
 * in it as well; then finalizers are called.
 */
WASM_DECLARE_OWN(store)
/* The engine may be deleted before the store. */
WASM_API_EXTERN own wasm_store_t* wasm_store_new(wasm_engine_t*);

/* ------------------------------------------------------------------------------------------------------------------
 * Types
 * ---------------------------------------------------------------------------------------------------------------- */

typedef uint8_t wasm_mutability_t;
enum wasm_mutability_enum {
  WASM_CONST,
  WASM_VAR
};

/* Lengths, in elements or pages of 64 KiB. */
typedef struct wasm_limits_t {
  uint32_t min;
  uint32_t max;
} wasm_limits_t;

/* As `max`: there is no maximum. */
static const uint32_t wasm_limits_max_default = 0xffffffff;

/*
 * Types are objects that can be copied. Types within a type are borrowed from it.
 */
#define WASM_DECLARE_TYPE(name)                                                                                        \
  WASM_DECLARE_OWN(name)                                                                                               \
  WASM_DECLARE_VEC(name, *)                                                                                            \
                                                                                                                       \
  WASM_API_EXTERN own wasm_##name##_t* wasm_##name##_copy(const wasm_##name##_t*);

/* The type of a value. */
WASM_DECLARE_TYPE(valtype)

typedef uint8_t wasm_valkind_t;
enum wasm_valkind_enum {
  WASM_I32,
  WASM_I64,
  WASM_F32,
  WASM_F64,
  WASM_EXTERNREF = 128,
  WASM_FUNCREF
};

/* The type of this kind; NULL where the number is not one. Kinds beyond those of the standard are in <wasmelt.h>. */
WASM_API_EXTERN own wasm_valtype_t* wasm_valtype_new(wasm_valkind_t);
/* References to functions of one type count as `WASM_FUNCREF`. */
WASM_API_EXTERN wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t*);

static inline bool wasm_valkind_is_num(wasm_valkind_t k) {
  return k < WASM_EXTERNREF;
}
static inline bool wasm_valkind_is_ref(wasm_valkind_t k) {
  return k >= WASM_EXTERNREF;
}
static inline bool wasm_valtype_is_num(const wasm_valtype_t* t) {
  return wasm_valkind_is_num(wasm_valtype_kind(t));
}
static inline bool wasm_valtype_is_ref(const wasm_valtype_t* t) {
  return wasm_valkind_is_ref(wasm_valtype_kind(t));
}

/* The type of a function. */
WASM_DECLARE_TYPE(functype)
/* Takes the elements out of both vectors. NULL is an empty vector. */
WASM_API_EXTERN own wasm_functype_t* wasm_functype_new(own wasm_valtype_vec_t* params, own wasm_valtype_vec_t* results);
WASM_API_EXTERN const wasm_valtype_vec_t* wasm_functype_params(const wasm_functype_t*);
WASM_API_EXTERN const wasm_valtype_vec_t* wasm_functype_results(const wasm_functype_t*);

/* The type of a global. */
WASM_DECLARE_TYPE(globaltype)
WASM_API_EXTERN own wasm_globaltype_t* wasm_globaltype_new(own wasm_valtype_t*, wasm_mutability_t);
WASM_API_EXTERN const wasm_valtype_t* wasm_globaltype_content(const wasm_globaltype_t*);
WASM_API_EXTERN wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t*);

/* The type of a table. The type of the elements is one of references: otherwise `wasm_tabletype_new` returns NULL. */
WASM_DECLARE_TYPE(tabletype)
WASM_API_EXTERN own wasm_tabletype_t* wasm_tabletype_new(own wasm_valtype_t*, const wasm_limits_t*);
WASM_API_EXTERN const wasm_valtype_t* wasm_tabletype_element(const wasm_tabletype_t*);
WASM_API_EXTERN const wasm_limits_t* wasm_tabletype_limits(const wasm_tabletype_t*);

/* The type of a memory with 32-bit addresses. */
WASM_DECLARE_TYPE(memorytype)
WASM_API_EXTERN own wasm_memorytype_t* wasm_memorytype_new(const wasm_limits_t*);
WASM_API_EXTERN const wasm_limits_t* wasm_memorytype_limits(const wasm_memorytype_t*);

/* The type of a tag: a function type whose parameters are the values of its exceptions. */
WASM_DECLARE_TYPE(tagtype)
WASM_API_EXTERN own wasm_tagtype_t* wasm_tagtype_new(own wasm_functype_t*);
WASM_API_EXTERN const wasm_functype_t* wasm_tagtype_functype(const wasm_tagtype_t*);

/* The type of an import or export. */
WASM_DECLARE_TYPE(externtype)

typedef uint8_t wasm_externkind_t;
enum wasm_externkind_enum {
  WASM_EXTERN_FUNC,
  WASM_EXTERN_GLOBAL,
  WASM_EXTERN_TABLE,
  WASM_EXTERN_MEMORY,
  WASM_EXTERN_TAG
};

WASM_API_EXTERN wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t*);

/* The same object under another type; nothing is copied. To a type that the object does not have: NULL. */
WASM_API_EXTERN wasm_externtype_t* wasm_functype_as_externtype(wasm_functype_t*);
WASM_API_EXTERN wasm_externtype_t* wasm_globaltype_as_externtype(wasm_globaltype_t*);
WASM_API_EXTERN wasm_externtype_t* wasm_tabletype_as_externtype(wasm_tabletype_t*);
WASM_API_EXTERN wasm_externtype_t* wasm_memorytype_as_externtype(wasm_memorytype_t*);
WASM_API_EXTERN wasm_externtype_t* wasm_tagtype_as_externtype(wasm_tagtype_t*);

WASM_API_EXTERN wasm_functype_t* wasm_externtype_as_functype(wasm_externtype_t*);
WASM_API_EXTERN wasm_globaltype_t* wasm_externtype_as_globaltype(wasm_externtype_t*);
WASM_API_EXTERN wasm_tabletype_t* wasm_externtype_as_tabletype(wasm_externtype_t*);
WASM_API_EXTERN wasm_memorytype_t* wasm_externtype_as_memorytype(wasm_externtype_t*);
WASM_API_EXTERN wasm_tagtype_t* wasm_externtype_as_tagtype(wasm_externtype_t*);

WASM_API_EXTERN const wasm_externtype_t* wasm_functype_as_externtype_const(const wasm_functype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_globaltype_as_externtype_const(const wasm_globaltype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_tabletype_as_externtype_const(const wasm_tabletype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_memorytype_as_externtype_const(const wasm_memorytype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_tagtype_as_externtype_const(const wasm_tagtype_t*);

WASM_API_EXTERN const wasm_functype_t* wasm_externtype_as_functype_const(const wasm_externtype_t*);
WASM_API_EXTERN const wasm_globaltype_t* wasm_externtype_as_globaltype_const(const wasm_externtype_t*);
WASM_API_EXTERN const wasm_tabletype_t* wasm_externtype_as_tabletype_const(const wasm_externtype_t*);
WASM_API_EXTERN const wasm_memorytype_t* wasm_externtype_as_memorytype_const(const wasm_externtype_t*);
WASM_API_EXTERN const wasm_tagtype_t* wasm_externtype_as_tagtype_const(const wasm_externtype_t*);

/* An import of a module. */
WASM_DECLARE_TYPE(importtype)
/* Takes the bytes out of both names. */
WASM_API_EXTERN own wasm_importtype_t* wasm_importtype_new(
    own wasm_name_t* module, own wasm_name_t* name, own wasm_externtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_importtype_module(const wasm_importtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_importtype_name(const wasm_importtype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_importtype_type(const wasm_importtype_t*);

/* An export of a module. */
WASM_DECLARE_TYPE(exporttype)
/* Takes the bytes out of the name. */
WASM_API_EXTERN own wasm_exporttype_t* wasm_exporttype_new(own wasm_name_t*, own wasm_externtype_t*);
WASM_API_EXTERN const wasm_name_t* wasm_exporttype_name(const wasm_exporttype_t*);
WASM_API_EXTERN const wasm_externtype_t* wasm_exporttype_type(const wasm_exporttype_t*);

/* ------------------------------------------------------------------------------------------------------------------
 * Values and references
 * ---------------------------------------------------------------------------------------------------------------- */

struct wasm_ref_t;

/* A value. An `own` value owns its reference, which is NULL for the null reference. */
typedef struct wasm_val_t {
  wasm_valkind_t kind;
  union {
    int32_t i32;
    int64_t i64;
    float32_t f32;
    float64_t f64;
    struct wasm_ref_t* ref;
  } of;
} wasm_val_t;

/* Deletes the reference in the value, if there is one, and makes it NULL. */
WASM_API_EXTERN void wasm_val_delete(own wasm_val_t* v);
WASM_API_EXTERN void wasm_val_copy(own wasm_val_t* out, const wasm_val_t*);
WASM_DECLARE_VEC(val, )

/*
 * References. A copy refers to the same object, and `same` says whether two do.
 *
 * Information of the host belongs to the object, not to the reference: each reference to the object finds it. It is NULL
 * until it is set. A finalizer is called with it when other information takes its place, or when the object goes:
 * functions, globals, tables, memories and instances with their store; modules, traps and foreign objects with the last
 * reference. A finalizer must not use the store.
 */
#define WASM_DECLARE_REF_BASE(name)                                                                                    \
  WASM_DECLARE_OWN(name)                                                                                               \
                                                                                                                       \
  WASM_API_EXTERN own wasm_##name##_t* wasm_##name##_copy(const wasm_##name##_t*);                                     \
  WASM_API_EXTERN bool wasm_##name##_same(const wasm_##name##_t*, const wasm_##name##_t*);                             \
                                                                                                                       \
  WASM_API_EXTERN void* wasm_##name##_get_host_info(const wasm_##name##_t*);                                           \
  WASM_API_EXTERN void wasm_##name##_set_host_info(wasm_##name##_t*, void*);                                           \
  WASM_API_EXTERN void wasm_##name##_set_host_info_with_finalizer(wasm_##name##_t*, void*, void (*)(void*));

/* The same object under another type; nothing is copied. To a type that the object does not have: NULL. */
#define WASM_DECLARE_REF(name)                                                                                         \
  WASM_DECLARE_REF_BASE(name)                                                                                          \
                                                                                                                       \
  WASM_API_EXTERN wasm_ref_t* wasm_##name##_as_ref(wasm_##name##_t*);                                                  \
  WASM_API_EXTERN wasm_##name##_t* wasm_ref_as_##name(wasm_ref_t*);                                                    \
  WASM_API_EXTERN const wasm_ref_t* wasm_##name##_as_ref_const(const wasm_##name##_t*);                                \
  WASM_API_EXTERN const wasm_##name##_t* wasm_ref_as_##name##_const(const wasm_ref_t*);

/* What several threads may have: `share` makes a shared object, `obtain` a reference for the thread of a store. */
#define WASM_DECLARE_SHARABLE_REF(name)                                                                                \
  WASM_DECLARE_REF(name)                                                                                               \
  WASM_DECLARE_OWN(shared_##name)                                                                                      \
                                                                                                                       \
  WASM_API_EXTERN own wasm_shared_##name##_t* wasm_##name##_share(const wasm_##name##_t*);                             \
  WASM_API_EXTERN own wasm_##name##_t* wasm_##name##_obtain(wasm_store_t*, const wasm_shared_##name##_t*);

/* Any object. */
WASM_DECLARE_REF_BASE(ref)

/* ------------------------------------------------------------------------------------------------------------------
 * Traps
 * ---------------------------------------------------------------------------------------------------------------- */

/* A function of a guest that was running when a trap happened. */
WASM_DECLARE_OWN(frame)
WASM_DECLARE_VEC(frame, *)
WASM_API_EXTERN own wasm_frame_t* wasm_frame_copy(const wasm_frame_t*);

/* NULL: frames name the module, see `wasmelt_frame_module_name`, and do not know of which of its instances they are. */
WASM_API_EXTERN struct wasm_instance_t* wasm_frame_instance(const wasm_frame_t*);
/* The index of the function in its module. */
WASM_API_EXTERN uint32_t wasm_frame_func_index(const wasm_frame_t*);
/* 0: libraries record offsets in the module alone. */
WASM_API_EXTERN size_t wasm_frame_func_offset(const wasm_frame_t*);
/* The offset in the module of the operator that was executed; of the function's body, where that is not known. */
WASM_API_EXTERN size_t wasm_frame_module_offset(const wasm_frame_t*);

/* A text with a NUL at its end, which counts as one of the bytes. */
typedef wasm_name_t wasm_message_t;

/* Why a call ended: a trap of WebAssembly, or an error of a function of the host. */
WASM_DECLARE_REF(trap)

/* A trap for a callback to return. The message may end with a NUL. */
WASM_API_EXTERN own wasm_trap_t* wasm_trap_new(wasm_store_t* store, const wasm_message_t*);

WASM_API_EXTERN void wasm_trap_message(const wasm_trap_t*, own wasm_message_t* out);
/* The innermost frame; NULL where no guest was running. */
WASM_API_EXTERN own wasm_frame_t* wasm_trap_origin(const wasm_trap_t*);
/* All frames, innermost first. */
WASM_API_EXTERN void wasm_trap_trace(const wasm_trap_t*, own wasm_frame_vec_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Foreign objects and modules
 * ---------------------------------------------------------------------------------------------------------------- */

/*
 * An object of the host's, which guests have as `externref`. Once a guest had it, the object lives as long as the store: a
 * host cannot know what a guest keeps.
 */
WASM_DECLARE_REF(foreign)
WASM_API_EXTERN own wasm_foreign_t* wasm_foreign_new(wasm_store_t*);

WASM_DECLARE_SHARABLE_REF(module)

/*
 * A module from bytes. Those of a library that wasmelt made are loaded, which is good for libraries of one module (see
 * `wasmelt_load_module_bytes`). A WebAssembly binary is compiled where this library has the compiler; where it has not
 * (`libwasmelt-runtime`), that is an error that says so. The bytes may go after the call.
 *
 * A library is native code. Whoever loads one trusts it: bytes that wasmelt did not make, or that were changed, do what they
 * like. Only a WebAssembly binary may come from anywhere.
 *
 * Returns NULL where that fails.
 */
WASM_API_EXTERN own wasm_module_t* wasm_module_new(wasm_store_t*, const wasm_byte_vec_t* binary);

/* Whether `wasm_module_new` can make a module of the bytes, as far as that is known without generating or loading code. */
WASM_API_EXTERN bool wasm_module_validate(wasm_store_t*, const wasm_byte_vec_t* binary);

WASM_API_EXTERN void wasm_module_imports(const wasm_module_t*, own wasm_importtype_vec_t* out);
WASM_API_EXTERN void wasm_module_exports(const wasm_module_t*, own wasm_exporttype_vec_t* out);

/*
 * The bytes of a library that is the module. `wasm_module_deserialize` loads them, in another process as well, where code
 * for this system runs. Empty where that fails: for modules that came from a file or are linked into the program.
 */
WASM_API_EXTERN void wasm_module_serialize(const wasm_module_t*, own wasm_byte_vec_t* out);
/* As `wasm_module_new`, for a library alone: trust is needed, as said there. NULL where that fails. */
WASM_API_EXTERN own wasm_module_t* wasm_module_deserialize(wasm_store_t*, const wasm_byte_vec_t*);

/* ------------------------------------------------------------------------------------------------------------------
 * Functions, globals, tables, memories
 * ---------------------------------------------------------------------------------------------------------------- */

WASM_DECLARE_REF(func)

/*
 * What a function of the host does. `args` are borrowed; `results` has an element for each result, for the callback to fill.
 * Returns NULL, or a trap, which ends the call that the host made into the guest. The callback may call guests of the store.
 */
typedef own wasm_trap_t* (*wasm_func_callback_t)(const wasm_val_vec_t* args, own wasm_val_vec_t* results);
typedef own wasm_trap_t* (*wasm_func_callback_with_env_t)(
    void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results);

WASM_API_EXTERN own wasm_func_t* wasm_func_new(wasm_store_t*, const wasm_functype_t*, wasm_func_callback_t);
/* `finalizer`, unless it is NULL, is called with `env` when the store goes; at once, when this function fails. */
WASM_API_EXTERN own wasm_func_t* wasm_func_new_with_env(
    wasm_store_t*, const wasm_functype_t* type, wasm_func_callback_with_env_t, void* env, void (*finalizer)(void*));

WASM_API_EXTERN own wasm_functype_t* wasm_func_type(const wasm_func_t*);
WASM_API_EXTERN size_t wasm_func_param_arity(const wasm_func_t*);
WASM_API_EXTERN size_t wasm_func_result_arity(const wasm_func_t*);

/*
 * Calls a function. `args` has a value of the right type for each parameter, `results` an element for each result, whatever
 * it holds: it is written to and not deleted before. NULL stands for an empty vector. Returns NULL, or why the call ended;
 * then results are as they were. `wasmelt_func_call` does the same without allocating anything.
 */
WASM_API_EXTERN own wasm_trap_t* wasm_func_call(const wasm_func_t*, const wasm_val_vec_t* args, wasm_val_vec_t* results);

WASM_DECLARE_REF(global)
WASM_API_EXTERN own wasm_global_t* wasm_global_new(wasm_store_t*, const wasm_globaltype_t*, const wasm_val_t*);
WASM_API_EXTERN own wasm_globaltype_t* wasm_global_type(const wasm_global_t*);
WASM_API_EXTERN void wasm_global_get(const wasm_global_t*, own wasm_val_t* out);
/* Does nothing where the global cannot change or the value has another type; `wasmelt_last_error` tells. */
WASM_API_EXTERN void wasm_global_set(wasm_global_t*, const wasm_val_t*);

WASM_DECLARE_REF(table)
typedef uint32_t wasm_table_size_t;
/* A table whose elements are all `init`, or null. */
WASM_API_EXTERN own wasm_table_t* wasm_table_new(wasm_store_t*, const wasm_tabletype_t*, wasm_ref_t* init);
WASM_API_EXTERN own wasm_tabletype_t* wasm_table_type(const wasm_table_t*);
/* NULL for a null element, and for an index beyond the end. */
WASM_API_EXTERN own wasm_ref_t* wasm_table_get(const wasm_table_t*, wasm_table_size_t index);
WASM_API_EXTERN bool wasm_table_set(wasm_table_t*, wasm_table_size_t index, wasm_ref_t*);
WASM_API_EXTERN wasm_table_size_t wasm_table_size(const wasm_table_t*);
WASM_API_EXTERN bool wasm_table_grow(wasm_table_t*, wasm_table_size_t delta, wasm_ref_t* init);

WASM_DECLARE_REF(memory)
typedef uint32_t wasm_memory_pages_t;
static const size_t MEMORY_PAGE_SIZE = 0x10000;
WASM_API_EXTERN own wasm_memory_t* wasm_memory_new(wasm_store_t*, const wasm_memorytype_t*);
WASM_API_EXTERN own wasm_memorytype_t* wasm_memory_type(const wasm_memory_t*);
/*
 * The bytes, which stay where they are as long as the store; guests change them. NULL for a memory that threads share: see
 * `wasmelt_memory_read`.
 */
WASM_API_EXTERN byte_t* wasm_memory_data(wasm_memory_t*);
WASM_API_EXTERN size_t wasm_memory_data_size(const wasm_memory_t*);
WASM_API_EXTERN wasm_memory_pages_t wasm_memory_size(const wasm_memory_t*);
WASM_API_EXTERN bool wasm_memory_grow(wasm_memory_t*, wasm_memory_pages_t delta);

/* ------------------------------------------------------------------------------------------------------------------
 * Imports, exports, instances
 * ---------------------------------------------------------------------------------------------------------------- */

/* What a module imports or exports. */
WASM_DECLARE_REF(extern)
WASM_DECLARE_VEC(extern, *)
WASM_API_EXTERN wasm_externkind_t wasm_extern_kind(const wasm_extern_t*);
WASM_API_EXTERN own wasm_externtype_t* wasm_extern_type(const wasm_extern_t*);

/* The same object under another type; nothing is copied. To a type that the object does not have: NULL. */
WASM_API_EXTERN wasm_extern_t* wasm_func_as_extern(wasm_func_t*);
WASM_API_EXTERN wasm_extern_t* wasm_global_as_extern(wasm_global_t*);
WASM_API_EXTERN wasm_extern_t* wasm_table_as_extern(wasm_table_t*);
WASM_API_EXTERN wasm_extern_t* wasm_memory_as_extern(wasm_memory_t*);

WASM_API_EXTERN wasm_func_t* wasm_extern_as_func(wasm_extern_t*);
WASM_API_EXTERN wasm_global_t* wasm_extern_as_global(wasm_extern_t*);
WASM_API_EXTERN wasm_table_t* wasm_extern_as_table(wasm_extern_t*);
WASM_API_EXTERN wasm_memory_t* wasm_extern_as_memory(wasm_extern_t*);

WASM_API_EXTERN const wasm_extern_t* wasm_func_as_extern_const(const wasm_func_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_global_as_extern_const(const wasm_global_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_table_as_extern_const(const wasm_table_t*);
WASM_API_EXTERN const wasm_extern_t* wasm_memory_as_extern_const(const wasm_memory_t*);

WASM_API_EXTERN const wasm_func_t* wasm_extern_as_func_const(const wasm_extern_t*);
WASM_API_EXTERN const wasm_global_t* wasm_extern_as_global_const(const wasm_extern_t*);
WASM_API_EXTERN const wasm_table_t* wasm_extern_as_table_const(const wasm_extern_t*);
WASM_API_EXTERN const wasm_memory_t* wasm_extern_as_memory_const(const wasm_extern_t*);

WASM_DECLARE_REF(instance)

/*
 * An instance of a module, whose start function has run. `imports` has what the module imports, in the order of
 * `wasm_module_imports`; NULL stands for an empty vector. Where that fails, NULL is returned, and `trap`, unless it is NULL,
 * is the trap of the start function, or says what is wrong with the imports. Otherwise `trap` is set to NULL.
 */
WASM_API_EXTERN own wasm_instance_t* wasm_instance_new(
    wasm_store_t*, const wasm_module_t*, const wasm_extern_vec_t* imports, own wasm_trap_t** trap);

/* What the instance exports, in the order of `wasm_module_exports`. */
WASM_API_EXTERN void wasm_instance_exports(const wasm_instance_t*, own wasm_extern_vec_t* out);

/* ------------------------------------------------------------------------------------------------------------------
 * Short forms
 * ---------------------------------------------------------------------------------------------------------------- */

/* Initializers of vectors that are borrowed: such a vector is never deleted. */
#define WASM_EMPTY_VEC {0, NULL}
#define WASM_ARRAY_VEC(array) {sizeof(array) / sizeof(*(array)), array}

static inline own wasm_valtype_t* wasm_valtype_new_i32(void) {
  return wasm_valtype_new(WASM_I32);
}
static inline own wasm_valtype_t* wasm_valtype_new_i64(void) {
  return wasm_valtype_new(WASM_I64);
}
static inline own wasm_valtype_t* wasm_valtype_new_f32(void) {
  return wasm_valtype_new(WASM_F32);
}
static inline own wasm_valtype_t* wasm_valtype_new_f64(void) {
  return wasm_valtype_new(WASM_F64);
}
static inline own wasm_valtype_t* wasm_valtype_new_externref(void) {
  return wasm_valtype_new(WASM_EXTERNREF);
}
static inline own wasm_valtype_t* wasm_valtype_new_funcref(void) {
  return wasm_valtype_new(WASM_FUNCREF);
}

/* The function type with these lists. Only for the functions below. */
static inline own wasm_functype_t* wasm_functype_new_lists(
    size_t param_count, own wasm_valtype_t* const params[], size_t result_count, own wasm_valtype_t* const results[]) {
  wasm_valtype_vec_t ps, rs;
  wasm_valtype_vec_new(&ps, param_count, params);
  wasm_valtype_vec_new(&rs, result_count, results);
  return wasm_functype_new(&ps, &rs);
}

static inline own wasm_functype_t* wasm_functype_new_0_0(void) {
  return wasm_functype_new_lists(0, NULL, 0, NULL);
}
static inline own wasm_functype_t* wasm_functype_new_1_0(own wasm_valtype_t* p) {
  wasm_valtype_t* ps[1] = {p};
  return wasm_functype_new_lists(1, ps, 0, NULL);
}
static inline own wasm_functype_t* wasm_functype_new_2_0(own wasm_valtype_t* p1, own wasm_valtype_t* p2) {
  wasm_valtype_t* ps[2] = {p1, p2};
  return wasm_functype_new_lists(2, ps, 0, NULL);
}
static inline own wasm_functype_t* wasm_functype_new_3_0(
    own wasm_valtype_t* p1, own wasm_valtype_t* p2, own wasm_valtype_t* p3) {
  wasm_valtype_t* ps[3] = {p1, p2, p3};
  return wasm_functype_new_lists(3, ps, 0, NULL);
}
static inline own wasm_functype_t* wasm_functype_new_0_1(own wasm_valtype_t* r) {
  wasm_valtype_t* rs[1] = {r};
  return wasm_functype_new_lists(0, NULL, 1, rs);
}
static inline own wasm_functype_t* wasm_functype_new_1_1(own wasm_valtype_t* p, own wasm_valtype_t* r) {
  wasm_valtype_t* ps[1] = {p};
  wasm_valtype_t* rs[1] = {r};
  return wasm_functype_new_lists(1, ps, 1, rs);
}
static inline own wasm_functype_t* wasm_functype_new_2_1(
    own wasm_valtype_t* p1, own wasm_valtype_t* p2, own wasm_valtype_t* r) {
  wasm_valtype_t* ps[2] = {p1, p2};
  wasm_valtype_t* rs[1] = {r};
  return wasm_functype_new_lists(2, ps, 1, rs);
}
static inline own wasm_functype_t* wasm_functype_new_3_1(
    own wasm_valtype_t* p1, own wasm_valtype_t* p2, own wasm_valtype_t* p3, own wasm_valtype_t* r) {
  wasm_valtype_t* ps[3] = {p1, p2, p3};
  wasm_valtype_t* rs[1] = {r};
  return wasm_functype_new_lists(3, ps, 1, rs);
}
static inline own wasm_functype_t* wasm_functype_new_0_2(own wasm_valtype_t* r1, own wasm_valtype_t* r2) {
  wasm_valtype_t* rs[2] = {r1, r2};
  return wasm_functype_new_lists(0, NULL, 2, rs);
}
static inline own wasm_functype_t* wasm_functype_new_1_2(
    own wasm_valtype_t* p, own wasm_valtype_t* r1, own wasm_valtype_t* r2) {
  wasm_valtype_t* ps[1] = {p};
  wasm_valtype_t* rs[2] = {r1, r2};
  return wasm_functype_new_lists(1, ps, 2, rs);
}
static inline own wasm_functype_t* wasm_functype_new_2_2(
    own wasm_valtype_t* p1, own wasm_valtype_t* p2, own wasm_valtype_t* r1, own wasm_valtype_t* r2) {
  wasm_valtype_t* ps[2] = {p1, p2};
  wasm_valtype_t* rs[2] = {r1, r2};
  return wasm_functype_new_lists(2, ps, 2, rs);
}
static inline own wasm_functype_t* wasm_functype_new_3_2(
    own wasm_valtype_t* p1, own wasm_valtype_t* p2, own wasm_valtype_t* p3, own wasm_valtype_t* r1,
    own wasm_valtype_t* r2) {
  wasm_valtype_t* ps[3] = {p1, p2, p3};
  wasm_valtype_t* rs[2] = {r1, r2};
  return wasm_functype_new_lists(3, ps, 2, rs);
}

/* A pointer of the host's as a number, which guests can keep. */
static inline void wasm_val_init_ptr(own wasm_val_t* out, void* p) {
#if UINTPTR_MAX == UINT32_MAX
  out->kind = WASM_I32;
  out->of.i32 = (int32_t)(intptr_t)p;
#else
  out->kind = WASM_I64;
  out->of.i64 = (int64_t)(intptr_t)p;
#endif
}
static inline void* wasm_val_ptr(const wasm_val_t* val) {
#if UINTPTR_MAX == UINT32_MAX
  return (void*)(intptr_t)val->of.i32;
#else
  return (void*)(intptr_t)val->of.i64;
#endif
}

/* Initializers of values. C++ has named initializers from C++20 on only, so functions stand for them there. */
#ifdef __cplusplus
static inline wasm_val_t wasm_val_of_i32(int32_t i) {
  wasm_val_t v;
  v.kind = WASM_I32;
  v.of.i64 = 0;
  v.of.i32 = i;
  return v;
}
static inline wasm_val_t wasm_val_of_i64(int64_t i) {
  wasm_val_t v;
  v.kind = WASM_I64;
  v.of.i64 = i;
  return v;
}
static inline wasm_val_t wasm_val_of_f32(float32_t z) {
  wasm_val_t v;
  v.kind = WASM_F32;
  v.of.i64 = 0;
  v.of.f32 = z;
  return v;
}
static inline wasm_val_t wasm_val_of_f64(float64_t z) {
  wasm_val_t v;
  v.kind = WASM_F64;
  v.of.f64 = z;
  return v;
}
static inline wasm_val_t wasm_val_of_ref(wasm_ref_t* r) {
  wasm_val_t v;
  v.kind = WASM_EXTERNREF;
  v.of.ref = r;
  return v;
}
#define WASM_I32_VAL(i) wasm_val_of_i32(i)
#define WASM_I64_VAL(i) wasm_val_of_i64(i)
#define WASM_F32_VAL(z) wasm_val_of_f32(z)
#define WASM_F64_VAL(z) wasm_val_of_f64(z)
#define WASM_REF_VAL(r) wasm_val_of_ref(r)
#define WASM_INIT_VAL wasm_val_of_ref(NULL)
#else
#define WASM_I32_VAL(i) {.kind = WASM_I32, .of = {.i32 = i}}
#define WASM_I64_VAL(i) {.kind = WASM_I64, .of = {.i64 = i}}
#define WASM_F32_VAL(z) {.kind = WASM_F32, .of = {.f32 = z}}
#define WASM_F64_VAL(z) {.kind = WASM_F64, .of = {.f64 = z}}
#define WASM_REF_VAL(r) {.kind = WASM_EXTERNREF, .of = {.ref = r}}
#define WASM_INIT_VAL {.kind = WASM_EXTERNREF, .of = {.ref = NULL}}
#endif

#undef own

#ifdef __cplusplus
}
#endif

#endif
