/* What <wasmelt.h> adds: the scenarios linker, wasi, limits, fuel, interruption, deadlines, pool and reset. */

#include <pthread.h>
#include <time.h>

#include "scenarios.h"

static wasm_func_t* linked_func(
    const wasmelt_linker_t* linker, wasm_store_t* store, const char* module_name, const char* name) {
  wasm_module_t* module = module_of(store, module_name);
  wasm_trap_t* trap;
  wasm_instance_t* instance = wasmelt_linker_instantiate(linker, store, module, &trap);
  wasm_func_t* func;
  CHECK(instance && !trap);
  func = func_of(instance, name);
  wasm_module_delete(module);
  wasm_instance_delete(instance);
  return func;
}

static int released;

static void release(void* env) {
  released += *(int*)env;
}

/* Reads from the memory of its caller, and calls it again. */
static wasm_trap_t* load_by_host(
    void* env, const wasmelt_caller_t* caller, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  wasm_memory_t* memory = wasm_extern_as_memory(wasmelt_caller_export(caller, "memory"));
  wasm_func_t* size = wasm_extern_as_func(wasmelt_caller_export(caller, "run"));
  (void)args;
  CHECK(wasmelt_caller_store(caller) && !size && last_error_has("\"run\""));
  if (memory) {
    results->data[0].kind = WASM_I32;
    results->data[0].of.i32 = wasm_memory_data(memory)[0] + *(int*)env;
    wasm_memory_delete(memory);
  }
  CHECK(!wasmelt_store_reset(wasmelt_caller_store(caller)) && last_error_has("running"));
  return NULL;
}

void scenario_linker(wasm_engine_t* engine) {
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasm_functype_t* type = wasm_functype_new_0_1(wasm_valtype_new_i32());
  int number = 40;
  int round;
  wasm_extern_t* item;
  released = 0;
  CHECK(wasmelt_linker_define_func(linker, "host", "load", type, load_by_host, &number, release));
  CHECK(!wasmelt_linker_define_func(linker, "host", "load", type, load_by_host, &number, release));
  CHECK(released == 40 && last_error_has("defined already"));
  for (round = 0; round < 2; round++) {
    wasm_store_t* store = wasm_store_new(engine);
    wasm_module_t* module = module_of(store, "callback");
    wasm_trap_t* trap;
    wasm_func_t* run = linked_func(linker, store, "linking", "call");
    wasmelt_value_t value;
    CHECK(!wasmelt_func_call(run, &value, 1));
    CHECK(value.i32 == 42);
    CHECK(!wasmelt_linker_instantiate(linker, store, module, &trap));
    CHECK(trap_says(trap, "unknown import"));
    wasm_func_delete(run);
    wasm_module_delete(module);
    item = wasmelt_linker_get(linker, store, "host", "load");
    CHECK(item && wasm_extern_kind(item) == WASM_EXTERN_FUNC);
    wasm_extern_delete(item);
    CHECK(!wasmelt_linker_get(linker, store, "host", "save") && last_error_has("not defined"));
    wasm_store_delete(store);
  }
  wasmelt_linker_delete(linker);
  CHECK(released == 80);

  linker = wasmelt_linker_new(engine);
  {
    wasm_store_t* store = wasm_store_new(engine);
    wasm_module_t* memory = module_of(store, "memory");
    wasm_module_t* callback = module_of(store, "callback");
    wasm_instance_t* instance;
    wasm_func_t* run;
    wasmelt_value_t values[2] = {{0}, {0}};
    CHECK(wasmelt_linker_define_module(linker, store, "memory", memory, NULL));
    item = wasmelt_linker_get(linker, store, "memory", "memory");
    CHECK(item && wasm_extern_as_memory(item));
    CHECK(wasmelt_linker_define(linker, "again", "memory", item));
    CHECK(!wasmelt_linker_define(linker, "again", "memory", item));
    wasmelt_linker_allow_shadowing(linker, true);
    CHECK(wasmelt_linker_define(linker, "again", "memory", item));
    wasm_extern_delete(item);
    instance = wasm_instance_new(store, memory, NULL, NULL);
    CHECK(wasmelt_linker_define_instance(linker, store, "memory", instance));
    CHECK(wasmelt_linker_define_unknown_imports_as_traps(linker, callback));
    run = linked_func(linker, store, "callback", "run");
    CHECK(trap_says(wasmelt_func_call(run, values, 2), "\"print\" was called"));
    wasm_func_delete(run);
    wasm_instance_delete(instance);
    wasm_module_delete(memory);
    wasm_module_delete(callback);
    wasm_store_delete(store);
  }
  wasmelt_linker_delete(linker);
  wasm_functype_delete(type);
}

