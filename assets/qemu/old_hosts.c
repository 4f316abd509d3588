/*
 * What an old host does not have and the bundle's objects call: a part of the library that QEMU loads first, so on newer hosts
 * these functions are called too. Of glibc it is what 2.31 does not have (scripts/qemu/glibc.py fails if something is missing
 * here), of libwayland-client, which is the host's, what 1.18 does not have. Debian 11 has these versions.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <link.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wchar.h>

/* Since 2.34 start files leave the constructors of the program itself to this function. Older ones were passed a function. */
typedef int program(int, char **, char **);
typedef int start(program *, int, char **, program *, void (*)(void), void (*)(void), void *);

static int run_constructors(int argc, char **argv, char **envp)
{
    ElfW(Addr) base = _r_debug.r_map->l_addr; /* the first in the list is the program */
    size_t bytes = 0;
    program **constructors = NULL;
    for (const ElfW(Dyn) *entry = _r_debug.r_map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_INIT)
            ((program *)(base + entry->d_un.d_ptr))(argc, argv, envp);
        else if (entry->d_tag == DT_INIT_ARRAY)
            constructors = (program **)(base + entry->d_un.d_ptr);
        else if (entry->d_tag == DT_INIT_ARRAYSZ)
            bytes = entry->d_un.d_val;
    }
    for (size_t i = 0; i < bytes / sizeof *constructors; i++)
        constructors[i](argc, argv, envp);
    return 0;
}

int __libc_start_main(program *main, int argc, char **argv, program *init, void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end)
{
    start *real = (start *)dlsym(RTLD_NEXT, "__libc_start_main");
    if (!init && strverscmp(gnu_get_libc_version(), "2.34") < 0)
        init = run_constructors;
    return real(main, argc, argv, init, fini, rtld_fini, stack_end);
}

