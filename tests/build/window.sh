#!/usr/bin/env bash
# What is loaded into QEMU for its window (assets/qemu/window.c): without the toolkits, or with ones of other file names,
# its functions return and QEMU continues.
# Usage: tests/build/window.sh
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"
# shellcheck source=tests/build/check.sh
. "$REPO/tests/build/check.sh"
need cc
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check "it compiles without warnings" cc -O2 -Wall -Wextra -Werror -o "$work/without-toolkits" -xc - -ldl <<EOF
#include "$REPO/assets/qemu/window.c"

int main(int argc, char **argv)
{
    struct event event;
    void *window = &event;
    uint32_t width, height;
    (void)argc;
    switch (argv[1][0]) {
    case 'r': gtk_window_resize(window, 1, 1); return 0;
    case 'm': return gdk_display_get_monitor_at_window(window, window) != NULL;
    case 't': gtk_window_set_title(window, "QEMU"); return 0;
    case 'T': SDL_SetWindowTitle(window, "QEMU"); return 0;
    case 'c': return g_signal_connect_data(window, "delete-event", NULL, NULL, NULL, 0) != 0;
    case 'p': return SDL_PollEvent(&event);
    case 'v': return virgl_renderer_get_cursor_data(1, &width, &height) != NULL;
    }
    return 2;
}
EOF
for function in resize monitor title Title connect poll virgl; do
    check "without its toolkit, \"$function\" returns" "$work/without-toolkits" "$function"
done

# Keys that are pressed while the launcher waits, with stand-ins for both toolkits: sdl plays events, gtk has one handler for
# each signal and calls back when it is told to.
cat >"$work/toolkits.c" <<'EOF'
#include <stdlib.h>
#include <string.h>
#include "toolkits.h"
struct sdl_event script[8];
int events, played;
int SDL_PollEvent(struct sdl_event *event)
{
    if (played == events)
        return 0;
    *event = script[played++];
    return 1;
}

struct connection connections[8];
int connected;
unsigned long g_signal_connect_data(void *instance, const char *signal, void *handler, void *data, void *destroy, int flags)
{
    (void)instance, (void)destroy, (void)flags;
    connections[connected] = (struct connection){signal, handler, data};
    return ++connected;
}
const char *g_type_name_from_instance(void *instance) { return instance; }
void *gdk_event_copy(void *event) { return strcpy(malloc(8), event); }
void gdk_event_free(void *event) { free(event); }
int (*timeout)(void *);
unsigned g_timeout_add(unsigned milliseconds, int (*call)(void *), void *data)
{
    (void)milliseconds, (void)data;
    timeout = call;
    return 1;
}
EOF
cat >"$work/toolkits.h" <<'EOF'
#include <stdint.h>
struct sdl_event { uint32_t type; unsigned char rest[52]; };
struct connection { const char *signal; int (*handler)(void *, void *, void *); void *data; };
extern struct sdl_event script[8];
extern int events, played, connected;
extern struct connection connections[8];
extern int (*timeout)(void *);
EOF
cc -shared -fPIC -Wl,-soname,libSDL2-2.0.so.0 -o "$work/libSDL2-2.0.so.0" "$work/toolkits.c"
# These have the same functions, and are found by other names.
for library in gobject-2.0 gdk-3 glib-2.0; do
    cc -shared -Wl,-soname,lib$library.so.0,--no-as-needed -o "$work/lib$library.so.0" "$work/libSDL2-2.0.so.0"
done
cc -I"$work" -o "$work/ui-gtk-keys" -Wl,-rpath,"$work",--no-as-needed -xc - -xnone "$work"/lib{SDL2-2.0,gobject-2.0,gdk-3,glib-2.0}.so.0 -ldl <<EOF
#include "$REPO/assets/qemu/window.c"
#include "toolkits.h"
#include <assert.h>

static char seen[64];
static int qemus_handler(void *widget, void *event, void *data)
{
    assert(strcmp(widget, "GtkDrawingArea") == 0 && strcmp(data, "data") == 0);
    strcat(seen, event);
    return 1;
}

static void type_in_gtk(const char *keys)
{
    for (; *keys; keys++) {
        char event[2] = {*keys};
        struct connection *to = &connections[*keys == '!' ? 2 : *keys < 'a' ? 1 : 0];
        to->handler("GtkDrawingArea", event, to->data);
    }
}

