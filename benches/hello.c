// Hello world in C, for comparison.
#include <stdio.h>

int main(void) {
    puts("Hello, world!");
    return 0;
}
