//! Linux: mounts, the session's server, OpenGL by EGL, NVIDIA's driver.

use crate::doctor::{Finding, State};
use crate::host::{Availability, Session};
use khronos_egl as egl;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};
use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

pub fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC))
}

pub fn is_writable(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

/// The session, and what OpenGL it offers.
pub fn screen(session: &Session, gl: &Availability) -> Vec<Finding> {
    let no_window = "a VM has no window then; its shell opens in the terminal that you are in";
    let finding = match (session, answers(session)) {
        (Session::None { because }, _) => {
            Finding::new("window", State::Limited, format!("{because}; {no_window}"))
                .fix("start it in a graphical session, or over `ssh -X`")
        }
        (session, Err(because)) => {
            Finding::new("window", State::Limited, format!("{session}: {because}; {no_window}"))
                .fix("look at DISPLAY, XAUTHORITY and WAYLAND_DISPLAY: they name no session that lets you in")
        }
        (session, Ok(())) => Finding::new("window", State::Ok, session.to_string()),
    };
    if finding.state != State::Ok {
        return vec![finding];
    }
    let opengl = match (gl.obstacle(), look_at_gl()) {
        (Some(because), _) => Finding::new("opengl", State::Limited, because),
        (None, Ok((renderer, version))) => judged(&renderer, &version),
        (None, Err(because)) => Finding::new(
            "opengl",
            State::Limited,
            format!("{because}; the guest renders in software"),
        )
        .fix(
            "install the OpenGL driver of this GPU; on Debian: sudo apt-get install libegl1 libgl1-mesa-dri",
        ),
    };
    vec![finding, opengl]
}

/// `renderer` and `version` are OpenGL's own words; the guest's terminal needs 4.3.
fn judged(renderer: &str, version: &str) -> Finding {
    const SOFTWARE: [&str; 4] = ["llvmpipe", "softpipe", "swrast", "SwiftShader"];
    let seen = format!("{renderer}, OpenGL {version}");
    let number = |part: Option<&str>| part.and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let version = (number(parts.next()), number(parts.next()));
    if version < (4, 3) {
        Finding::new("opengl", State::Limited, format!("{seen}: less than the 4.3 that Ghostty needs"))
            .fix("update the graphics driver; until then the guest renders in software")
    } else if SOFTWARE.iter().any(|name| renderer.contains(name)) {
        Finding::new("opengl", State::Limited, format!("{seen}: software on the host, so slow"))
            .fix("install this GPU's driver; in a VM or without a GPU, `gl = \"off\"` is no slower")
    } else {
        Finding::new("opengl", State::Ok, seen)
    }
}

fn answers(session: &Session) -> Result<(), String> {
    match session {
        Session::X11(_) => {
            x11rb::connect(None).map(drop).map_err(|e| format!("the X server does not answer: {e}"))
        }
        Session::Wayland(socket) => {
            let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
            let path = Path::new(&folder).join(socket);
            UnixStream::connect(&path)
                .map(drop)
                .map_err(|e| format!("{} does not answer: {e}", path.display()))
        }
        Session::Native | Session::None { .. } => Ok(()),
    }
}

/// In a process of its own: a driver that crashes does not take us with it.
fn look_at_gl() -> Result<(String, String), String> {
    let executable = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(executable)
        .arg("gl")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("OpenGL was not looked at: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_once('\n') {
        Some((renderer, version)) if output.status.success() => {
            Ok((renderer.to_owned(), version.trim().to_owned()))
        }
        _ if output.status.success() => Err("OpenGL does not tell its name".to_owned()),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().map_or(output.status.to_string(), str::to_owned);
            Err(format!("no OpenGL: {last}"))
        }
    }
}

/// What `look_at_gl` runs: the renderer, then the version.
pub fn print_gl() -> ExitCode {
    match gl_strings() {
        Ok((renderer, version)) => {
            println!("{renderer}\n{version}");
            ExitCode::SUCCESS
        }
        Err(because) => {
            eprintln!("{because}");
            ExitCode::FAILURE
        }
    }
}

/// The platforms of EGL_KHR_platform_x11 and EGL_KHR_platform_wayland.
const PLATFORM_X11: egl::Enum = 0x31D5;
const PLATFORM_WAYLAND: egl::Enum = 0x31D8;
/// Of OpenGL's glGetString.
const RENDERER: u32 = 0x1F01;
const VERSION: u32 = 0x1F02;

