//! Which feature failed, by QEMU's last lines on standard error or by a symptom. One table, from QEMU 10's sources and
//! from real failures.

use super::Limits;
use crate::model::Feature;

type IsFeature = fn(Feature) -> bool;

/// A failure without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symptom {
    /// A signal ended QEMU that only a fault of its own raises.
    Crash,
    /// QEMU does not answer.
    NoAnswer,
    /// The guest's console prints nothing.
    NoConsole,
    /// The guest boots, but no session starts.
    NoSession,
}

impl Symptom {
    /// What did not happen within its limit.
    pub fn text(self, limits: &Limits) -> String {
        let (boot, ready) = (limits.boot.as_secs_f32(), limits.ready.as_secs_f32());
        match self {
            Self::Crash | Self::NoAnswer => format!("QEMU did not answer in {boot} s"),
            Self::NoConsole => format!("the guest's kernel printed nothing in {boot} s"),
            Self::NoSession => format!("the session did not start in {ready} s"),
        }
    }
}

/// The feature to disable first, by likelihood: a graphics driver crashes and hangs more often than an accelerator, but
/// does not affect a kernel's first output; a driver that the jail refuses a file fails at once; and a checkpoint worked
/// when it was saved. None if no feature in use can cause the symptom.
pub fn suspect(features: &[Feature], symptom: Symptom) -> Option<Feature> {
    let order: &[IsFeature] = match symptom {
        Symptom::Crash => {
            &[Feature::is_checkpoint, Feature::is_driver, Feature::is_accelerator, Feature::is_window]
        }
        Symptom::NoAnswer => {
            &[Feature::is_checkpoint, Feature::is_gl, Feature::is_window, Feature::is_accelerator]
        }
        Symptom::NoConsole => &[Feature::is_checkpoint, Feature::is_accelerator],
        Symptom::NoSession => &[Feature::is_checkpoint, Feature::is_gl, Feature::is_accelerator],
    };
    order.iter().find_map(|is_it| in_use(features, *is_it))
}

fn in_use(features: &[Feature], is_it: IsFeature) -> Option<Feature> {
    features.iter().copied().find(|&feature| is_it(feature))
}

/// Part of a line on QEMU's standard error, and the feature that failed if QEMU then exits. The first match wins: a GL
/// driver's warnings must not hide that KVM failed.
const MESSAGES: &[(&str, IsFeature)] = &[
    // accel/kvm, target/i386/kvm
    ("failed to set MSR", Feature::is_accelerator),
    ("kvm_buf_set_msrs", Feature::is_accelerator),
    ("Could not access KVM kernel module", Feature::is_accelerator),
    ("ioctl(KVM_CREATE_VM) failed", Feature::is_accelerator),
    ("KVM internal error", Feature::is_accelerator),
    ("kvm_init_vcpu", Feature::is_accelerator),
    ("kvm run failed", Feature::is_accelerator),
    ("failed to initialize kvm", Feature::is_accelerator),
    // accel/hvf, target/i386/whpx
    ("HV_ERROR", Feature::is_accelerator),
    ("failed to initialize hvf", Feature::is_accelerator),
    ("WHPX: ", Feature::is_accelerator),
    ("failed to initialize whpx", Feature::is_accelerator),
    ("invalid accelerator", Feature::is_accelerator),
    // hw/virtio/vhost-vsock.c
    ("vhost-vsock", Feature::is_vsock),
    // ui/egl-helpers.c, ui/gtk.c, hw/display/virtio-gpu-gl.c, libepoxy
    ("OpenGL is not supported by display backend", Feature::is_gl),
    ("display backend does not have OpenGL support", Feature::is_gl),
    ("opengl is not available", Feature::is_gl),
    ("egl: eglGetDisplay failed", Feature::is_driver),
    ("egl: eglInitialize failed", Feature::is_driver),
    ("egl: eglBindAPI failed", Feature::is_driver),
    ("egl: no drm render node available", Feature::is_driver),
    ("egl: render node init failed", Feature::is_driver),
    ("egl: egl", Feature::is_driver),
    ("virgl could not be initialized", Feature::is_driver),
    ("epoxy_get_proc_address", Feature::is_driver),
    ("No provider of gl", Feature::is_driver),
    ("No provider of egl", Feature::is_driver),
    ("Couldn't find current GLX or EGL context", Feature::is_driver),
    // ui/gtk.c, ui/sdl2.c, GDK
    ("gtk initialization failed", Feature::is_window),
    ("Could not initialize SDL", Feature::is_window),
    ("cannot open display", Feature::is_window),
    // With Debian's addition, and without.
    ("Display 'gtk' is not available", Feature::is_window),
    ("Display 'sdl' is not available", Feature::is_window),
    ("does not accept value 'gtk'", Feature::is_window),
    ("does not accept value 'sdl'", Feature::is_window),
];

/// The feature in use that failed, by QEMU's last lines, and the line that shows it.
pub fn classify(qemu_tail: &[String], features: &[Feature]) -> Option<(Feature, String)> {
    MESSAGES.iter().find_map(|(words, is_it)| {
        let line = qemu_tail.iter().find(|line| line.contains(words))?;
        Some((in_use(features, *is_it)?, message(line)))
    })
}

