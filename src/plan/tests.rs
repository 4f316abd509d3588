use super::*;
use crate::config::Layer;
use crate::host::{GpuPack, HostKeyboard, Os, Rung};
use crate::vfio::{Class, Facts, Function, Memlock, Node, Privilege, UsbDevice};
use std::path::Path;

/// A host on which everything works.
pub fn host(os: Os) -> HostFacts {
    let (accelerator, session, gl) = match os {
        Os::Linux => (Accelerator::Kvm, Session::X11(":0".to_owned()), Availability::Available),
        Os::MacOs => (Accelerator::Hvf, Session::Native, Availability::unavailable("OpenGL 4.1 only")),
        Os::Windows => (Accelerator::Whpx, Session::Native, Availability::Available),
    };
    let toolkits = match os {
        Os::Linux => &[Window::Gtk, Window::Sdl][..],
        Os::MacOs => &[Window::Cocoa],
        Os::Windows => &[Window::Sdl, Window::Gtk],
    };
    let windows = toolkits.iter().map(|&window| (window, Availability::Available)).collect();
    HostFacts {
        os,
        arch: Some(Arch::X86_64),
        machine: String::new(),
        accelerator,
        acceleration: Availability::Available,
        session,
        windows,
        gl,
        vsock: Availability::unavailable("no vhost-vsock"),
        checkpoint: match os {
            Os::Windows => Availability::unavailable("nothing can be told to the guest"),
            Os::Linux | Os::MacOs => Availability::Available,
        },
        keyboard: None,
        memory_mib: 16_384,
        available_mib: 8_192,
        pci: bus(vec![
            Function { boot_vga: true, ..gpu("0000:00:02.0", "i915", Some(0)) },
            gpu("0000:01:00.0", "vfio-pci", Some(13)),
            Function { class: Class(0x040300), ..gpu("0000:01:00.1", "vfio-pci", Some(13)) },
        ]),
        gpu_pack: GpuPack { folder: "/data/gpu-pack".into(), is_there: false },
    }
}

pub fn bus(functions: Vec<Function>) -> Facts {
    Facts { functions, vfio_pci: true, privilege: Privilege::Root, ..Facts::default() }
}

pub fn gpu(address: &str, driver: &str, group: Option<u32>) -> Function {
    Function {
        address: address.parse().unwrap(),
        class: Class(0x030000),
        vendor: 0x10de,
        device: 0x2206,
        name: None,
        driver: Some(driver.to_owned()),
        driver_override: None,
        group,
        boot_vga: false,
        bars: Vec::new(),
        reset_methods: Vec::new(),
        physical_function: None,
        virtual_functions: 0,
        uses: Vec::new(),
        cdev: None,
    }
}

/// The configuration of a file with this text.
pub fn config(text: &str) -> Config {
    Config::merge([Layer::file(text, Path::new("/etc/vg.toml")).unwrap()])
}

pub fn spec(facts: &HostFacts, text: &str) -> Result<VmSpec, PlanError> {
    let guest = facts.arch.unwrap_or(Arch::X86_64);
    plan(facts, &config(text), guest, &"default".parse().unwrap(), Home::Kept("32768".parse().unwrap()))
}

fn refusal(facts: &HostFacts, text: &str) -> String {
    spec(facts, text).unwrap_err().to_string()
}

#[test]
fn the_best_that_is_there_is_taken_on_every_os() {
    let chosen = |os| {
        let spec = spec(&host(os), "").unwrap();
        (spec.accelerator.value, spec.gpu.value, spec.window.value)
    };
    assert_eq!(chosen(Os::Linux), (Accelerator::Kvm, GpuMode::Virgl, Window::Gtk));
    assert_eq!(chosen(Os::MacOs), (Accelerator::Hvf, GpuMode::Software, Window::Cocoa));
    assert_eq!(chosen(Os::Windows), (Accelerator::Whpx, GpuMode::Virgl, Window::Sdl));
}

