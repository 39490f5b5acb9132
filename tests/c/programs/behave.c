/*
 * How guests and a host share a process: `behave SCENARIO FOLDER`. Signal handlers of the host's from before and after, faults
 * of the host's own, threads with small stacks, `fork`, libraries that are loaded twice. Says `ok` where all is as it must be,
 * and then ends as the scenario says.
 *
 * With `LINKED` the module is part of the program; with `PLUGIN` this is a library, which `closing.c` loads and closes.
 */

#define _GNU_SOURCE

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "wasmelt.h"

#define CHECK(condition)                                                                                              \
  do {                                                                                                                \
    if (!(condition)) {                                                                                               \
      fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, wasmelt_last_error());           \
      _exit(1);                                                                                                       \
    }                                                                                                                 \
  } while (0)

enum { SMALL_STACK = 64 << 10, MARK = 0x5EED5EED };

static wasm_engine_t* engine;
static const char* folder;
/* What the function of the host does. */
static void (*in_host)(void);

/* ---------------------------------------------------------------------------------------------------------------- */
/* Guests */

#ifdef LINKED
WASMELT_DECLARE_MODULE(behave);
#endif

typedef struct guest_t {
  wasm_store_t* store;
  wasm_instance_t* instance;
} guest_t;

static wasm_trap_t* f(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)env;
  if (in_host) in_host();
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = args->data[0].of.i32 + 1;
  return NULL;
}

static wasm_module_t* load(const char* file) {
#ifdef LINKED
  (void)file;
  return WASMELT_LINKED_MODULE(behave);
#else
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.so", folder, file);
  return wasmelt_load_module(path, "behave");
#endif
}

static guest_t guest_of(const wasm_module_t* module, wasm_store_t* store) {
  guest_t guest;
  wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
  wasm_func_t* func = wasm_func_new_with_env(store, type, f, NULL, NULL);
  wasm_extern_t* imports[1];
  wasm_extern_vec_t vec = {1, imports};
  imports[0] = wasm_func_as_extern(func);
  guest.store = store;
  guest.instance = wasm_instance_new(store, module, &vec, NULL);
  CHECK(guest.instance);
  wasm_func_delete(func);
  wasm_functype_delete(type);
  return guest;
}

/* The module of `guest_new`. */
static const char* module_file = "behave";

static guest_t guest_new(void) {
  wasm_module_t* module = load(module_file);
  guest_t guest;
  CHECK(module);
  guest = guest_of(module, wasm_store_new(engine));
  wasm_module_delete(module);
  return guest;
}

static void guest_delete(guest_t guest) {
  wasm_instance_delete(guest.instance);
  wasm_store_delete(guest.store);
}

/* The result of an export; or the trap's code, as a negative number. */
static int32_t call(guest_t guest, const char* name, int32_t argument) {
  wasm_extern_t* item = wasmelt_instance_export(guest.instance, name);
  wasmelt_value_t value;
  wasm_trap_t* trap;
  value.i32 = argument;
  trap = wasmelt_func_call(wasm_extern_as_func(item), &value, 1);
  if (trap) {
    value.i32 = -wasmelt_trap_code(trap);
    wasm_trap_delete(trap);
  }
  wasm_extern_delete(item);
  return value.i32;
}

