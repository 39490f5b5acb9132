/* Calls in both directions: the scenarios hello, callback, trap, start, multi and numbers. */

#include "scenarios.h"

static int greetings;

static wasm_trap_t* hello(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  CHECK(args->size == 0 && results->size == 0);
  greetings++;
  return NULL;
}

void scenario_hello(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_0_0();
  wasm_func_t* func = wasm_func_new(store, type, hello);
  wasm_extern_t* list[] = {wasm_func_as_extern(func)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_val_vec_t none = WASM_EMPTY_VEC;
  wasm_instance_t* instance = instance_of(store, "hello", &imports);
  wasm_extern_vec_t exports;
  wasm_functype_delete(type);
  wasm_func_delete(func);
  wasm_instance_exports(instance, &exports);
  CHECK(exports.size == 1);
  wasm_instance_delete(instance);
  greetings = 0;
  CHECK(!wasm_func_call(wasm_extern_as_func(exports.data[0]), &none, &none));
  CHECK(!wasm_func_call(wasm_extern_as_func(exports.data[0]), NULL, NULL));
  CHECK(greetings == 2);
  /* What is in a store keeps it. */
  wasm_store_delete(store);
  CHECK(!wasm_func_call(wasm_extern_as_func(exports.data[0]), &none, &none));
  CHECK(greetings == 3);
  wasm_extern_vec_delete(&exports);
}

static int finalized;

static void finalize(void* env) {
  finalized += *(int*)env;
}

static wasm_trap_t* print(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  CHECK(args->data[0].kind == WASM_I32);
  wasm_val_copy(&results->data[0], &args->data[0]);
  return NULL;
}

static wasm_trap_t* closure(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  CHECK(args->size == 0);
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = *(int*)env;
  return NULL;
}

void scenario_callback(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* print_type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
  wasm_functype_t* closure_type = wasm_functype_new_0_1(wasm_valtype_new_i32());
  int number = 42;
  wasm_func_t* print_func = wasm_func_new(store, print_type, print);
  wasm_func_t* closure_func = wasm_func_new_with_env(store, closure_type, closure, &number, finalize);
  wasm_extern_t* list[] = {wasm_func_as_extern(print_func), wasm_func_as_extern(closure_func)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, "callback", &imports);
  wasm_func_t* run = func_of(instance, "run");
  wasm_val_t args[] = {WASM_I32_VAL(3), WASM_I32_VAL(4)};
  wasm_val_t results[] = {WASM_INIT_VAL};
  wasm_val_vec_t args_vec = WASM_ARRAY_VEC(args);
  wasm_val_vec_t results_vec = WASM_ARRAY_VEC(results);
  finalized = 0;
  CHECK(!wasm_func_call(run, &args_vec, &results_vec));
  CHECK(results[0].kind == WASM_I32 && results[0].of.i32 == 49);
  /* The host calls its own function as well. */
  args_vec.size = 0;
  CHECK(!wasm_func_call(closure_func, &args_vec, &results_vec));
  CHECK(results[0].of.i32 == 42);
  wasm_functype_delete(print_type);
  wasm_functype_delete(closure_type);
  wasm_func_delete(print_func);
  wasm_func_delete(closure_func);
  wasm_func_delete(run);
  wasm_instance_delete(instance);
  CHECK(finalized == 0);
  wasm_store_delete(store);
  CHECK(finalized == 42);
}

static wasm_trap_t* fail(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  wasm_message_t message;
  wasm_trap_t* trap;
  (void)args;
  (void)results;
  wasm_name_new_from_string_nt(&message, "callback abort");
  trap = wasm_trap_new((wasm_store_t*)env, &message);
  wasm_byte_vec_delete(&message);
  return trap;
}

void scenario_trap(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_0_1(wasm_valtype_new_i32());
  wasm_func_t* func = wasm_func_new_with_env(store, type, fail, store, NULL);
  wasm_extern_t* list[] = {wasm_func_as_extern(func)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, "trap", &imports);
  wasm_func_t* callback = func_of(instance, "callback");
  wasm_func_t* unreachable = func_of(instance, "unreachable");
  wasm_func_t* divide = func_of(instance, "divide");
  wasm_val_t result = WASM_INIT_VAL;
  wasm_val_vec_t results = {1, NULL};
  wasm_val_t numbers[] = {WASM_I32_VAL(1), WASM_I32_VAL(0)};
  wasm_val_vec_t args = WASM_ARRAY_VEC(numbers);
  wasm_trap_t* trap;
  wasm_trap_t* copy;
  wasm_frame_vec_t frames;
  wasm_frame_t* origin;
  results.data = &result;

  trap = wasm_func_call(callback, NULL, &results);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_NONE);
  copy = wasm_trap_copy(trap);
  CHECK(wasm_trap_same(trap, copy));
  CHECK(trap_says(copy, "callback abort") && last_error_has("callback abort"));
  CHECK(wasm_ref_as_trap(wasm_trap_as_ref(trap)) == trap && !wasm_ref_as_func(wasm_trap_as_ref(trap)));
  CHECK(!wasm_trap_origin(trap));
  wasm_trap_delete(trap);

  trap = wasm_func_call(unreachable, NULL, &results);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_UNREACHABLE);
  origin = wasm_trap_origin(trap);
  CHECK(origin && wasm_frame_func_index(origin) == 2 && wasm_frame_module_offset(origin) > 0);
  CHECK(wasmelt_frame_func_name(origin)->size == 5 && memcmp(wasmelt_frame_func_name(origin)->data, "inner", 5) == 0);
  CHECK(wasmelt_frame_module_name(origin)->size > 0 && wasmelt_frame_text(origin)->size > 5);
  CHECK(!wasm_frame_instance(origin) && wasm_frame_func_offset(origin) == 0);
  wasm_trap_trace(trap, &frames);
  CHECK(frames.size == 2 && wasm_frame_func_index(frames.data[1]) == 3);
  wasm_frame_delete(origin);
  origin = wasm_frame_copy(frames.data[1]);
  wasm_frame_vec_delete(&frames);
  wasm_frame_delete(origin);
  CHECK(trap_says(trap, "unreachable"));

  trap = wasm_func_call(divide, &args, &results);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_INTEGER_DIVIDE_BY_ZERO);
  CHECK(trap_says(trap, "integer divide by zero"));

  wasm_functype_delete(type);
  wasm_func_delete(func);
  wasm_func_delete(callback);
  wasm_func_delete(unreachable);
  wasm_func_delete(divide);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}

