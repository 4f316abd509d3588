//! What QEMU's last words mean: which rung of the launch did not bear. One table, from QEMU 10's sources
//! and from seeing it fail.

/// The thing that a launch can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Accelerator,
    Gl,
    Window,
    Vsock,
    /// A saved VM that does not start again.
    Checkpoint,
}

/// What a launch stands on and could do without, as far as it shows only by failing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rungs {
    /// Not TCG.
    pub accelerator: bool,
    pub gl: bool,
    pub window: bool,
    /// It starts from a saved VM.
    pub checkpoint: bool,
}

/// A failure without a word about its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// QEMU was ended by a signal that a fault of its own raises.
    Crash,
    /// QEMU does not answer.
    NoAnswer,
    /// The guest's console stays silent.
    NoConsole,
    /// The guest boots and opens no session.
    NoSession,
}

impl Rungs {
    /// What to do without, in the order of likelihood: a driver for graphics crashes and hangs more often than an
    /// accelerator, but has no part in a kernel's first words; and a saved VM was sound when it was saved. None if there is nothing left to suspect.
    pub fn suspect(self, symptom: Symptom) -> Option<Failure> {
        let order: &[Failure] = match symptom {
            Symptom::Crash => &[Failure::Checkpoint, Failure::Gl, Failure::Accelerator, Failure::Window],
            Symptom::NoAnswer => &[Failure::Checkpoint, Failure::Gl, Failure::Window, Failure::Accelerator],
            Symptom::NoConsole => &[Failure::Checkpoint, Failure::Accelerator],
            Symptom::NoSession => &[Failure::Checkpoint, Failure::Gl, Failure::Accelerator],
        };
        order.iter().copied().find(|failure| match failure {
            Failure::Accelerator => self.accelerator,
            Failure::Gl => self.gl,
            Failure::Window => self.window,
            Failure::Checkpoint => self.checkpoint,
            Failure::Vsock => false,
        })
    }
}

/// Part of a line on QEMU's standard error, and what failed if QEMU then ends. In the order of looking:
/// a driver that grumbles about GL does not hide that KVM is what broke.
const LAST_WORDS: &[(&str, Failure)] = &[
    // accel/kvm, target/i386/kvm
    ("failed to set MSR", Failure::Accelerator),
    ("kvm_buf_set_msrs", Failure::Accelerator),
    ("Could not access KVM kernel module", Failure::Accelerator),
    ("ioctl(KVM_CREATE_VM) failed", Failure::Accelerator),
    ("KVM internal error", Failure::Accelerator),
    ("kvm_init_vcpu", Failure::Accelerator),
    ("kvm run failed", Failure::Accelerator),
    ("failed to initialize kvm", Failure::Accelerator),
    // accel/hvf, target/i386/whpx
    ("HV_ERROR", Failure::Accelerator),
    ("failed to initialize hvf", Failure::Accelerator),
    ("WHPX: ", Failure::Accelerator),
    ("failed to initialize whpx", Failure::Accelerator),
    ("invalid accelerator", Failure::Accelerator),
    // hw/virtio/vhost-vsock.c
    ("vhost-vsock", Failure::Vsock),
    // ui/egl-helpers.c, ui/gtk.c, hw/display/virtio-gpu-gl.c, libepoxy
    ("OpenGL is not supported by display backend", Failure::Gl),
    ("display backend does not have OpenGL support", Failure::Gl),
    ("opengl is not available", Failure::Gl),
    ("egl: eglGetDisplay failed", Failure::Gl),
    ("egl: eglInitialize failed", Failure::Gl),
    ("egl: eglBindAPI failed", Failure::Gl),
    ("egl: no drm render node available", Failure::Gl),
    ("egl: render node init failed", Failure::Gl),
    ("egl: egl", Failure::Gl),
    ("virgl could not be initialized", Failure::Gl),
    ("epoxy_get_proc_address", Failure::Gl),
    ("No provider of gl", Failure::Gl),
    ("No provider of egl", Failure::Gl),
    ("Couldn't find current GLX or EGL context", Failure::Gl),
    // ui/gtk.c, ui/sdl2.c, GDK
    ("gtk initialization failed", Failure::Window),
    ("Could not initialize SDL", Failure::Window),
    ("cannot open display", Failure::Window),
    // With Debian's addition, and without.
    ("Display 'gtk' is not available", Failure::Window),
    ("Display 'sdl' is not available", Failure::Window),
    ("does not accept value 'gtk'", Failure::Window),
    ("does not accept value 'sdl'", Failure::Window),
];

