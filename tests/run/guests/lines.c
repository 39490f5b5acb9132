// Functions at known lines, for tests of debug information. Compiled in this folder, with the Python package ziglang:
//
// python3 -m ziglang cc -target wasm32-wasi -g -O0 -fno-sanitize=undefined -nostdlib \
//   -fdebug-compilation-dir=/guest -Wl,--export=_start -o lines.wasm lines.c
// The same with -gdwarf-5 is lines-dwarf5.wasm.
typedef __SIZE_TYPE__ size_t;

struct slice { const char *start; size_t bytes; };

__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write")))
int fd_write(int fd, const struct slice *slices, size_t count, size_t *written);

__attribute__((noinline)) static void print(const char *text, size_t bytes) {
    struct slice slice = { text, bytes };
    size_t written;
    fd_write(1, &slice, 1, &written);
}

__attribute__((noinline)) static unsigned digits(unsigned number, char *out) {
    unsigned count = 0;
    do {
        out[count++] = '0' + number % 10;
        number /= 10;
    } while (number != 0);
    return count;
}

void _start(void) {
    char text[12];
    unsigned count = digits(7012, text);
    text[count] = '\n';
    print(text, count + 1);
}
