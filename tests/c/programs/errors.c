/* What goes wrong in C: the scenarios null, wrong and ownership. */

#include "scenarios.h"

static wasm_trap_t* nothing(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)args;
  (void)results;
  return NULL;
}

static int finalized;

static void finalize(void* data) {
  (void)data;
  finalized++;
}

void scenario_null(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_byte_vec_t bytes, out;
  wasm_val_t value;
  wasm_trap_t* trap;
  wasm_valtype_t* holes[] = {NULL};
  wasm_valtype_vec_t types;
  wasm_name_new_from_string(&bytes, "bytes");

  CHECK(!wasm_store_new(NULL) && last_error_has("the engine is a null pointer"));
  CHECK(!wasm_module_new(NULL, &bytes) && last_error_has("the store is a null pointer"));
  CHECK(!wasm_module_new(store, NULL) && last_error_has("null pointer"));
  CHECK(!wasm_module_new(store, &bytes) && last_error_has("neither"));
  CHECK(!wasm_module_validate(store, &bytes) && !wasm_module_validate(store, NULL));
  CHECK(!wasm_module_deserialize(NULL, &bytes) && !wasm_module_share(NULL) && !wasm_module_obtain(store, NULL));
  CHECK(!wasmelt_load_module(NULL, "x") && last_error_has("the path is a null pointer"));
  CHECK(!wasmelt_linked_module(NULL, "x"));
  CHECK(!wasmelt_load_module_bytes(&bytes, NULL));
  wasm_module_serialize(NULL, &out);
  CHECK(out.size == 0 && !out.data);
  CHECK(!wasm_valtype_new(77) && last_error_has("77"));
  wasm_valtype_vec_new(&types, 1, holes);
  CHECK(!wasm_functype_new(&types, NULL) && types.size == 0);
  CHECK(!wasm_globaltype_new(NULL, WASM_VAR) && !wasm_tabletype_new(NULL, NULL) && !wasm_memorytype_new(NULL));
  CHECK(!wasm_tagtype_new(NULL) && !wasm_functype_params(NULL) && !wasm_exporttype_new(NULL, NULL));
  finalized = 0;
  CHECK(!wasm_func_new(store, NULL, nothing) && !wasm_func_new(store, NULL, NULL));
  CHECK(!wasm_func_new_with_env(store, NULL, NULL, NULL, finalize) && finalized == 1);
  CHECK(trap_says(wasm_func_call(NULL, NULL, NULL), "the function is a null pointer"));
  CHECK(trap_says(wasmelt_func_call(NULL, NULL, 0), "the function is a null pointer"));
  CHECK(!wasm_global_new(store, NULL, NULL) && !wasm_table_new(store, NULL, NULL) && !wasm_memory_new(store, NULL));
  wasm_global_get(NULL, &value);
  CHECK(value.kind == WASM_I32);
  wasm_global_set(NULL, &value);
  CHECK(!wasm_table_get(NULL, 0) && !wasm_table_set(NULL, 0, NULL) && wasm_table_size(NULL) == 0);
  CHECK(!wasm_memory_data(NULL) && wasm_memory_data_size(NULL) == 0 && !wasm_memory_grow(NULL, 1));
  CHECK(!wasm_extern_type(NULL) && !wasm_ref_get_host_info(NULL) && wasm_ref_same(NULL, NULL));
  CHECK(!wasm_instance_new(store, NULL, NULL, &trap) && trap_says(trap, "the module is a null pointer"));
  CHECK(!wasm_instance_new(NULL, NULL, NULL, NULL) && !wasmelt_instance_export(NULL, "x"));
  CHECK(!wasm_trap_new(NULL, NULL) && !wasm_trap_origin(NULL));
  CHECK(!wasmelt_linker_new(NULL) && !wasmelt_linker_define_wasi(NULL) && !wasmelt_wasi_config_arg(NULL, "x"));
  CHECK(!wasmelt_linker_instantiate(NULL, store, NULL, NULL) && !wasmelt_store_set_wasi(store, NULL));
  CHECK(!wasmelt_store_set_fuel(NULL, 1) && !wasmelt_store_reset(NULL) && !wasmelt_interrupt_handle_new(NULL));

  wasm_store_delete(NULL);
  wasm_engine_delete(NULL);
  wasm_config_delete(NULL);
  wasm_func_delete(NULL);
  wasm_valtype_delete(NULL);
  wasm_byte_vec_delete(NULL);
  wasm_byte_vec_new(&out, 5, NULL);
  CHECK(out.size == 0 && !out.data);
  wasm_byte_vec_new_uninitialized(NULL, 5);
  wasm_byte_vec_copy(&out, NULL);
  CHECK(out.size == 0);
  wasm_byte_vec_delete(&out);
  wasm_val_delete(NULL);
  wasm_trap_delete(NULL);
  wasmelt_linker_delete(NULL);
  wasmelt_pool_delete(NULL);
  wasm_byte_vec_delete(&bytes);
  wasm_store_delete(store);
}

