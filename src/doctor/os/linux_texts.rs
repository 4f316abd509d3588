//! The findings of Linux.

use super::*;
use crate::testing::{Texts, assert_texts};

#[test]
fn findings() {
    let mut texts = Texts::default();
    let mut add = |about: &str, found: Vec<Finding>| {
        texts.add(about, found.iter().map(|finding| format!("{finding}\n")).collect::<String>());
    };
    let no_session = Session::None { because: "DISPLAY is not set".to_owned() };
    add("no session", screen(&no_session, &Availability::Available));
    let unreachable = Session::Wayland("/nowhere/wayland-0".to_owned());
    add("a session that does not answer", screen(&unreachable, &Availability::Available));
    add("the desktop, without OpenGL", screen(&Session::Native, &Availability::unavailable("it fails")));
    add("OpenGL", vec![opengl("Mesa Intel(R) UHD", "4.6 (Core Profile) Mesa 24.0")]);
    add(
        "OpenGL in software",
        vec![opengl("llvmpipe (LLVM 15.0.6, 256 bits)", "4.5 (Core Profile) Mesa 22.3.6")],
    );
    add("old OpenGL", vec![opengl("Intel HD 3000", "3.3 Mesa")]);

    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module 550.1\nGCC\n");
    add("NVIDIA without device nodes", specific(root.path()));
    write("dev/nvidiactl", "");
    write("dev/nvidia0", "");
    add("NVIDIA without mode setting", specific(root.path()));
    write("sys/module/nvidia_drm/parameters/modeset", "Y\n");
    add("NVIDIA", specific(root.path()));
    assert_texts!("linux", texts);
}
