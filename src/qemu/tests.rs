mod devices;

use super::*;
use crate::host::pci::{Node, UsbDevice};
use crate::host::{Availability, HostFacts};
use crate::model::{Arch, Feature, GuestPath, ShareAccess, SharedFolder};
use crate::testing::{host, spec};
use std::ffi::OsStr;

fn paths() -> Paths {
    Paths {
        kernel: "/cache/kernel/vmlinux".into(),
        rootfs: "/cache/rootfs/rootfs.img".into(),
        qemu: Program {
            path: "/cache/qemu/bin/qemu".into(),
            bundle: Some(Bundle {
                modules: "/cache/qemu/lib/qemu".into(),
                data: "/cache/qemu/share".into(),
                major: Some(11),
            }),
        },
        overlay_folder: "/cache/overlays".into(),
        home: Some("/data/homes/default.img".into()),
        gpu_pack: None,
        initrd: None,
        root: RootDisk::Enlarged("/overlays/1/root".into()),
        cache: "/state/vms/default/cache".into(),
        keys: "/state/vms/default/keys".into(),
    }
}

fn channels(os: Os) -> Channels {
    match os {
        Os::Windows => Channels {
            console: Channel::Pipe("vg-1-console".into()),
            control: Channel::Pipe("vg-1-control".into()),
            network: None,
            agent: Agent::Loopback,
            keys: KeySource::Files,
            keyboard: None,
            shares: None,
        },
        _ => Channels {
            console: Channel::Descriptor(3),
            control: Channel::Descriptor(4),
            network: Some(5),
            agent: Agent::Socket,
            keys: KeySource::Descriptors(6),
            keyboard: Some(9),
            shares: Some(10),
        },
    }
}

fn arguments(facts: &HostFacts, config: &str) -> Vec<String> {
    let spec = spec(facts, config).unwrap();
    argv(&spec, &paths(), &channels(facts.os)).into_iter().map(|a| a.into_string().unwrap()).collect()
}

/// One argument per line: a change of one option is one changed line.
macro_rules! snapshot {
    ($name:literal, $facts:expr, $config:expr) => {
        insta::assert_snapshot!($name, arguments(&$facts, $config).join("\n"));
    };
}

fn no_acceleration(os: Os) -> HostFacts {
    HostFacts { acceleration: Availability::unavailable("broken"), ..host(os) }
}

fn no_gl(os: Os) -> HostFacts {
    host(os).disable(Feature::Gl, "no EGL")
}

#[test]
fn linux_argv_for_each_accelerator_and_gpu_mode() {
    snapshot!("linux-kvm-virgl-gtk", host(Os::Linux), "");
    snapshot!("linux-kvm-software-gtk", no_gl(Os::Linux), "");
    snapshot!("linux-kvm-passthrough", host(Os::Linux), "gpu = \"auto\"");
    snapshot!("linux-kvm-no-window", host(Os::Linux), "display = \"none\"");
    snapshot!("linux-tcg-virgl-gtk", no_acceleration(Os::Linux), "");
    snapshot!("linux-tcg-virgl-sdl", no_acceleration(Os::Linux), "display = \"sdl\"\nfullscreen = true");
    snapshot!("linux-tcg-software-gtk", no_acceleration(Os::Linux), "gl = \"off\"");
    snapshot!("linux-tcg-software-gtk-boot", no_acceleration(Os::Linux), "gl = \"off\"\nstart = \"boot\"");
    snapshot!("linux-tcg-passthrough", no_acceleration(Os::Linux), "gpu = \"auto\"");
    let mut iommufd = host(Os::Linux);
    iommufd.pci.iommufd = true;
    iommufd.pci.functions.iter_mut().for_each(|function| function.cdev = Some(Node::Usable));
    let all = "gpu = \"auto\"\ngpu_rom = \"/roms/a,b.rom\"\ngpu_x_vga = true\ninput = [\"/dev/input/by-id/k\", \"/dev/input/by-id/m\"]";
    snapshot!("linux-kvm-passthrough-iommufd", iommufd, all);
}

