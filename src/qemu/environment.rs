//! QEMU's environment: a short allow list, so that it contains no secret of the user's shell.

use super::{Paths, channels, display};
use crate::model::{Os, VmSpec, Window};
use std::ffi::{OsStr, OsString};

/// What a window, its OpenGL driver and the loader need. A name that ends in `*` is a prefix.
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
    "GDK_BACKEND",
    "GDK_SCALE",
    "GDK_DPI_SCALE",
    "GTK_IM_MODULE",
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

/// Nothing of the host's GTK (modules, image loaders, settings, theme) fits the GTK in the bundle. The accessibility bus
/// can't be started from the sandbox.
const BUNDLED_GTK: &[(&str, &str)] = &[
    ("GDK_PIXBUF_MODULE_FILE", "/dev/null"),
    ("GIO_MODULE_DIR", "/nonexistent"),
    ("GSETTINGS_BACKEND", "memory"),
    ("GTK_THEME", "Adwaita"),
    ("NO_AT_BRIDGE", "1"),
];

/// Compiled shaders and lists of fonts: those of Mesa, NVIDIA and fontconfig. Not the user's, which other programs read.
const CACHES: &[&str] = &["XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"];

/// The whole environment for QEMU, from the launcher's own `vars`.
pub fn environment(
    spec: &VmSpec,
    paths: &Paths,
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let size = spec.size.to_string();
    let keyboard = channels::keyboard(spec).map(|number| number.to_string());
    let overlay_folder = paths.overlay_folder.as_os_str();
    let mut ours: Vec<(&str, &OsStr)> = vec![
        // Where QEMU creates the temporary overlay (snapshot=on): Unix, then Windows.
        ("TMPDIR", overlay_folder),
        ("TMP", overlay_folder),
        ("TEMP", overlay_folder),
    ];
    if spec.os == Os::Linux {
        ours.extend(CACHES.iter().map(|name| (*name, paths.cache.as_os_str())));
    }
    let fonts = paths.qemu.bundle.as_ref().map(|bundle| bundle.data.join("../fonts/fonts.conf"));
    if let (Some(bundle), Some(fonts)) = (&paths.qemu.bundle, &fonts) {
        ours.push(("QEMU_MODULE_DIR", bundle.modules.as_os_str()));
        ours.push(("FONTCONFIG_FILE", fonts.as_os_str()));
        ours.extend(BUNDLED_GTK.iter().map(|(name, value)| (*name, OsStr::new(value))));
    }
    if spec.window.value == Window::Gtk {
        // For the bundle's window library (assets/qemu/window.c): QEMU has no option for it.
        ours.push(("VIRTUALGHOST_WINDOW_SIZE", size.as_ref()));
    }
    if let Some(number) = &keyboard {
        ours.push(("VIRTUALGHOST_KEYS", number.as_ref()));
    }
    if let Some(driver) = display::sdl_driver(spec) {
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
