// A stand-in for Ghostty: a GTK 4 and libadwaita window with OpenGL 4.3, without which it shows nothing, and a shell.
//
// As Ghostty does, it answers the shell's question for the cursor's place before its first frame: the shell starts, and a
// thread listens to it, before there is a window. It takes options as Ghostty does, KEY = VALUE in
// ~/.config/ghostty/config and --KEY=VALUE, which comes first, and knows one:
//   redraw = true    draws frame after frame when nothing changes, as Ghostty does in software
#include "screen.h"
#include <adwaita.h>
#include <epoxy/gl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static Screen screen;
static GMutex screen_lock;
static int terminal;
static pid_t shell;
static gboolean redraw;
static GtkWidget *area, *label;

static void send(const char *bytes, gsize length) {
    while (length > 0) {
        gssize sent = write(terminal, bytes, length);
        if (sent <= 0) return;
        bytes += sent;
        length -= sent;
    }
}

// In the main thread: what is on the screen has changed.
static gboolean show(gpointer unused) {
    (void)unused;
    if (!label) return G_SOURCE_REMOVE;
    g_mutex_lock(&screen_lock);
    char *now = screen_text(&screen);
    g_mutex_unlock(&screen_lock);
    gtk_label_set_text(GTK_LABEL(label), now);
    gtk_gl_area_queue_render(GTK_GL_AREA(area));
    g_free(now);
    return G_SOURCE_REMOVE;
}

static gpointer listen_to_shell(gpointer unused) {
    (void)unused;
    char bytes[4096];
    gssize length;
    while ((length = read(terminal, bytes, sizeof bytes)) > 0) {
        GString *answer = g_string_new(NULL);
        g_mutex_lock(&screen_lock);
        screen_print(&screen, bytes, length, answer);
        g_mutex_unlock(&screen_lock);
        send(answer->str, answer->len);
        g_string_free(answer, TRUE);
        g_idle_add(show, NULL);
    }
    return NULL;
}

static void start_shell(void) {
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    const char *program = g_getenv("SHELL");
    screen_resize(&screen, size.ws_row, size.ws_col);
    shell = forkpty(&terminal, NULL, NULL, &size);
    if (shell < 0) g_error("no terminal for the shell");
    if (shell == 0) {
        setenv("TERM", "xterm-ghostty", 1);
        setenv("TERM_PROGRAM", "ghostty", 1);
        execlp(program ? program : "/bin/bash", program ? program : "/bin/bash", NULL);
        _exit(127);
    }
    g_thread_unref(g_thread_new("shell", listen_to_shell, NULL));
}

static void shell_ended(GPid pid, int status, gpointer app) {
    (void)pid, (void)status;
    g_application_quit(app);
}

static void resize(GtkGLArea *gl, int width, int height, gpointer unused) {
    (void)unused;
    PangoContext *context = gtk_widget_get_pango_context(label);
    PangoFontDescription *font = pango_font_description_from_string("Monospace 12");
    PangoFontMetrics *metrics = pango_context_get_metrics(context, font, NULL);
    double scale = gtk_widget_get_scale_factor(GTK_WIDGET(gl));
    struct winsize size = {
        .ws_col = width / scale * PANGO_SCALE / pango_font_metrics_get_approximate_digit_width(metrics),
        .ws_row = height / scale * PANGO_SCALE / pango_font_metrics_get_height(metrics),
    };
    pango_font_metrics_unref(metrics);
    pango_font_description_free(font);
    g_mutex_lock(&screen_lock);
    screen_resize(&screen, size.ws_row, size.ws_col);
    size.ws_row = screen.rows, size.ws_col = screen.columns;
    g_mutex_unlock(&screen_lock);
    ioctl(terminal, TIOCSWINSZ, &size);
    g_idle_add(show, NULL);
}

static gboolean render(GtkGLArea *gl, GdkGLContext *context, gpointer unused) {
    (void)gl, (void)context, (void)unused;
    glClearColor(0.16f, 0.17f, 0.2f, 1.0f);
    glClear(GL_COLOR_BUFFER_BIT);
    return TRUE;
}

static void realize(GtkGLArea *gl, gpointer unused) {
    (void)unused;
    gtk_gl_area_make_current(gl);
    GError *error = gtk_gl_area_get_error(gl);
    if (error) g_printerr("%s\n", error->message);
    else g_printerr("OpenGL %d.%d\n", epoxy_gl_version() / 10, epoxy_gl_version() % 10);
    gtk_widget_set_visible(label, !error);
}

static gboolean draw_again(GtkWidget *widget, GdkFrameClock *clock, gpointer unused) {
    (void)clock, (void)unused;
    gtk_gl_area_queue_render(GTK_GL_AREA(widget));
    return G_SOURCE_CONTINUE;
}

