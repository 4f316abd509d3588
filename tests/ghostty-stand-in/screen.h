// The screen of a terminal: what a program has printed, as a grid of characters.
#pragma once
#include <glib.h>

#define MAX_ROWS 300
#define MAX_COLUMNS 500

typedef struct {
    int rows, columns, row, column;
    gunichar cells[MAX_ROWS][MAX_COLUMNS];
    // What is left of an escape sequence or a character of several bytes.
    char pending[64];
    int pending_length;
    enum { TEXT, ESCAPE, CSI, STRING, CHARSET } state;
} Screen;

void screen_resize(Screen *screen, int rows, int columns);

// Takes what the program printed, and appends to `answer` what it asked for: its cursor's place, what it talks to.
void screen_print(Screen *screen, const char *bytes, gsize length, GString *answer);

// The whole screen, a line each, with a block where the cursor is.
char *screen_text(const Screen *screen);
