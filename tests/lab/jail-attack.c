/*
 * What a guest that has taken over QEMU would try, from inside QEMU: loaded into it by jail.sh. Some seconds after the start,
 * when QEMU's own filter is there too, it prints a line for each attempt on standard error: `attack NAME: done` or
 * `attack NAME: refused (WHY)`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void attempt(const char *name, long result)
{
    if (result == -1)
        fprintf(stderr, "attack %s: refused (%s)\n", name, strerror(errno));
    else
        fprintf(stderr, "attack %s: done\n", name);
}

static const char *target(const char *name)
{
    const char *path = getenv(name);
    return path ? path : "/";
}

static void *attack(void *unused)
{
    char *none[] = {NULL};

    (void)unused;
    sleep(5);
    attempt("own-status", open("/proc/self/status", O_RDONLY));
    attempt("user-key", open(target("ATTACK_KEY"), O_RDONLY));
    attempt("other-vm", open(target("ATTACK_VM"), O_RDWR));
    attempt("image", open(target("ATTACK_IMAGE"), O_WRONLY));
    attempt("new-file", open(target("ATTACK_NEW"), O_WRONLY | O_CREAT, 0600));
    attempt("password-hashes", open("/etc/shadow", O_RDONLY));
    attempt("trace", ptrace(PTRACE_SEIZE, getppid(), 0, 0));
    attempt("signal", kill(getppid(), SIGCONT));
    attempt("io-uring", syscall(SYS_io_uring_setup, 1, NULL));
    attempt("packet-socket", socket(AF_PACKET, SOCK_RAW, 0));
    attempt("session-socket", socket(AF_UNIX, SOCK_STREAM, 0));
    attempt("program", execve("/bin/true", none, none));
    return NULL;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, attack, NULL);
}
