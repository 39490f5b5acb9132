/* Modules and types: the scenarios reflect, serialize, threads and linked. */

#include <pthread.h>

#include "scenarios.h"

static bool name_is(const wasm_name_t* name, const char* expected) {
  return name->size == strlen(expected) && memcmp(name->data, expected, name->size) == 0;
}

static void check_func_export(const wasm_externtype_t* type) {
  const wasm_functype_t* func = wasm_externtype_as_functype_const(type);
  const wasm_valtype_vec_t* params;
  CHECK(func && wasm_functype_as_externtype_const(func) == type);
  params = wasm_functype_params(func);
  CHECK(params->size == 3 && wasm_valtype_kind(params->data[0]) == WASM_I32);
  CHECK(wasm_valtype_kind(params->data[1]) == WASM_F64 && wasm_valtype_kind(params->data[2]) == WASM_F32);
  CHECK(wasm_functype_results(func)->size == 1 && wasm_valtype_is_num(wasm_functype_results(func)->data[0]));
}

void scenario_reflect(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, "reflect");
  wasm_importtype_vec_t imports, more_imports;
  wasm_exporttype_vec_t exports, more_exports;
  const wasm_tabletype_t* table;
  const wasm_globaltype_t* global;
  const wasm_externtype_t* type;

  wasm_module_imports(module, &imports);
  CHECK(imports.size == 2);
  CHECK(name_is(wasm_importtype_module(imports.data[0]), "env") && name_is(wasm_importtype_name(imports.data[0]), "f"));
  type = wasm_importtype_type(imports.data[0]);
  CHECK(wasm_externtype_kind(type) == WASM_EXTERN_FUNC && !wasm_externtype_as_globaltype_const(type));
  CHECK(wasm_valtype_kind(wasm_functype_results(wasm_externtype_as_functype_const(type))->data[0]) == WASM_EXTERNREF);
  table = wasm_externtype_as_tabletype_const(wasm_importtype_type(imports.data[1]));
  CHECK(wasm_tabletype_limits(table)->min == 2 && wasm_tabletype_limits(table)->max == wasm_limits_max_default);

  wasm_module_exports(module, &exports);
  CHECK(exports.size == 5);
  CHECK(name_is(wasm_exporttype_name(exports.data[0]), "func"));
  check_func_export(wasm_exporttype_type(exports.data[0]));
  global = wasm_externtype_as_globaltype_const(wasm_exporttype_type(exports.data[1]));
  CHECK(wasm_globaltype_mutability(global) == WASM_CONST);
  CHECK(wasm_valtype_kind(wasm_globaltype_content(global)) == WASM_F64);
  table = wasm_externtype_as_tabletype_const(wasm_exporttype_type(exports.data[2]));
  CHECK(wasm_tabletype_limits(table)->max == 50 && wasm_valtype_is_ref(wasm_tabletype_element(table)));
  type = wasm_exporttype_type(exports.data[3]);
  CHECK(wasm_memorytype_limits(wasm_externtype_as_memorytype_const(type))->min == 1);
  type = wasm_exporttype_type(exports.data[4]);
  CHECK(wasm_externtype_kind(type) == WASM_EXTERN_TAG);
  CHECK(wasm_functype_params(wasm_tagtype_functype(wasm_externtype_as_tagtype_const(type)))->size == 1);

  wasm_importtype_vec_copy(&more_imports, &imports);
  wasm_exporttype_vec_copy(&more_exports, &exports);
  wasm_importtype_vec_delete(&imports);
  wasm_exporttype_vec_delete(&exports);
  CHECK(name_is(wasm_exporttype_name(more_exports.data[4]), "tag"));
  check_func_export(wasm_exporttype_type(more_exports.data[0]));
  wasm_importtype_vec_delete(&more_imports);
  wasm_exporttype_vec_delete(&more_exports);
  wasm_module_delete(module);
  wasm_store_delete(store);
}

static void call_run(wasm_store_t* store, const wasm_module_t* module) {
  wasm_instance_t* instance = wasm_instance_new(store, module, NULL, NULL);
  wasm_func_t* run = func_of(instance, "run");
  CHECK(!wasm_func_call(run, NULL, NULL));
  wasm_func_delete(run);
  wasm_instance_delete(instance);
}