/* As `load_by_host`, without boxes. */
static wasm_trap_t* load_unboxed(void* env, const wasmelt_caller_t* caller, wasmelt_value_t* values, size_t count) {
  wasm_memory_t* memory = wasm_extern_as_memory(wasmelt_caller_export(caller, "memory"));
  CHECK(count == 1);
  if (memory) {
    values[0].i32 = wasm_memory_data(memory)[0] + *(int*)env;
  } else {
    wasm_message_t message;
    wasm_trap_t* trap;
    wasm_name_new_from_string_nt(&message, "no memory");
    trap = wasm_trap_new(wasmelt_caller_store(caller), &message);
    wasm_byte_vec_delete(&message);
    return trap;
  }
  wasm_memory_delete(memory);
  return NULL;
}

void scenario_unboxed(wasm_engine_t* engine) {
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasm_store_t* store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_0_1(wasm_valtype_new_i32());
  wasm_functype_t* references = wasm_functype_new_0_1(wasm_valtype_new_externref());
  int number = 40;
  wasm_func_t* func;
  wasmelt_value_t value;
  wasm_val_t result = WASM_INIT_VAL;
  wasm_val_vec_t results = {1, NULL};
  results.data = &result;
  released = 0;
  CHECK(wasmelt_linker_define_func_unboxed(linker, "host", "load", type, load_unboxed, &number, release));
  CHECK(!wasmelt_linker_define_func_unboxed(linker, "host", "other", references, load_unboxed, &number, release));
  CHECK(released == 40 && last_error_has("references"));
  func = linked_func(linker, store, "linking", "call");
  CHECK(!wasmelt_func_call(func, &value, 1) && value.i32 == 42);
  wasm_func_delete(func);
  func = wasmelt_func_new_unboxed(store, type, load_unboxed, &number, release);
  CHECK(func);
  CHECK(trap_says(wasm_func_call(func, NULL, &results), "no memory"));
  CHECK(trap_says(wasmelt_func_call(func, &value, 1), "no memory"));
  wasm_func_delete(func);
  CHECK(!wasmelt_func_new_unboxed(store, type, NULL, &number, release) && released == 80);
  wasm_functype_delete(type);
  wasm_functype_delete(references);
  wasmelt_linker_delete(linker);
  CHECK(released == 80);
  wasm_store_delete(store);
  CHECK(released == 160);
}

/* Calls its caller again, and uses the store and another one meanwhile. */
static wasm_trap_t* again(void* env, const wasmelt_caller_t* caller, wasmelt_value_t* values, size_t count) {
  wasm_memory_t* memory = wasm_extern_as_memory(wasmelt_caller_export(caller, "memory"));
  wasm_func_t* down = wasm_extern_as_func(wasmelt_caller_export(caller, "down"));
  wasm_engine_t* engine = (wasm_engine_t*)env;
  wasm_trap_t* trap;
  CHECK(memory && down && count == 1);
  if (values[0].i32 == 5) {
    wasm_store_t* other = wasm_store_new(engine);
    wasm_instance_t* instance = instance_of(other, "memory", NULL);
    CHECK(wasm_memory_grow(memory, 3));
    wasm_memory_data(memory)[4 * MEMORY_PAGE_SIZE - 1] = 1;
    wasm_instance_delete(instance);
    wasm_store_delete(other);
    instance = instance_of(wasmelt_caller_store(caller), "memory", NULL);
    wasm_instance_delete(instance);
  }
  trap = wasmelt_func_call(down, values, 1);
  wasm_func_delete(down);
  wasm_memory_delete(memory);
  return trap;
}