/// A plan with two folders, one of them to be read alone and elsewhere in the guest.
fn sharing(facts: &HostFacts, config: &str) -> VmSpec {
    let share = |folder: &str, access, place: &str| SharedFolder {
        folder: folder.into(),
        access,
        place: GuestPath::new(place.as_ref()).unwrap(),
    };
    VmSpec {
        shares: vec![
            share("/srv/a/src", ShareAccess::Write, "/srv/a/src"),
            share("/data", ShareAccess::Read, "/mnt/a,b"),
        ],
        workdir: Some(GuestPath::new("/srv/a/src".as_ref()).unwrap()),
        ..spec(facts, config).unwrap()
    }
}

#[test]
fn a_shared_folder_is_a_device_whose_server_has_the_guests_memory() {
    let argv = |config: &str, root: RootDisk| {
        let (paths, spec) = (Paths { root, ..paths() }, sharing(&host(Os::Linux), config));
        let usual = arguments(&host(Os::Linux), config);
        let argv = argv(&spec, &paths, &channels(Os::Linux));
        let new =
            argv.into_iter().map(|word| word.into_string().unwrap()).filter(|word| !usual.contains(word));
        new.collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!("linux-shares-boot", argv("", paths().root));
    let saved = RootDisk::Saved("/checkpoint/disk".into());
    insta::assert_snapshot!("linux-shares-instant", argv("gl = \"off\"", saved));
}

#[test]
fn folders_of_a_vm_that_resumes_are_plugged_in_and_no_part_of_the_checkpoint() {
    let (without, with) = (spec(&no_gl(Os::Linux), "").unwrap(), sharing(&no_gl(Os::Linux), ""));
    assert_eq!(machine_identity(&without), machine_identity(&with));
    let functions: Vec<_> =
        plugged_shares(&with).iter().map(|device| device["addr"].as_str().unwrap().to_owned()).collect();
    assert_eq!(functions, ["0.1", "0.0"], "when the first one arrives, the guest looks at all of them");
    assert!(plugged_shares(&sharing(&host(Os::Linux), "")).is_empty(), "a VM that boots has the devices");
}

#[test]
fn a_gpu_pack_is_a_disk_that_is_only_read_and_usb_devices_have_a_controller() {
    let mut facts = host(Os::Linux);
    facts.gpu_pack.is_there = true;
    let usb = |name: &str| UsbDevice {
        name: name.to_owned(),
        vendor: 0x046d,
        product: 0xc52b,
        node: "001/004".to_owned(),
        access: Node::Usable,
    };
    facts.pci.usb = vec![usb("1-2.4")];
    let all = "gpu = \"auto\"\ninput = [\"usb:046d:c52b\", \"usb:1-2.4\", \"/dev/input/by-id/k\"]";
    let spec = spec(&facts, all).unwrap();
    let paths = Paths { gpu_pack: Some("/data/gpu-pack/gpu-pack.img".into()), ..paths() };
    let argv = argv(&spec, &paths, &channels(Os::Linux));
    let lines: Vec<_> = argv.into_iter().map(|a| a.into_string().unwrap()).collect();
    insta::assert_snapshot!("linux-kvm-passthrough-pack", lines.join("\n"));
}

#[test]
fn a_start_from_a_checkpoint_differs_in_its_disk_and_waits_for_qmp() {
    let spec = spec(&no_acceleration(Os::Linux), "gl = \"off\"").unwrap();
    let words = |root| {
        let paths = Paths { root, ..paths() };
        let argv = argv(&spec, &paths, &channels(Os::Linux));
        argv.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>()
    };
    let (boots, restored) =
        (words(RootDisk::ToSave("/o/disk".into())), words(RootDisk::Saved("/c/disk".into())));
    let only_in = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|word| !those.contains(word)).cloned().collect()
    };
    let disk = |snapshot, file| {
        format!("if=none,id=root,format=qcow2,snapshot={snapshot},discard=unmap,file={file}")
    };
    assert_eq!(only_in(&boots, &restored), [disk("off", "/o/disk")]);
    assert_eq!(only_in(&restored, &boots), [&disk("on", "/c/disk"), "-incoming", "defer", "-S"]);
    // What a guest writes to the system that it keeps is in the disk's file.
    let kept = words(RootDisk::Kept { disk: "/s/disk".into(), image: "/s/image".into() });
    assert_eq!(only_in(&kept, &boots), [disk("off", "/s/disk")]);
    // A checkpoint contains nothing that belongs to one VM.
    for own in ["/data/homes", "/state/vms", "systemd.hostname", "fw_cfg"] {
        assert!(!boots.iter().any(|word| word.contains(own)), "{own}");
    }
}

