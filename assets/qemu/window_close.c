/*
 * Closing QEMU's window presses the guest's power button.
 *
 * QEMU 10's gtk and sdl windows know two answers to the window manager's close request: to quit at once,
 * whatever `-action shutdown=` says (both set it back to poweroff), or with `window-close=off` to do nothing
 * that could be noticed from outside. Neither lets the guest power off. This library, the first one that the
 * packaged QEMU loads, stands between QEMU and its two toolkits: it takes the close request out of what they
 * tell, and calls what QMP's system_powerdown calls. QMP then has the event POWERDOWN, and the launcher
 * waits for the guest, with a time limit.
 *
 * Build: cc -O2 -shared -fPIC -o libwindow-close.so window_close.c
 *        patchelf --add-needed libwindow-close.so qemu-system-x86_64    (puts it before all others)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static void press_power_button(void)
{
    void (*press)(void **error) = (void (*)(void **))dlsym(RTLD_DEFAULT, "qmp_system_powerdown");
    if (press)
        press(NULL);
}

/* The toolkits come with QEMU's modules, so they are not among the libraries that RTLD_NEXT looks at. */
static void *real(const char *library, const char *name)
{
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    return handle ? dlsym(handle, name) : NULL;
}

/* GTK 3: gboolean (*delete_event)(GtkWidget *, GdkEvent *, gpointer); TRUE keeps the window open. */
static int close_asked_for(void *widget, void *event, void *data)
{
    (void)widget, (void)event, (void)data;
    press_power_button();
    return 1;
}

static int is_of_qemu(void (*handler)(void))
{
    Dl_info info;
    return dladdr((void *)handler, &info) && info.dli_fname && strstr(info.dli_fname, "ui-gtk");
}

/* GObject's; QEMU's gtk window connects its handler of "delete-event" with it. */
unsigned long g_signal_connect_data(void *instance, const char *signal, void (*handler)(void), void *data,
                                    void *destroy, int flags)
{
    static unsigned long (*connect)(void *, const char *, void (*)(void), void *, void *, int);
    if (!connect)
        connect = real("libgobject-2.0.so.0", "g_signal_connect_data");
    if (strcmp(signal, "delete-event") == 0 && is_of_qemu(handler))
        handler = (void (*)(void))close_asked_for;
    return connect(instance, signal, handler, data, destroy, flags);
}

/* SDL 2's events, as far as they matter: SDL_CommonEvent, SDL_WindowEvent. */
struct event {
    uint32_t type, timestamp, window;
    uint8_t what;
};
enum { SDL_QUIT = 0x100, SDL_WINDOWEVENT = 0x200, SDL_WINDOWEVENT_CLOSE = 14 };

int SDL_PollEvent(struct event *event)
{
    static int (*poll)(struct event *);
    if (!poll)
        poll = real("libSDL2-2.0.so.0", "SDL_PollEvent");
    while (poll(event)) {
        if (!event)
            return 1;
        if (event->type == SDL_WINDOWEVENT && event->what == SDL_WINDOWEVENT_CLOSE)
            press_power_button();
        else if (event->type != SDL_QUIT) /* follows the last window's close */
            return 1;
    }
    return 0;
}