void scenario_nested(wasm_engine_t* engine) {
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasm_store_t* store = wasmelt_store_new(engine, NULL, 1 << 20);
  wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
  wasm_func_t* down;
  wasmelt_value_t value;
  wasm_trap_t* trap;
  int round;
  CHECK(wasmelt_linker_define_func_unboxed(linker, "host", "again", type, again, engine, NULL));
  down = linked_func(linker, store, "nested", "down");
  for (round = 0; round < 2; round++) {
    value.i32 = 20;
    CHECK(!wasmelt_func_call(down, &value, 1) && value.i32 == 19);
    /* Whoever recurses without end is stopped, and so is a guest's trap handed on through all callbacks. */
    value.i32 = 10000000;
    trap = wasmelt_func_call(down, &value, 1);
    CHECK(trap && wasmelt_trap_code(trap) == WASMELT_TRAP_STACK_EXHAUSTED);
    wasm_trap_delete(trap);
    value.i32 = 0;
    trap = wasmelt_func_call(down, &value, 1);
    CHECK(trap && wasmelt_trap_code(trap) == WASMELT_TRAP_UNREACHABLE);
    wasm_trap_delete(trap);
  }
  wasm_func_delete(down);
  wasm_functype_delete(type);
  wasmelt_linker_delete(linker);
  wasm_store_delete(store);
}

static void check_output(const wasmelt_output_t* output, const char* expected, size_t size) {
  wasm_byte_vec_t contents;
  wasmelt_output_contents(output, &contents);
  CHECK(contents.size == size && memcmp(contents.data, expected, size) == 0);
  wasm_byte_vec_delete(&contents);
}

void scenario_wasi(wasm_engine_t* engine) {
  static const char expected[] = "tool\0-v\0LANG=C\0input";
  wasm_store_t* store = wasm_store_new(engine);
  wasm_store_t* bare = wasm_store_new(engine);
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasmelt_wasi_config_t* config = wasmelt_wasi_config_new();
  wasmelt_output_t* out = wasmelt_output_new(1000);
  wasmelt_output_t* err = wasmelt_output_new(1000);
  wasm_byte_vec_t input;
  wasm_func_t* start;
  wasm_trap_t* trap;
  int32_t status = -1;
  wasm_name_new_from_string(&input, "input");
  CHECK(wasmelt_wasi_config_arg(config, "tool") && wasmelt_wasi_config_arg(config, "-v"));
  CHECK(wasmelt_wasi_config_env(config, "LANG", "C"));
  CHECK(wasmelt_wasi_config_stdin_bytes(config, &input));
  CHECK(wasmelt_wasi_config_stdout(config, out) && wasmelt_wasi_config_stderr(config, err));
  CHECK(wasmelt_wasi_config_max_open_files(config, 10));
  CHECK(!wasmelt_wasi_config_preopened_dir(config, "/no/such/folder", "/", true));
  CHECK(wasmelt_wasi_config_preopened_dir(config, modules_folder(), "/data", true));
  CHECK(!wasmelt_wasi_config_listen(config, "localhost") && last_error_has("127.0.0.1:8080"));
  CHECK(wasmelt_wasi_config_listen(config, "127.0.0.1:0"));
  CHECK(!wasmelt_wasi_config_arg(config, "\xff") && last_error_has("UTF-8"));
  wasm_byte_vec_delete(&input);
  CHECK(wasmelt_store_set_wasi(store, config));
  CHECK(wasmelt_linker_define_wasi(linker));

  start = linked_func(linker, store, "wasi", "_start");
  trap = wasm_func_call(start, NULL, NULL);
  CHECK(trap && wasmelt_trap_exit_status(trap, &status) && status == 2);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_NONE);
  wasm_trap_delete(trap);
  wasm_func_delete(start);
  wasm_store_delete(store);
  check_output(out, expected, sizeof expected - 1);
  check_output(err, "in a file", 9);

  /* Another store has nothing. */
  start = linked_func(linker, bare, "wasi", "_start");
  trap = wasm_func_call(start, NULL, NULL);
  CHECK(trap && wasmelt_trap_exit_status(trap, &status) && status == 0);
  wasm_trap_delete(trap);
  wasm_func_delete(start);
  wasm_store_delete(bare);

  /* A single file in a directory that has nothing else, in place of the whole directory. */
  {
    char path[4096];
    snprintf(path, sizeof path, "%s/file.txt", modules_folder());
    store = wasm_store_new(engine);
    config = wasmelt_wasi_config_new();
    CHECK(!wasmelt_wasi_config_preopened_file(config, "/no/such/file", "/data/file.txt", true));
    CHECK(!wasmelt_wasi_config_preopened_file(config, modules_folder(), "/data/file.txt", true));
    CHECK(wasmelt_wasi_config_preopened_file(config, path, "/data/file.txt", true));
    CHECK(!wasmelt_wasi_config_preopened_file(config, path, "/data/file.txt", false) && last_error_has("twice"));
    wasmelt_output_delete(err);
    err = wasmelt_output_new(1000);
    CHECK(wasmelt_wasi_config_stderr(config, err) && wasmelt_store_set_wasi(store, config));
    start = linked_func(linker, store, "wasi", "_start");
    trap = wasm_func_call(start, NULL, NULL);
    CHECK(trap && wasmelt_trap_exit_status(trap, &status) && status == 0);
    wasm_trap_delete(trap);
    wasm_func_delete(start);
    wasm_store_delete(store);
    check_output(err, "in a file", 9);
  }

  config = wasmelt_wasi_config_new();
  CHECK(wasmelt_wasi_config_inherit_env(config) && wasmelt_wasi_config_inherit_stdin(config));
  CHECK(wasmelt_wasi_config_inherit_stdout(config) && wasmelt_wasi_config_inherit_stderr(config));
  wasmelt_wasi_config_delete(config);
  wasmelt_output_delete(out);
  wasmelt_output_delete(err);
  wasmelt_linker_delete(linker);
}

