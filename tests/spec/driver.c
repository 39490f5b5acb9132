/*
 * Performs the official suite through the C interface: `driver LIBRARY` reads commands, a line each, and answers with a line each.
 *
 *   module SLOT INDEX             instantiates the library's module `mINDEX`: `done`
 *   register SLOT NAME            makes the exports importable: `done`
 *   invoke HOW SLOT NAME ARG...   calls a function, `boxed` or `unboxed`: `values RESULT...`
 *   get SLOT NAME                 reads a global: `values RESULT`
 *
 * Names are hexadecimal digits behind an `x`. Values are `i32:BITS` and so on, `null`, `func`, `extern:NUMBER`. Where something
 * does not end well, the answer is `trap CODE MESSAGE`, `error MESSAGE` where nothing was called, or `cannot WHY` where the
 * interface has no way to do it.
 */

#define _GNU_SOURCE

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wasmelt.h"

enum { MAX_VALUES = 2048, MAX_SLOTS = 65536 };

typedef struct slot_t {
  wasm_module_t* module;
  wasm_instance_t* instance;
} slot_t;

static wasm_engine_t* engine;
static wasm_store_t* store;
static wasmelt_linker_t* linker;
static const char* library;
static slot_t slots[MAX_SLOTS];

/* Ends the program, which ends the file's test. */
static void fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, wasmelt_last_error());
  exit(2);
}

static const char* word(char** rest) {
  char* at = strsep(rest, " \n");
  if (!at) fail("a word is missing");
  return at;
}

/* A name with the NUL that ends it, and its length. */
static char* name_of(const char* hex, size_t* size) {
  size_t i;
  char* name;
  if (*hex++ != 'x') fail("a name begins with x");
  *size = strlen(hex) / 2;
  name = calloc(*size + 1, 1);
  for (i = 0; i < *size; i++) {
    unsigned byte;
    if (sscanf(hex + 2 * i, "%2x", &byte) != 1) fail("a name is hexadecimal");
    name[i] = (char)byte;
  }
  return name;
}

/* ---------------------------------------------------------------------------------------------------------------- */
/* Answers */

static void answer_line(const char* begin, const char* text, size_t size) {
  size_t i;
  fputs(begin, stdout);
  for (i = 0; i < size && text[i]; i++) putchar(text[i] == '\n' ? ' ' : text[i]);
  putchar('\n');
}

static void answer_error(const char* text) {
  answer_line("error ", text, strlen(text));
}

static void answer_trap(wasm_trap_t* trap) {
  wasm_message_t message;
  char begin[32];
  wasm_trap_message(trap, &message);
  snprintf(begin, sizeof begin, "trap %u ", wasmelt_trap_code(trap));
  answer_line(begin, message.data, message.size);
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(trap);
}

static void print_bytes(const uint8_t* bytes) {
  int i;
  for (i = 15; i >= 0; i--) printf("%02x", bytes[i]);
}

static void print_unboxed(wasm_valkind_t kind, const wasmelt_value_t* value) {
  switch (kind) {
    case WASM_I32: printf(" i32:%" PRIx32, (uint32_t)value->i32); break;
    case WASM_I64: printf(" i64:%" PRIx64, (uint64_t)value->i64); break;
    case WASM_F32: printf(" f32:%" PRIx32, (uint32_t)value->i32); break;
    case WASM_F64: printf(" f64:%" PRIx64, (uint64_t)value->i64); break;
    default: printf(" v128:"); print_bytes(value->v128);
  }
}

static void print_boxed(const wasm_val_t* value) {
  wasmelt_value_t unboxed;
  if (wasm_valkind_is_num(value->kind)) {
    memset(&unboxed, 0, sizeof unboxed);
    unboxed.i64 = value->of.i64;
    print_unboxed(value->kind, &unboxed);
  } else if (!value->of.ref) {
    printf(" null");
  } else if (value->kind == WASM_FUNCREF) {
    printf(wasm_ref_as_func(value->of.ref) ? " func" : " unknown");
  } else {
    printf(" extern:%" PRIuPTR, (uintptr_t)wasm_ref_get_host_info(value->of.ref) - 1);
  }
}