/* All that a guest can do wrong, again and again. */
static void check_traps(guest_t guest) {
  int round;
  for (round = 0; round < 3; round++) {
    CHECK(call(guest, "call", 41) == 42);
    CHECK(call(guest, "load", 65536) == -WASMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK(call(guest, "load", -1) == -WASMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK(call(guest, "store", 65533) == -WASMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK(call(guest, "fill", 65500) == -WASMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    CHECK(call(guest, "divide", 0) == -WASMELT_TRAP_INTEGER_DIVIDE_BY_ZERO);
    CHECK(call(guest, "divide", 7) == 1);
    CHECK(call(guest, "overflow", -1) == -WASMELT_TRAP_INTEGER_OVERFLOW);
    CHECK(call(guest, "convert", 1) == -WASMELT_TRAP_INTEGER_OVERFLOW);
    CHECK(call(guest, "unreachable", 0) == -WASMELT_TRAP_UNREACHABLE);
    CHECK(call(guest, "indirect", 0) == -WASMELT_TRAP_UNINITIALIZED_ELEMENT);
    CHECK(call(guest, "indirect", 2) == -WASMELT_TRAP_UNDEFINED_ELEMENT);
    CHECK(call(guest, "get", 2) == -WASMELT_TRAP_TABLE_OUT_OF_BOUNDS);
    CHECK(call(guest, "recurse", 0) == -WASMELT_TRAP_STACK_EXHAUSTED);
  }
}

static void traps(void) {
  guest_t guest = guest_new();
  check_traps(guest);
  guest_delete(guest);
}

static guest_t of_host;

/* Does something in a function of the host that a guest has called. */
static void called_by_a_guest(void (*what)(void)) {
  guest_t guest = of_host.store ? of_host : guest_new();
  of_host = guest;
  in_host = what;
  CHECK(call(guest, "call", 1) == 2);
  in_host = NULL;
}

/* Does something on a thread on which no guest was ever called. */
static void* on_thread(void* what) {
  (*(void (**)(void))what)();
  return NULL;
}

static void on_another_thread(void (*what)(void), size_t stack_bytes) {
  pthread_t thread;
  pthread_attr_t attributes;
  CHECK(pthread_attr_init(&attributes) == 0);
  CHECK(pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  CHECK(pthread_create(&thread, &attributes, on_thread, &what) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  pthread_attr_destroy(&attributes);
}

/* ---------------------------------------------------------------------------------------------------------------- */
/* Faults of the host */

/* A page that nobody may use at first. */
static char* page;
static volatile int faults_seen;

static void protect(void) {
  CHECK(mprotect(page, 4096, PROT_NONE) == 0);
}

/* Where the access of `touch` is, and the register that has `MARK` there. */
extern const char access_of_touch[];

#if defined(__x86_64__)
#define PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.gregs[REG_RIP])
#define MARKED(context) ((uintptr_t)(context)->uc_mcontext.gregs[REG_R12])
__attribute__((noinline, noclone)) static void touch(void) {
  __asm__ volatile(
      "movq %1, %%r12\n.globl access_of_touch\naccess_of_touch: movb $1, (%0)" ::"r"(page + 123), "r"((uintptr_t)MARK)
      : "r12", "memory");
}
#else
#define PROGRAM_COUNTER(context) ((uintptr_t)(context)->uc_mcontext.pc)
#define MARKED(context) ((uintptr_t)(context)->uc_mcontext.regs[19])
__attribute__((noinline, noclone)) static void touch(void) {
  __asm__ volatile(
      "mov x19, %1\n.globl access_of_touch\naccess_of_touch: strb wzr, [%0]" ::"r"(page + 123), "r"((uintptr_t)MARK)
      : "x19", "memory");
}
#endif

static void null_pointer(void) {
  printf("about to fault\n");
  fflush(stdout);
  *(volatile int*)NULL = 1;
}

/* Checks what a crash reporter reports, and mends the page: the access goes on. */
static void mend(int signal, siginfo_t* info, void* raw) {
  const ucontext_t* context = raw;
  CHECK(signal == SIGSEGV && info->si_addr == page + 123 && info->si_code == SEGV_ACCERR);
  CHECK(PROGRAM_COUNTER(context) == (uintptr_t)access_of_touch);
  CHECK(MARKED(context) == MARK);
  CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
  faults_seen++;
}

static void handle(int signal, void (*handler)(int, siginfo_t*, void*), int flags, struct sigaction* old) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  CHECK(sigaction(signal, &action, old) == 0);
}

/* A fault that the host's handler mends, on this thread, in a function of the host, and on a thread without guests. */
static void mended_faults(void) {
  int seen = faults_seen;
  protect();
  touch();
  protect();
  called_by_a_guest(touch);
  protect();
  on_another_thread(touch, 1 << 20);
  CHECK(faults_seen == seen + 3);
}

static void never(int signal, siginfo_t* info, void* context) {
  (void)info;
  (void)context;
  fprintf(stderr, "signal %d of a guest came to the host\n", signal);
  _exit(1);
}

static void before(void) {
  handle(SIGSEGV, mend, SA_ONSTACK, NULL);
  handle(SIGBUS, never, 0, NULL);
  handle(SIGILL, never, 0, NULL);
  handle(SIGFPE, never, 0, NULL);
  traps();
  mended_faults();
  traps();
}

static struct sigaction chained;
static volatile int passed_on;

static void chain(int signal, siginfo_t* info, void* context) {
  if (info->si_addr == page + 123) {
    mend(signal, info, context);
    return;
  }
  passed_on++;
  if (chained.sa_flags & SA_SIGINFO) chained.sa_sigaction(signal, info, context);
}

static void after(void) {
  traps();
  handle(SIGSEGV, chain, SA_ONSTACK, &chained);
  traps();
  CHECK(passed_on > 0);
  mended_faults();
  traps();
}

static void report(int signal, siginfo_t* info, void* context) {
  static const char text[] = "reported\n";
  (void)info;
  (void)context;
  CHECK(write(1, text, sizeof text - 1) == sizeof text - 1);
  if (chained.sa_flags & SA_SIGINFO)
    chained.sa_sigaction(signal, info, context);
  else
    _exit(3);
}

/* The handler is installed once more when guests have been called, with those of the guests as what was before. */
static void twice(void) {
  struct sigaction old;
  handle(SIGSEGV, report, SA_ONSTACK, &old);
  traps();
  handle(SIGSEGV, report, SA_ONSTACK, &chained);
  called_by_a_guest(null_pointer);
}

static void default_on_thread(void) {
  traps();
  on_another_thread(null_pointer, 1 << 20);
}

static void default_in_host_function(void) {
  called_by_a_guest(null_pointer);
}

static void default_sent(void) {
  traps();
  printf("about to fault\n");
  fflush(stdout);
  kill(getpid(), SIGSEGV);
  for (;;) pause();
}

static volatile int sent;

static void is_sent(int signal, siginfo_t* info, void* context) {
  (void)context;
  CHECK(signal == SIGFPE && info->si_code == SI_USER && info->si_pid == getpid());
  sent++;
}

/* Signals that are sent, and not faults, are the host's. */
static void sent_by_processes(void) {
  handle(SIGFPE, is_sent, 0, NULL);
  signal(SIGBUS, SIG_IGN);
  traps();
  kill(getpid(), SIGFPE);
  kill(getpid(), SIGBUS);
  CHECK(sent == 1);
  in_host = NULL;
  traps();
}

static void with_mask(int signal, siginfo_t* info, void* context) {
  sigset_t now;
  CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
  CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV) && !sigismember(&now, SIGUSR2));
  mend(signal, info, context);
}

/* A handler has the signals blocked that it asked for, and is called once where it asked for that. */
static void masks(void) {
  struct sigaction action;
  sigset_t now;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = with_mask;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESETHAND;
  sigaddset(&action.sa_mask, SIGUSR1);
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  traps();
  protect();
  called_by_a_guest(touch);
  CHECK(faults_seen == 1 && sigprocmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR1));
  traps();
  printf("about to fault\n");
  fflush(stdout);
  protect();
  touch();
}

static sigjmp_buf back;

static void jump(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)info;
  (void)context;
  siglongjmp(back, 1);
}

/* A host that leaves its handler by a jump, between calls of guests. */
static void jumps(void) {
  volatile int round;
  handle(SIGSEGV, jump, SA_ONSTACK, NULL);
  for (round = 0; round < 100; round++) {
    if (round % 10 == 0) traps();
    protect();
    if (sigsetjmp(back, 1) == 0) {
      touch();
      CHECK(false);
    }
  }
}

/* ---------------------------------------------------------------------------------------------------------------- */
/* Threads and processes */

static size_t mappings(void) {
  FILE* file = fopen("/proc/self/maps", "r");
  size_t lines = 0;
  int c;
  CHECK(file);
  while ((c = fgetc(file)) != EOF) lines += c == '\n';
  fclose(file);
  return lines;
}

static void with_own_handler_stack(size_t bytes) {
  stack_t own, now;
  own.ss_sp = malloc(bytes);
  own.ss_size = bytes;
  own.ss_flags = 0;
  CHECK(sigaltstack(&own, NULL) == 0);
  traps();
  CHECK(sigaltstack(NULL, &now) == 0);
  /* One that is large enough stays the thread's. */
  CHECK(bytes < 65536 || now.ss_sp == own.ss_sp);
  own.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&own, NULL) == 0);
  free(own.ss_sp);
}

