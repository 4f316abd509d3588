//! What a start prints of its plan.

use super::{Reporter, age, monthly};
use crate::model::{Accelerator, Choice, Jail, MAKE_PACK, Os, ShareAccess, Terminal, VmSpec, Window};
use crate::payload::Artifacts;
use std::path::Path;
use std::time::SystemTime;

/// What QEMU's documentation says (docs/system/security.rst, "Non-virtualization use case").
const TCG_IS_NO_BOUNDARY: &str = "QEMU does not regard TCG as a security boundary: what breaks out of the guest has all that QEMU can open, \
     which `virtualghost --dry-run -v` lists (printed once a month)";

/// Prints the choices that would surprise a user. `notices`: of those that are printed once a month.
pub fn announce(spec: &VmSpec, artifacts: &Artifacts, notices: &Path, reporter: &mut dyn Reporter) {
    if spec.window.value == Window::None {
        reporter.notice(&format!("no window: {}", spec.window.because));
    }
    if spec.accelerator.value == Accelerator::Tcg {
        reporter.notice(&format!("using TCG, which is slow: {}", spec.accelerator.because));
        if monthly::is_due(notices, "tcg") {
            reporter.notice(TCG_IS_NO_BOUNDARY);
        }
    }
    if spec.jail.value == Jail::Off && spec.os == Os::Linux && monthly::is_due(notices, "no-jail") {
        reporter.notice(&format!(
            "no jail: {}; QEMU can open all of your files (printed once a month)",
            spec.jail.because
        ));
    }
    for share in &spec.shares {
        let can = match share.access {
            ShareAccess::Write => "can change",
            ShareAccess::Read => "can read",
            ShareAccess::Copy => "works on a copy of",
        };
        reporter.notice(&format!(
            "the VM {can} {} of this machine, there as {}",
            share.folder.display(),
            share.place
        ));
    }
    if let Some(git) = &spec.git {
        reporter.notice(&format!("commits in the VM are by {git}"));
    }
    if let Some(passed) = spec.passthrough.as_ref().filter(|passed| passed.pack.value.is_none()) {
        let because = &passed.pack.because;
        reporter.notice(&format!("the VM has no drivers for physical GPUs: {because}; {MAKE_PACK}"));
    }
    match (&spec.terminal, artifacts.other_terminal()) {
        (Choice { is_explicit: true, .. }, _) => {}
        (_, Some(terminal)) => {
            reporter.notice(&format!("the terminal of this image is {terminal}, not Ghostty"));
        }
        (Choice { value: Terminal::Foot, because, .. }, None) => {
            reporter.notice(&format!("the terminal is foot: {because}"));
        }
        (_, None) => {}
    }
}

/// Prints that the executable's QEMU is old, once a month.
pub fn announce_age(artifacts: &Artifacts, notices: &Path, reporter: &mut dyn Reporter) {
    let sentence = artifacts.bundled_qemu().and_then(|qemu| age::sentence(qemu, SystemTime::now()));
    if let Some(sentence) = sentence.filter(|_| monthly::is_due(notices, "age")) {
        reporter.notice(&sentence);
    }
}
