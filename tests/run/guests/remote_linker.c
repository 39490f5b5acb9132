/* A linker for programs in Wine, where there is none: its arguments go into a file, and whoever waits for that outside
 * links and says how it went. `LINK_FOLDER` is where both files are.
 * Built by tests/run/windows_host.rs: zig cc -target x86_64-windows-gnu remote_linker.c */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

int main(int argc, char **argv) {
    const char *folder = getenv("LINK_FOLDER");
    char draft[MAX_PATH], request[MAX_PATH], answer[MAX_PATH];
    if (!folder)
        return 2;
    snprintf(draft, sizeof draft, "%s\\draft", folder);
    snprintf(request, sizeof request, "%s\\request", folder);
    snprintf(answer, sizeof answer, "%s\\answer", folder);
    FILE *file = fopen(draft, "wb");
    if (!file)
        return 2;
    for (int i = 1; i < argc; i++)
        fprintf(file, "%s\n", argv[i]);
    fclose(file);
    if (!MoveFileA(draft, request))
        return 2;
    for (int tries = 0; tries < 12000; tries++) {
        int code = 2;
        if ((file = fopen(answer, "rb"))) {
            fscanf(file, "%d", &code);
            for (int c; (c = fgetc(file)) != EOF;)
                fputc(c, stderr);
            fclose(file);
            DeleteFileA(answer);
            return code;
        }
        Sleep(10);
    }
    return 2;
}