static void small_handler_stack(void) {
  with_own_handler_stack(16384);
}

static void large_handler_stack(void) {
  with_own_handler_stack(262144);
}

static void wasi(void) {
#ifndef LINKED
  char path[4096];
  wasm_store_t* store = wasm_store_new(engine);
  wasmelt_linker_t* linker = wasmelt_linker_new(engine);
  wasmelt_wasi_config_t* config = wasmelt_wasi_config_new();
  wasmelt_output_t* output = wasmelt_output_new(1000);
  wasm_module_t* module;
  wasm_instance_t* instance;
  guest_t guest;
  int32_t status = 0;
  wasm_extern_t* start;
  wasm_trap_t* trap;
  wasm_byte_vec_t written;
  snprintf(path, sizeof path, "%s/wasi.so", folder);
  module = wasmelt_load_module(path, "wasi");
  CHECK(module && wasmelt_wasi_config_arg(config, "name") && wasmelt_wasi_config_env(config, "a", "b"));
  CHECK(wasmelt_wasi_config_preopened_dir(config, folder, "/", true));
  CHECK(wasmelt_wasi_config_stdout(config, output) && wasmelt_wasi_config_stderr(config, output));
  CHECK(wasmelt_linker_define_wasi(linker) && wasmelt_store_set_wasi(store, config));
  instance = wasmelt_linker_instantiate(linker, store, module, NULL);
  CHECK(instance);
  start = wasmelt_instance_export(instance, "_start");
  trap = wasmelt_func_call(wasm_extern_as_func(start), NULL, 0);
  CHECK(trap && wasmelt_trap_exit_status(trap, &status) && status == 1);
  wasmelt_output_contents(output, &written);
  CHECK(written.size == strlen("name") + 1 + strlen("a=b") + 1 + strlen("in a file"));
  wasm_byte_vec_delete(&written);
  wasm_trap_delete(trap);
  wasm_extern_delete(start);
  guest.store = store;
  guest.instance = instance;
  guest_delete(guest);
  wasm_module_delete(module);
  wasmelt_linker_delete(linker);
  wasmelt_output_delete(output);
#else
  (void)mappings;
#endif
}

