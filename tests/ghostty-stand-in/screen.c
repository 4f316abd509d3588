// The part of a terminal that bash, readline and plain programs need: cursor moves, erasing, scrolling. No colours.
#include "screen.h"
#include <stdlib.h>
#include <string.h>

static void clear(Screen *screen, int row, int from, int to) {
    for (int column = from; column < to; column++) screen->cells[row][column] = ' ';
}

static void scroll(Screen *screen) {
    memmove(screen->cells[0], screen->cells[1], sizeof screen->cells[0] * (screen->rows - 1));
    clear(screen, screen->rows - 1, 0, screen->columns);
}

static void line_feed(Screen *screen) {
    if (screen->row + 1 < screen->rows) screen->row++;
    else scroll(screen);
}

void screen_resize(Screen *screen, int rows, int columns) {
    rows = CLAMP(rows, 1, MAX_ROWS);
    columns = CLAMP(columns, 1, MAX_COLUMNS);
    for (; screen->row >= rows; screen->row--) scroll(screen);
    for (int row = 0; row < rows; row++)
        clear(screen, row, row < screen->rows ? screen->columns : 0, MAX_COLUMNS);
    screen->rows = rows;
    screen->columns = columns;
    screen->column = MIN(screen->column, columns - 1);
}

static void put(Screen *screen, gunichar character) {
    if (screen->column >= screen->columns) {
        screen->column = 0;
        line_feed(screen);
    }
    screen->cells[screen->row][screen->column++] = character;
}

static void control(Screen *screen, char byte) {
    switch (byte) {
    case '\r': screen->column = 0; break;
    case '\n': line_feed(screen); break;
    case '\b': if (screen->column > 0) screen->column--; break;
    case '\t': screen->column = MIN((screen->column / 8 + 1) * 8, screen->columns - 1); break;
    }
}

static void erase_display(Screen *screen, int what) {
    for (int row = 0; row < screen->rows; row++) {
        if (row == screen->row && what < 2)
            clear(screen, row, what ? 0 : screen->column, what ? screen->column + 1 : screen->columns);
        else if (what >= 2 || (what == 0) == (row > screen->row))
            clear(screen, row, 0, screen->columns);
    }
}

static void shift(Screen *screen, int by) {
    gunichar *line = screen->cells[screen->row] + screen->column;
    int length = screen->columns - screen->column, kept = MAX(length - abs(by), 0);
    if (by > 0) memmove(line + length - kept, line, kept * sizeof *line);
    else memmove(line, line + length - kept, kept * sizeof *line);
    clear(screen, screen->row, screen->column + (by > 0 ? 0 : kept), by > 0 ? screen->columns - kept : screen->columns);
}

static void control_sequence(Screen *screen, const char *parameters, char final, GString *answer) {
    int first = atoi(parameters), count = MAX(first, 1), column = screen->column;
    const char *semicolon = strchr(parameters, ';');
    if (*parameters == '?' || *parameters == '>') {
        if (final == 'h' && strstr(parameters, "1049")) erase_display(screen, 2);
        return;
    }
    switch (final) {
    case 'A': screen->row -= count; break;
    case 'B': screen->row += count; break;
    case 'C': column += count; break;
    case 'D': column -= count; break;
    case 'G': column = count - 1; break;
    case 'd': screen->row = count - 1; break;
    case 'H':
    case 'f':
        screen->row = count - 1;
        column = semicolon ? MAX(atoi(semicolon + 1), 1) - 1 : 0;
        break;
    case 'J': erase_display(screen, first); break;
    case 'K': clear(screen, screen->row, first ? 0 : column, first == 1 ? column + 1 : screen->columns); break;
    case '@': shift(screen, count); break;
    case 'P': shift(screen, -count); break;
    case 'c': g_string_append(answer, "\033[?62;22c"); break;
    case 'n':
        if (first == 6) g_string_append_printf(answer, "\033[%d;%dR", screen->row + 1, MIN(column + 1, screen->columns));
        break;
    default: return;
    }
    screen->row = CLAMP(screen->row, 0, screen->rows - 1);
    if (column != screen->column) screen->column = CLAMP(column, 0, screen->columns - 1);
}

static void keep(Screen *screen, char byte) {
    if (screen->pending_length + 1 < (int)sizeof screen->pending) screen->pending[screen->pending_length++] = byte;
    screen->pending[screen->pending_length] = 0;
}

static void text(Screen *screen, char byte) {
    if (byte == '\033') {
        screen->state = ESCAPE;
    } else if ((unsigned char)byte < ' ') {
        control(screen, byte);
    } else {
        keep(screen, byte);
        gunichar character = g_utf8_get_char_validated(screen->pending, screen->pending_length);
        if (character == (gunichar)-2) return; // not whole yet
        put(screen, character == (gunichar)-1 ? 0xfffd : character);
    }
    screen->pending_length = 0;
}

void screen_print(Screen *screen, const char *bytes, gsize length, GString *answer) {
    for (const char *byte = bytes; byte < bytes + length; byte++) {
        switch (screen->state) {
        case TEXT: text(screen, *byte); break;
        case ESCAPE:
            screen->state = *byte == '[' ? CSI : strchr("]P_^", *byte) ? STRING : strchr("()*+", *byte) ? CHARSET : TEXT;
            break;
        case CSI:
            if (*byte >= '@' && *byte <= '~') {
                keep(screen, 0);
                control_sequence(screen, screen->pending, *byte, answer);
                screen->pending_length = 0;
                screen->state = TEXT;
            } else keep(screen, *byte);
            break;
        case STRING: // ends with BEL, or with an escape sequence
            if (*byte == '\a') screen->state = TEXT;
            else if (*byte == '\033') screen->state = CHARSET;
            break;
        case CHARSET: screen->state = TEXT; break;
        }
    }
}

char *screen_text(const Screen *screen) {
    GString *all = g_string_new(NULL);
    for (int row = 0; row < screen->rows; row++) {
        gsize end = all->len;
        for (int column = 0; column < screen->columns; column++) {
            gboolean cursor = row == screen->row && column == screen->column;
            gunichar character = screen->cells[row][column];
            g_string_append_unichar(all, cursor && character == ' ' ? 0x2588 : character);
            if (cursor || character != ' ') end = all->len;
        }
        g_string_truncate(all, end);
        g_string_append_c(all, '\n');
    }
    return g_string_free(all, FALSE);
}
