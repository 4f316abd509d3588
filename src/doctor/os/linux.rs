//! Checks on Linux: mounts, the display server, OpenGL through EGL, NVIDIA's driver.

use crate::doctor::{Finding, State};
use crate::host::{Availability, x11};
use crate::jail::{Access, JailPolicy, Rule};
use crate::model::Session;
use crate::sys::time_limit::{output_within, within};
use crate::sys::{output, process};
use khronos_egl as egl;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};
use std::ffi::{CStr, OsString, c_char, c_void};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// For a connection to the compositor, which accepts it in a millisecond.
const LIMIT: Duration = Duration::from_secs(1);
/// For OpenGL's strings: a driver without a shader cache needs a second or two.
const GL_LIMIT: Duration = Duration::from_secs(20);

pub fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.flags().contains(FsFlags::ST_NOEXEC))
}

pub fn is_writable(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

/// The desktop session and its OpenGL.
pub fn screen(session: &Session, gl: &Availability) -> Vec<Finding> {
    let no_window = "VMs have no window, and their shell opens in this terminal";
    let finding = match (session, connect(session)) {
        (Session::None { because }, _) => {
            Finding::new("window", State::Limited, format!("{because}; {no_window}"))
                .fix("start VMs in a graphical session, or over `ssh -X`")
        }
        (session, Err(because)) => {
            Finding::new("window", State::Limited, format!("{session}: {because}; {no_window}"))
                .fix("check DISPLAY, XAUTHORITY and WAYLAND_DISPLAY: connecting to that display failed")
        }
        (session, Ok(())) => Finding::new("window", State::Ok, session.to_string()),
    };
    if finding.state != State::Ok {
        return vec![finding];
    }
    let opengl = match (gl.obstacle(), probe_gl()) {
        (Some(because), _) => Finding::new("opengl", State::Limited, because),
        (None, Ok((renderer, version))) => opengl(&renderer, &version),
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

/// `renderer` and `version` are OpenGL's strings; the guest's terminal needs 4.3.
fn opengl(renderer: &str, version: &str) -> Finding {
    const SOFTWARE: [&str; 4] = ["llvmpipe", "softpipe", "swrast", "SwiftShader"];
    let seen = format!("{renderer}, OpenGL {version}");
    let number = |part: Option<&str>| part.and_then(|text| text.parse::<u32>().ok()).unwrap_or_default();
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let version = (number(parts.next()), number(parts.next()));
    if version < (4, 3) {
        Finding::new("opengl", State::Limited, format!("{seen}: Ghostty needs at least 4.3"))
            .fix("update the graphics driver; until then the guest renders in software")
    } else if SOFTWARE.iter().any(|name| renderer.contains(name)) {
        Finding::new(
            "opengl",
            State::Limited,
            format!("{seen}: software rendering on the host, which is slow"),
        )
        .fix("install the driver of this GPU; in a VM or without a GPU, `gl = \"off\"` is as fast")
    } else {
        Finding::new("opengl", State::Ok, seen)
    }
}

fn connect(session: &Session) -> Result<(), String> {
    match session {
        Session::X11(_) => x11::check().map_err(|because| format!("the X server does not answer: {because}")),
        Session::Wayland(socket) => {
            let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
            reach(&Path::new(&folder).join(socket), LIMIT)
        }
        Session::Native | Session::None { .. } => Ok(()),
    }
}

/// A compositor that hangs accepts connections until the backlog of its socket is full; then connect(2) blocks.
fn reach(socket: &Path, limit: Duration) -> Result<(), String> {
    let path = socket.to_owned();
    within(limit, || UnixStream::connect(path).map(drop).map_err(|e| e.to_string()))
        .map_err(|because| format!("{} does not answer: {because}", socket.display()))
}

/// Whether OpenGL is the same in the jail of a VM that uses it; None if it does not work without a jail either.
pub fn gl_in_jail(jail: &JailPolicy, environment: &[(OsString, OsString)]) -> Option<Finding> {
    let (renderer, _) = probe_gl().ok()?;
    let seen = match probe_gl_in(jail, environment) {
        Ok((same, _)) if same == renderer => {
            return Some(Finding::new(
                "jail",
                State::Ok,
                format!("{renderer} works in the {} jail", jail.jail),
            ));
        }
        Ok((other, _)) => format!("{renderer} does not work in the {} jail, {other} does", jail.jail),
        Err(because) => format!("{renderer} does not work in the {} jail: {because}", jail.jail),
    };
    Some(
        Finding::new("jail", State::Limited, seen)
            .fix("jail = \"gpu-wide\" in the configuration, or --jail gpu-wide"),
    )
}

fn probe_gl_in(jail: &JailPolicy, environment: &[(OsString, OsString)]) -> Result<(String, String), String> {
    let executable = process::this_program().map_err(|e| format!("{e:#}"))?;
    let mut jail = jail.clone();
    jail.rules.push(Rule::new(Access::Run, &executable, "tests OpenGL"));
    let mut command = Command::new(executable);
    command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    jail.confine(&mut command).map_err(|e| format!("{e:#}"))?;
    gl_of(&mut command)
}

fn probe_gl() -> Result<(String, String), String> {
    gl_of(&mut Command::new(process::this_program().map_err(|e| format!("{e:#}"))?))
}

/// In a separate process, because a driver may crash or hang. `command`: this program.
fn gl_of(command: &mut Command) -> Result<(String, String), String> {
    let output =
        output_within(command.arg("gl"), GL_LIMIT).map_err(|e| format!("OpenGL was not tested: {e:#}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_once('\n') {
        Some((renderer, version)) if output.status.success() => {
            Ok((renderer.to_owned(), version.trim().to_owned()))
        }
        _ if output.status.success() => Err("OpenGL has no renderer string".to_owned()),
        _ => {
            let messages = String::from_utf8_lossy(&output.stderr);
            let last = messages.lines().last().map_or(output.status.to_string(), str::to_owned);
            Err(format!("OpenGL is not available: {last}"))
        }
    }
}

/// What `probe_gl` runs: the renderer, then the version.
pub fn print_gl() -> ExitCode {
    match gl_strings() {
        Ok((renderer, version)) => {
            let _ = output::line(format_args!("{renderer}\n{version}"));
            ExitCode::SUCCESS
        }
        Err(because) => {
            output::error_line(because);
            ExitCode::FAILURE
        }
    }
}

/// The platforms of EGL_KHR_platform_x11 and EGL_KHR_platform_wayland.
const PLATFORM_X11: egl::Enum = 0x31D5;
const PLATFORM_WAYLAND: egl::Enum = 0x31D8;
/// Names for OpenGL's glGetString.
const RENDERER: u32 = 0x1F01;
const VERSION: u32 = 0x1F02;

/// OpenGL as QEMU uses it: EGL with a core profile.
fn gl_strings() -> Result<(String, String), String> {
    let platform =
        if std::env::var_os("WAYLAND_DISPLAY").is_some() { PLATFORM_WAYLAND } else { PLATFORM_X11 };
    // SAFETY: libEGL is the library of EGL.
    let library = unsafe { egl::DynamicInstance::<egl::EGL1_5>::load_required() };
    let egl = library.map_err(|e| format!("libEGL does not load: {e}"))?;
    let failed = |what: &'static str| move |e: egl::Error| format!("{what}: {e}");
    // SAFETY: the default display of the platform is not a pointer.
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
    // SAFETY: it has this type in the OpenGL specification.
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

/// NVIDIA's proprietary driver creates its device nodes with a set-uid helper when a program first uses it, but QEMU's sandbox
/// starts no programs. A window on Wayland needs kernel mode setting. `root` is /.
pub fn specific(root: &Path) -> Vec<Finding> {
    let Ok(version) = fs::read_to_string(root.join("proc/driver/nvidia/version")) else { return Vec::new() };
    let version = version.lines().next().unwrap_or_default().trim_start_matches("NVRM version:").trim();
    if !root.join("dev/nvidiactl").exists() || !root.join("dev/nvidia0").exists() {
        return vec![
            Finding::new("nvidia", State::Limited, format!("{version}: its device nodes do not exist yet"))
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
                format!("{version}: no kernel mode setting, so no OpenGL on Wayland"),
            )
            .fix("add nvidia-drm.modeset=1 to the kernel command line"),
        ];
    }
    vec![Finding::new("nvidia", State::Ok, version)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    use std::os::fd::AsRawFd;

    #[test]
    fn software_rendering_and_old_opengl_are_limited() {
        assert_eq!(
            opengl("llvmpipe (LLVM 15.0.6, 256 bits)", "4.5 (Core Profile) Mesa 22.3.6").state,
            State::Limited
        );
        assert_eq!(opengl("Mesa Intel(R) UHD", "4.6 (Core Profile) Mesa 24.0").state, State::Ok);
        assert_eq!(opengl("Intel HD 3000", "3.3 Mesa").state, State::Limited);
        assert_eq!(opengl("odd", "").state, State::Limited);
    }

    #[test]
    fn a_compositor_that_accepts_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wayland-0");
        let address = UnixAddr::new(&path).unwrap();
        let server = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(server.as_raw_fd(), &address).unwrap();
        listen(&server, Backlog::new(0).unwrap()).unwrap();
        // The backlog holds one connection (unix_stream_connect in the kernel's net/unix/af_unix.c).
        let _first = UnixStream::connect(&path).unwrap();
        let refused = reach(&path, Duration::from_millis(50)).unwrap_err();
        assert!(refused.ends_with("does not answer: no reply within 0.05 s"), "{refused}");
    }

    #[test]
    fn each_state_of_nvidias_driver_has_its_finding() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(specific(root.path()), []);
        write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module 550.1\nGCC\n");
        assert!(specific(root.path())[0].fix.as_ref().unwrap().contains("nvidia-modprobe"));
        write("dev/nvidiactl", "");
        write("dev/nvidia0", "");
        assert!(specific(root.path())[0].fix.as_ref().unwrap().contains("modeset=1"));
        write("sys/module/nvidia_drm/parameters/modeset", "Y\n");
        assert_eq!(specific(root.path())[0].state, State::Ok);
    }
}

#[cfg(test)]
#[path = "linux_texts.rs"]
mod texts;