#[test]
fn a_guest_of_another_architecture_runs_under_tcg() {
    let run = |host_arch, guest, text| {
        let facts = HostFacts { arch: host_arch, ..host(Os::Linux) };
        plan(&facts, &config(text), guest, &"default".parse().unwrap(), Home::ThrownAway)
    };
    let own = run(Some(Arch::Aarch64), Arch::Aarch64, "").unwrap();
    assert_eq!((own.arch, own.accelerator.value), (Arch::Aarch64, Accelerator::Kvm));
    for host_arch in [Some(Arch::X86_64), None] {
        let other = run(host_arch, Arch::Aarch64, "").unwrap();
        assert_eq!(other.accelerator.value, Accelerator::Tcg);
        assert_eq!(other.accelerator.because, "no KVM: this machine is not aarch64, as the VM is");
    }
    let refused = run(Some(Arch::X86_64), Arch::Aarch64, "accel = \"kvm\"").unwrap_err();
    assert!(
        refused.to_string().ends_with("can't be had: this machine is not aarch64, as the VM is"),
        "{refused}"
    );
}

#[test]
fn without_vmgenid_no_guest_starts_from_a_checkpoint() {
    let aarch64 = HostFacts { arch: Some(Arch::Aarch64), ..host(Os::Linux) };
    assert_eq!(spec(&host(Os::Linux), "gl = \"off\"").unwrap().start.value, Start::Instant);
    let planned = spec(&aarch64, "gl = \"off\"").unwrap();
    assert_eq!(planned.start.value, Start::Boot);
    assert!(planned.start.because.contains("vmgenid"), "{}", planned.start.because);
    assert!(refusal(&aarch64, "start = \"instant\"").contains("vmgenid"));
}

#[test]
fn what_failed_is_planned_around_and_the_reason_is_kept() {
    let facts = host(Os::Linux).without(Rung::Accelerator(Accelerator::Kvm), "failed to set MSR 0x10a");
    let planned = spec(&facts, "").unwrap();
    assert_eq!(planned.accelerator.value, Accelerator::Tcg);
    assert_eq!(planned.accelerator.because, "no KVM: failed to set MSR 0x10a");

    let planned = spec(&host(Os::Linux).without(Rung::Gl, "no EGL"), "").unwrap();
    assert_eq!((planned.gpu.value, planned.gpu.because.as_str()), (GpuMode::Software, "no EGL"));
    assert_eq!(planned.window.value, Window::Gtk);

    let no_gtk = host(Os::Linux).without(Rung::Window(Window::Gtk), "no module");
    let planned = spec(&no_gtk, "").unwrap();
    assert_eq!((planned.gpu.value, planned.window.value), (GpuMode::Virgl, Window::Sdl));
    assert_eq!(planned.window.because, "no gtk: no module");
    let planned = spec(&no_gtk.without(Rung::Window(Window::Sdl), "no SDL"), "").unwrap();
    assert_eq!((planned.gpu.value, planned.window.value), (GpuMode::Software, Window::None));
    assert_eq!(planned.window.because, "no gtk: no module; no sdl: no SDL");
}

#[test]
fn what_failed_at_an_earlier_start_is_left_out_unless_it_is_forced() {
    let mut facts = host(Os::Linux);
    facts.vsock = Availability::Available;
    for rung in [Rung::Accelerator(Accelerator::Kvm), Rung::Gl, Rung::Window(Window::Gtk), Rung::Vsock] {
        facts = facts.doubting(rung, "failed yesterday");
    }
    let chosen = |text| {
        let spec = spec(&facts, text).unwrap();
        (spec.accelerator.value, spec.gpu.value, spec.window.value, spec.agent.value)
    };
    assert_eq!(chosen(""), (Accelerator::Tcg, GpuMode::Software, Window::Sdl, AgentLink::Loopback));
    let forced = chosen("accel = \"kvm\"\ngl = \"on\"\ndisplay = \"gtk\"");
    assert_eq!(forced, (Accelerator::Kvm, GpuMode::Virgl, Window::Gtk, AgentLink::Loopback));
    // What fails now is no doubt any more.
    let failed = facts.without(Rung::Accelerator(Accelerator::Kvm), "fails today");
    assert!(refusal(&failed, "accel = \"kvm\"").ends_with("fails today"));
}

