//! Why a device is not available on Linux, and the fix.

use super::*;
use crate::testing::{Texts, assert_texts};

#[test]
fn devices_that_do_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("node");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut texts = Texts::default();
    let mut add = |about: &str, found: Availability| {
        let text = format!("{}\nfix: {}", found.obstacle().unwrap(), found.fix().unwrap_or("none"));
        texts.add(about, text.replace(&folder.path().display().to_string(), "[FOLDER]"));
    };
    add("no KVM on x86_64", kvm(&missing, Some(Arch::X86_64)));
    add("no KVM on aarch64", kvm(&missing, Some(Arch::Aarch64)));
    add("KVM that does not open", kvm(folder.path(), Some(Arch::X86_64)));
    add("no vsock", vsock(&missing));
    texts.add("KVM of no group", permission_fix(&missing));
    assert_texts!("linux", texts);
}
