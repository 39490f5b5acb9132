// Both headers in C++11: the scenario cplusplus.

#include <memory>

#include "scenarios.h"

namespace {

struct Deleter {
  void operator()(wasm_store_t* store) const { wasm_store_delete(store); }
  void operator()(wasm_instance_t* instance) const { wasm_instance_delete(instance); }
  void operator()(wasm_func_t* func) const { wasm_func_delete(func); }
};

template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

}  // namespace

void scenario_cplusplus(wasm_engine_t* engine) {
  Owned<wasm_store_t> store(wasm_store_new(engine));
  Owned<wasm_instance_t> instance(instance_of(store.get(), "numbers", nullptr));
  Owned<wasm_func_t> add(func_of(instance.get(), "add"));
  wasm_val_t args[] = {WASM_I32_VAL(20), WASM_I32_VAL(22)};
  wasm_val_t results[] = {WASM_INIT_VAL};
  wasm_val_vec_t args_vec = WASM_ARRAY_VEC(args);
  wasm_val_vec_t results_vec = WASM_ARRAY_VEC(results);
  CHECK(!wasm_func_call(add.get(), &args_vec, &results_vec));
  CHECK(results[0].kind == WASM_I32 && results[0].of.i32 == 42);
  CHECK(strlen(wasmelt_version()) > 0);
}