/* ---------------------------------------------------------------------------------------------------------------- */
/* Modules */

/* A function of the host's of the module `spectest`: `env` has the kinds of its parameters, as digits. */
static wasm_trap_t* print(
    void* env, const wasmelt_caller_t* caller, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  const char* kinds = env;
  size_t i;
  (void)caller;
  if (results->size != 0 || args->size != strlen(kinds)) fail("a call of spectest");
  for (i = 0; i < args->size; i++)
    if (args->data[i].kind != kinds[i] - '0') fail("an argument for spectest");
  return NULL;
}

static void define_print(const char* name, const char* kinds) {
  wasm_valtype_vec_t params, results;
  wasm_functype_t* type;
  size_t i;
  wasm_valtype_vec_new_uninitialized(&params, strlen(kinds));
  for (i = 0; i < params.size; i++) params.data[i] = wasm_valtype_new((wasm_valkind_t)(kinds[i] - '0'));
  wasm_valtype_vec_new_empty(&results);
  type = wasm_functype_new(&params, &results);
  if (!wasmelt_linker_define_func(linker, "spectest", name, type, print, (void*)(uintptr_t)kinds, NULL)) fail(name);
  wasm_functype_delete(type);
}

static void define(const char* name, wasm_extern_t* item) {
  if (!item || !wasmelt_linker_define(linker, "spectest", name, item)) fail(name);
  wasm_extern_delete(item);
}

static void define_global(const char* name, wasm_val_t value) {
  wasm_globaltype_t* type = wasm_globaltype_new(wasm_valtype_new(value.kind), WASM_CONST);
  define(name, wasm_global_as_extern(wasm_global_new(store, type, &value)));
  wasm_globaltype_delete(type);
}

/* What the suite expects of its host; the interface makes neither tables with 64-bit addresses nor shared memories. */
static void define_spectest(void) {
  static const wasm_limits_t pages = {1, 2}, elements = {10, 20};
  wasm_val_t values[] = {WASM_I32_VAL(666), WASM_I64_VAL(666), WASM_F32_VAL(666.6f), WASM_F64_VAL(666.6)};
  wasm_memorytype_t* memory = wasm_memorytype_new(&pages);
  wasm_tabletype_t* table = wasm_tabletype_new(wasm_valtype_new_funcref(), &elements);
  define_print("print", "");
  define_print("print_i32", "0");
  define_print("print_i64", "1");
  define_print("print_f32", "2");
  define_print("print_f64", "3");
  define_print("print_i32_f32", "02");
  define_print("print_f64_f64", "33");
  define_global("global_i32", values[0]);
  define_global("global_i64", values[1]);
  define_global("global_f32", values[2]);
  define_global("global_f64", values[3]);
  define("memory", wasm_memory_as_extern(wasm_memory_new(store, memory)));
  define("table", wasm_table_as_extern(wasm_table_new(store, table, NULL)));
  wasm_memorytype_delete(memory);
  wasm_tabletype_delete(table);
}

static void instantiate(char* rest) {
  slot_t* slot = &slots[atoi(word(&rest)) % MAX_SLOTS];
  char name[32];
  wasm_trap_t* trap = NULL;
  snprintf(name, sizeof name, "m%s", word(&rest));
  slot->module = wasmelt_load_module(library, name);
  if (!slot->module) {
    answer_error(wasmelt_last_error());
    return;
  }
  slot->instance = wasmelt_linker_instantiate(linker, store, slot->module, &trap);
  if (slot->instance) {
    puts("done");
  } else if (trap) {
    answer_trap(trap);
  } else {
    answer_error(wasmelt_last_error());
  }
}

static void register_exports(char* rest) {
  slot_t* slot = &slots[atoi(word(&rest)) % MAX_SLOTS];
  size_t size;
  char* name = name_of(word(&rest), &size);
  if (strlen(name) != size) {
    puts("cannot a name with a NUL");
  } else if (wasmelt_linker_define_instance(linker, store, name, slot->instance)) {
    puts("done");
  } else {
    answer_error(wasmelt_last_error());
  }
  free(name);
}