void scenario_wrong(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_store_t* other = wasm_store_new(engine);
  wasm_instance_t* instance = instance_of(store, "numbers", NULL);
  wasm_func_t* add = func_of(instance, "add");
  wasm_func_t* keep = func_of(instance, "keep");
  wasm_memory_t* memory = wasm_extern_as_memory(wasmelt_instance_export(instance, "memory"));
  wasm_functype_t* type = wasm_functype_new_0_0();
  wasm_func_t* foreign_func = wasm_func_new(other, type, nothing);
  wasm_val_t numbers[] = {WASM_I32_VAL(1), WASM_I64_VAL(2)};
  wasm_val_t result = WASM_INIT_VAL;
  wasm_val_vec_t args = WASM_ARRAY_VEC(numbers);
  wasm_val_vec_t results = {1, NULL};
  wasm_module_t* hello = module_of(other, "hello");
  wasm_extern_t* list[] = {NULL};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_trap_t* trap;
  results.data = &result;
  CHECK(trap_says(wasm_func_call(add, &args, &results), "not of type i32"));
  args.size = 1;
  CHECK(trap_says(wasm_func_call(add, &args, &results), "1 values instead of 2"));
  args.size = 2;
  CHECK(trap_says(wasm_func_call(add, &args, NULL), "room for 0 results"));
  numbers[1].kind = 99;
  CHECK(trap_says(wasm_func_call(add, &args, &results), "99"));
  numbers[0].kind = WASM_FUNCREF;
  numbers[0].of.ref = wasm_func_as_ref(foreign_func);
  args.size = 1;
  CHECK(trap_says(wasm_func_call(keep, &args, &results), "another store"));
  numbers[0].of.ref = wasm_memory_as_ref(memory);
  CHECK(trap_says(wasm_func_call(keep, &args, &results), "not of type funcref"));
  numbers[0].of.ref = NULL;
  CHECK(!wasm_func_call(keep, &args, &results) && result.kind == WASM_FUNCREF && !result.of.ref);
  /* The type of an object is looked at, whatever C takes it for. */
  CHECK(trap_says(wasm_func_call((wasm_func_t*)(void*)memory, NULL, NULL), "not a function"));
  CHECK(!wasm_memory_data((wasm_memory_t*)(void*)add) && last_error_has("not a memory"));
  CHECK(!wasm_extern_as_func(wasm_memory_as_extern(memory)));
  CHECK(!wasm_instance_new(other, hello, NULL, &trap) && trap_says(trap, "import"));
  CHECK(!wasm_instance_new(other, hello, &imports, &trap) && trap_says(trap, "an import is a null pointer"));
  list[0] = wasm_memory_as_extern(memory);
  CHECK(!wasm_instance_new(other, hello, &imports, &trap) && trap_says(trap, ""));
  list[0] = wasm_func_as_extern(add);
  CHECK(!wasm_instance_new(other, hello, &imports, &trap) && trap_says(trap, "another store"));
  CHECK(!wasmelt_store_set_fuel(store, 1) && last_error_has("--fuel"));
  CHECK(!wasmelt_interrupt_handle_new(store) && last_error_has("--interruptible"));
  wasm_functype_delete(type);
  wasm_module_delete(hello);
  wasm_func_delete(foreign_func);
  wasm_func_delete(add);
  wasm_func_delete(keep);
  wasm_memory_delete(memory);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
  wasm_store_delete(other);
}

void scenario_ownership(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_valtype_t* types[] = {wasm_valtype_new_i32(), wasm_valtype_new_funcref()};
  wasm_valtype_vec_t vec, copy, results;
  wasm_val_vec_t values, more;
  wasm_val_t value, second;
  wasm_functype_t* type;
  wasm_functype_t* type_copy;
  wasm_tagtype_t* tag;
  wasm_importtype_t* import;
  wasm_name_t module, name;
  wasm_limits_t limits = {1, 2};
  wasm_ref_t* foreign = wasm_foreign_as_ref(wasm_foreign_new(store));

  wasm_valtype_vec_new(&vec, 2, types);
  wasm_valtype_vec_copy(&copy, &vec);
  wasm_valtype_vec_new_empty(&results);
  type = wasm_functype_new(&vec, &results);
  CHECK(vec.size == 0 && !vec.data);
  wasm_valtype_vec_delete(&vec);
  CHECK(copy.size == 2 && wasm_valtype_kind(copy.data[1]) == WASM_FUNCREF);
  wasm_valtype_vec_delete(&copy);
  wasm_valtype_vec_delete(&copy);
  type_copy = wasm_functype_copy(type);
  wasm_functype_delete(type);
  CHECK(wasm_functype_params(type_copy)->size == 2);
  tag = wasm_tagtype_new(type_copy);
  CHECK(wasm_externtype_kind(wasm_tagtype_as_externtype(tag)) == WASM_EXTERN_TAG);
  wasm_externtype_delete(wasm_tagtype_as_externtype(tag));
  wasm_name_new_from_string(&module, "env");
  wasm_name_new_from_string(&name, "memory");
  import = wasm_importtype_new(&module, &name, wasm_memorytype_as_externtype(wasm_memorytype_new(&limits)));
  CHECK(module.size == 0 && wasm_importtype_name(import)->size == 6);
  wasm_importtype_delete(import);

  value.kind = WASM_EXTERNREF;
  value.of.ref = foreign;
  wasm_val_copy(&second, &value);
  CHECK(second.of.ref != foreign && wasm_ref_same(second.of.ref, foreign));
  wasm_val_vec_new(&values, 1, &value);
  wasm_val_vec_copy(&more, &values);
  wasm_val_vec_delete(&values);
  CHECK(wasm_ref_same(more.data[0].of.ref, second.of.ref));
  wasm_val_vec_delete(&more);
  wasm_val_delete(&second);
  CHECK(!second.of.ref);
  wasm_val_delete(&second);
  wasm_store_delete(store);
}
