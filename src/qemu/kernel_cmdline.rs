//! The kernel's command line (kernel documentation, admin-guide/kernel-parameters; kernel-command-line(7)
//! of systemd).

use super::machine;
use crate::model::{GpuMode, Source, Start, Terminal, VmSpec};
use crate::protocol::{CHECKPOINT, HEADLESS, SAFE, TERMINAL, TIMEZONE};

pub fn kernel_cmdline(spec: &VmSpec) -> String {
    let mut words = vec![
        "root=/dev/vda".to_owned(),
        "rw".to_owned(),
        format!("console={}", machine::console(spec.arch)),
        // Notices include "Linux version", the first output; more messages would slow down the boot.
        "loglevel=6".to_owned(),
        "panic=-1".to_owned(),
    ];
    // What does not outlive a crash need not wait for the disk. (With `noload`, ext4 frees no space on the host.)
    if spec.rootfs == Source::Embedded && !spec.keeps_system() {
        words.push("rootflags=data=writeback,nobarrier,commit=60".to_owned());
    }
    words.extend(machine::kernel_parameters(spec.arch).iter().map(|&word| word.to_owned()));
    words.push("systemd.show_status=true".to_owned());
    if spec.headless {
        words.push(HEADLESS.to_owned());
    }
    if spec.passthrough.as_ref().is_some_and(|passed| passed.pack.value.is_some()) {
        words.push("virtualghost.gpu-pack".to_owned());
    }
    match &spec.terminal.value {
        Terminal::Auto => {}
        terminal => words.push(format!("{TERMINAL}=\"{terminal}\"")),
    }
    match spec.start.value {
        Start::Boot => {
            words.push(format!("systemd.hostname={}", spec.hostname.value));
            if spec.safe {
                words.push(SAFE.to_owned());
            }
            // UTC is what the image has.
            if !spec.timezone.value.is_utc() {
                words.push(format!("{TIMEZONE}={}", spec.timezone.value));
            }
        }
        // The guest gets the rest later.
        Start::Instant => words.push(CHECKPOINT.to_owned()),
    }
    words.extend(environment(spec).map(|(name, value)| format!("systemd.setenv={name}={value}")));
    words.join(" ")
}

/// The environment of every service of the guest. Each value is one word, since these are XKB's names.
fn environment(spec: &VmSpec) -> impl Iterator<Item = (&'static str, &str)> {
    let xkb = &spec.keyboard.value;
    [
        ("XKB_DEFAULT_LAYOUT", xkb.layout.as_str()),
        ("XKB_DEFAULT_VARIANT", &xkb.variant),
        ("XKB_DEFAULT_MODEL", &xkb.model),
        ("XKB_DEFAULT_OPTIONS", &xkb.options),
        ("LIBGL_ALWAYS_SOFTWARE", if spec.gpu.value == GpuMode::Software { "true" } else { "" }),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
}
