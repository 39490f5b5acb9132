// Sums the columns of a CSV file and writes the report beside it: files, floats, qsort, exit codes.
//
// usage: csvsum INPUT OUTPUT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 32 };

struct column {
    char name[32];
    double sum;
    long count;
};

static int by_sum_descending(const void *a, const void *b) {
    double x = ((const struct column *)a)->sum, y = ((const struct column *)b)->sum;
    return (x < y) - (x > y);
}

static int fail(const char *path) {
    fprintf(stderr, "csvsum: %s: %s\n", path, strerror(errno));
    return 2;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: csvsum INPUT OUTPUT\n");
        return 64;
    }
    FILE *in = fopen(argv[1], "r");
    if (!in) return fail(argv[1]);

    static struct column columns[MAX_COLUMNS];
    int width = 0;
    long rows = -1;
    char line[1024];
    for (; fgets(line, sizeof line, in); rows++) {
        int i = 0;
        for (char *field = strtok(line, ",\n"); field && i < MAX_COLUMNS; field = strtok(NULL, ",\n"), i++) {
            if (rows < 0) {
                snprintf(columns[i].name, sizeof columns[i].name, "%s", field);
                width = i + 1;
                continue;
            }
            char *end;
            double value = strtod(field, &end);
            if (end != field && *end == '\0') {
                columns[i].sum += value;
                columns[i].count++;
            }
        }
    }
    fclose(in);
    qsort(columns, (size_t)width, sizeof columns[0], by_sum_descending);

    FILE *out = fopen(argv[2], "w");
    if (!out) return fail(argv[2]);
    for (int i = 0; i < width; i++) {
        if (columns[i].count)
            fprintf(out, "%-12s %10.2f  mean %8.3f\n", columns[i].name, columns[i].sum, columns[i].sum / columns[i].count);
    }
    if (fclose(out)) return fail(argv[2]);
    printf("%ld rows, %d columns\n", rows < 0 ? 0 : rows, width);
    return 0;
}
