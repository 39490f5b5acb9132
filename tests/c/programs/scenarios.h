/* What the scenarios share: checks, and how modules get into a store. */

#ifndef SCENARIOS_H
#define SCENARIOS_H

#include <stdio.h>
#include <stdlib.h>

#include "wasmelt.h"

/* Ends the program where something does not hold. */
#define CHECK(condition)                                                                                              \
  do {                                                                                                                \
    if (!(condition)) {                                                                                               \
      fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, wasmelt_last_error());           \
      exit(1);                                                                                                        \
    }                                                                                                                 \
  } while (0)

#ifdef __cplusplus
extern "C" {
#endif

/* The bytes of a module's file. */
void module_bytes(const char* name, wasm_byte_vec_t* out);
/* The module of this name. */
wasm_module_t* module_of(wasm_store_t* store, const char* name);
/* Its instance, with these imports. */
wasm_instance_t* instance_of(wasm_store_t* store, const char* name, const wasm_extern_vec_t* imports);
/* An exported function, which is deleted with `wasm_func_delete`. */
wasm_func_t* func_of(const wasm_instance_t* instance, const char* name);
/* Where the modules are. */
const char* modules_folder(void);
/* Whether the last error of this thread has this in its text. */
bool last_error_has(const char* part);
/* Whether the message of the trap has this in it; the trap is deleted. */
bool trap_says(wasm_trap_t* trap, const char* part);

void scenario_hello(wasm_engine_t*);
void scenario_callback(wasm_engine_t*);
void scenario_trap(wasm_engine_t*);
void scenario_start(wasm_engine_t*);
void scenario_reflect(wasm_engine_t*);
void scenario_global(wasm_engine_t*);
void scenario_table(wasm_engine_t*);
void scenario_memory(wasm_engine_t*);
void scenario_finalize(wasm_engine_t*);
void scenario_serialize(wasm_engine_t*);
void scenario_threads(wasm_engine_t*);
void scenario_hostref(wasm_engine_t*);
void scenario_multi(wasm_engine_t*);
void scenario_numbers(wasm_engine_t*);
void scenario_linker(wasm_engine_t*);
void scenario_unboxed(wasm_engine_t*);
void scenario_nested(wasm_engine_t*);
void scenario_wasi(wasm_engine_t*);
void scenario_limits(wasm_engine_t*);
void scenario_fuel(wasm_engine_t*);
void scenario_interruption(wasm_engine_t*);
void scenario_deadlines(wasm_engine_t*);
void scenario_pool(wasm_engine_t*);
void scenario_reset(wasm_engine_t*);
void scenario_null(wasm_engine_t*);
void scenario_wrong(wasm_engine_t*);
void scenario_ownership(wasm_engine_t*);
void scenario_linked(wasm_engine_t*);
void scenario_cplusplus(wasm_engine_t*);

#ifdef __cplusplus
}
#endif

#endif
