/* Runs scenarios of the C interface: `scenarios FOLDER ENDING [NAME]`, with modules in files `FOLDER/MODULE.ENDING`. */

#include "scenarios.h"

static const char* folder;
static const char* ending;

const char* modules_folder(void) {
  return folder;
}

void module_bytes(const char* name, wasm_byte_vec_t* out) {
  char path[4096];
  FILE* file;
  long size;
  snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
  file = fopen(path, "rb");
  CHECK(file);
  CHECK(fseek(file, 0, SEEK_END) == 0);
  size = ftell(file);
  CHECK(size > 0);
  rewind(file);
  wasm_byte_vec_new_uninitialized(out, (size_t)size);
  CHECK(fread(out->data, 1, out->size, file) == out->size);
  fclose(file);
}

wasm_module_t* module_of(wasm_store_t* store, const char* name) {
  wasm_byte_vec_t bytes;
  wasm_module_t* module;
  module_bytes(name, &bytes);
  CHECK(wasm_module_validate(store, &bytes));
  module = wasm_module_new(store, &bytes);
  CHECK(module);
  wasm_byte_vec_delete(&bytes);
  return module;
}

wasm_instance_t* instance_of(wasm_store_t* store, const char* name, const wasm_extern_vec_t* imports) {
  wasm_module_t* module = module_of(store, name);
  wasm_trap_t* trap;
  wasm_instance_t* instance = wasm_instance_new(store, module, imports, &trap);
  CHECK(instance && !trap);
  wasm_module_delete(module);
  return instance;
}

wasm_func_t* func_of(const wasm_instance_t* instance, const char* name) {
  wasm_extern_t* item = wasmelt_instance_export(instance, name);
  CHECK(item);
  CHECK(wasm_extern_kind(item) == WASM_EXTERN_FUNC);
  return wasm_extern_as_func(item);
}

bool last_error_has(const char* part) {
  return strstr(wasmelt_last_error(), part) != NULL;
}

bool trap_says(wasm_trap_t* trap, const char* part) {
  wasm_message_t message;
  bool says;
  CHECK(trap);
  wasm_trap_message(trap, &message);
  CHECK(message.size > 0 && message.data[message.size - 1] == 0);
  says = strstr(message.data, part) != NULL;
  if (!says) fprintf(stderr, "the trap says: %s\n", message.data);
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(trap);
  return says;
}

static const struct {
  const char* name;
  void (*run)(wasm_engine_t*);
} scenarios[] = {
    {"hello", scenario_hello},
    {"callback", scenario_callback},
    {"trap", scenario_trap},
    {"start", scenario_start},
    {"reflect", scenario_reflect},
    {"global", scenario_global},
    {"table", scenario_table},
    {"memory", scenario_memory},
    {"finalize", scenario_finalize},
    {"serialize", scenario_serialize},
    {"threads", scenario_threads},
    {"hostref", scenario_hostref},
    {"multi", scenario_multi},
    {"numbers", scenario_numbers},
    {"linker", scenario_linker},
    {"unboxed", scenario_unboxed},
    {"nested", scenario_nested},
    {"wasi", scenario_wasi},
    {"limits", scenario_limits},
    {"fuel", scenario_fuel},
    {"interruption", scenario_interruption},
    {"deadlines", scenario_deadlines},
    {"pool", scenario_pool},
    {"reset", scenario_reset},
    {"null", scenario_null},
    {"wrong", scenario_wrong},
    {"ownership", scenario_ownership},
    {"linked", scenario_linked},
    {"cplusplus", scenario_cplusplus},
};

int main(int argc, char** argv) {
  size_t i;
  CHECK(argc >= 3);
  folder = argv[1];
  ending = argv[2];
  for (i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    wasm_engine_t* engine;
    wasm_config_t* config;
    if (argc > 3 && strcmp(argv[3], scenarios[i].name) != 0) continue;
    config = wasm_config_new();
    wasmelt_config_set_fuel(config, strcmp(scenarios[i].name, "fuel") == 0);
    wasmelt_config_set_interruptible(
        config, strcmp(scenarios[i].name, "interruption") == 0 || strcmp(scenarios[i].name, "deadlines") == 0);
    engine = wasm_engine_new_with_config(config);
    CHECK(engine);
    scenarios[i].run(engine);
    wasm_engine_delete(engine);
    printf("ok %s\n", scenarios[i].name);
    fflush(stdout);
  }
  return 0;
}
