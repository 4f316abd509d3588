// What QEMU's gtk window lacks, without a change to QEMU: a first size and a name of its own.
//
// package-qemu.sh makes this the first library that ui-gtk.so needs, so that these two functions are found
// before GTK's own and call them.
//
// With zoom-to-fit the guest follows the window, and QEMU never sizes the window again; but it is born 640x480.
// gtk_window_resize is called only then, while the display is set up, so that is where the size is said.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct GtkWindow GtkWindow;

void gtk_window_resize(GtkWindow *window, int width, int height)
{
    void (*next)(GtkWindow *, int, int) = dlsym(RTLD_NEXT, "gtk_window_resize");
    const char *size = getenv("VIRTUALGHOST_WINDOW_SIZE");
    if (size) {
        sscanf(size, "%dx%d", &width, &height);
    }
    next(window, width, height);
}

void gtk_window_set_title(GtkWindow *window, const char *title)
{
    void (*next)(GtkWindow *, const char *) = dlsym(RTLD_NEXT, "gtk_window_set_title");
    char named[256];
    if (strncmp(title, "QEMU", 4) == 0) {
        snprintf(named, sizeof named, "VirtualGhost%s", title + 4);
        title = named;
    }
    next(window, title);
}