#[test]
fn limits_are_longer_where_the_guest_is_slower() {
    let patience = |text| spec(&host(Os::Linux), text).unwrap().patience;
    let seconds = Duration::from_secs;
    let text = "life_timeout = 2\nready_timeout = 3\ntcg_patience = 5\npoweroff_timeout = 7";
    let fast = patience(text);
    assert_eq!((fast.life, fast.ready, fast.poweroff), (seconds(2), seconds(3), seconds(7)));
    let slow = patience(&format!("accel = \"tcg\"\n{text}"));
    assert_eq!((slow.life, slow.ready, slow.poweroff), (seconds(10), seconds(15), seconds(7)));
}

#[test]
fn what_is_forced_never_falls_and_names_who_forced_it() {
    let no_kvm = host(Os::Linux).without(Rung::Accelerator(Accelerator::Kvm), "no /dev/kvm");
    assert_eq!(
        refusal(&no_kvm, "accel = \"kvm\""),
        "KVM was asked for (/etc/vg.toml, line 1) and can't be had: no /dev/kvm"
    );
    assert!(refusal(&host(Os::Linux), "accel = \"hvf\"").contains("on Linux it is KVM"));
    let no_window =
        HostFacts { session: Session::None { because: "DISPLAY is not set".to_owned() }, ..host(Os::Linux) };
    assert!(refusal(&no_window, "display = \"gtk\"").ends_with("can't be had: DISPLAY is not set"));
    assert!(refusal(&no_window, "gl = \"on\"").contains("no window whose OpenGL"));
    assert!(refusal(&host(Os::MacOs), "gl = \"on\"").contains("OpenGL 4.1"));
    assert!(refusal(&host(Os::MacOs), "display = \"gtk\"").contains("on macOS the window is cocoa"));
    assert!(refusal(&host(Os::Linux), "display = \"cocoa\"").contains("on Linux the window is gtk or sdl"));
}

#[test]
fn what_is_forced_and_there_is_taken() {
    let forced = spec(&host(Os::Linux), "accel = \"tcg\"\ndisplay = \"sdl\"\ngl = \"off\"").unwrap();
    assert_eq!(forced.accelerator.value, Accelerator::Tcg);
    assert_eq!(forced.accelerator.because, "/etc/vg.toml, line 1");
    assert_eq!((forced.window.value, forced.gpu.value), (Window::Sdl, GpuMode::Software));
    assert_eq!(spec(&host(Os::Linux), "display = \"none\"").unwrap().window.value, Window::None);
}

#[test]
fn more_memory_than_the_machine_has_is_refused_before_anything_starts() {
    assert!(refusal(&host(Os::Linux), "memory = 16385").contains("this machine's 16384 MiB"));
    assert!(spec(&host(Os::Linux), "memory = 16384").is_ok());
    assert!(spec(&HostFacts { memory_mib: 0, ..host(Os::Linux) }, "memory = 999999").is_ok());
}

#[test]
fn passthrough_takes_the_only_eligible_gpu_or_says_what_is_missing() {
    let passed = spec(&host(Os::Linux), "gpu = \"auto\"").unwrap();
    assert_eq!(passed.gpu.value, GpuMode::Passthrough("0000:01:00.0".parse().unwrap()));
    assert_eq!(passed.window.value, Window::None);

    assert!(refusal(&host(Os::Linux), "gpu = \"0000:00:02.0\"").contains("drives the host's display"));
    assert!(refusal(&host(Os::Linux), "gpu = \"0000:09:00.0\"").contains("no GPU at 0000:09:00.0"));
    assert!(refusal(&host(Os::Windows), "gpu = \"auto\"").contains("needs Linux"));
    let with = |functions| HostFacts { pci: bus(functions), ..host(Os::Linux) };
    let no_iommu = with(vec![gpu("0000:01:00.0", "nouveau", None)]);
    assert!(refusal(&no_iommu, "gpu = \"0000:01:00.0\"").contains("IOMMU is off"));
    assert!(refusal(&no_iommu, "gpu = \"auto\"").contains("no GPU is eligible"));
    let two = [("0000:01:00.0", 1), ("0000:02:00.0", 2)]
        .map(|(address, group)| gpu(address, "nouveau", Some(group)));
    let said = refusal(&with(two.into()), "gpu = \"auto\"");
    assert!(said.contains("0000:01:00.0") && said.contains("0000:02:00.0"), "{said}");
}