static pthread_barrier_t ready;
static bool wait_until_ready;

static wasm_trap_t* tell_ready(
    void* env, const wasmelt_caller_t* caller, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)env;
  (void)caller;
  (void)args;
  (void)results;
  if (wait_until_ready) pthread_barrier_wait(&ready);
  return NULL;
}

/* A function of the module `stops`, or of `stops-MODE`. */
static wasm_func_t* stops_func(wasm_engine_t* engine, wasm_store_t* store, const char* module, const char* name) {
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasm_functype_t* type = wasm_functype_new_0_0();
  wasm_func_t* func;
  CHECK(wasmelt_linker_define_func(linker, "host", "ready", type, tell_ready, NULL, NULL));
  func = linked_func(linker, store, module, name);
  wasm_functype_delete(type);
  wasmelt_linker_delete(linker);
  return func;
}

void scenario_limits(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_func_t* grow;
  wasmelt_value_t value;
  wasm_module_t* module = module_of(store, "empty");
  wasm_trap_t* trap;
  wasmelt_store_limiter(store, 10 * 65536, -1, 1, -1, -1, false);
  grow = stops_func(engine, store, "stops", "grow");
  value.i32 = 9;
  CHECK(!wasmelt_func_call(grow, &value, 1) && value.i32 == 1);
  value.i32 = 1;
  CHECK(!wasmelt_func_call(grow, &value, 1) && value.i32 == -1);
  wasmelt_store_limiter(store, 10 * 65536, -1, 1, -1, -1, true);
  value.i32 = 1;
  CHECK(trap_says(wasmelt_func_call(grow, &value, 1), "memory"));
  CHECK(!wasm_instance_new(store, module, NULL, &trap));
  CHECK(trap_says(trap, "instances"));
  wasm_module_delete(module);
  wasm_func_delete(grow);
  wasm_store_delete(store);
}

void scenario_fuel(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_func_t* count = stops_func(engine, store, "stops-fuel", "count");
  wasmelt_value_t value;
  uint64_t left = 0;
  wasm_trap_t* trap;
  CHECK(!wasmelt_store_get_fuel(store, &left) && last_error_has("no fuel was set"));
  CHECK(wasmelt_store_set_fuel(store, 100000));
  CHECK(!wasmelt_func_call(count, &value, 1) && value.i32 == 1000);
  CHECK(wasmelt_store_get_fuel(store, &left) && left > 80000 && left < 99000);
  CHECK(wasmelt_store_set_fuel(store, 100));
  trap = wasmelt_func_call(count, &value, 1);
  CHECK(wasmelt_trap_code(trap) == WASMELT_TRAP_OUT_OF_FUEL);
  wasm_trap_delete(trap);
  CHECK(wasmelt_store_get_fuel(store, &left) && left == 0);
  wasm_func_delete(count);
  wasm_store_delete(store);
}

static void* interrupt(void* handle) {
  pthread_barrier_wait(&ready);
  CHECK(wasmelt_interrupt_handle_interrupt((const wasmelt_interrupt_handle_t*)handle));
  return NULL;
}