static void threads(void) {
  size_t first = 0;
  int round;
  for (round = 0; round < 20; round++) {
    on_another_thread(traps, SMALL_STACK);
    on_another_thread(wasi, SMALL_STACK);
    on_another_thread(small_handler_stack, SMALL_STACK);
    on_another_thread(large_handler_stack, 1 << 20);
    if (round == 3) first = mappings();
  }
  /* Threads that are gone leave nothing. */
  CHECK(mappings() <= first + 4);
}

/* How a child process ended. */
static int ended(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void forks(void) {
  guest_t guest = guest_new();
  wasmelt_pool_config_t small;
  wasmelt_pool_t* pool;
  wasm_module_t* module = load("behave");
  guest_t pooled;
  int round;
  wasmelt_pool_config_default(&small);
  small.memories = small.tables = small.stacks = 4;
  pool = wasmelt_pool_new(&small);
  CHECK(pool && module);
  pooled = guest_of(module, wasmelt_store_new(engine, pool, 0));
  CHECK(call(guest, "bump", 1) == 1 && call(pooled, "bump", 1) == 1);
  for (round = 0; round < 3; round++) {
    pid_t child = fork();
    if (child == 0) {
      /* Whatever the child does, its memory is its own. */
      guest_t third;
      CHECK(call(guest, "bump", 10) == 11 + round && call(pooled, "bump", 20) == 21 + round);
      check_traps(guest);
      check_traps(pooled);
      CHECK(wasmelt_store_reset(pooled.store));
      third = guest_of(module, wasmelt_store_new(engine, pool, 0));
      CHECK(call(third, "bump", 1) == 1);
      check_traps(third);
      guest_delete(third);
      traps();
      on_another_thread(traps, SMALL_STACK);
      _exit(42);
    }
    CHECK(ended(child) == 42);
    CHECK(call(guest, "bump", 1) == 2 + round && call(pooled, "bump", 1) == 2 + round);
    child = fork();
    if (child == 0) {
      called_by_a_guest(null_pointer);
      _exit(0);
    }
    CHECK(ended(child) == -SIGSEGV);
    check_traps(guest);
    check_traps(pooled);
  }
  guest_delete(guest);
  guest_delete(pooled);
  wasm_module_delete(module);
  wasmelt_pool_delete(pool);
}

/* The same library twice, from two files, and another version of it, side by side. */
static void loading(void) {
#ifndef LINKED
  static const char* const files[] = {"behave", "behave", "behave-copy", "behave-2"};
  guest_t guests[4];
  int i, round;
  for (round = 0; round < 3; round++) {
    for (i = 0; i < 4; i++) {
      wasm_module_t* module = load(files[i]);
      CHECK(module);
      guests[i] = guest_of(module, wasm_store_new(engine));
      wasm_module_delete(module);
    }
    for (i = 0; i < 4; i++) {
      CHECK(call(guests[i], "bump", 1) == (i == 3 ? 1001 : 1));
      CHECK(call(guests[i], "bump", 1) == (i == 3 ? 2002 : 2));
    }
    for (i = 0; i < 4; i++) {
      int other;
      guest_delete(guests[i]);
      for (other = i + 1; other < 4; other++) check_traps(guests[other]);
    }
  }
#endif
}

/*
 * A host that blocks all signals and has its own handlers, with guests that raise their traps: nothing is done about signals.
 * Then a guest comes that needs them, and has them.
 */
static void blocked(void) {
  static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  sigset_t all, now;
  stack_t stack;
  struct sigaction action;
  size_t i;
  sigfillset(&all);
  CHECK(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
  module_file = "explicit";
  for (i = 0; i < 4; i++) handle(numbers[i], never, 0, NULL);
  traps();
  on_another_thread(traps, SMALL_STACK);
  for (i = 0; i < 4; i++) {
    CHECK(sigaction(numbers[i], NULL, &action) == 0 && action.sa_sigaction == never);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, numbers[i]));
  }
  CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_flags & SS_DISABLE);
  module_file = "behave";
  traps();
  module_file = "explicit";
  traps();
  CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_sigaction != never);
}

