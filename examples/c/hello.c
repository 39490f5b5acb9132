// The hello world of C: printf with a few conversions.
#include <stdio.h>

int main(void) {
    printf("Hello, %s! %d * %d = %d, %#x\n", "world", 6, 7, 6 * 7, 51966);
    return 0;
}