#[test]
fn macos_argv_for_each_accelerator() {
    snapshot!("macos-hvf-software-cocoa", host(Os::MacOs), "");
    snapshot!("macos-tcg-software-cocoa", no_acceleration(Os::MacOs), "");
}

fn aarch64(facts: HostFacts) -> HostFacts {
    HostFacts { arch: Some(Arch::Aarch64), ..facts }
}

#[test]
fn aarch64_argv_for_each_os_and_accelerator() {
    snapshot!("linux-aarch64-kvm-virgl-gtk", aarch64(host(Os::Linux)), "");
    snapshot!("linux-aarch64-tcg-virgl-gtk", aarch64(no_acceleration(Os::Linux)), "");
    snapshot!("linux-aarch64-tcg-software-gtk", aarch64(no_acceleration(Os::Linux)), "gl = \"off\"");
    snapshot!("linux-aarch64-kvm-passthrough", aarch64(host(Os::Linux)), "gpu = \"auto\"");
    snapshot!("macos-aarch64-hvf-software-cocoa", aarch64(host(Os::MacOs)), "");
    snapshot!("macos-aarch64-tcg-software-cocoa", aarch64(no_acceleration(Os::MacOs)), "");
}

#[test]
fn windows_argv_for_each_accelerator_and_gpu_mode() {
    snapshot!("windows-whpx-virgl-sdl", host(Os::Windows), "");
    snapshot!("windows-whpx-software-sdl", no_gl(Os::Windows), "");
    let whpx = |major| {
        let mut paths = paths();
        paths.qemu.bundle.as_mut().unwrap().major = major;
        let spec = spec(&host(Os::Windows), "").unwrap();
        let argv = argv(&spec, &paths, &channels(Os::Windows));
        let at = argv.iter().position(|word| word == "-accel").unwrap();
        format!("{major:?}: {}", argv[at + 1].display())
    };
    insta::assert_snapshot!(
        "windows-whpx-by-version",
        [Some(9), Some(10), Some(11), None].map(whpx).join("\n")
    );
    snapshot!("windows-tcg-virgl-sdl", no_acceleration(Os::Windows), "");
    snapshot!("windows-tcg-software-sdl", no_acceleration(Os::Windows), "gl = \"off\"");
}

#[test]
fn the_image_is_only_ever_opened_with_a_throw_away_overlay() {
    let mut odd = paths();
    odd.root = RootDisk::Enlarged("/a,b/root".into());
    let spec = spec(&host(Os::Linux), "").unwrap();
    let argv = argv(&spec, &odd, &channels(Os::Linux));
    let drives: Vec<_> = argv.iter().filter(|a| a.to_str().unwrap().contains("id=root")).collect();
    let [drive] = drives[..] else { panic!("{drives:?}") };
    assert!(drive.to_str().unwrap().contains("snapshot=on"));
    assert!(drive.to_str().unwrap().ends_with("file=/a,,b/root"));
    assert!(argv.iter().all(|word| !word.to_str().unwrap().contains("rootfs.img")));
}

#[test]
fn nothing_listens_on_the_network_but_on_windows_the_agents_port_on_the_loopback_interface() {
    for os in [Os::Linux, Os::MacOs, Os::Windows] {
        let argv = arguments(&host(os), "").join("\n");
        let argv = if os == Os::Windows { argv.replace("hostfwd=tcp:127.0.0.1:0-:22", "") } else { argv };
        for listener in ["hostfwd", "server=on", "-vnc", "-spice", "tcp:", "-gdb"] {
            assert!(!argv.contains(listener), "{os}: {listener}");
        }
    }
}

#[test]
fn qemu_has_no_network_of_its_own_but_on_windows_where_off_closes_it() {
    for (os, config, user) in [
        (Os::Linux, "net = \"open\"", false),
        (Os::MacOs, "net = \"open\"", false),
        (Os::Windows, "net = \"open\"", true),
    ] {
        let argv = arguments(&host(os), config).join("\n");
        assert_eq!(argv.contains("\nuser,id=net"), user, "{os}: {argv}");
        assert!(!argv.contains("restrict"), "{os}");
    }
    assert!(arguments(&host(Os::Windows), "net = \"off\"").join("\n").contains("restrict=on"));
}

