//! The findings about accelerators.

use super::*;
use crate::host::Availability;
use crate::launch::testing::launch_plan;
use crate::testing::{Texts, assert_texts, host};
use std::os::unix::fs::PermissionsExt;

#[test]
fn fixes_and_accelerators_that_were_not_tested() {
    let mut texts = Texts::default();
    for os in [Os::Linux, Os::MacOs, Os::Windows] {
        texts.add(os, fix(os, Path::new("/c/qemu")));
    }
    for accelerator in [Accelerator::Kvm, Accelerator::Tcg] {
        texts.add(format!("{accelerator}, not tested"), not_tested(accelerator));
    }
    assert_texts!("accelerators", texts);
}

/// A QEMU that answers, whose guest prints a line. It exits on `quit`.
const RUNS: &str = r#"#!/bin/sh
printf '{"QMP":{"version":{},"capabilities":[]}}\n'
while read -r command; do
    case $command in *'"quit"'*) exit 0 ;; esac
    id=${command##*\"id\":} && id=${id%%[,\}]*}
    printf '{"return":{"status":"running"},"id":%s}\n' "$id"
    printf 'Linux version\n' >&3
done
"#;

#[test]
fn accelerators_that_were_tested() {
    let folder = tempfile::tempdir().unwrap();
    let qemu = folder.path().join("qemu");
    let mut texts = Texts::default();
    let mut add = |about: &str, facts: &HostFacts, script: &str| {
        std::fs::write(&qemu, script).unwrap();
        std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o700)).unwrap();
        let found = accelerators(facts, &launch_plan(facts, folder.path()));
        let text: String = found.iter().map(|finding| format!("{finding}\n")).collect();
        texts.add(about, text.replace(&folder.path().display().to_string(), "[FOLDER]"));
    };
    let linux = host(Os::Linux);
    let mut missing = linux.clone();
    missing.acceleration = Availability::unavailable_with_fix("there is no /dev/kvm", "what to type");
    add("KVM works", &linux, RUNS);
    add("only TCG works", &missing, RUNS);
    add("nothing works", &linux, "#!/bin/sh\nexit 1\n");
    assert_texts!("tested-accelerators", texts);
}
