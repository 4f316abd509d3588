//! Plans with a passed GPU.

use crate::host::HostFacts;
use crate::host::pci::{Memlock, Node, PciFacts, Privilege, UsbDevice};
use crate::model::{Backend, GpuMode, Os, Source, Window};
use crate::plan::tests::{because as why, refusal};
use crate::testing::{bus, gpu, host, spec};

#[test]
fn passthrough_uses_the_only_eligible_gpu_or_names_the_obstacle() {
    let passed = spec(&host(Os::Linux), "gpu = \"auto\"").unwrap();
    assert_eq!(passed.gpu.value, GpuMode::Passthrough("0000:01:00.0".parse().unwrap()));
    assert_eq!(passed.window.value, Window::None);

    let [_, because, hint] = refusal(&host(Os::Linux), "gpu = \"0000:00:02.0\"");
    assert!(because.contains("0000:00:02.0") && hint.contains("--force"), "{because}; {hint}");
    let [_, because, hint] = refusal(&host(Os::Linux), "gpu = \"0000:09:00.0\"");
    assert!(because.contains("0000:09:00.0") && because.contains("0000:01:00.0"), "{because}; {hint}");
    refusal(&host(Os::Windows), "gpu = \"auto\"");
    let with = |functions| HostFacts { pci: bus(functions), ..host(Os::Linux) };
    let no_iommu = with(vec![gpu("0000:01:00.0", "nouveau", None)]);
    assert!(why(&no_iommu, "gpu = \"0000:01:00.0\"").contains("IOMMU"));
    let [_, because, hint] = refusal(&no_iommu, "gpu = \"auto\"");
    assert!(because.contains("0000:01:00.0") && hint.contains("virtualghost gpu list"), "{because}; {hint}");
    let two = [("0000:01:00.0", 1), ("0000:02:00.0", 2)]
        .map(|(address, group)| gpu(address, "nouveau", Some(group)));
    let because = why(&with(two.into()), "gpu = \"auto\"");
    assert!(because.contains("0000:01:00.0") && because.contains("0000:02:00.0"), "{because}");
}

#[test]
fn the_plan_contains_the_writes_that_bind_a_gpu() {
    let facts = HostFacts { pci: bus(vec![gpu("0000:01:00.0", "nouveau", Some(1))]), ..host(Os::Linux) };
    let planned = spec(&facts, "gpu = \"auto\"").unwrap();
    let writes: Vec<_> =
        planned.passthrough.unwrap().bind_plan.writes().iter().map(ToString::to_string).collect();
    assert_eq!(
        writes,
        [
            "echo vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override",
            "echo 0000:01:00.0 > /sys/bus/pci/drivers/nouveau/unbind",
            "echo 0000:01:00.0 > /sys/bus/pci/drivers_probe",
        ]
    );
    let unprivileged = PciFacts { privilege: Privilege::None, ..facts.pci.clone() };
    let [_, _, hint] = refusal(&HostFacts { pci: unprivileged, ..facts }, "gpu = \"auto\"");
    assert!(hint.contains("virtualghost gpu list"), "{hint}");
}

#[test]
fn too_small_a_memlock_limit_is_refused_before_anything_is_unbound() {
    let mut facts = host(Os::Linux);
    facts.pci.memlock = Memlock::Bytes(8 << 20);
    let [_, because, hint] = refusal(&facts, "gpu = \"auto\"\nmemory = 1024");
    assert!(because.contains("1088 MiB") && because.contains("8 MiB"), "{because}");
    assert!(hint.contains("- memlock 1114112"), "{hint}");
    facts.pci.memlock = Memlock::Bytes(1088 << 20);
    assert!(spec(&facts, "gpu = \"auto\"\nmemory = 1024").is_ok());
}

#[test]
fn iommufd_is_used_if_its_nodes_open() {
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
fn a_keyboard_of_the_host_needs_a_passed_gpu() {
    let keyboard = "input = [\"/dev/input/by-id/usb-k-event-kbd\"]";
    let [_, _, hint] = refusal(&host(Os::Linux), keyboard);
    assert!(hint.contains("--gpu"), "{hint}");
    assert!(spec(&host(Os::Linux), &format!("gpu = \"auto\"\n{keyboard}")).is_ok());
}

#[test]
fn a_gpu_pack_needs_a_passed_gpu_and_replaces_the_kernel() {
    let kernel = |facts: &HostFacts, text: &str| spec(facts, text).unwrap().kernel;
    let mut facts = host(Os::Linux);
    let none = spec(&facts, "gpu = \"auto\"").unwrap();
    let pack = none.passthrough.unwrap().pack;
    assert!(pack.value.is_none() && pack.because.contains("/data/gpu-pack"), "{pack:?}");
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
    let [_, because, hint] = refusal(&facts, &with("046d:c52b"));
    assert!(because.contains("/data/gpu-pack") && hint.contains("make gpu-pack"), "{because}; {hint}");
    facts.gpu_pack.is_there = true;
    let [wanted, _, hint] = refusal(&facts, &with("046d:c52c"));
    assert!(wanted.contains("046d:c52c") && hint.contains("lsusb"), "{wanted}; {hint}");
    for address in ["046d:c52b", "1-2.4"] {
        let [_, because, hint] = refusal(&facts, &with(address));
        assert!(because.contains("/dev/bus/usb/001/004"), "{because}");
        assert!(hint.contains("ATTR{idVendor}==\"046d\", ATTR{idProduct}==\"c52b\""), "{hint}");
    }
    facts.pci.usb[0].access = Node::Usable;
    for address in ["046d:c52b", "1-2.4"] {
        assert!(spec(&facts, &with(address)).is_ok());
    }
}