#[test]
fn what_a_gpu_still_has_to_be_bound_for_is_part_of_the_plan() {
    let facts = HostFacts { pci: bus(vec![gpu("0000:01:00.0", "nouveau", Some(1))]), ..host(Os::Linux) };
    let planned = spec(&facts, "gpu = \"auto\"").unwrap();
    assert!(planned.to_string().contains(
        "as root      echo vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override\n\
         as root      echo 0000:01:00.0 > /sys/bus/pci/drivers/nouveau/unbind\n\
         as root      echo 0000:01:00.0 > /sys/bus/pci/drivers_probe\n"
    ));
    let nobody = Facts { privilege: Privilege::None, ..facts.pci.clone() };
    let said = refusal(&HostFacts { pci: nobody, ..facts }, "gpu = \"auto\"");
    assert!(said.contains("no GPU is eligible"), "{said}");
}

#[test]
fn memory_that_may_not_be_locked_is_refused_before_anything_is_unbound() {
    let mut facts = host(Os::Linux);
    facts.pci.memlock = Memlock::Bytes(8 << 20);
    let refused = spec(&facts, "gpu = \"auto\"\nmemory = 1024").unwrap_err();
    assert!(
        refused.to_string().contains("1088 MiB with its firmware, and this user may lock 8 MiB"),
        "{refused}"
    );
    assert!(refused.hint().contains("- memlock 1114112"), "{}", refused.hint());
    facts.pci.memlock = Memlock::Bytes(1088 << 20);
    assert!(spec(&facts, "gpu = \"auto\"\nmemory = 1024").is_ok());
}

#[test]
fn iommufd_is_taken_where_its_nodes_open() {
    let mut facts = host(Os::Linux);
    let backend =
        |facts: &HostFacts| spec(facts, "gpu = \"auto\"").unwrap().passthrough.unwrap().backend.value;
    assert_eq!(backend(&facts), Backend::Type1);
    facts.pci.iommufd = true;
    assert_eq!(backend(&facts), Backend::Type1, "no node for the device");
    facts.pci.functions.iter_mut().for_each(|function| function.cdev = Some(Node::Usable));
    assert_eq!(backend(&facts), Backend::Iommufd);
}

#[test]
fn a_keyboard_of_the_host_is_only_for_a_vm_with_a_passed_gpu() {
    let keyboard = "input = [\"/dev/input/by-id/usb-k-event-kbd\"]";
    assert!(refusal(&host(Os::Linux), keyboard).contains("only a VM with a passed GPU"));
    assert!(spec(&host(Os::Linux), &format!("gpu = \"auto\"\n{keyboard}")).is_ok());
}

#[test]
fn a_gpu_pack_is_only_for_a_vm_with_a_passed_gpu_and_brings_its_kernel() {
    let kernel = |facts: &HostFacts, text: &str| spec(facts, text).unwrap().kernel;
    let mut facts = host(Os::Linux);
    let none = spec(&facts, "gpu = \"auto\"").unwrap();
    assert!(
        none.to_string().contains("gpu pack     none  (there is no GPU pack at /data/gpu-pack)\n"),
        "{none}"
    );
    assert_eq!(none.kernel, Source::Embedded);
    facts.gpu_pack.is_there = true;
    assert_eq!(kernel(&facts, ""), Source::Embedded);
    assert_eq!(kernel(&facts, "gpu = \"auto\""), Source::File("/data/gpu-pack/vmlinux".into()));
    assert_eq!(kernel(&facts, "gpu = \"auto\"\ngpu_pack = \"none\""), Source::Embedded);
    assert_eq!(kernel(&facts, "gpu = \"auto\"\ngpu_pack = \"/p\""), Source::File("/p/vmlinux".into()));
    assert_eq!(kernel(&facts, "gpu = \"auto\"\nkernel = \"/k\""), Source::File("/k".into()));
}

