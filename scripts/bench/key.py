"""Prints how long a window of an X server takes to show a key, in milliseconds: the median of some keys.

Usage: key.py WINDOW     (a number, as xdotool prints it; DISPLAY is the server)
"""

import ctypes
import ctypes.util
import statistics
import sys
import time

KEYS = 15
# The letter x. Its key is held down for a moment, less than what makes it repeat.
SYMBOL, HELD = 0x78, 0.02
LIMIT = 20
# ZPixmap, AllPlanes, RevertToParent, CurrentTime (X.h).
ZPIXMAP, ALL_PLANES, REVERT_TO_PARENT, CURRENT_TIME = 2, ctypes.c_ulong(-1), 2, 0

x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
xtst = ctypes.CDLL(ctypes.util.find_library("Xtst"))


class Image(ctypes.Structure):
    """The head of an XImage (Xlib.h)."""

    _fields_ = [(name, ctypes.c_int) for name in ("width", "height", "xoffset", "format")] + [("data", ctypes.c_void_p)]


x11.XOpenDisplay.restype = ctypes.c_void_p
x11.XGetImage.restype = ctypes.POINTER(Image)
display = ctypes.c_void_p(x11.XOpenDisplay(None))
window = ctypes.c_ulong(int(sys.argv[1]))


def picture():
    """The pixels of the window's upper part, which has the first lines of the terminal."""
    width, height = 600, 300
    image = x11.XGetImage(display, window, 0, 0, width, height, ALL_PLANES, ZPIXMAP)
    pixels = ctypes.string_at(image.contents.data, width * height * 4)
    x11.XFree(ctypes.c_void_p(image.contents.data))
    x11.XFree(image)
    return pixels


def settled():
    """The picture once it has not changed for half a second."""
    before, since = picture(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        now = picture()
        if now != before:
            before, since = now, time.monotonic()
    return before


def key_to_change():
    before = settled()
    start = time.monotonic()
    xtst.XTestFakeKeyEvent(display, code, True, CURRENT_TIME)
    x11.XFlush(display)
    time.sleep(HELD)
    xtst.XTestFakeKeyEvent(display, code, False, CURRENT_TIME)
    x11.XFlush(display)
    while picture() == before:
        if time.monotonic() - start > LIMIT:
            sys.exit(f"the window shows no key within {LIMIT} s")
        time.sleep(0.002)
    return (time.monotonic() - start) * 1000


code = x11.XKeysymToKeycode(display, ctypes.c_ulong(SYMBOL))
x11.XSetInputFocus(display, window, REVERT_TO_PARENT, CURRENT_TIME)
print(f"{statistics.median(key_to_change() for _ in range(KEYS)):.1f}")
