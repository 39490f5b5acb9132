/* Globals, tables, memories and references: the scenarios global, table, memory, hostref and finalize. */

#include "scenarios.h"

void scenario_global(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_globaltype_t* const_type = wasm_globaltype_new(wasm_valtype_new_f32(), WASM_CONST);
  wasm_globaltype_t* var_type = wasm_globaltype_new(wasm_valtype_new_i64(), WASM_VAR);
  wasm_val_t one = WASM_F32_VAL(1);
  wasm_val_t two = WASM_I64_VAL(2);
  wasm_global_t* constant = wasm_global_new(store, const_type, &one);
  wasm_global_t* variable = wasm_global_new(store, var_type, &two);
  wasm_extern_t* list[] = {wasm_global_as_extern(constant), wasm_global_as_extern(variable)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, "global", &imports);
  wasm_func_t* get = func_of(instance, "get var");
  wasm_func_t* set = func_of(instance, "set var");
  wasm_global_t* own_variable = wasm_extern_as_global(wasmelt_instance_export(instance, "own var"));
  wasm_global_t* copy = wasm_global_copy(variable);
  wasm_globaltype_t* type = wasm_global_type(own_variable);
  wasm_val_t value;
  wasmelt_value_t raw;
  CHECK(!wasm_global_new(store, const_type, &two) && last_error_has("not of type f32"));
  CHECK(wasm_global_same(copy, variable) && !wasm_global_same(constant, variable));
  CHECK(wasm_globaltype_mutability(type) == WASM_VAR);
  wasm_globaltype_delete(type);
  wasm_global_get(constant, &value);
  CHECK(value.kind == WASM_F32 && value.of.f32 == 1);
  CHECK(!wasmelt_func_call(get, &raw, 1) && raw.i64 == 2);
  two.of.i64 = 37;
  wasm_global_set(copy, &two);
  CHECK(!wasmelt_func_call(get, &raw, 1) && raw.i64 == 37);
  raw.i64 = 38;
  CHECK(!wasmelt_func_call(set, &raw, 1));
  wasm_global_get(variable, &value);
  CHECK(value.kind == WASM_I64 && value.of.i64 == 38);
  wasm_global_get(own_variable, &value);
  CHECK(value.of.i64 == 6);
  wasm_global_set(constant, &one);
  CHECK(last_error_has("mutable") || last_error_has("change"));
  wasm_globaltype_delete(const_type);
  wasm_globaltype_delete(var_type);
  wasm_global_delete(constant);
  wasm_global_delete(variable);
  wasm_global_delete(copy);
  wasm_global_delete(own_variable);
  wasm_func_delete(get);
  wasm_func_delete(set);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}

static wasm_trap_t* negate(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = -args->data[0].of.i32;
  return NULL;
}

static void check_call(const wasm_func_t* call, int32_t argument, int32_t index, int32_t expected) {
  wasmelt_value_t values[2];
  values[0].i32 = argument;
  values[1].i32 = index;
  CHECK(!wasmelt_func_call(call, values, 2));
  CHECK(values[0].i32 == expected);
}

void scenario_table(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
  wasm_func_t* host = wasm_func_new(store, type, negate);
  wasm_extern_t* list[] = {wasm_func_as_extern(host)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, "table", &imports);
  wasm_table_t* table = wasm_extern_as_table(wasmelt_instance_export(instance, "table"));
  wasm_func_t* call = func_of(instance, "call");
  wasm_func_t* g = func_of(instance, "g");
  wasm_ref_t* ref;
  wasm_tabletype_t* table_type = wasm_table_type(table);
  wasm_limits_t limits = {3, 4};
  wasm_table_t* own_table;
  wasmelt_value_t values[2] = {{0}, {0}};
  wasm_trap_t* trap;
  CHECK(wasm_tabletype_limits(table_type)->min == 2 && wasm_tabletype_limits(table_type)->max == 10);
  wasm_tabletype_delete(table_type);
  CHECK(wasm_table_size(table) == 2);
  CHECK(!wasm_table_get(table, 0));
  ref = wasm_table_get(table, 1);
  CHECK(ref && wasm_ref_as_func(ref));
  wasm_ref_delete(ref);
  check_call(call, 7, 1, 21);
  trap = wasmelt_func_call(call, values, 2);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_UNINITIALIZED_ELEMENT);
  wasm_trap_delete(trap);
  CHECK(wasm_table_set(table, 0, wasm_func_as_ref(g)));
  CHECK(wasm_table_set(table, 1, wasm_func_as_ref(host)));
  check_call(call, 7, 0, 8);
  check_call(call, 7, 1, -7);
  CHECK(wasm_table_set(table, 0, NULL) && !wasm_table_get(table, 0));
  CHECK(!wasm_table_set(table, 2, NULL) && !wasm_table_get(table, 2));
  CHECK(wasm_table_grow(table, 3, wasm_func_as_ref(g)) && wasm_table_size(table) == 5);
  check_call(call, 1, 4, 2);
  CHECK(!wasm_table_grow(table, 6, NULL) && wasm_table_size(table) == 5);
  table_type = wasm_tabletype_new(wasm_valtype_new_externref(), &limits);
  own_table = wasm_table_new(store, table_type, NULL);
  CHECK(own_table && wasm_table_size(own_table) == 3);
  wasm_tabletype_delete(table_type);
  CHECK(!wasm_tabletype_new(wasm_valtype_new_i32(), &limits) && last_error_has("references"));
  wasm_table_delete(own_table);
  wasm_functype_delete(type);
  wasm_func_delete(host);
  wasm_func_delete(call);
  wasm_func_delete(g);
  wasm_table_delete(table);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}

