/*
 * Adds to QEMU's window, without a change to QEMU: an initial size, a title, a close button that powers the guest off,
 * keys that wait for the guest, a mouse pointer that is the right way up, and less work when idle. package-qemu.sh makes
 * this the first library that QEMU loads: each function here has the name of a function of one of QEMU's two toolkits or of
 * virglrenderer, is found before it, and calls it.
 *
 * Size: with zoom-to-fit the guest follows the size of the gtk window, which QEMU sets only once, to 640x480, while it
 * sets up the display. gtk_window_resize is called only then, so the size is replaced there. (SDL's window has the size
 * of the guest's screen.)
 *
 * Close: on the window manager's close request, QEMU 10's windows either quit at once, whatever `-action shutdown=` is
 * (both set it back to poweroff), or with `window-close=off` do nothing that is visible from outside. Here the request is
 * removed from the toolkits' events, and the function behind QMP's system_powerdown is called. QMP then sends the event
 * POWERDOWN, and the launcher waits for the guest, with a time limit.
 *
 * Keys: those that are pressed before the guest's session is ready would be lost: in QEMU while the guest has no driver or is
 * paused, in the guest's kernel while no compositor reads them, in the compositor while no terminal has the focus. Here they
 * are kept, in order, until the launcher closes a pipe, and are then passed on one by one, slowly enough for the shortest
 * queue on their way (evdev's).
 *
 * Pointer: virglrenderer turns each picture of a pointer upside down, as is right for one that the guest's processor has
 * written: such a picture is stored that way (Y_0_TOP). What a compositor has drawn with OpenGL is not, so here it is turned
 * back.
 *
 * Idle: 33 times a second, even if nothing is drawn, QEMU 10's gtk window queries its monitor, whose refresh rate may
 * have changed. On X11 each query is two round trips to the server. Here the result is cached for a second.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void press_power_button(void)
{
    void (*press)(void **error) = (void (*)(void **))dlsym(RTLD_DEFAULT, "qmp_system_powerdown");
    if (press)
        press(NULL);
}

/*
 * The toolkits come with QEMU's modules, so they are not among the libraries that RTLD_NEXT looks at. NULL where a toolkit
 * has another file name than here, or no such function: its caller then does without.
 */
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
    if (resize)
        resize(window, width, height);
}

/* GDK 3: GdkMonitor *(GdkDisplay *, GdkWindow *); GDK owns the monitor. */
void *gdk_display_get_monitor_at_window(void *display, void *window)
{
    static void *(*get)(void *, void *), *monitor, *of_window;
    static time_t since;
    struct timespec now;

    if (!get)
        get = real("libgdk-3.so.0", "gdk_display_get_monitor_at_window");
    if (!get)
        return NULL;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (monitor && window == of_window && now.tv_sec == since)
        return monitor;
    since = now.tv_sec;
    of_window = window;
    /* Holds a reference, because GDK frees a monitor that is unplugged. */
    void *(*keep)(void *) = real("libgobject-2.0.so.0", "g_object_ref");
    void (*release)(void *) = real("libgobject-2.0.so.0", "g_object_unref");
    if (!keep || !release)
        return get(display, window);
    if (monitor)
        release(monitor);
    monitor = get(display, window);
    return monitor ? keep(monitor) : NULL;
}