/* ---------------------------------------------------------------------------------------------------------------- */
/* Actions */

/* The export with this name, by the standard interface. */
static wasm_extern_t* export_of(const slot_t* slot, const char* hex) {
  wasm_exporttype_vec_t types;
  wasm_extern_vec_t exports;
  wasm_extern_t* found = NULL;
  size_t size, i;
  char* name = name_of(hex, &size);
  wasm_module_exports(slot->module, &types);
  wasm_instance_exports(slot->instance, &exports);
  if (types.size != exports.size) fail("exports of a module and of its instance");
  for (i = 0; i < types.size && !found; i++) {
    const wasm_name_t* other = wasm_exporttype_name(types.data[i]);
    if (other->size == size && memcmp(other->data, name, size) == 0) {
      found = exports.data[i];
      exports.data[i] = NULL;
    }
  }
  wasm_exporttype_vec_delete(&types);
  wasm_extern_vec_delete(&exports);
  free(name);
  return found;
}

/* The value of `arg`; false where it is of another type than the parameter. */
static bool boxed(const char* arg, wasm_valkind_t kind, wasm_val_t* out) {
  static wasm_foreign_t* foreigns[256];
  out->kind = kind;
  out->of.i64 = 0;
  if (strcmp(arg, "null") == 0) {
    out->of.ref = NULL;
    return wasm_valkind_is_ref(kind);
  }
  if (strncmp(arg, "extern:", 7) == 0) {
    wasm_foreign_t** foreign = &foreigns[strtoul(arg + 7, NULL, 10) % 256];
    if (!*foreign) {
      *foreign = wasm_foreign_new(store);
      wasm_foreign_set_host_info(*foreign, (void*)(uintptr_t)(strtoul(arg + 7, NULL, 10) + 1));
    }
    out->of.ref = wasm_foreign_as_ref(wasm_foreign_copy(*foreign));
    return kind == WASM_EXTERNREF;
  }
  if (kind == WASM_I32 || kind == WASM_F32)
    out->of.i32 = (int32_t)strtoul(arg + 4, NULL, 16);
  else
    out->of.i64 = (int64_t)strtoull(arg + 4, NULL, 16);
  return strncmp(arg, kind == WASM_I32 ? "i32" : kind == WASM_I64 ? "i64" : kind == WASM_F32 ? "f32" : "f64", 3) == 0;
}

static void call_boxed(wasm_func_t* func, const wasm_valtype_vec_t* params, size_t results_count, char* rest) {
  wasm_val_vec_t args, results;
  wasm_trap_t* trap;
  size_t i;
  bool fits = true;
  wasm_val_vec_new_uninitialized(&args, params->size);
  wasm_val_vec_new_uninitialized(&results, results_count);
  for (i = 0; i < params->size; i++)
    fits &= boxed(word(&rest), wasm_valtype_kind(params->data[i]), &args.data[i]);
  trap = fits ? wasm_func_call(func, &args, &results) : NULL;
  if (!fits) {
    answer_error("an argument has another type");
  } else if (trap) {
    answer_trap(trap);
  } else {
    printf("values");
    for (i = 0; i < results.size; i++) print_boxed(&results.data[i]);
    putchar('\n');
  }
  wasm_val_vec_delete(&args);
  wasm_val_vec_delete(&results);
}