void scenario_memory(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_instance_t* instance = instance_of(store, "memory", NULL);
  wasm_memory_t* memory = wasm_extern_as_memory(wasmelt_instance_export(instance, "memory"));
  wasm_func_t* load = func_of(instance, "load");
  wasm_func_t* store_func = func_of(instance, "store");
  wasm_trap_t* trap;
  wasmelt_value_t values[2];
  byte_t* data = wasm_memory_data(memory);
  byte_t bytes[4];
  wasm_limits_t limits = {5, 5};
  wasm_memorytype_t* type;
  wasm_memory_t* own_memory;
  CHECK(wasm_memory_size(memory) == 2 && wasm_memory_data_size(memory) == 2 * MEMORY_PAGE_SIZE);
  CHECK(data[0] == 0 && data[0x1000] == 1 && data[0x1003] == 4);
  values[0].i32 = 0x1002;
  values[1].i32 = 9;
  CHECK(!wasmelt_func_call(store_func, values, 2) && data[0x1002] == 9);
  data[0x1002] = 7;
  values[0].i32 = 0x1002;
  CHECK(!wasmelt_func_call(load, values, 1) && values[0].i32 == 7);
  values[0].i32 = 0x20000;
  trap = wasmelt_func_call(load, values, 1);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
  wasm_trap_delete(trap);
  CHECK(wasm_memory_grow(memory, 1) && wasm_memory_size(memory) == 3);
  CHECK(!wasm_memory_grow(memory, 1) && wasm_memory_data(memory) == data);
  CHECK(wasmelt_memory_write(memory, 0x2fffc, "abcd", 4) && wasmelt_memory_read(memory, 0x2fffc, bytes, 4));
  CHECK(memcmp(bytes, "abcd", 4) == 0);
  CHECK(!wasmelt_memory_write(memory, 0x2fffd, "abcd", 4) && !wasmelt_memory_read(memory, (size_t)-1, bytes, 4));
  type = wasm_memorytype_new(&limits);
  own_memory = wasm_memory_new(store, type);
  CHECK(own_memory && wasm_memory_size(own_memory) == 5);
  wasm_memorytype_delete(type);
  type = wasm_memory_type(own_memory);
  CHECK(wasm_memorytype_limits(type)->max == 5);
  wasm_memorytype_delete(type);
  wasm_memory_delete(own_memory);
  wasm_memory_delete(memory);
  wasm_func_delete(load);
  wasm_func_delete(store_func);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}

static wasm_trap_t* identity(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  wasm_val_copy(&results->data[0], &args->data[0]);
  return NULL;
}

/* Calls a function that takes and returns references at most; the result is the caller's. */
static wasm_ref_t* call_ref(const wasm_func_t* func, wasm_val_vec_t args, size_t result_count) {
  wasm_val_t result = WASM_INIT_VAL;
  wasm_val_vec_t results = {1, NULL};
  results.data = &result;
  results.size = result_count;
  CHECK(!wasm_func_call(func, &args, &results));
  return result_count ? result.of.ref : NULL;
}

static void check_same(wasm_ref_t* actual, const wasm_ref_t* expected) {
  CHECK(wasm_ref_same(actual, expected));
  CHECK(!actual || wasm_ref_get_host_info(actual) == wasm_ref_get_host_info(expected));
  wasm_ref_delete(actual);
}

static int foreign_finalized;

static void finalize_foreign(void* data) {
  foreign_finalized += *(int*)data;
}

