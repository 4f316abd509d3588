//! The kernel's command line (kernel documentation, admin-guide/kernel-parameters; kernel-command-line(7)
//! of systemd).

use super::board;
use crate::plan::{GpuMode, Start, VmSpec};

pub fn append(spec: &VmSpec) -> String {
    let mut words = vec![
        "root=/dev/vda".to_owned(),
        "rw".to_owned(),
        format!("console={}", board::console(spec.arch)),
        // Notices, "Linux version" among them, are the first sign of life; the rest would slow the boot.
        "loglevel=6".to_owned(),
        "panic=-1".to_owned(),
    ];
    words.extend(board::kernel_parameters(spec.arch).iter().map(|&word| word.to_owned()));
    words.push("systemd.show_status=true".to_owned());
    if spec.headless {
        words.push("virtualghost.headless".to_owned());
    }
    if spec.passthrough.as_ref().is_some_and(|passed| passed.pack.value.is_some()) {
        words.push("virtualghost.gpu-pack".to_owned());
    }
    match spec.start.value {
        Start::Boot => words.push(format!("systemd.hostname={}", spec.name)),
        // Whose it is it learns later.
        Start::Instant => words.push("virtualghost.checkpoint".to_owned()),
    }
    words.extend(environment(spec).map(|(name, value)| format!("systemd.setenv={name}={value}")));
    words.join(" ")
}

/// What every service of the guest finds in its environment. Each value is one word: names of XKB.
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