#[test]
fn a_usb_device_is_refused_before_anything_starts_if_qemu_or_the_guest_could_not_use_it() {
    let mut facts = host(Os::Linux);
    let device = UsbDevice {
        name: "1-2.4".to_owned(),
        vendor: 0x046d,
        product: 0xc52b,
        node: "001/004".to_owned(),
        access: Node::Denied,
    };
    facts.pci.usb = vec![device];
    let with = |address: &str| format!("gpu = \"auto\"\ninput = [\"usb:{address}\"]");
    let no_pack = spec(&facts, &with("046d:c52b")).unwrap_err();
    assert!(no_pack.to_string().contains("there is no GPU pack at /data/gpu-pack"), "{no_pack}");
    assert!(no_pack.hint().contains("make gpu-pack"));
    facts.gpu_pack.is_there = true;
    assert!(refusal(&facts, &with("046d:c52c")).contains("it is not plugged in"));
    for address in ["046d:c52b", "1-2.4"] {
        let denied = spec(&facts, &with(address)).unwrap_err();
        assert!(denied.to_string().contains("no permission for /dev/bus/usb/001/004"), "{denied}");
        assert!(
            denied.hint().contains("ATTR{idVendor}==\"046d\", ATTR{idProduct}==\"c52b\""),
            "{}",
            denied.hint()
        );
    }
    facts.pci.usb[0].access = Node::Usable;
    for address in ["046d:c52b", "1-2.4"] {
        assert!(spec(&facts, &with(address)).is_ok());
    }
}

#[test]
fn the_hosts_keyboard_is_taken_over_unless_another_is_said() {
    let keyboard = |layout: &str| HostKeyboard {
        layout: layout.to_owned(),
        variant: "nodeadkeys".to_owned(),
        model: "pc105".to_owned(),
        options: "grp:alt_shift_toggle".to_owned(),
        found_in: "the X server",
    };
    let facts = |layout| HostFacts { keyboard: Some(keyboard(layout)), ..host(Os::Linux) };
    let xkb = spec(&facts("de"), "").unwrap().keyboard;
    assert_eq!(xkb.value.to_string(), "de(nodeadkeys)");
    assert_eq!(xkb.because, "of the host: the X server");
    assert_eq!(spec(&facts("de"), "keyboard = \"fr\"").unwrap().keyboard.value.to_string(), "fr");
    // A host that says something odd can't add an argument to the kernel's command line.
    assert_eq!(spec(&facts("de init=/bin/sh"), "").unwrap().keyboard.value.layout, "");
}

#[test]
fn a_plan_is_printed_with_its_reasons() {
    insta::assert_snapshot!(spec(&host(Os::Linux), "vcpus = 4\ngl = \"off\"").unwrap());
}

#[test]
fn a_start_is_instant_where_the_guest_renders_in_software_and_all_parts_are_the_embedded_ones() {
    let start = |facts: &HostFacts, text: &str| spec(facts, text).unwrap().start;
    let linux = host(Os::Linux);
    assert_eq!(start(&linux, "gl = \"off\"").value, Start::Instant);
    assert_eq!(start(&linux, "display = \"none\"").value, Start::Instant);
    assert_eq!(start(&host(Os::MacOs), "").value, Start::Instant);
    for (facts, text, because) in [
        (&linux, "", "OpenGL"),
        (&linux, "gl = \"off\"\nstart = \"boot\"", "line 2"),
        (&linux, "gl = \"off\"\nrootfs = \"/r.img\"", "/r.img"),
        (&linux, "gpu = \"auto\"", "physical GPU"),
        (&host(Os::Windows), "gl = \"off\"", "told"),
        (&host(Os::Linux).without(Rung::Checkpoint, "it is damaged"), "gl = \"off\"", "damaged"),
    ] {
        let start = start(facts, text);
        assert_eq!(start.value, Start::Boot, "{text}");
        assert!(start.because.contains(because), "{text}: {}", start.because);
    }
}

#[test]
fn an_instant_start_that_is_forced_does_without_the_hosts_opengl_or_is_refused() {
    let instant = spec(&host(Os::Linux), "start = \"instant\"").unwrap();
    assert_eq!((instant.start.value, instant.gpu.value), (Start::Instant, GpuMode::Software));
    assert!(refusal(&host(Os::Linux), "start = \"instant\"\ngl = \"on\"").contains("OpenGL"));
    assert!(refusal(&host(Os::Windows), "start = \"instant\"").contains("told"));
}

#[test]
fn a_saved_vm_is_reached_the_same_way_wherever_it_starts() {
    let facts = HostFacts { vsock: Availability::Available, ..host(Os::Linux) };
    assert_eq!(spec(&facts, "").unwrap().agent.value, AgentLink::Vsock);
    assert_eq!(spec(&facts, "gl = \"off\"").unwrap().agent.value, AgentLink::Loopback);
}
