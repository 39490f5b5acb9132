// Functions that a compiler inlines, at known lines, for tests of backtraces. Compiled in this folder:
//
// clang++ --target=wasm32 -gdwarf-5 -O2 -nostdlib -fdebug-compilation-dir=/guest -Wl,--no-demangle \
//   -o inlined.wasm inlined.cpp
namespace app {

struct Table {
    int *values;

    int at(long index) const {
        return values[index * 0x10000000];
    }
};

inline int sum(const Table &table, long last) {
    return table.at(0) +
           table.at(last);
}

__attribute__((noinline)) int twice(const Table &table, long last) {
    return sum(table, last) * 2;
}

}

extern "C" void _start() {
    static int values[4];
    volatile long last = 2;
    app::Table table = {values};
    values[0] = app::twice(table, last);
    if (values[0])
        __builtin_trap();
}
