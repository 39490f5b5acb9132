// Classes over `wasm.h` and `wasmelt.h`: objects own what they stand for, traps are exceptions, functions of the host are
// callable objects whose exceptions become traps. C++14 and later.

#ifndef EXAMPLES_WASM_HH
#define EXAMPLES_WASM_HH

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "wasmelt.h"

namespace wasm {

// Deletes objects of the C interface.
struct Deleter {
  void operator()(wasm_engine_t* p) const { wasm_engine_delete(p); }
  void operator()(wasm_store_t* p) const { wasm_store_delete(p); }
  void operator()(wasm_module_t* p) const { wasm_module_delete(p); }
  void operator()(wasm_instance_t* p) const { wasm_instance_delete(p); }
  void operator()(wasm_extern_t* p) const { wasm_extern_delete(p); }
  void operator()(wasm_functype_t* p) const { wasm_functype_delete(p); }
  void operator()(wasm_trap_t* p) const { wasm_trap_delete(p); }
  void operator()(wasmelt_linker_t* p) const { wasmelt_linker_delete(p); }
};

template <typename T>
using Own = std::unique_ptr<T, Deleter>;

// What failed, other than a call.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The object, unless the call that should have made it failed.
template <typename T>
Own<T> made(T* object) {
  if (!object) throw Error(wasmelt_last_error());
  return Own<T>(object);
}

// Why a call ended: a trap, or what a function of the host has thrown.
class Trap : public std::runtime_error {
 public:
  explicit Trap(wasm_trap_t* trap) : Trap(Own<wasm_trap_t>(trap)) {}

  // A number of `wasmelt_trap_enum`.
  std::uint8_t code() const { return code_; }
  // The functions that were running when a guest trapped, innermost first.
  const std::vector<std::string>& frames() const { return frames_; }

 private:
  explicit Trap(Own<wasm_trap_t> trap)
      : std::runtime_error(message(trap.get())), code_(wasmelt_trap_code(trap.get())) {
    wasm_frame_vec_t trace;
    wasm_trap_trace(trap.get(), &trace);
    for (std::size_t i = 0; i < trace.size; i++) {
      const wasm_name_t* name = wasmelt_frame_func_name(trace.data[i]);
      frames_.emplace_back(name->data, name->size);
    }
    wasm_frame_vec_delete(&trace);
  }

  static std::string message(const wasm_trap_t* trap) {
    wasm_message_t message;
    wasm_trap_message(trap, &message);
    // Without the NUL at the end.
    std::string text(message.data, message.size > 0 ? message.size - 1 : 0);
    wasm_byte_vec_delete(&message);
    return text;
  }

  std::uint8_t code_;
  std::vector<std::string> frames_;
};

// C++ types that are types of WebAssembly: their kinds, and their members of `wasmelt_value_t`.
template <typename T>
struct Type;

#define EXAMPLES_WASM_TYPE(type, number, member)                                  \
  template <>                                                                     \
  struct Type<type> {                                                             \
    static wasm_valkind_t kind() { return number; }                               \
    static void set(wasmelt_value_t& to, type value) { to.member = value; }       \
    static type get(const wasmelt_value_t& from) { return from.member; }          \
  };
EXAMPLES_WASM_TYPE(std::int32_t, WASM_I32, i32)
EXAMPLES_WASM_TYPE(std::int64_t, WASM_I64, i64)
EXAMPLES_WASM_TYPE(float, WASM_F32, f32)
EXAMPLES_WASM_TYPE(double, WASM_F64, f64)
#undef EXAMPLES_WASM_TYPE

template <>
struct Type<void> {
  static void get(const wasmelt_value_t&) {}
};

// A list of types, which the caller owns.
template <typename... Ts>
wasm_valtype_vec_t types() {
  const std::array<wasm_valtype_t*, sizeof...(Ts)> all = {{wasm_valtype_new(Type<Ts>::kind())...}};
  wasm_valtype_vec_t vec;
  wasm_valtype_vec_new(&vec, all.size(), all.data());
  return vec;
}

// An exported function of numbers, `Func<double(int32_t, int64_t)>`. Its types were compared when it was found.
template <typename Signature>
class Func;

template <typename R, typename... Ps>
class Func<R(Ps...)> {
 public:
  explicit Func(Own<wasm_extern_t> item) : item_(std::move(item)) {}

  R operator()(Ps... params) const {
    std::array<wasmelt_value_t, sizeof...(Ps) + 1> values;
    std::size_t at = 0;
    // A list of no parameters is empty without the number.
    const int order[] = {0, (Type<Ps>::set(values[at++], params), 0)...};
    (void)order;
    wasm_func_t* func = wasm_extern_as_func(item_.get());
    if (wasm_trap_t* trap = wasmelt_func_call(func, values.data(), values.size())) throw Trap(trap);
    return Type<R>::get(values[0]);
  }

 private:
  Own<wasm_extern_t> item_;
};

class Memory {
 public:
  explicit Memory(Own<wasm_extern_t> item) : item_(std::move(item)) {}

  void write(std::size_t at, const std::string& text) {
    if (!wasmelt_memory_write(memory(), at, text.data(), text.size())) throw Error(wasmelt_last_error());
  }

  std::string read(std::size_t at, std::size_t size) const {
    std::string text(size, '\0');
    if (!wasmelt_memory_read(memory(), at, &text[0], size)) throw Error(wasmelt_last_error());
    return text;
  }