static gboolean key(GtkEventControllerKey *keys, guint value, guint code, GdkModifierType state, gpointer unused) {
    (void)keys, (void)code, (void)unused;
    static const struct { guint value; const char *bytes; } special[] = {
        {GDK_KEY_Return, "\r"}, {GDK_KEY_KP_Enter, "\r"}, {GDK_KEY_BackSpace, "\x7f"}, {GDK_KEY_Tab, "\t"}, {GDK_KEY_Escape, "\033"},
        {GDK_KEY_Up, "\033[A"}, {GDK_KEY_Down, "\033[B"}, {GDK_KEY_Right, "\033[C"}, {GDK_KEY_Left, "\033[D"},
        {GDK_KEY_Home, "\033[H"}, {GDK_KEY_End, "\033[F"}, {GDK_KEY_Delete, "\033[3~"},
    };
    char bytes[8];
    gunichar character = gdk_keyval_to_unicode(value);
    for (gsize n = 0; n < G_N_ELEMENTS(special); n++) {
        if (special[n].value != value) continue;
        send(special[n].bytes, strlen(special[n].bytes));
        return TRUE;
    }
    if (!character) return FALSE;
    if (state & GDK_CONTROL_MASK) character &= 0x1f;
    send(bytes, g_unichar_to_utf8(character, bytes));
    return TRUE;
}

static void activate(GtkApplication *app, gpointer unused) {
    (void)unused;
    GtkWidget *window = adw_application_window_new(app), *overlay = gtk_overlay_new();
    GtkEventController *keys = gtk_event_controller_key_new();
    PangoAttrList *attributes = pango_attr_list_new();
    area = gtk_gl_area_new();
    label = gtk_label_new(NULL);
    pango_attr_list_insert(attributes, pango_attr_font_desc_new(pango_font_description_from_string("Monospace 12")));
    pango_attr_list_insert(attributes, pango_attr_foreground_new(0xffff, 0xffff, 0xffff));
    gtk_label_set_attributes(GTK_LABEL(label), attributes);
    gtk_widget_set_halign(label, GTK_ALIGN_START);
    gtk_widget_set_valign(label, GTK_ALIGN_START);
    gtk_gl_area_set_allowed_apis(GTK_GL_AREA(area), GDK_GL_API_GL);
    gtk_gl_area_set_required_version(GTK_GL_AREA(area), 4, 3);
    gtk_gl_area_set_auto_render(GTK_GL_AREA(area), FALSE);
    gtk_overlay_set_child(GTK_OVERLAY(overlay), area);
    gtk_overlay_add_overlay(GTK_OVERLAY(overlay), label);
    gtk_overlay_set_clip_overlay(GTK_OVERLAY(overlay), label, TRUE);
    g_signal_connect(area, "realize", G_CALLBACK(realize), NULL);
    g_signal_connect(area, "resize", G_CALLBACK(resize), NULL);
    g_signal_connect(area, "render", G_CALLBACK(render), NULL);
    g_signal_connect(keys, "key-pressed", G_CALLBACK(key), NULL);
    gtk_widget_add_controller(window, keys);
    if (redraw) gtk_widget_add_tick_callback(area, draw_again, NULL, NULL);
    adw_application_window_set_content(ADW_APPLICATION_WINDOW(window), overlay);
    gtk_window_set_default_size(GTK_WINDOW(window), 800, 600);
    gtk_window_set_title(GTK_WINDOW(window), "Ghostty's stand-in");
    gtk_window_present(GTK_WINDOW(window));
    show(NULL);
}

static void option(char *line) {
    char *value = strchr(line, '=');
    if (!value) return;
    *value++ = 0;
    if (!strcmp(g_strstrip(line), "redraw")) redraw = !strcmp(g_strstrip(value), "true");
}

int main(int count, char **arguments) {
    char *path = g_build_filename(g_get_user_config_dir(), "ghostty", "config", NULL), *config;
    if (count > 1 && !strcmp(arguments[1], "+version")) {
        puts("Ghostty 1.3.1-stand-in");
        return 0;
    }
    if (g_file_get_contents(path, &config, NULL, NULL)) {
        char **lines = g_strsplit(config, "\n", -1);
        for (char **line = lines; *line; line++) option(*line);
        g_strfreev(lines);
        g_free(config);
    }
    g_free(path);
    for (int n = 1; n < count; n++)
        if (g_str_has_prefix(arguments[n], "--")) option(arguments[n] + 2);
    start_shell();
    AdwApplication *app = adw_application_new("org.virtualghost.StandIn", G_APPLICATION_NON_UNIQUE);
    g_signal_connect(app, "activate", G_CALLBACK(activate), NULL);
    g_child_watch_add(shell, shell_ended, app);
    int status = g_application_run(G_APPLICATION(app), 1, arguments);
    g_object_unref(app);
    return status;
}