void scenario_interruption(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_func_t* spin = stops_func(engine, store, "stops-interruptible", "spin");
  wasmelt_interrupt_handle_t* handle = wasmelt_interrupt_handle_new(store);
  pthread_t thread;
  wasm_trap_t* trap;
  CHECK(handle);
  CHECK(!wasmelt_interrupt_handle_interrupt(handle));
  CHECK(pthread_barrier_init(&ready, NULL, 2) == 0);
  wait_until_ready = true;
  CHECK(pthread_create(&thread, NULL, interrupt, handle) == 0);
  trap = wasm_func_call(spin, NULL, NULL);
  CHECK(trap && wasmelt_trap_code(trap) == WASMELT_TRAP_INTERRUPT);
  wasm_trap_delete(trap);
  CHECK(pthread_join(thread, NULL) == 0);
  wait_until_ready = false;
  wasm_func_delete(spin);
  wasm_store_delete(store);
  CHECK(!wasmelt_interrupt_handle_interrupt(handle));
  wasmelt_interrupt_handle_delete(handle);
  pthread_barrier_destroy(&ready);
}

static void* tick(void* deadlines) {
  struct timespec pause = {0, 1000000};
  while (wasmelt_deadlines_tick((const wasmelt_deadlines_t*)deadlines) == 0) nanosleep(&pause, NULL);
  return NULL;
}

void scenario_deadlines(wasm_engine_t* engine) {
  wasm_store_t* store = wasm_store_new(engine);
  wasm_func_t* spin = stops_func(engine, store, "stops-interruptible", "spin");
  wasmelt_deadlines_t* deadlines = wasmelt_deadlines_new();
  pthread_t thread;
  wasm_trap_t* trap;
  CHECK(wasmelt_store_set_deadline(store, deadlines, 20000000));
  CHECK(pthread_create(&thread, NULL, tick, deadlines) == 0);
  trap = wasm_func_call(spin, NULL, NULL);
  CHECK(trap && wasmelt_trap_code(trap) == WASMELT_TRAP_INTERRUPT);
  wasm_trap_delete(trap);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(wasmelt_store_clear_deadline(store));
  wasm_func_delete(spin);
  wasm_store_delete(store);
  wasmelt_deadlines_delete(deadlines);
}

void scenario_pool(wasm_engine_t* engine) {
  wasmelt_pool_config_t config;
  wasmelt_pool_t* pool;
  wasm_store_t* store;
  wasm_module_t* module;
  int i;
  wasmelt_pool_config_default(&config);
  CHECK(config.memories == 1000 && config.memory_slot_bytes == (uint64_t)6 << 30 && config.stack_bytes == 1 << 20);
  config.memories = 2;
  config.stacks = 2;
  config.tables = 2;
  pool = wasmelt_pool_new(&config);
  CHECK(pool);
  store = wasm_store_new(engine);
  module = module_of(store, "memory");
  wasm_store_delete(store);
  for (i = 0; i < 20; i++) {
    wasm_instance_t* instance;
    wasm_func_t* func;
    wasmelt_value_t values[2];
    store = wasmelt_store_new(engine, pool, 0);
    instance = wasm_instance_new(store, module, NULL, NULL);
    CHECK(instance);
    func = func_of(instance, "load");
    values[0].i32 = 0x1001;
    CHECK(!wasmelt_func_call(func, values, 1) && values[0].i32 == 2);
    wasm_func_delete(func);
    func = func_of(instance, "store");
    values[0].i32 = 0x1001;
    values[1].i32 = 77;
    CHECK(!wasmelt_func_call(func, values, 2));
    wasm_func_delete(func);
    wasm_instance_delete(instance);
    wasm_store_delete(store);
  }
  wasm_module_delete(module);
  wasmelt_pool_delete(pool);
}

void scenario_reset(wasm_engine_t* engine) {
  wasm_store_t* store = wasmelt_store_new(engine, NULL, 1 << 20);
  wasm_instance_t* instance = instance_of(store, "memory", NULL);
  wasm_memory_t* memory = wasm_extern_as_memory(wasmelt_instance_export(instance, "memory"));
  int number = 5;
  released = 0;
  wasm_memory_set_host_info_with_finalizer(memory, &number, release);
  CHECK(wasmelt_store_reset(store));
  CHECK(released == 5);
  CHECK(!wasm_memory_data(memory) && last_error_has("another store"));
  CHECK(!wasmelt_instance_export(instance, "memory"));
  wasm_memory_delete(memory);
  wasm_instance_delete(instance);
  instance = instance_of(store, "memory", NULL);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
}