void scenario_hostref(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_externref(), wasm_valtype_new_externref());
  wasm_func_t* callback = wasm_func_new(store, type, identity);
  wasm_extern_t* list[] = {wasm_func_as_extern(callback)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, "hostref", &imports);
  wasm_func_t* global_set = func_of(instance, "global.set");
  wasm_func_t* global_get = func_of(instance, "global.get");
  wasm_func_t* table_set = func_of(instance, "table.set");
  wasm_func_t* table_get = func_of(instance, "table.get");
  wasm_func_t* func_call = func_of(instance, "func.call");
  wasm_global_t* global = wasm_extern_as_global(wasmelt_instance_export(instance, "global"));
  wasm_table_t* table = wasm_extern_as_table(wasmelt_instance_export(instance, "table"));
  wasm_ref_t* host1 = wasm_foreign_as_ref(wasm_foreign_new(store));
  wasm_ref_t* host2 = wasm_foreign_as_ref(wasm_foreign_new(store));
  wasm_ref_t* unused = wasm_foreign_as_ref(wasm_foreign_new(store));
  wasm_val_t ref = WASM_REF_VAL(host1);
  wasm_val_t pair[] = {WASM_I32_VAL(3), WASM_INIT_VAL};
  wasm_val_t read;
  wasm_val_vec_t one = {1, NULL};
  wasm_val_vec_t two = WASM_ARRAY_VEC(pair);
  wasm_val_vec_t first = {1, pair};
  wasm_val_vec_t none = WASM_EMPTY_VEC;
  int one_number = 1, two_number = 2, hundred = 100;
  one.data = &ref;
  foreign_finalized = 0;
  wasm_ref_set_host_info_with_finalizer(host1, &one_number, finalize_foreign);
  wasm_ref_set_host_info_with_finalizer(host2, &two_number, finalize_foreign);
  wasm_ref_set_host_info_with_finalizer(unused, &hundred, finalize_foreign);

  check_same(call_ref(global_get, none, 1), NULL);
  call_ref(global_set, one, 0);
  check_same(call_ref(global_get, none, 1), host1);
  wasm_global_get(global, &read);
  CHECK(read.kind == WASM_EXTERNREF);
  check_same(read.of.ref, host1);
  ref.of.ref = host2;
  wasm_global_set(global, &ref);
  check_same(call_ref(global_get, none, 1), host2);
  pair[1].of.ref = host1;
  call_ref(table_set, two, 0);
  check_same(call_ref(table_get, first, 1), host1);
  CHECK(wasm_table_set(table, 3, host2));
  check_same(call_ref(table_get, first, 1), host2);
  check_same(wasm_table_get(table, 3), host2);
  check_same(call_ref(func_call, one, 1), host2);
  /* Other objects are references as well. */
  ref.of.ref = wasm_instance_as_ref(instance);
  check_same(call_ref(func_call, one, 1), wasm_instance_as_ref(instance));
  ref.of.ref = NULL;
  check_same(call_ref(func_call, one, 1), NULL);

  wasm_ref_delete(host1);
  wasm_ref_delete(host2);
  CHECK(foreign_finalized == 0);
  wasm_ref_delete(unused);
  CHECK(foreign_finalized == 100);
  wasm_functype_delete(type);
  wasm_func_delete(callback);
  wasm_func_delete(global_set);
  wasm_func_delete(global_get);
  wasm_func_delete(table_set);
  wasm_func_delete(table_get);
  wasm_func_delete(func_call);
  wasm_global_delete(global);
  wasm_table_delete(table);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
  CHECK(foreign_finalized == 103);
}

static int live;

static void finalize_instance(void* data) {
  (void)data;
  live--;
}

static void run_in(wasm_store_t* store) {
  enum { INSTANCES = 12000 };
  wasm_module_t* module = module_of(store, "empty");
  int i;
  for (i = 0; i < INSTANCES; i++) {
    wasm_instance_t* instance = wasm_instance_new(store, module, NULL, NULL);
    CHECK(instance);
    wasm_instance_set_host_info_with_finalizer(instance, (void*)(intptr_t)(i + 1), finalize_instance);
    CHECK(wasm_instance_get_host_info(instance) == (void*)(intptr_t)(i + 1));
    wasm_instance_delete(instance);
    live++;
  }
  wasm_module_delete(module);
}

void scenario_finalize(wasm_engine_t* engine) {
  wasm_store_t* one = wasm_store_new(engine);
  wasm_store_t* two = wasm_store_new(engine);
  wasm_module_t* module = module_of(one, "empty");
  live = 1;
  wasm_module_set_host_info_with_finalizer(module, NULL, finalize_instance);
  wasm_module_set_host_info(module, NULL);
  CHECK(live == 0);
  wasm_module_delete(module);
  run_in(one);
  run_in(two);
  CHECK(live == 24000);
  wasm_store_delete(two);
  CHECK(live == 12000);
  wasm_store_delete(one);
  CHECK(live == 0);
}