/* Since 2.38 the headers replace these by functions that know C23's binary numbers, which none of QEMU's libraries reads. */
#define OLD(type, old, new, parameters, arguments) \
    extern type old_##new parameters __asm__(#old); \
    type new parameters { return old_##new arguments; }

OLD(long, strtol, __isoc23_strtol, (const char *s, char **end, int base), (s, end, base))
OLD(long long, strtoll, __isoc23_strtoll, (const char *s, char **end, int base), (s, end, base))
OLD(unsigned long, strtoul, __isoc23_strtoul, (const char *s, char **end, int base), (s, end, base))
OLD(unsigned long long, strtoull, __isoc23_strtoull, (const char *s, char **end, int base), (s, end, base))
OLD(intmax_t, strtoimax, __isoc23_strtoimax, (const char *s, char **end, int base), (s, end, base))
OLD(uintmax_t, strtoumax, __isoc23_strtoumax, (const char *s, char **end, int base), (s, end, base))
OLD(long long, strtoll_l, __isoc23_strtoll_l, (const char *s, char **end, int base, locale_t l), (s, end, base, l))
OLD(unsigned long long, strtoull_l, __isoc23_strtoull_l, (const char *s, char **end, int base, locale_t l), (s, end, base, l))
OLD(int, __isoc99_vfscanf, __isoc23_vfscanf, (FILE *file, const char *format, va_list to), (file, format, to))
OLD(int, __isoc99_vsscanf, __isoc23_vsscanf, (const char *s, const char *format, va_list to), (s, format, to))

#define SCANF(new, from) \
    int new(from, const char *format, ...) \
    { \
        va_list to; \
        va_start(to, format); \
        int result = old_##new(source, format, to); \
        va_end(to); \
        return result; \
    }
#define old___isoc23_fscanf old___isoc23_vfscanf
#define old___isoc23_sscanf old___isoc23_vsscanf
SCANF(__isoc23_fscanf, FILE *source)
SCANF(__isoc23_sscanf, const char *source)

/* Before 2.33 these were macros, and before that there were no others: kernel and C library have the same struct stat here. */
int fstatat(int folder, const char *path, struct stat *out, int flags)
{
    return syscall(SYS_newfstatat, folder, path, out, flags);
}
int fstat(int fd, struct stat *out) { return syscall(SYS_fstat, fd, out); }
int stat(const char *path, struct stat *out) { return fstatat(AT_FDCWD, path, out, 0); }
int lstat(const char *path, struct stat *out) { return fstatat(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW); }
int fstatat64(int folder, const char *path, struct stat64 *out, int flags) { return fstatat(folder, path, (void *)out, flags); }
int fstat64(int fd, struct stat64 *out) { return fstat(fd, (void *)out); }
int stat64(const char *path, struct stat64 *out) { return stat(path, (void *)out); }
int lstat64(const char *path, struct stat64 *out) { return lstat(path, (void *)out); }

size_t strlcpy(char *to, const char *from, size_t size)
{
    size_t length = strlen(from);
    if (size) {
        size_t copied = length < size ? length : size - 1;
        memcpy(to, from, copied);
        to[copied] = 0;
    }
    return length;
}

size_t strlcat(char *to, const char *from, size_t size)
{
    size_t used = strnlen(to, size);
    return used + strlcpy(to + used, from, size - used);
}

size_t wcslcpy(wchar_t *to, const wchar_t *from, size_t size)
{
    size_t length = wcslen(from);
    if (size) {
        size_t copied = length < size ? length : size - 1;
        wmemcpy(to, from, copied);
        to[copied] = 0;
    }
    return length;
}

size_t wcslcat(wchar_t *to, const wchar_t *from, size_t size)
{
    size_t used = wcsnlen(to, size);
    return used + wcslcpy(to + used, from, size - used);
}

/* Before 2.34 these were in libraries of their own, some by other names. */
static void *moved(const char *name, const char *old_library, const char *old_name)
{
    void *function = dlsym(RTLD_NEXT, name), *library = function ? NULL : dlopen(old_library, RTLD_LAZY);
    return library ? dlsym(library, old_name) : function;
}

int dn_expand(const unsigned char *message, const unsigned char *end, const unsigned char *from, char *to, int size)
{
    int (*expand)(const unsigned char *, const unsigned char *, const unsigned char *, char *, int) =
        moved("dn_expand", "libresolv.so.2", "__dn_expand");
    return expand ? expand(message, end, from, to, size) : -1;
}

int res_nquery(void *state, const char *name, int class, int type, unsigned char *to, int size)
{
    int (*query)(void *, const char *, int, int, unsigned char *, int) = moved("res_nquery", "libresolv.so.2", "__res_nquery");
    return query ? query(state, name, class, type, to, size) : -1;
}

int shm_open(const char *name, int flags, mode_t mode)
{
    int (*open)(const char *, int, mode_t) = moved("shm_open", "librt.so.1", "shm_open");
    return open ? open(name, flags, mode) : -1;
}

int shm_unlink(const char *name)
{
    int (*unlink)(const char *) = moved("shm_unlink", "librt.so.1", "shm_unlink");
    return unlink ? unlink(name) : -1;
}

int openpty(int *controller, int *terminal, char *name, const void *settings, const void *size)
{
    int (*open)(int *, int *, char *, const void *, const void *) = moved("openpty", "libutil.so.1", "openpty");
    return open ? open(controller, terminal, name, settings, size) : -1;
}

/* System calls that glibc has no function for. The kernel may not have them either; callers expect that. */
#define SYSTEM_CALL(name) \
    long call_##name(long, long, long, long, long, long) __asm__(#name); \
    long call_##name(long a, long b, long c, long d, long e, long f) { return syscall(SYS_##name, a, b, c, d, e, f); }
SYSTEM_CALL(close_range)
SYSTEM_CALL(epoll_pwait2)
SYSTEM_CALL(fsconfig)
SYSTEM_CALL(fsmount)
SYSTEM_CALL(fsopen)
SYSTEM_CALL(fspick)
SYSTEM_CALL(mount_setattr)
SYSTEM_CALL(move_mount)
SYSTEM_CALL(open_tree)
SYSTEM_CALL(pidfd_open)
SYSTEM_CALL(pidfd_send_signal)

/* libwayland-client 1.20 joined a request, the object that it makes and the end of its own object in one function. */
union argument {
    int32_t number;
    const void *pointer;
};
struct message {
    const char *name, *signature;
    const void *types;
};
struct interface {
    const char *name;
    int version, method_count;
    const struct message *methods;
};
struct proxy {
    const struct interface *interface;
};
enum { DESTROY = 1, MOST_ARGUMENTS = 20 }; /* WL_MARSHAL_FLAG_DESTROY, WL_CLOSURE_MAX_ARGS */

static void *wayland(const char *name)
{
    void *library = dlopen("libwayland-client.so.0", RTLD_LAZY | RTLD_NOLOAD);
    void *function = library ? dlsym(library, name) : NULL;
    if (library)
        dlclose(library);
    return function;
}

struct proxy *wl_proxy_marshal_array_flags(struct proxy *proxy, uint32_t request, const struct interface *made,
                                           uint32_t version, uint32_t flags, union argument *arguments)
{
    static struct proxy *(*joined)(struct proxy *, uint32_t, const struct interface *, uint32_t, uint32_t, union argument *);
    static struct proxy *(*make)(struct proxy *, uint32_t, union argument *, const struct interface *, uint32_t);
    static void (*send)(struct proxy *, uint32_t, union argument *), (*destroy)(struct proxy *);
    struct proxy *result = NULL;

    if (!joined && !send) {
        joined = wayland("wl_proxy_marshal_array_flags");
        make = wayland("wl_proxy_marshal_array_constructor_versioned");
        send = wayland("wl_proxy_marshal_array");
        destroy = wayland("wl_proxy_destroy");
    }
    if (joined)
        return joined(proxy, request, made, version, flags, arguments);
    if (made)
        result = make(proxy, request, arguments, made, version);
    else
        send(proxy, request, arguments);
    if (flags & DESTROY)
        destroy(proxy);
    return result;
}

struct proxy *wl_proxy_marshal_flags(struct proxy *proxy, uint32_t request, const struct interface *made, uint32_t version,
                                     uint32_t flags, ...)
{
    union argument arguments[MOST_ARGUMENTS] = {};
    int count = 0;
    va_list list;
    va_start(list, flags);
    for (const char *type = proxy->interface->methods[request].signature; *type && count < MOST_ARGUMENTS; type++) {
        if (strchr("iufh", *type))
            arguments[count++].number = va_arg(list, int32_t);
        else if (strchr("sona", *type))
            arguments[count++].pointer = va_arg(list, const void *);
        /* Others: a version, or that the next one may be null. */
    }
    va_end(list);
    return wl_proxy_marshal_array_flags(proxy, request, made, version, flags, arguments);
}
