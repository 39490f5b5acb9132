// A library in C that is a component: what `stats.wit` says it exports, in the canonical ABI. Its memory is its own.
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

// What a caller's values are copied into, until the call ends.
static _Alignas(8) unsigned char room[1 << 16];
static size_t taken;

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_len, size_t align, size_t len) {
  (void)old, (void)old_len;
  size_t at = (taken + align - 1) & -align;
  if (at + len > sizeof room) __builtin_trap();
  taken = at + len;
  return room + at;
}

// option<summary>, with the sizes and offsets of the canonical ABI.
struct result {
  _Alignas(8) uint8_t is_some;
  _Alignas(8) uint32_t count;
  double mean, max;
  const char *label;
  size_t label_len;
};

static char label[64];

EXPORT("demo:stats/describe@1.0.0#summarize")
struct result *summarize(const double *values, size_t count, const char *unit, size_t unit_len) {
  static struct result result;
  double sum = 0, max = count ? values[0] : 0;
  for (size_t i = 0; i < count; i++) {
    sum += values[i];
    if (values[i] > max) max = values[i];
  }
  size_t len = 0;
  for (const char *word = "in "; *word; word++) label[len++] = *word;
  for (size_t i = 0; i < unit_len && len < sizeof label; i++) label[len++] = unit[i];
  result = (struct result){count > 0, count, count ? sum / count : 0, max, label, len};
  taken = 0;
  return &result;
}
