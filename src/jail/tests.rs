use super::*;
use crate::host::HostFacts;
use crate::model::{Choice, Os, Session, VmSpec};
use crate::qemu::{Bundle, Paths, Program, RootDisk};
use crate::testing::{host, spec};
use std::ffi::OsString;
use std::path::Path;

fn paths() -> Paths {
    let bundle =
        Bundle { modules: "/cache/qemu/lib/qemu".into(), data: "/cache/qemu/share/qemu".into(), major: None };
    Paths {
        kernel: "/cache/kernel/vmlinux".into(),
        rootfs: "/cache/rootfs/rootfs.img".into(),
        qemu: Program { path: "/cache/qemu/bin/qemu-system-x86_64".into(), bundle: Some(bundle) },
        overlay_folder: "/cache/overlays/1".into(),
        home: Some("/data/homes/default.img".into()),
        gpu_pack: None,
        root: RootDisk::Enlarged("/cache/overlays/1/root".into()),
        initrd: None,
        cache: "/users/ghost/.local/state/vms/default/cache".into(),
        keys: "/users/ghost/.local/state/vms/default/keys".into(),
    }
}

fn jail_of(spec: &VmSpec, paths: &Paths, environment: &[(&str, &str)]) -> Option<JailPolicy> {
    let environment: Vec<(OsString, OsString)> =
        environment.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    policy(spec, paths, &environment)
}

fn wayland() -> HostFacts {
    HostFacts { session: Session::Wayland("wayland-0".to_owned()), ..host(Os::Linux) }
}

const ENVIRONMENT: &[(&str, &str)] = &[
    ("HOME", "/users/ghost"),
    ("XDG_RUNTIME_DIR", "/run/user/1000"),
    ("XDG_DATA_DIRS", "/usr/share:/var/lib/flatpak/exports/share"),
    ("LIBGL_DRIVERS_PATH", "/opt/mesa/lib/dri"),
];

#[test]
fn what_qemu_can_open_is_under_review() {
    let saved = Paths { root: RootDisk::Saved("/cache/checkpoints/1/disk".into()), home: None, ..paths() };
    let kept = RootDisk::Kept {
        disk: "/data/systems/default/disk.qcow2".into(),
        image: "/data/systems/default/image".into(),
    };
    let kept = Paths { root: kept, ..paths() };
    let own = Paths { qemu: Program { path: "/opt/qemu/bin/qemu".into(), bundle: None }, ..paths() };
    let x11 = host(Os::Linux);
    let forwarded = HostFacts { session: Session::X11("localhost:10.0".to_owned()), ..host(Os::Linux) };
    for (name, facts, config, paths) in [
        ("x11-virgl", &x11, "", &paths()),
        ("wayland-virgl", &wayland(), "", &paths()),
        ("x11-forwarded", &forwarded, "gl = \"off\"", &paths()),
        ("x11-software-restored", &x11, "gl = \"off\"", &saved),
        ("no-window-kept-system", &x11, "display = \"none\"\nkeep = \"system\"", &kept),
        ("no-window-own-qemu", &x11, "display = \"none\"\naccel = \"tcg\"", &own),
        ("passthrough", &x11, "gpu = \"0000:01:00.0\"\ninput = [\"/dev/input/by-id/kbd\"]", &paths()),
        ("gpu-wide", &x11, "jail = \"gpu-wide\"", &paths()),
    ] {
        let policy = jail_of(&spec(facts, config).unwrap(), paths, ENVIRONMENT).unwrap();
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, policy);
        });
    }
}

#[test]
fn no_rule_contains_the_users_home_or_another_vm() {
    let environment = [
        ("HOME", "/users/ghost"),
        ("XDG_DATA_DIRS", "/users/ghost/.local/share:/users/ghost:/"),
        ("LD_LIBRARY_PATH", "/:/users:/users/ghost:relative:/users/ghost/.local/state/vms"),
        ("XCURSOR_PATH", "/users/ghost"),
        ("XAUTHORITY", "/users/ghost/.Xauthority"),
    ];
    let private = [
        "/users/ghost/.ssh",
        "/users/ghost/.local/state/vms/other/keys",
        "/data/homes/other.img",
        "/etc/shadow",
    ];
    for facts in [host(Os::Linux), wayland()] {
        let policy = jail_of(&spec(&facts, "").unwrap(), &paths(), &environment).unwrap();
        for rule in &policy.rules {
            let opens = private.iter().find(|private| Path::new(private).starts_with(&rule.path));
            assert_eq!(opens, None, "{rule:?}");
        }
    }
}

#[test]
fn a_vm_without_a_jail_has_no_policy() {
    let mut spec = spec(&host(Os::Linux), "").unwrap();
    assert!(jail_of(&spec, &paths(), &[]).is_some());
    spec.jail = Choice::new(Jail::Off, "under test");
    assert_eq!(jail_of(&spec, &paths(), &[]), None);
}
