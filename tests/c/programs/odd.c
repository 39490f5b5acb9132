/* Calls the functions of a header that the compiler has written; C++ as well. */

#include <stdio.h>

#include "odd.h"

#define CHECK(condition)                                           \
  do {                                                             \
    if (!(condition)) {                                            \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition);      \
      return 1;                                                    \
    }                                                              \
  } while (0)

int main(int argc, char** argv) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = odd_load(argc > 1 ? argv[1] : "odd.so");
  wasm_instance_t* instance = wasm_instance_new(store, module, NULL, NULL);
  uint8_t vector[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  int32_t word = 0;
  int64_t number = 0;
  float32_t small = 0;
  float64_t large = 0;
  wasm_trap_t* trap;
  odd_t odd;
  CHECK(odd_init(&odd, instance));
  CHECK(!odd_add(&odd, 40, 2, &word) && word == 42);
  CHECK(!odd_swap_2______(&odd, 0.5f, 7, &number, &small) && number == 7 && small == 0.5f);
  CHECK(!odd_init_2(&odd, &large) && large == 1.5);
  CHECK(!odd_a_b(&odd, &word) && word == 1);
  CHECK(!odd_a_b_2(&odd, &word) && word == 2);
  CHECK(!odd__(&odd, &word) && word == 3);
  CHECK(!odd___2(&odd, &word) && word == 4);
  CHECK(!odd_vector(&odd, vector, vector) && vector[0] == 2 && vector[15] == 32);
  trap = odd_trap(&odd, &word);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_UNREACHABLE && word == 4);
  wasm_trap_delete(trap);
  odd_delete(&odd);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  printf("ok\n");
  return 0;
}
