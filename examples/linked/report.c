// Reads numbers and has another module, which was built from another language, work on them.
#include <stdio.h>

#define STATS(name) __attribute__((import_module("stats"), import_name(#name)))
STATS(stats_add) void stats_add(double number);
STATS(stats_mean) double stats_mean(void);
STATS(stats_median) double stats_median(void);

int main(void) {
    double number;
    int count = 0;
    while (scanf("%lf", &number) == 1) {
        stats_add(number);
        count++;
    }
    if (count == 0) {
        fputs("no numbers\n", stderr);
        return 1;
    }
    printf("%d numbers, mean %.2f, median %.2f\n", count, stats_mean(), stats_median());
    return 0;
}