/* ---------------------------------------------------------------------------------------------------------------- */

static void start(const char* modules) {
  folder = modules;
  engine = wasm_engine_new();
  CHECK(engine);
  page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
}

#ifdef PLUGIN

__attribute__((visibility("default"))) void plugin_run(const char* modules) {
  start(modules);
  traps();
  on_another_thread(traps, SMALL_STACK);
  wasm_engine_delete(engine);
}

#else

static const struct {
  const char* name;
  void (*run)(void);
} scenarios[] = {
    {"before", before},
    {"after", after},
    {"twice", twice},
    {"default on thread", default_on_thread},
    {"default in host function", default_in_host_function},
    {"default sent", default_sent},
    {"sent", sent_by_processes},
    {"masks", masks},
    {"jumps", jumps},
    {"threads", threads},
    {"forks", forks},
    {"loading", loading},
    {"blocked", blocked},
};

int main(int argc, char** argv) {
  size_t i;
  if (argc < 3) return 2;
  start(argv[2]);
  for (i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    if (strcmp(argv[1], scenarios[i].name) != 0) continue;
    scenarios[i].run();
    printf("ok\n");
    if (of_host.store) guest_delete(of_host);
    wasm_engine_delete(engine);
    return 0;
  }
  return 2;
}

#endif