#[test]
fn with_vsock_nothing_listens_at_all() {
    let spec = spec(&host(Os::Linux), "").unwrap();
    let channels = Channels { agent: Agent::Vsock { cid: 70_000 }, ..channels(Os::Windows) };
    let argv = argv(&spec, &paths(), &channels);
    let argv = argv.join(OsStr::new(" ")).into_string().unwrap();
    assert!(argv.contains("vhost-vsock-pci,guest-cid=70000") && !argv.contains("hostfwd"), "{argv}");
}

#[test]
fn keys_are_handed_over_by_descriptor_and_a_vm_without_a_home_has_no_disk_for_it() {
    let argv = arguments(&host(Os::Linux), "").join("\n");
    assert!(argv.contains("name=opt/io.systemd.credentials/ghostly.host-key,file=/dev/fd/6"), "{argv}");
    assert!(!argv.contains("/state/vms/default/keys"), "{argv}");
    let spec = spec(&host(Os::Linux), "").unwrap();
    let paths = Paths { home: None, ..paths() };
    let argv = super::argv(&spec, &paths, &channels(Os::Linux));
    assert!(!argv.iter().any(|word| word.to_str().unwrap().contains("serial=home")));
}

#[test]
fn qemus_environment_has_what_a_window_needs_and_no_secret() {
    let spec = spec(&host(Os::Linux), "display = \"sdl\"").unwrap();
    let vars = [
        ("DISPLAY", ":0"),
        ("LC_ALL", "C"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("TMPDIR", "/tmp"),
        ("SSH_AUTH_SOCK", "/s"),
    ];
    let environment = environment(&spec, &paths(), vars.map(|(name, value)| (name.into(), value.into())));
    let get = |name: &str| {
        let mut found = environment.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_os_str());
        (found.next(), found.next())
    };
    let once = |value| (Some(OsStr::new(value)), None);
    assert_eq!(get("DISPLAY"), once(":0"));
    assert_eq!(get("LC_ALL"), once("C"));
    assert_eq!(get("TMPDIR"), once("/cache/overlays"));
    assert_eq!(get("QEMU_MODULE_DIR"), once("/cache/qemu/lib/qemu"));
    assert_eq!(get("SDL_VIDEODRIVER"), once("x11"));
    assert_eq!(get("AWS_SECRET_ACCESS_KEY"), (None, None));
    assert_eq!(get("SSH_AUTH_SOCK"), (None, None));
    assert_eq!(get("VIRTUALGHOST_KEYS"), once("9"));
}

/// Another guest may never report that it is ready, and other systems' QEMU has no library that keeps keys.
#[test]
fn keys_wait_for_a_guest_that_reports_when_it_is_ready_and_has_a_window() {
    let keyboard = |os, config| super::channels(&spec(&host(os), config).unwrap(), 1).keyboard;
    assert_eq!(keyboard(Os::Linux, ""), Some(9));
    assert_eq!(keyboard(Os::Linux, "display = \"sdl\""), Some(9));
    for (os, config) in [
        (Os::Linux, "display = \"none\""),
        (Os::Linux, "rootfs = \"/own.img\""),
        (Os::MacOs, ""),
        (Os::Windows, ""),
    ] {
        assert_eq!(keyboard(os, config), None, "{os:?} {config}");
    }
}

#[test]
fn the_kernels_command_line_has_what_differs_from_the_image_and_nothing_of_one_vm_in_a_checkpoint() {
    let linux = host(Os::Linux);
    let line = |config: &str| kernel_cmdline::kernel_cmdline(&spec(&linux, config).unwrap());
    // What outlives a crash is written in order.
    assert!(line("").contains(" rootflags=data=writeback,nobarrier,commit=60 "));
    for outlives in ["keep = \"system\"", "rootfs = \"/own.img\""] {
        assert!(!line(outlives).contains("rootflags"), "{outlives}");
    }
    assert!(!line("").contains("virtualghost.terminal"));
    assert!(line("terminal = \"kitty -1\"").contains(" virtualghost.terminal=\"kitty -1\""));
    assert!(line("accel = \"tcg\"\ngl = \"off\"").contains(" virtualghost.terminal=\"foot\""));
    assert!(line("timezone = \"Asia/Tokyo\"").contains(" virtualghost.timezone=Asia/Tokyo"));
    assert!(!line("timezone = \"UTC\"").contains("timezone"));
    assert!(!line("gl = \"off\"\ntimezone = \"Asia/Tokyo\"").contains("timezone"));
}
