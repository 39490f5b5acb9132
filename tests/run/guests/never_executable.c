// Runs a command that is killed as soon as it makes memory executable: by mmap, mprotect or pkey_mprotect with PROT_EXEC,
// by shmat with SHM_EXEC, or by a personality that makes readable memory executable.
//
// usage: never_executable COMMAND [ARGUMENT...]
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
// Kills the call NUMBER where bits of an argument are set.
#define KILL_WITH(number, argument, bits)                                                                              \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4), LOAD(args[argument]),                                           \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv) {
    struct sock_filter filter[] = {
        LOAD(nr),
        KILL_WITH(SYS_mmap, 2, PROT_EXEC),
        KILL_WITH(SYS_mprotect, 2, PROT_EXEC),
        KILL_WITH(SYS_pkey_mprotect, 2, PROT_EXEC),
        KILL_WITH(SYS_shmat, 2, 0100000),
        KILL_WITH(SYS_personality, 0, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("never_executable");
        return 125;
    }
    // To see that the filter works: what comes next is the forbidden call itself.
    if (!strcmp(argv[1], "--break")) {
        mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return 0;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 126;
}