 private:
  wasm_memory_t* memory() const { return wasm_extern_as_memory(item_.get()); }

  Own<wasm_extern_t> item_;
};

class Instance {
 public:
  explicit Instance(Own<wasm_instance_t> instance) : instance_(std::move(instance)) {}

  // The function with this name; throws where there is none, or where it has another type.
  template <typename Signature>
  Func<Signature> func(const char* name) const {
    Own<wasm_extern_t> item = find(name);
    if (!has_type(wasm_extern_as_func(item.get()), static_cast<Signature*>(nullptr)))
      throw Error(std::string(name) + " is not a function of this type");
    return Func<Signature>(std::move(item));
  }

  Memory memory(const char* name) const {
    Own<wasm_extern_t> item = find(name);
    if (!wasm_extern_as_memory(item.get())) throw Error(std::string(name) + " is not a memory");
    return Memory(std::move(item));
  }

 private:
  Own<wasm_extern_t> find(const char* name) const { return made(wasmelt_instance_export(instance_.get(), name)); }

  static bool are(const wasm_valtype_vec_t* types, std::initializer_list<wasm_valkind_t> kinds) {
    if (types->size != kinds.size()) return false;
    std::size_t i = 0;
    for (wasm_valkind_t kind : kinds)
      if (wasm_valtype_kind(types->data[i++]) != kind) return false;
    return true;
  }

  template <typename R, typename... Ps>
  static bool has_type(const wasm_func_t* func, R (*)(Ps...)) {
    if (!func) return false;
    Own<wasm_functype_t> type = made(wasm_func_type(func));
    return are(wasm_functype_params(type.get()), {Type<Ps>::kind()...}) &&
           are(wasm_functype_results(type.get()), {Type<R>::kind()});
  }

  template <typename... Ps>
  static bool has_type(const wasm_func_t* func, void (*)(Ps...)) {
    if (!func) return false;
    Own<wasm_functype_t> type = made(wasm_func_type(func));
    return are(wasm_functype_params(type.get()), {Type<Ps>::kind()...}) &&
           wasm_functype_results(type.get())->size == 0;
  }

  Own<wasm_instance_t> instance_;
};

// A store, whose instances share what they have.
class Store {
 public:
  explicit Store(const Own<wasm_engine_t>& engine) : store_(made(wasm_store_new(engine.get()))) {}

  void set_fuel(std::uint64_t fuel) {
    if (!wasmelt_store_set_fuel(store_.get(), fuel)) throw Error(wasmelt_last_error());
  }

  wasm_store_t* get() const { return store_.get(); }

 private:
  Own<wasm_store_t> store_;
};

// Functions of the host, by name.
class Linker {
 public:
  explicit Linker(const Own<wasm_engine_t>& engine) : linker_(made(wasmelt_linker_new(engine.get()))) {}

  // Defines a function of numbers without a result, `void(double, int32_t)`. It lives until the linker and all stores with
  // instances that import it are gone.
  template <typename Signature>
  void define(const char* module, const char* name, std::function<Signature> function) {
    define_function(module, name, std::move(function));
  }

  Instance instantiate(const Store& store, const Own<wasm_module_t>& module) const {
    wasm_trap_t* trap = nullptr;
    wasm_instance_t* instance = wasmelt_linker_instantiate(linker_.get(), store.get(), module.get(), &trap);
    if (trap) throw Trap(trap);
    return Instance(made(instance));
  }

 private:
  template <typename... Ps>
  void define_function(const char* module, const char* name, std::function<void(Ps...)> function) {
    wasm_valtype_vec_t params = types<Ps...>(), results = types<>();
    Own<wasm_functype_t> type = made(wasm_functype_new(&params, &results));
    auto* env = new std::function<void(Ps...)>(std::move(function));
    if (!wasmelt_linker_define_func_unboxed(
            linker_.get(), module, name, type.get(), call<Ps...>, env, destroy<Ps...>))
      throw Error(wasmelt_last_error());
  }

  template <typename... Ps, std::size_t... Is>
  static void apply(
      const std::function<void(Ps...)>& function, const wasmelt_value_t* values, std::index_sequence<Is...>) {
    (void)values;
    function(Type<Ps>::get(values[Is])...);
  }

  // No exception may leave a callback: it becomes a trap, and the exception of the call.
  template <typename... Ps>
  static wasm_trap_t* call(void* env, const wasmelt_caller_t* caller, wasmelt_value_t* values, std::size_t) {
    std::string what = "an exception of no known type";
    try {
      apply(*static_cast<std::function<void(Ps...)>*>(env), values, std::index_sequence_for<Ps...>());
      return nullptr;
    } catch (const std::exception& exception) {
      what = exception.what();
    } catch (...) {
    }
    wasm_message_t message;
    wasm_name_new_from_string_nt(&message, what.c_str());
    wasm_trap_t* trap = wasm_trap_new(wasmelt_caller_store(caller), &message);
    wasm_byte_vec_delete(&message);
    return trap;
  }

  template <typename... Ps>
  static void destroy(void* env) {
    delete static_cast<std::function<void(Ps...)>*>(env);
  }

  Own<wasmelt_linker_t> linker_;
};

}  // namespace wasm

#endif
