/*
 * A host in C with two plugins: `upper`, which is linked into it, and `primes`, a library that it loads and gives so much fuel.
 *
 *   cargo xtask c-api
 *   wasmelt compile upper.wat --emit staticlib --header upper.h
 *   wasmelt compile primes.wat --emit cdylib --fuel --header primes.h
 *   cc host.c -I ../../target/c-api/include -L ../../target/c-api/lib -L . -lupper -l:libwasmelt-runtime.a -lm -o host
 *   ./host ./primes.so
 */

#include <stdio.h>

#include "primes.h"
#include "upper.h"

/* Says what has failed; the program's exit code. */
static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, wasmelt_last_error());
  return 1;
}

/* The plugin `upper`: the host writes to its memory and reads from it. */
static int run_upper(wasm_engine_t* engine) {
  static const char text[] = "plugins in a box";
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = upper_module();
  wasm_instance_t* instance = wasm_instance_new(store, module, NULL, NULL);
  wasm_extern_t* memory = wasmelt_instance_export(instance, "memory");
  upper_t upper;
  int32_t at = 0;
  int code = 0;
  if (!upper_init(&upper, instance) || upper_buffer(&upper, &at) ||
      !wasmelt_memory_write(wasm_extern_as_memory(memory), (size_t)at, text, sizeof text) ||
      upper_upper(&upper, sizeof text - 1)) {
    code = failed("upper");
  } else {
    printf("upper: %s\n", wasm_memory_data(wasm_extern_as_memory(memory)) + at);
  }
  upper_delete(&upper);
  wasm_extern_delete(memory);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_store_delete(store);
  return code;
}

/* What `primes` imports. */
static wasm_trap_t* found(
    void* env, const wasmelt_caller_t* caller, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)caller;
  (void)results;
  *(int64_t*)env = args->data[0].of.i64;
  return NULL;
}

/* The plugin `primes`: it calls the host, and stops when its fuel is used up. */
static int run_primes(wasm_engine_t* engine, const char* path) {
  wasm_store_t* store = wasm_store_new(engine);
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasm_functype_t* type = wasm_functype_new_1_0(wasm_valtype_new_i64());
  wasm_module_t* module = primes_load(path);
  int64_t last = 0;
  bool is_defined = wasmelt_linker_define_func(linker, "host", "found", type, found, &last, NULL);
  wasm_instance_t* instance = wasmelt_linker_instantiate(linker, store, module, NULL);
  primes_t primes;
  int code = 0;
  if (!is_defined || !primes_init(&primes, instance)) {
    code = failed("primes");
  } else {
    int64_t limit = 100;
    wasm_trap_t* trap = NULL;
    for (; wasmelt_store_set_fuel(store, 100000); limit *= 10) {
      int64_t count;
      trap = primes_count_below(&primes, limit, &count);
      if (trap) break;
      printf("primes: %d below %d, the last is %d\n", (int)count, (int)limit, (int)last);
    }
    if (trap && wasmelt_trap_code(trap) == WASMELT_TRAP_OUT_OF_FUEL) {
      printf("primes: out of fuel below %d\n", (int)limit);
    } else {
      code = failed("primes");
    }
    wasm_trap_delete(trap);
    primes_delete(&primes);
  }
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_functype_delete(type);
  wasmelt_linker_delete(linker);
  wasm_store_delete(store);
  return code;
}

int main(int argc, char** argv) {
  wasm_engine_t* engine = wasm_engine_new();
  int code = run_upper(engine);
  code |= run_primes(engine, argc > 1 ? argv[1] : "./primes.so");
  wasm_engine_delete(engine);
  return code;
}