/* Replaces QEMU's name at the start of the title; the VM's name and the hints after it stay. */
static void set_title(void (*set)(void *, const char *), void *window, const char *title)
{
    char ours[256];
    if (!set)
        return;
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
static int on_close_request(void *widget, void *event, void *data)
{
    (void)widget, (void)event, (void)data;
    press_power_button();
    return 1;
}

/*
 * Milliseconds between two of the presses and releases that were kept. Our kernel has room for 512 of them (evdev's
 * queue, see scripts/kernel.sh), so a compositor may draw for five seconds in between.
 */
enum { PACE = 10 };

/* One of QEMU's handlers of a gtk event. */
struct handler {
    int (*call)(void *widget, void *event, void *data);
    void *data;
};

/* A key that was pressed or released, and waits for the guest. */
struct key {
    /* gtk: a copy of the event, and what it is for. */
    void *event, *widget;
    struct handler *handler;
    /* SDL: as long as its SDL_Event. */
    unsigned char sdl[56];
};
enum { MOST_KEYS = 1024 };
static struct key keys[MOST_KEYS];
static unsigned first_key, kept_keys;

/* Until it closes the pipe whose descriptor it has named. */
static int launcher_waits(void)
{
    static int number = -2;
    struct pollfd pipe = {.events = POLLIN};

    if (number == -2) {
        const char *text = getenv("VIRTUALGHOST_KEYS");
        number = text ? atoi(text) : -1;
    }
    pipe.fd = number;
    if (number >= 0 && poll(&pipe, 1, 0) != 0) {
        close(number);
        number = -1;
    }
    return number >= 0;
}

/* A key that is pressed while others are kept comes after them. */
static int keeps_keys(void)
{
    return launcher_waits() || kept_keys;
}

static void keep(struct key key)
{
    if (kept_keys < MOST_KEYS)
        keys[(first_key + kept_keys++) % MOST_KEYS] = key;
}

static struct key take_key(void)
{
    struct key key = keys[first_key];
    first_key = (first_key + 1) % MOST_KEYS;
    kept_keys--;
    return key;
}

/* Whether pass_gtk_key is called every PACE. */
static int passes_gtk_keys;

/* GSourceFunc. */
static int pass_gtk_key(void *unused)
{
    void (*release)(void *) = real("libgdk-3.so.0", "gdk_event_free");
    (void)unused;
    if (!launcher_waits() && kept_keys) {
        struct key key = take_key();
        key.handler->call(key.widget, key.event, key.handler->data);
        if (release)
            release(key.event);
    }
    return passes_gtk_keys = keeps_keys();
}

/* Of a key, or of the loss of the focus, at which QEMU releases all keys. */
static int on_gtk_key(void *widget, void *event, void *data)
{
    struct handler *handler = data;
    void *(*copy)(void *) = real("libgdk-3.so.0", "gdk_event_copy");
    unsigned (*call_every)(unsigned, int (*)(void *), void *) = real("libglib-2.0.so.0", "g_timeout_add");

    if (!keeps_keys() || !copy || !call_every)
        return handler->call(widget, event, handler->data);
    keep((struct key){.event = copy(event), .widget = widget, .handler = handler});
    if (!passes_gtk_keys)
        passes_gtk_keys = call_every(PACE, pass_gtk_key, NULL) != 0;
    return 1;
}

/* The guest's screen is a GtkDrawingArea; keys of the whole window are shortcuts of QEMU's own. */
static int is_guests_key(void *instance, const char *signal)
{
    const char *(*type)(void *) = real("libgobject-2.0.so.0", "g_type_name_from_instance");
    int is_key = strcmp(signal, "key-press-event") == 0 || strcmp(signal, "key-release-event") == 0 ||
                 strcmp(signal, "focus-out-event") == 0;
    return is_key && type && strcmp(type(instance), "GtkDrawingArea") == 0;
}

static int is_qemus(void (*handler)(void))
{
    Dl_info info;
    return dladdr((void *)handler, &info) && info.dli_fname && strstr(info.dli_fname, "ui-gtk");
}

/* GObject's; QEMU's gtk window connects its handlers with it. */
unsigned long g_signal_connect_data(void *instance, const char *signal, void (*handler)(void), void *data,
                                    void *destroy, int flags)
{
    static unsigned long (*connect)(void *, const char *, void (*)(void), void *, void *, int);
    if (!connect)
        connect = real("libgobject-2.0.so.0", "g_signal_connect_data");
    if (!connect)
        return 0;
    if (strcmp(signal, "delete-event") == 0 && is_qemus(handler))
        handler = (void (*)(void))on_close_request;
    if (is_guests_key(instance, signal) && is_qemus(handler)) {
        struct handler *qemus = malloc(sizeof *qemus); /* for as long as the window */
        if (qemus) {
            *qemus = (struct handler){(int (*)(void *, void *, void *))handler, data};
            data = qemus;
            handler = (void (*)(void))on_gtk_key;
        }
    }
    return connect(instance, signal, handler, data, destroy, flags);
}

/* virglrenderer.h: pixels of four bytes, which QEMU frees. */
void *virgl_renderer_get_cursor_data(uint32_t resource, uint32_t *width, uint32_t *height)
{
    void *(*get)(uint32_t, uint32_t *, uint32_t *) = real("libvirglrenderer.so.1", "virgl_renderer_get_cursor_data");
    int (*describe)(int, void *) = real("libvirglrenderer.so.1", "virgl_renderer_resource_get_info");
    /* struct virgl_renderer_resource_info: handle, format, width, height, depth, flags, and more. */
    uint32_t info[32] = {0};
    enum { FLAGS = 5, Y_0_TOP = 1 };
    uint32_t *picture = get ? get(resource, width, height) : NULL;

    if (!picture || !describe || describe((int)resource, info) != 0 || info[FLAGS] & Y_0_TOP)
        return picture;
    for (uint32_t top = 0, bottom = *height; top + 1 < bottom; top++) {
        bottom--;
        for (uint32_t x = 0; x < *width; x++) {
            uint32_t pixel = picture[top * *width + x];
            picture[top * *width + x] = picture[bottom * *width + x];
            picture[bottom * *width + x] = pixel;
        }
    }
    return picture;
}

/* SDL 2's events, as far as they matter: SDL_CommonEvent, SDL_WindowEvent. */
struct event {
    uint32_t type, timestamp, window;
    uint8_t what;
};
enum {
    SDL_QUIT = 0x100,
    SDL_WINDOWEVENT = 0x200,
    SDL_KEYDOWN = 0x300,
    SDL_KEYUP = 0x301,
    SDL_WINDOWEVENT_CLOSE = 14
};

/* Copies the next of the kept keys to `event` if it is time for it. */
static int pass_sdl_key(struct event *event)
{
    static uint64_t last;
    struct timespec now;
    uint64_t milliseconds;

    if (launcher_waits() || !kept_keys)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    milliseconds = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (milliseconds - last < PACE)
        return 0;
    last = milliseconds;
    struct key key = take_key();
    memcpy(event, key.sdl, sizeof key.sdl);
    return 1;
}

int SDL_PollEvent(struct event *event)
{
    static int (*next)(struct event *);
    if (!next)
        next = real("libSDL2-2.0.so.0", "SDL_PollEvent");
    while (next && next(event)) {
        if (!event)
            return 1;
        if (event->type == SDL_WINDOWEVENT && event->what == SDL_WINDOWEVENT_CLOSE) {
            press_power_button();
        } else if ((event->type == SDL_KEYDOWN || event->type == SDL_KEYUP) && keeps_keys()) {
            struct key key = {0};
            memcpy(key.sdl, event, sizeof key.sdl);
            keep(key);
        } else if (event->type != SDL_QUIT) { /* follows the last window's close */
            return 1;
        }
    }
    return event && pass_sdl_key(event);
}
