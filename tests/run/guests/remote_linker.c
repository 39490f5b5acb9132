/* A linker for programs in Wine, where there is none: its arguments go into a file, and whoever waits for that outside
 * links and says how it went. `LINK_FOLDER` is where both files are.
 * Built by tests/run/windows_host.rs: zig cc -target x86_64-windows-gnu remote_linker.c */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

/* A step that the system refuses now and then, under load. */
#define TRIES 300
#define PAUSE_MS 10

static int fail(const char *step) {
    fprintf(stderr, "remote_linker: %s failed, error %lu\n", step, GetLastError());
    return 2;
}

static FILE *open_file(const char *path, const char *mode, int tries) {
    FILE *file;
    while (!(file = fopen(path, mode)) && --tries > 0)
        Sleep(PAUSE_MS);
    return file;
}

int main(int argc, char **argv) {
    const char *folder = getenv("LINK_FOLDER");
    char draft[MAX_PATH], request[MAX_PATH], answer[MAX_PATH];
    if (!folder)
        return fail("reading LINK_FOLDER");
    snprintf(draft, sizeof draft, "%s\\draft", folder);
    snprintf(request, sizeof request, "%s\\request", folder);
    snprintf(answer, sizeof answer, "%s\\answer", folder);
    FILE *file = open_file(draft, "wb", TRIES);
    if (!file)
        return fail("opening the draft");
    for (int i = 1; i < argc; i++)
        fprintf(file, "%s\n", argv[i]);
    if (fclose(file))
        return fail("writing the draft");
    for (int tries = TRIES; !MoveFileA(draft, request); Sleep(PAUSE_MS))
        if (--tries == 0)
            return fail("naming the request");
    if (!(file = open_file(answer, "rb", 60000)))
        return fail("waiting for an answer");
    int code;
    if (fscanf(file, "%d", &code) != 1)
        return fail("reading the answer");
    for (int c; (c = fgetc(file)) != EOF;)
        fputc(c, stderr);
    fclose(file);
    for (int tries = TRIES; !DeleteFileA(answer); Sleep(PAUSE_MS))
        if (--tries == 0)
            return fail("removing the answer");
    return code;
}
