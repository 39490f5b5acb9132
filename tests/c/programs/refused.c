/* Gives a WebAssembly binary to a library that does not compile, and prints what it says. */

#include <stdio.h>

#include "wasmelt.h"

int main(void) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  byte_t binary[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  wasm_byte_vec_t bytes = WASM_ARRAY_VEC(binary);
  bool refused =
      !wasm_module_validate(store, &bytes) && !wasm_module_new(store, &bytes) && !wasmelt_has_compiler();
  if (refused) printf("%s\n", wasmelt_last_error());
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return refused ? 0 : 1;
}