static void gtk(int launcher)
{
    const char *signals[] = {"key-press-event", "key-release-event", "focus-out-event"};
    for (int n = 0; n < 3; n++)
        g_signal_connect_data("GtkDrawingArea", signals[n], (void (*)(void))qemus_handler, "data", NULL, 0);
    g_signal_connect_data("GtkWindow", signals[0], (void (*)(void))qemus_handler, "data", NULL, 0);
    assert(connected == 4 && connections[3].handler == qemus_handler);

    type_in_gtk("aA");
    assert(!*seen && timeout && timeout(NULL) && !*seen);
    type_in_gtk("b!");
    close(launcher);
    assert(timeout(NULL) && strcmp(seen, "a") == 0);
    type_in_gtk("c");
    while (timeout(NULL)) {}
    assert(strcmp(seen, "aAb!c") == 0);
    type_in_gtk("d");
    assert(strcmp(seen, "aAb!cd") == 0);
}

static int next_sdl(void)
{
    struct sdl_event event = {0};
    return SDL_PollEvent((struct event *)&event) ? event.rest[0] : 0;
}

static void play_sdl(uint32_t type, unsigned char what)
{
    script[events++] = (struct sdl_event){type, {what}};
}

static void sdl(int launcher)
{
    play_sdl(SDL_KEYDOWN, 'a');
    play_sdl(0x400, 'm');
    play_sdl(SDL_KEYUP, 'A');
    assert(next_sdl() == 'm' && next_sdl() == 0 && played == 3);
    close(launcher);
    play_sdl(SDL_KEYDOWN, 'b');
    assert(next_sdl() == 'a' && next_sdl() == 0);
    usleep(1000 * (PACE + 1));
    assert(next_sdl() == 'A');
    usleep(1000 * (PACE + 1));
    assert(next_sdl() == 'b');
    play_sdl(SDL_KEYDOWN, 'c');
    assert(next_sdl() == 'c');
}

int main(int argc, char **argv)
{
    int ends[2];
    char number[8];
    (void)argc;
    assert(pipe(ends) == 0);
    sprintf(number, "%d", ends[0]);
    setenv("VIRTUALGHOST_KEYS", number, 1);
    (*argv[1] == 'g' ? gtk : sdl)(ends[1]);
    return 0;
}
EOF
for toolkit in gtk sdl; do
    check "$toolkit: keys wait for the launcher, and pass in order" "$work/ui-gtk-keys" $toolkit
done

# The mouse pointer under virgl, with a stand-in for virglrenderer: two pixels a row, three rows. Picture 1 is stored upside
# down, picture 2 as it is; virglrenderer turns both.
cat >"$work/virgl.c" <<'EOF'
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
void *virgl_renderer_get_cursor_data(uint32_t resource, uint32_t *width, uint32_t *height)
{
    static const uint32_t turned[] = {5, 6, 3, 4, 1, 2}, right[] = {1, 2, 3, 4, 5, 6};
    *width = 2, *height = 3;
    return memcpy(malloc(sizeof right), resource == 1 ? right : turned, sizeof right);
}
int virgl_renderer_resource_get_info(int resource, uint32_t *info)
{
    info[5] = resource == 1;
    return 0;
}
EOF
cc -shared -fPIC -Wl,-soname,libvirglrenderer.so.1 -o "$work/libvirglrenderer.so.1" "$work/virgl.c"
cc -o "$work/pointer" -xc - -ldl <<EOF
#include "$REPO/assets/qemu/window.c"

int main(void)
{
    if (!dlopen("$work/libvirglrenderer.so.1", RTLD_LAZY))
        return 1;
    for (uint32_t resource = 1; resource <= 2; resource++) {
        uint32_t width, height, *picture = virgl_renderer_get_cursor_data(resource, &width, &height);
        for (uint32_t pixel = 0; pixel < width * height; pixel++)
            if (picture[pixel] != pixel + 1)
                return 2;
        free(picture);
    }
    return 0;
}
EOF
check "a pointer that the guest's processor has written, and one that a compositor has drawn, are the right way up" "$work/pointer"
finish
