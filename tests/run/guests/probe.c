// A guest that does one operation of the file system or the process and says how it went: the tests ask it what a
// program can and cannot reach. Exit code 0, or 1 with the error's text on standard error.
//
// Built with: zig cc -target wasm32-wasi -Os -g1 -o probe.debug.wasm probe.c
//             wasm-tools strip probe.debug.wasm -o probe.wasm
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int check(const char *what, int result) {
    if (result >= 0) return 0;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

static int copy(int from, int to) {
    char buffer[4096];
    ssize_t n;
    while ((n = read(from, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(to, buffer + done, (size_t)(n - done));
            if (written < 0) return check("write", -1);
            done += written;
        }
    }
    return check("read", (int)n);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int list(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return check("opendir", -1);
    char *names[2000];
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) && count < 2000;) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) names[count++] = strdup(entry->d_name);
    }
    closedir(dir);
    qsort(names, count, sizeof names[0], by_name);
    for (size_t i = 0; i < count; i++) puts(names[i]);
    return 0;
}

static int status(const char *path, int (*get)(const char *, struct stat *)) {
    struct stat s;
    if (get(path, &s)) return check("stat", -1);
    const char *type = S_ISDIR(s.st_mode) ? "directory" : S_ISLNK(s.st_mode) ? "symlink" : "file";
    printf("%s %lld\n", type, (long long)(S_ISREG(s.st_mode) ? s.st_size : 0));
    return 0;
}

int main(int argc, char **argv) {
    const char *op = argc > 1 ? argv[1] : "", *a = argc > 2 ? argv[2] : "", *b = argc > 3 ? argv[3] : "";
    if (!strcmp(op, "args")) {
        for (int i = 0; i < argc; i++) puts(argv[i]);
        return 0;
    }
    if (!strcmp(op, "env")) {
        for (char **e = environ; e && *e; e++) puts(*e);
        return 0;
    }
    if (!strcmp(op, "copy")) return copy(0, 1);
    if (!strcmp(op, "exit")) exit(atoi(a));
    if (!strcmp(op, "abort")) abort();
    if (!strcmp(op, "ls")) return list(a);
    if (!strcmp(op, "stat")) return status(a, stat);
    if (!strcmp(op, "lstat")) return status(a, lstat);
    if (!strcmp(op, "mkdir")) return check(op, mkdir(a, 0777));
    if (!strcmp(op, "rmdir")) return check(op, rmdir(a));
    if (!strcmp(op, "rm")) return check(op, unlink(a));
    if (!strcmp(op, "mv")) return check(op, rename(a, b));
    if (!strcmp(op, "link")) return check(op, link(a, b));
    if (!strcmp(op, "symlink")) return check(op, symlink(a, b));
    if (!strcmp(op, "truncate")) {
        int fd = open(a, O_WRONLY);
        return check("open", fd) || check(op, ftruncate(fd, atoi(b)));
    }
    if (!strcmp(op, "touch")) return check(op, utimensat(AT_FDCWD, a, NULL, 0));
    if (!strcmp(op, "readlink")) {
        char target[512];
        ssize_t n = readlink(a, target, sizeof target - 1);
        if (n < 0) return check(op, -1);
        printf("%.*s\n", (int)n, target);
        return 0;
    }
    if (!strcmp(op, "cat")) {
        int fd = open(a, O_RDONLY);
        return check("open", fd) || copy(fd, 1);
    }
    if (!strcmp(op, "write") || !strcmp(op, "append") || !strcmp(op, "create")) {
        int how = op[0] == 'w' ? O_TRUNC : op[0] == 'a' ? O_APPEND : O_EXCL;
        int fd = open(a, O_WRONLY | O_CREAT | how, 0666);
        return check("open", fd) || check("write", (int)write(fd, b, strlen(b))) || check("close", close(fd));
    }
    if (!strcmp(op, "seek")) {
        char byte;
        int fd = open(a, O_RDONLY);
        if (check("open", fd) || check("seek", (int)lseek(fd, atoi(b), atoi(b) < 0 ? SEEK_END : SEEK_SET))) return 1;
        if (read(fd, &byte, 1) != 1) return 1;
        printf("%c %lld\n", byte, (long long)lseek(fd, 0, SEEK_CUR));
        return 0;
    }
    if (!strcmp(op, "sleep")) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        usleep((useconds_t)atoi(a) * 1000);
        clock_gettime(CLOCK_MONOTONIC, &after);
        long long ms = (after.tv_sec - before.tv_sec) * 1000LL + (after.tv_nsec - before.tv_nsec) / 1000000;
        puts(ms >= atoi(a) - 1 ? "slept" : "woke too early");
        return 0;
    }
    if (!strcmp(op, "poll")) {
        struct pollfd fd = {.fd = 0, .events = POLLIN};
        int n = poll(&fd, 1, atoi(a));
        if (n < 0) return check(op, -1);
        puts(n == 0 ? "time is up" : "ready");
        return 0;
    }
    if (!strcmp(op, "year")) {
        puts(time(NULL) > 1700000000 ? "after 2023" : "before 2023");
        return 0;
    }
    if (!strcmp(op, "random")) {
        unsigned char x[32] = {0}, y[32] = {0};
        if (getentropy(x, sizeof x) || getentropy(y, sizeof y)) return check(op, -1);
        puts(memcmp(x, y, sizeof x) ? "random" : "the same twice");
        return 0;
    }
    if (!strcmp(op, "spam")) {
        static char block[65536];
        memset(block, 'x', sizeof block);
        for (;;) {
            if (write(1, block, sizeof block) < 0) return check("write", -1);
        }
    }
    if (!strcmp(op, "grow")) {
        // Volatile, or the compiler takes away what is allocated and not used.
        void *volatile block;
        size_t mib = 0;
        while (mib < 8192 && (block = malloc(1 << 20))) mib++;
        puts(mib < 4096 ? "malloc failed" : "too much");
        return 0;
    }
    fprintf(stderr, "probe: no operation `%s`\n", op);
    return 64;
}
