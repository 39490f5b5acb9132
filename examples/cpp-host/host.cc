// A host in C++ with the plugins of `../c-host`: `upper`, which is linked into it, and `primes`, a library that it loads.
//
//   cargo xtask c-api
//   wasmelt compile ../c-host/upper.wat --emit staticlib
//   wasmelt compile ../c-host/primes.wat --emit cdylib --fuel
//   c++ -std=c++14 host.cc -I ../../target/c-api/include -L ../../target/c-api/lib -L . -lupper -l:libwasmelt-runtime.a -lm -o host
//   ./host ./primes.so

#include <iostream>

#include "wasm.hh"

WASMELT_DECLARE_MODULE(upper);

namespace {

void run_upper(const wasm::Own<wasm_engine_t>& engine) {
  const std::string text = "plugins in a box";
  wasm::Store store(engine);
  const wasm::Instance instance = wasm::Linker(engine).instantiate(store, wasm::made(WASMELT_LINKED_MODULE(upper)));
  wasm::Memory memory = instance.memory("memory");
  const std::int32_t at = instance.func<std::int32_t()>("buffer")();
  memory.write(static_cast<std::size_t>(at), text);
  instance.func<void(std::int32_t)>("upper")(static_cast<std::int32_t>(text.size()));
  std::cout << "upper: " << memory.read(static_cast<std::size_t>(at), text.size()) << "\n";
  try {
    memory.read(65535, 2);
  } catch (const wasm::Error& error) {
    std::cout << "upper: " << error.what() << "\n";
  }
  try {
    instance.func<std::int64_t(float)>("upper");
  } catch (const wasm::Error& error) {
    std::cout << "upper: " << error.what() << "\n";
  }
}

void run_primes(const wasm::Own<wasm_engine_t>& engine, const char* path) {
  std::vector<std::int64_t> found;
  wasm::Linker linker(engine);
  linker.define<void(std::int64_t)>("host", "found", [&found](std::int64_t prime) {
    if (prime > 30) throw std::out_of_range("no prime above 30 is wanted");
    found.push_back(prime);
  });
  wasm::Store store(engine);
  const wasm::Instance instance = linker.instantiate(store, wasm::made(wasmelt_load_module(path, "primes")));
  const auto count_below = instance.func<std::int64_t(std::int64_t)>("count-below");
  store.set_fuel(100000);
  std::cout << "primes: " << count_below(20) << " below 20:";
  for (std::int64_t prime : found) std::cout << " " << prime;
  std::cout << "\n";
  try {
    count_below(100);
  } catch (const wasm::Trap& trap) {
    std::cout << "primes: " << trap.what() << "\n";
  }
  store.set_fuel(10);
  try {
    count_below(20);
  } catch (const wasm::Trap& trap) {
    if (trap.code() == WASMELT_TRAP_OUT_OF_FUEL)
      std::cout << "primes: out of fuel, with " << trap.frames().size() << " function running\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const wasm::Own<wasm_engine_t> engine = wasm::made(wasm_engine_new());
    run_upper(engine);
    run_primes(engine, argc > 1 ? argv[1] : "./primes.so");
  } catch (const std::exception& exception) {
    std::cerr << exception.what() << "\n";
    return 1;
  }
  return 0;
}