/// Which rung broke, by QEMU's last lines, and the line that says so.
pub fn classify(qemu_tail: &[String], rungs: Rungs) -> Option<(Failure, String)> {
    LAST_WORDS.iter().filter(|(_, failure)| rungs.accelerator || *failure != Failure::Accelerator).find_map(
        |(words, failure)| {
            let line = qemu_tail.iter().find(|line| line.contains(words))?;
            Some((*failure, said(line)))
        },
    )
}

/// What WHPX says when it does not know why a vCPU stopped, if it did: QEMU then pauses the VM as if the guest had
/// panicked (target/i386/whpx).
pub fn of_vcpu(qemu_tail: &[String], rungs: Rungs) -> Option<String> {
    let line = qemu_tail.iter().find(|line| line.contains("WHPX: Unexpected VP exit code"))?;
    rungs.accelerator.then(|| said(line))
}

/// QEMU's line without its own name, and "error", before it.
pub fn said(line: &str) -> String {
    let said = match line.split_once(": ") {
        Some((program, rest)) if program.contains("qemu") && !program.contains(' ') => rest,
        _ => line,
    };
    said.strip_prefix("error: ").unwrap_or(said).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Rungs = Rungs { accelerator: true, gl: true, window: true, checkpoint: false };

    #[test]
    fn a_silent_failure_takes_one_rung_after_the_other_and_none_that_is_not_there() {
        let fall = |symptom| {
            let (mut rungs, mut fallen) = (ALL, Vec::new());
            while let Some(failure) = rungs.suspect(symptom) {
                fallen.push(failure);
                match failure {
                    Failure::Accelerator => rungs.accelerator = false,
                    Failure::Gl => rungs.gl = false,
                    Failure::Window => rungs.window = false,
                    Failure::Checkpoint => rungs.checkpoint = false,
                    Failure::Vsock => panic!("it says so when it fails"),
                }
            }
            fallen
        };
        assert_eq!(fall(Symptom::Crash), [Failure::Gl, Failure::Accelerator, Failure::Window]);
        assert_eq!(fall(Symptom::NoAnswer), [Failure::Gl, Failure::Window, Failure::Accelerator]);
        assert_eq!(fall(Symptom::NoConsole), [Failure::Accelerator]);
        assert_eq!(fall(Symptom::NoSession), [Failure::Gl, Failure::Accelerator]);
        let restored = Rungs { checkpoint: true, ..ALL };
        assert_eq!(restored.suspect(Symptom::NoSession), Some(Failure::Checkpoint));
    }

    fn of(lines: &[&str], accelerated: bool) -> Option<Failure> {
        let rungs = Rungs { accelerator: accelerated, ..Rungs::default() };
        classify(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>(), rungs).map(|f| f.0)
    }

    #[test]
    fn each_way_to_fail_names_its_rung() {
        for (line, failure) in [
            ("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0", Failure::Accelerator),
            ("Could not access KVM kernel module: Permission denied", Failure::Accelerator),
            ("qemu-system-x86_64: -accel whpx: invalid accelerator whpx", Failure::Accelerator),
            ("qemu-system-x86_64: OpenGL is not supported by display backend 'gtk'", Failure::Gl),
            ("qemu-system-x86_64: egl: no drm render node available", Failure::Gl),
            ("gtk initialization failed", Failure::Window),
            (
                "Display 'gtk' is not available. Perhaps you want to install qemu-system-gui package?",
                Failure::Window,
            ),
            (
                "qemu-system-x86_64: -device vhost-vsock-pci,guest-cid=70000: vhost-vsock: unable to set guest cid: Address already in use",
                Failure::Vsock,
            ),
            ("qemu-system-x86_64: Could not initialize SDL(x11 not available) - exiting", Failure::Window),
        ] {
            assert_eq!(of(&[line], true), Some(failure), "{line}");
        }
        assert_eq!(of(&["qemu-system-x86_64: Failed to get \"write\" lock"], true), None);
    }

    #[test]
    fn a_broken_accelerator_is_seen_behind_a_drivers_noise() {
        let lines = [
            "libEGL warning: egl: failed to create dri2 screen",
            "egl: eglInitialize failed",
            "failed to set MSR 0x10a",
        ];
        assert_eq!(of(&lines, true), Some(Failure::Accelerator));
        assert_eq!(of(&lines[..1], true), None);
    }

    #[test]
    fn without_an_accelerator_none_can_have_failed() {
        assert_eq!(of(&["failed to set MSR 0x10a"], false), None);
    }

    #[test]
    fn the_reason_is_qemus_own_line() {
        let reason = |line: &str| classify(&[line.to_owned()], ALL).unwrap().1;
        let line = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0";
        assert_eq!(reason(line), "failed to set MSR 0x10a to 0x0");
        assert_eq!(reason("gtk initialization failed"), "gtk initialization failed");
    }
}
