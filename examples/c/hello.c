// Greets everyone who is named on the command line.
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc < 2) {
        printf("Hello, world!\n");
    }
    for (int i = 1; i < argc; i++) {
        printf("%d: Hello, %s!\n", i, argv[i]);
    }
    return 0;
}
