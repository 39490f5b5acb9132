/*
 * A host that loads a library which has the runtime in it, lets it call guests, and closes it, again and again:
 * `closing LIBRARY FOLDER`. The library stays, because its handlers do; faults of the host are its own afterwards.
 */

#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  int round;
  if (argc < 3) return 2;
  for (round = 0; round < 3; round++) {
    void (*run)(const char*);
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    *(void**)&run = dlsym(library, "plugin_run");
    if (!run) return 1;
    run(argv[2]);
    if (dlclose(library) != 0) return 1;
  }
  printf("about to fault\n");
  fflush(stdout);
  *(volatile int*)0 = 1;
  return 0;
}
