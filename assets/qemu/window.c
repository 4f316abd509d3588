/*
 * What QEMU's window lacks, without a change to QEMU: a first size, a name, a close button that powers the
 * guest off, and rest. package-qemu.sh makes this the first library that QEMU loads, so it stands between QEMU and its
 * two toolkits: each function here has the name of one of theirs, is found before it, and calls it.
 *
 * Size: with zoom-to-fit the guest follows the gtk window, and QEMU never sizes that again; but it is born
 * 640x480. gtk_window_resize is called only then, while the display is set up, so that is where the size is
 * said. (SDL's window takes the size of the guest's screen.)
 *
 * Close: QEMU 10's windows know two answers to the window manager's close request: to quit at once, whatever
 * `-action shutdown=` says (both set it back to poweroff), or with `window-close=off` to do nothing that could
 * be noticed from outside. Here the request is taken out of what the toolkits tell, and what QMP's
 * system_powerdown calls is called. QMP then has the event POWERDOWN, and the launcher waits for the guest,
 * with a time limit.
 *
 * Rest: 33 times a second, whether anything is drawn or not, QEMU 10's gtk window asks on which monitor it is, as that
 * one's refresh rate may be another. On X11 each time is two round trips to the server. Here the answer is up to a
 * second old.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

void gtk_window_resize(void *window, int width, int height)
{
    void (*resize)(void *, int, int) = real("libgtk-3.so.0", "gtk_window_resize");
    const char *size = getenv("VIRTUALGHOST_WINDOW_SIZE");
    if (size)
        sscanf(size, "%dx%d", &width, &height);
    resize(window, width, height);
}

/* GDK 3: GdkMonitor *(GdkDisplay *, GdkWindow *); the monitor stays GDK's. */
void *gdk_display_get_monitor_at_window(void *display, void *window)
{
    static void *(*get)(void *, void *), *monitor, *of_window;
    static time_t since;
    struct timespec now;

    if (!get)
        get = real("libgdk-3.so.0", "gdk_display_get_monitor_at_window");
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (monitor && window == of_window && now.tv_sec == since)
        return monitor;
    since = now.tv_sec;
    of_window = window;
    /* Kept, as one that is unplugged is freed by GDK. */
    void *(*keep)(void *) = real("libgobject-2.0.so.0", "g_object_ref");
    void (*let_go)(void *) = real("libgobject-2.0.so.0", "g_object_unref");
    if (monitor)
        let_go(monitor);
    monitor = get(display, window);
    return monitor ? keep(monitor) : NULL;
}

/* QEMU's own name at the start of the title becomes ours; the VM's name and the hints that follow stay. */
static void set_title(void (*set)(void *, const char *), void *window, const char *title)
{
    char ours[256];
    if (strncmp(title, "QEMU", 4) == 0) {
        snprintf(ours, sizeof ours, "VirtualGhost%s", title + 4);
        title = ours;
    }
    set(window, title);
}

void gtk_window_set_title(void *window, const char *title)
{
    set_title(real("libgtk-3.so.0", "gtk_window_set_title"), window, title);
}

void SDL_SetWindowTitle(void *window, const char *title)
{
    set_title(real("libSDL2-2.0.so.0", "SDL_SetWindowTitle"), window, title);
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