/// The accelerator, and its message, if WHPX stopped a vCPU for a reason it does not know: QEMU then pauses the VM as if
/// the guest had panicked (target/i386/whpx).
pub fn failed_vcpu(qemu_tail: &[String], features: &[Feature]) -> Option<(Feature, String)> {
    let line = qemu_tail.iter().find(|line| line.contains("WHPX: Unexpected VP exit code"))?;
    Some((in_use(features, Feature::is_accelerator)?, message(line)))
}

/// QEMU's line without the program's name and "error" in front.
pub fn message(line: &str) -> String {
    let text = match line.split_once(": ") {
        Some((program, rest)) if program.contains("qemu") && !program.contains(' ') => rest,
        _ => line,
    };
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Accelerator, Window};

    const KVM: Feature = Feature::Accelerator(Accelerator::Kvm);
    const GTK: Feature = Feature::Window(Window::Gtk);
    const ALL: &[Feature] = &[KVM, Feature::Gl, GTK, Feature::Vsock];

    #[test]
    fn a_failure_without_a_message_disables_the_features_in_use_one_after_the_other() {
        let fall = |symptom| {
            let (mut features, mut failed) = (ALL.to_vec(), Vec::new());
            while let Some(feature) = suspect(&features, symptom) {
                failed.push(feature);
                features.retain(|other| *other != feature);
            }
            failed
        };
        assert_eq!(fall(Symptom::Crash), [Feature::Gl, KVM, GTK]);
        assert_eq!(fall(Symptom::NoAnswer), [Feature::Gl, GTK, KVM]);
        assert_eq!(fall(Symptom::NoConsole), [KVM]);
        assert_eq!(fall(Symptom::NoSession), [Feature::Gl, KVM]);
        let restored = [ALL, &[Feature::Checkpoint]].concat();
        assert_eq!(suspect(&restored, Symptom::NoSession), Some(Feature::Checkpoint));
    }

    fn of(lines: &[&str], features: &[Feature]) -> Option<Feature> {
        classify(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>(), features).map(|f| f.0)
    }

    #[test]
    fn each_error_message_identifies_its_feature() {
        for (line, feature) in [
            ("qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0", KVM),
            ("Could not access KVM kernel module: Permission denied", KVM),
            ("qemu-system-x86_64: -accel whpx: invalid accelerator whpx", KVM),
            ("qemu-system-x86_64: OpenGL is not supported by display backend 'gtk'", Feature::Gl),
            ("qemu-system-x86_64: egl: no drm render node available", Feature::Gl),
            ("gtk initialization failed", GTK),
            ("Display 'gtk' is not available. Perhaps you want to install qemu-system-gui package?", GTK),
            (
                "qemu-system-x86_64: -device vhost-vsock-pci,guest-cid=70000: vhost-vsock: unable to set guest cid: Address already in use",
                Feature::Vsock,
            ),
            ("qemu-system-x86_64: Could not initialize SDL(x11 not available) - exiting", GTK),
        ] {
            assert_eq!(of(&[line], ALL), Some(feature), "{line}");
        }
        assert_eq!(of(&["qemu-system-x86_64: Failed to get \"write\" lock"], ALL), None);
    }

    #[test]
    fn a_driver_that_fails_is_tried_in_a_wider_jail_before_it_is_given_up() {
        let strict = &[KVM, Feature::StrictJail, Feature::Gl, GTK];
        assert_eq!(of(&["egl: eglInitialize failed"], strict), Some(Feature::StrictJail));
        assert_eq!(suspect(strict, Symptom::Crash), Some(Feature::StrictJail));
        // Without these the jail makes no difference.
        assert_eq!(of(&["OpenGL is not supported by display backend 'gtk'"], strict), Some(Feature::Gl));
        assert_eq!(suspect(strict, Symptom::NoAnswer), Some(Feature::Gl));
    }

    #[test]
    fn a_drivers_warnings_do_not_hide_a_failed_accelerator() {
        let lines = [
            "libEGL warning: egl: failed to create dri2 screen",
            "egl: eglInitialize failed",
            "failed to set MSR 0x10a",
        ];
        assert_eq!(of(&lines, ALL), Some(KVM));
        assert_eq!(of(&lines[..1], ALL), None);
    }

    #[test]
    fn a_feature_that_is_not_in_use_has_not_failed() {
        assert_eq!(of(&["failed to set MSR 0x10a"], &[Feature::Gl]), None);
        assert_eq!(of(&["egl: eglInitialize failed"], &[KVM]), None);
    }

    #[test]
    fn the_reason_is_qemus_own_line() {
        let reason = |line: &str| classify(&[line.to_owned()], ALL).unwrap().1;
        let line = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0";
        assert_eq!(reason(line), "failed to set MSR 0x10a to 0x0");
        assert_eq!(reason("gtk initialization failed"), "gtk initialization failed");
    }
}
