//! The environment that QEMU gets: a short allow list, so that no secret of the user's shell is in it.

use super::{Paths, sdl_driver};
use crate::plan::{VmSpec, Window};
use std::ffi::{OsStr, OsString};

/// What a window, its OpenGL driver and the loader need. A name that ends in `*` stands for all that begin so.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    // The session and the window in it.
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_*",
    "XDG_*",
    "DBUS_SESSION_BUS_ADDRESS",
    "DESKTOP_STARTUP_ID",
    "GDK_*",
    "GTK_*",
    "QT_SCALE_FACTOR",
    "SDL_*",
    "XCURSOR_*",
    "XMODIFIERS",
    // OpenGL: which driver, which GPU. NixOS finds its drivers by LD_LIBRARY_PATH.
    "LD_LIBRARY_PATH",
    "LIBGL_*",
    "MESA_*",
    "EGL_*",
    "DRI_PRIME",
    "GALLIUM_*",
    "LP_NUM_THREADS",
    "VK_*",
    "__EGL_*",
    "__GLX_*",
    "__NV_*",
    "LIBVA_*",
    // Windows: the loader and the profile folders.
    "SystemRoot",
    "SystemDrive",
    "windir",
    "LOCALAPPDATA",
    "APPDATA",
    "USERPROFILE",
    "COMSPEC",
    "PATHEXT",
    "NUMBER_OF_PROCESSORS",
];

/// The whole environment for QEMU, of the launcher's own `vars`.
pub fn environment(
    spec: &VmSpec,
    paths: &Paths,
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let size = spec.size.to_string();
    let overlay_folder = paths.overlay_folder.as_os_str();
    let mut ours: Vec<(&str, &OsStr)> = vec![
        // Where QEMU makes the throw-away overlay (snapshot=on): Unix, then Windows.
        ("TMPDIR", overlay_folder),
        ("TMP", overlay_folder),
        ("TEMP", overlay_folder),
        // GTK would otherwise look for an accessibility bus, which a sandboxed QEMU can't start.
        ("NO_AT_BRIDGE", "1".as_ref()),
    ];
    if let Some(bundle) = &paths.qemu.bundle {
        ours.push(("QEMU_MODULE_DIR", bundle.modules.as_os_str()));
    }
    if spec.window.value == Window::Gtk {
        // For the bundle's window library (scripts/qemu-window.c): gtk itself has no option for it.
        ours.push(("VIRTUALGHOST_WINDOW_SIZE", size.as_ref()));
    }
    if let Some(driver) = sdl_driver(spec) {
        ours.push(("SDL_VIDEODRIVER", driver.as_ref()));
    }
    let is_ours = |name: &OsStr| ours.iter().any(|(own, _)| name == *own);
    let passed = vars.into_iter().filter(|(name, _)| passes(name) && !is_ours(name));
    passed.chain(ours.iter().map(|&(name, value)| (name.into(), value.into()))).collect()
}

fn passes(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    PASSED.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name.eq_ignore_ascii_case(pattern),
    })
}