void scenario_serialize(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, "empty");
  wasm_module_t* again;
  wasm_byte_vec_t bytes, more;
  wasm_module_serialize(module, &bytes);
  CHECK(bytes.size > 0);
  wasm_module_delete(module);
  again = wasm_module_deserialize(store, &bytes);
  CHECK(again);
  call_run(store, again);
  wasm_module_serialize(again, &more);
  CHECK(more.size == bytes.size && memcmp(more.data, bytes.data, more.size) == 0);
  wasm_byte_vec_delete(&more);
  wasm_module_delete(again);
  bytes.data[1] = '?';
  CHECK(!wasm_module_deserialize(store, &bytes) && last_error_has("neither"));
  wasm_byte_vec_delete(&bytes);
  wasm_store_delete(store);
}

enum { THREADS = 4, TIMES = 3 };

typedef struct {
  wasm_engine_t* engine;
  wasm_shared_module_t* module;
  int id;
  int calls;
} thread_args;

static wasm_trap_t* message(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  thread_args* own_args = (thread_args*)env;
  (void)results;
  CHECK(args->data[0].of.i32 == own_args->id);
  own_args->calls++;
  return NULL;
}

static void* run_thread(void* argument) {
  thread_args* args = (thread_args*)argument;
  wasm_store_t* store = wasm_store_new(args->engine);
  wasm_module_t* module = wasm_module_obtain(store, args->module);
  int i;
  for (i = 0; i < TIMES; i++) {
    wasm_functype_t* func_type = wasm_functype_new_1_0(wasm_valtype_new_i32());
    wasm_func_t* func = wasm_func_new_with_env(store, func_type, message, args, NULL);
    wasm_globaltype_t* global_type = wasm_globaltype_new(wasm_valtype_new_i32(), WASM_CONST);
    wasm_val_t id = {.kind = WASM_I32, .of = {.i32 = args->id}};
    wasm_global_t* global = wasm_global_new(store, global_type, &id);
    wasm_extern_t* list[] = {wasm_func_as_extern(func), wasm_global_as_extern(global)};
    wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
    wasm_instance_t* instance = wasm_instance_new(store, module, &imports, NULL);
    wasm_func_t* run = func_of(instance, "run");
    CHECK(!wasm_func_call(run, NULL, NULL));
    wasm_functype_delete(func_type);
    wasm_globaltype_delete(global_type);
    wasm_func_delete(func);
    wasm_global_delete(global);
    wasm_func_delete(run);
    wasm_instance_delete(instance);
  }
  wasm_module_delete(module);
  wasm_store_delete(store);
  return NULL;
}

void scenario_threads(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, "threads");
  wasm_shared_module_t* shared = wasm_module_share(module);
  pthread_t threads[THREADS];
  thread_args args[THREADS];
  int i;
  wasm_module_delete(module);
  wasm_store_delete(store);
  for (i = 0; i < THREADS; i++) {
    args[i].engine = engine;
    args[i].module = shared;
    args[i].id = i;
    args[i].calls = 0;
    CHECK(pthread_create(&threads[i], NULL, run_thread, &args[i]) == 0);
  }
  for (i = 0; i < THREADS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(args[i].calls == TIMES);
  }
  wasm_shared_module_delete(shared);
}

WASMELT_DECLARE_MODULE(linked);

void scenario_linked(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = WASMELT_LINKED_MODULE(linked);
  wasm_byte_vec_t bytes;
  char path[4096];
  CHECK(module);
  call_run(store, module);
  wasm_module_serialize(module, &bytes);
  CHECK(bytes.size == 0 && !bytes.data && last_error_has("was not loaded from bytes"));
  wasm_module_delete(module);
  snprintf(path, sizeof path, "%s/empty.so", modules_folder());
  module = wasmelt_load_module(path, "empty");
  CHECK(module);
  call_run(store, module);
  wasm_module_delete(module);
  CHECK(!wasmelt_load_module(path, "other") && last_error_has("other"));
  wasm_store_delete(store);
}