/// As QEMU gets its OpenGL: by EGL, a core profile.
fn gl_strings() -> Result<(String, String), String> {
    let platform =
        if std::env::var_os("WAYLAND_DISPLAY").is_some() { PLATFORM_WAYLAND } else { PLATFORM_X11 };
    // SAFETY: libEGL is what its name says.
    let library = unsafe { egl::DynamicInstance::<egl::EGL1_5>::load_required() };
    let egl = library.map_err(|e| format!("libEGL does not load: {e}"))?;
    let failed = |what: &'static str| move |e: egl::Error| format!("{what}: {e}");
    // SAFETY: the default display of the platform is no pointer.
    let display = unsafe { egl.get_platform_display(platform, egl::DEFAULT_DISPLAY, &[egl::ATTRIB_NONE]) }
        .map_err(failed("eglGetPlatformDisplay"))?;
    egl.initialize(display).map_err(failed("eglInitialize"))?;
    egl.bind_api(egl::OPENGL_API).map_err(failed("eglBindAPI"))?;
    let wanted = [egl::RENDERABLE_TYPE, egl::OPENGL_BIT, egl::NONE];
    let config = egl.choose_first_config(display, &wanted).map_err(failed("eglChooseConfig"))?;
    let config = config.ok_or("EGL has no configuration with OpenGL")?;
    let core = [
        egl::CONTEXT_MAJOR_VERSION,
        3,
        egl::CONTEXT_MINOR_VERSION,
        2,
        egl::CONTEXT_OPENGL_PROFILE_MASK,
        egl::CONTEXT_OPENGL_CORE_PROFILE_BIT,
        egl::NONE,
    ];
    let context = egl.create_context(display, config, None, &core).map_err(failed("eglCreateContext"))?;
    egl.make_current(display, None, None, Some(context)).map_err(failed("eglMakeCurrent"))?;
    let get_string = egl.get_proc_address("glGetString").ok_or("there is no glGetString")?;
    // SAFETY: the OpenGL specification gives it this type.
    let get_string: extern "system" fn(u32) -> *const c_char =
        unsafe { std::mem::transmute(get_string as *const c_void) };
    let text = |name| {
        let text = get_string(name);
        if text.is_null() {
            return String::new();
        }
        // SAFETY: a string that lives as long as the context.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    Ok((text(RENDERER), text(VERSION)))
}

/// NVIDIA's own driver makes its nodes with a set-uid helper when a program first asks, and QEMU's sandbox starts no
/// helper; and its window on Wayland needs mode setting by the kernel. `root` is /.
pub fn peculiarities(root: &Path) -> Vec<Finding> {
    let Ok(version) = fs::read_to_string(root.join("proc/driver/nvidia/version")) else { return Vec::new() };
    let version = version.lines().next().unwrap_or_default().trim_start_matches("NVRM version:").trim();
    if !root.join("dev/nvidiactl").exists() || !root.join("dev/nvidia0").exists() {
        return vec![
            Finding::new("nvidia", State::Limited, format!("{version}: its device nodes are not made yet"))
                .fix("sudo nvidia-modprobe -c 0 -u -m"),
        ];
    }
    let modeset =
        fs::read_to_string(root.join("sys/module/nvidia_drm/parameters/modeset")).unwrap_or_default();
    if modeset.trim() != "Y" {
        return vec![
            Finding::new(
                "nvidia",
                State::Limited,
                format!("{version}: no mode setting, so no OpenGL under Wayland"),
            )
            .fix("add nvidia-drm.modeset=1 to the kernel's command line"),
        ];
    }
    vec![Finding::new("nvidia", State::Ok, version)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_and_old_opengl_are_named() {
        assert_eq!(
            judged("llvmpipe (LLVM 15.0.6, 256 bits)", "4.5 (Core Profile) Mesa 22.3.6").state,
            State::Limited
        );
        assert_eq!(judged("Mesa Intel(R) UHD", "4.6 (Core Profile) Mesa 24.0").state, State::Ok);
        assert!(judged("Intel HD 3000", "3.3 Mesa").seen.contains("less than the 4.3"));
        assert_eq!(judged("odd", "").state, State::Limited);
    }

    #[test]
    fn nvidias_driver_is_told_apart_by_what_it_has_made() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(peculiarities(root.path()), []);
        write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module 550.1\nGCC\n");
        assert!(peculiarities(root.path())[0].fix.as_ref().unwrap().contains("nvidia-modprobe"));
        write("dev/nvidiactl", "");
        write("dev/nvidia0", "");
        assert!(peculiarities(root.path())[0].fix.as_ref().unwrap().contains("modeset=1"));
        write("sys/module/nvidia_drm/parameters/modeset", "Y\n");
        assert_eq!(peculiarities(root.path())[0].state, State::Ok);
    }
}