void scenario_start(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, "start");
  wasm_trap_t* trap = NULL;
  wasm_frame_t* origin;
  CHECK(!wasm_instance_new(store, module, NULL, &trap));
  CHECK(trap);
  origin = wasm_trap_origin(trap);
  CHECK(origin && wasm_frame_func_index(origin) == 0);
  wasm_frame_delete(origin);
  CHECK(trap_says(trap, "unreachable"));
  CHECK(!wasm_instance_new(store, module, NULL, NULL));
  wasm_module_delete(module);
  wasm_store_delete(store);
}

static wasm_trap_t* swap(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  CHECK(args->size == 2 && results->size == 2);
  wasm_val_copy(&results->data[0], &args->data[1]);
  wasm_val_copy(&results->data[1], &args->data[0]);
  return NULL;
}

void scenario_multi(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_2_2(
      wasm_valtype_new_i32(), wasm_valtype_new_i64(), wasm_valtype_new_i64(), wasm_valtype_new_i32());
  wasm_func_t* func = wasm_func_new(store, type, swap);
  wasm_extern_t* list[] = {wasm_func_as_extern(func)};
  wasm_extern_vec_t imports = WASM_ARRAY_VEC(list);
  wasm_instance_t* instance = instance_of(store, "multi", &imports);
  wasm_func_t* g = func_of(instance, "g");
  wasm_func_t* round_trip = func_of(instance, "round trip");
  wasm_val_t two[] = {WASM_I32_VAL(1), WASM_I64_VAL(2)};
  wasm_val_t two_results[2];
  wasm_val_vec_t args = WASM_ARRAY_VEC(two);
  wasm_val_vec_t results = WASM_ARRAY_VEC(two_results);
  int64_t i;
  CHECK(wasm_func_param_arity(g) == 2 && wasm_func_result_arity(round_trip) == 10);
  CHECK(!wasm_func_call(g, &args, &results));
  CHECK(two_results[0].kind == WASM_I64 && two_results[0].of.i64 == 2);
  CHECK(two_results[1].kind == WASM_I32 && two_results[1].of.i32 == 1);

  wasm_val_vec_new_uninitialized(&args, 10);
  wasm_val_vec_new_uninitialized(&results, 10);
  for (i = 0; i < 10; i++) {
    args.data[i].kind = WASM_I64;
    args.data[i].of.i64 = i;
  }
  CHECK(!wasm_func_call(round_trip, &args, &results));
  for (i = 0; i < 10; i++) CHECK(results.data[i].kind == WASM_I64 && results.data[i].of.i64 == i);
  wasm_val_vec_delete(&args);
  wasm_val_vec_delete(&results);

  wasm_functype_delete(type);
  wasm_func_delete(func);
  wasm_func_delete(g);
  wasm_func_delete(round_trip);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}

void scenario_numbers(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_instance_t* instance = instance_of(store, "numbers", NULL);
  wasm_func_t* add = func_of(instance, "add");
  wasm_func_t* mix = func_of(instance, "mix");
  wasm_func_t* twice = func_of(instance, "double");
  wasm_func_t* keep = func_of(instance, "keep");
  wasmelt_value_t values[3];
  int i;

  for (i = 0; i < 1000; i++) {
    values[0].i32 = i;
    values[1].i32 = -1;
    CHECK(!wasmelt_func_call(add, values, 2));
    CHECK(values[0].i32 == i - 1);
  }
  values[0].i64 = 1;
  values[1].f32 = 0.25f;
  values[2].f64 = 0.5;
  CHECK(!wasmelt_func_call(mix, values, 3));
  CHECK(values[0].f64 == 1.75);
  memset(&values[0], 3, sizeof values[0]);
  CHECK(!wasmelt_func_call(twice, values, 1));
  for (i = 0; i < 16; i++) CHECK(values[0].v128[i] == 6);
  CHECK(trap_says(wasmelt_func_call(keep, values, 1), "references"));
  CHECK(trap_says(wasmelt_func_call(add, values, 1), "1 values"));
  CHECK(trap_says(wasmelt_func_call(add, NULL, 2), "0 values"));

  wasm_func_delete(add);
  wasm_func_delete(mix);
  wasm_func_delete(twice);
  wasm_func_delete(keep);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}