static void call_unboxed(
    wasm_func_t* func, const wasm_valtype_vec_t* params, const wasm_valtype_vec_t* results, char* rest) {
  static wasmelt_value_t values[MAX_VALUES];
  size_t count = params->size > results->size ? params->size : results->size, i;
  wasm_trap_t* trap;
  for (i = 0; i < params->size; i++) {
    const char* arg = word(&rest);
    if (wasm_valtype_kind(params->data[i]) == WASMELT_V128) {
      int byte;
      for (byte = 0; byte < 16; byte++) {
        unsigned bits;
        if (sscanf(arg + 5 + 2 * (15 - byte), "%2x", &bits) != 1) fail("a vector is hexadecimal");
        values[i].v128[byte] = (uint8_t)bits;
      }
    } else {
      wasm_val_t value;
      if (!boxed(arg, wasm_valtype_kind(params->data[i]), &value)) fail("an argument has another type");
      values[i].i64 = value.of.i64;
    }
  }
  trap = wasmelt_func_call(func, values, count);
  if (trap) {
    answer_trap(trap);
    return;
  }
  printf("values");
  for (i = 0; i < results->size; i++) print_unboxed(wasm_valtype_kind(results->data[i]), &values[i]);
  putchar('\n');
}

/* Whether a list has a kind of values. */
static bool has(const wasm_valtype_vec_t* types, bool (*is)(wasm_valkind_t)) {
  size_t i;
  for (i = 0; i < types->size; i++)
    if (is(wasm_valtype_kind(types->data[i]))) return true;
  return false;
}

static bool is_vector(wasm_valkind_t kind) {
  return kind == WASMELT_V128;
}

static void invoke(char* rest) {
  bool wants_boxes = strcmp(word(&rest), "boxed") == 0;
  const slot_t* slot = &slots[atoi(word(&rest)) % MAX_SLOTS];
  wasm_extern_t* item = export_of(slot, word(&rest));
  wasm_func_t* func = wasm_extern_as_func(item);
  wasm_functype_t* type = func ? wasm_func_type(func) : NULL;
  const wasm_valtype_vec_t *params, *results;
  bool has_refs, has_vectors;
  if (!type) {
    answer_error("no such function");
    wasm_extern_delete(item);
    return;
  }
  params = wasm_functype_params(type);
  results = wasm_functype_results(type);
  has_refs = has(params, wasm_valkind_is_ref) || has(results, wasm_valkind_is_ref);
  has_vectors = has(params, is_vector) || has(results, is_vector);
  if (has_refs && has_vectors) {
    puts("cannot pass vectors beside references");
  } else if (has_vectors || (!wants_boxes && !has_refs && params->size < MAX_VALUES && results->size < MAX_VALUES)) {
    call_unboxed(func, params, results, rest);
  } else {
    call_boxed(func, params, results->size, rest);
  }
  wasm_functype_delete(type);
  wasm_extern_delete(item);
}

static void get(char* rest) {
  const slot_t* slot = &slots[atoi(word(&rest)) % MAX_SLOTS];
  wasm_extern_t* item = export_of(slot, word(&rest));
  wasm_global_t* global = wasm_extern_as_global(item);
  wasm_globaltype_t* type = global ? wasm_global_type(global) : NULL;
  wasm_val_t value;
  if (!type) {
    answer_error("no such global");
  } else if (wasm_valtype_kind(wasm_globaltype_content(type)) == WASMELT_V128) {
    puts("cannot read a vector");
  } else {
    wasm_global_get(global, &value);
    printf("values");
    print_boxed(&value);
    putchar('\n');
    wasm_val_delete(&value);
  }
  wasm_globaltype_delete(type);
  wasm_extern_delete(item);
}

int main(int argc, char** argv) {
  char* line = NULL;
  size_t capacity = 0;
  if (argc < 2) return 2;
  library = argv[1];
  engine = wasm_engine_new();
  store = wasm_store_new(engine);
  linker = wasmelt_linker_new(engine);
  wasmelt_linker_allow_shadowing(linker, true);
  define_spectest();
  while (getline(&line, &capacity, stdin) > 0) {
    char* rest = line;
    const char* command = word(&rest);
    if (strcmp(command, "module") == 0) instantiate(rest);
    else if (strcmp(command, "register") == 0) register_exports(rest);
    else if (strcmp(command, "invoke") == 0) invoke(rest);
    else if (strcmp(command, "get") == 0) get(rest);
    else return 2;
    fflush(stdout);
  }
  return 0;
}
