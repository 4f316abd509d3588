//! Plans as they are printed, with each reason, and the errors of plans that are not possible.

use super::*;
use crate::error::Error;
use crate::host::pci::{Memlock, Node, PciFacts, Privilege, UsbDevice};
use crate::host::{GpuPack, HostKeyboard};
use crate::model::{Feature, Os, Session, ShareAccess};
use crate::testing::{Texts, assert_texts, bus, config, gpu, host, spec, vm};

const PASSED: &str = "gpu = \"auto\"";

fn no_session() -> HostFacts {
    HostFacts { session: Session::None { because: "DISPLAY is not set".to_owned() }, ..host(Os::Linux) }
}

fn with_pci(pci: PciFacts) -> HostFacts {
    HostFacts { pci, ..host(Os::Linux) }
}

fn with_usb(access: Node) -> HostFacts {
    let (name, node) = ("1-2.4".to_owned(), "001/004".to_owned());
    let mut facts = host(Os::Linux);
    facts.pci.usb = vec![UsbDevice { name, vendor: 0x046d, product: 0xc52b, node, access }];
    facts.gpu_pack.is_there = true;
    facts
}

#[test]
fn plans_with_their_reasons() {
    let linux = host(Os::Linux);
    let vsock = HostFacts { vsock: Availability::Available, ..host(Os::Linux) };
    let failed = [
        Feature::Accelerator(Accelerator::Kvm),
        Feature::Window(Window::Gtk),
        Feature::Window(Window::Sdl),
        Feature::Checkpoint,
    ]
    .into_iter()
    .fold(host(Os::Linux), |facts, feature| facts.disable(feature, "it fails"));
    let keyboard = HostKeyboard {
        layout: "de".to_owned(),
        variant: "nodeadkeys".to_owned(),
        model: String::new(),
        options: String::new(),
        found_in: "the X server",
    };
    let pack = GpuPack { is_there: true, ..linux.gpu_pack.clone() };
    let unbound = with_pci(bus(vec![gpu("0000:01:00.0", "nouveau", Some(1))]));
    let iommufd = with_pci(PciFacts { iommufd: true, ..linux.pci.clone() });
    let mut usable = iommufd.clone();
    usable.pci.functions.iter_mut().for_each(|function| function.cdev = Some(Node::Usable));
    let usual = spec(&linux, "").unwrap().to_string();
    // Of the others only the lines that differ.
    let differs = |spec: VmSpec| {
        let text = spec.to_string();
        let lines: Vec<_> = text.lines().filter(|line| !usual.lines().any(|other| other == *line)).collect();
        lines.join("\n")
    };
    let mut texts = Texts::default();
    texts.add("Linux", &usual);
    for (about, facts, text) in [
        ("macOS", &host(Os::MacOs), ""),
        ("Windows", &host(Os::Windows), ""),
        ("vsock", &vsock, ""),
        ("no session", &no_session(), ""),
        ("everything has failed", &failed, ""),
        ("software rendering", &linux, "gl = \"off\""),
        ("instant start", &linux, "start = \"instant\""),
        (
            "all forced",
            &linux,
            "accel = \"tcg\"\ndisplay = \"sdl\"\ngl = \"on\"\nstart = \"boot\"\nfullscreen = true",
        ),
        ("own files", &linux, "gl = \"off\"\nkernel = \"/k\"\nrootfs = \"/r\"\nqemu = \"/q\""),
        ("the host's keyboard", &HostFacts { keyboard: Some(keyboard), ..linux.clone() }, ""),
        ("a keyboard", &linux, "keyboard = \"de(nodeadkeys)\""),
        ("a terminal", &linux, "terminal = \"kitty --single-instance\""),
        ("a time zone", &linux, "timezone = \"Asia/Tokyo\""),
        (
            "the host's time zone has no name",
            &HostFacts { timezone: Err("TZ is a rule".to_owned()), ..linux.clone() },
            "",
        ),
        (
            "systemd is running",
            &HostFacts { service_manager: Some(ServiceManager::User), ..linux.clone() },
            "",
        ),
        ("a passed GPU", &linux, PASSED),
        ("a passed GPU that is not bound yet", &unbound, PASSED),
        ("iommufd that does not open for the device", &iommufd, PASSED),
        ("iommufd", &usable, PASSED),
        ("a GPU pack", &HostFacts { gpu_pack: pack, ..linux.clone() }, PASSED),
        ("no GPU pack wanted", &linux, "gpu = \"auto\"\ngpu_pack = \"none\""),
    ] {
        let about = format!("{about}\n  {}", text.replace('\n', "\n  "));
        texts.add(about.trim_end(), differs(spec(facts, text).unwrap()));
    }
    let place = GuestPath::new("/src".as_ref()).unwrap();
    let src = SharedFolder { folder: "/data/src".into(), access: ShareAccess::Read, place: place.clone() };
    let git = GitIdentity { name: "Ann".to_owned(), email: "ann@example.com".to_owned() };
    let opened = WantedVm { shares: vec![src], workdir: Some(place), git: Some(git), ..vm("default") };
    texts.add("what is open of the host", differs(plan(&linux, &config(""), Arch::X86_64, &opened).unwrap()));
    let aarch64 = plan(&linux, &config(""), Arch::Aarch64, &vm("web"));
    texts.add("a guest of another architecture that keeps nothing", differs(aarch64.unwrap()));
    let aarch64 = HostFacts { arch: Some(Arch::Aarch64), ..linux.clone() };
    texts.add("aarch64", differs(spec(&aarch64, "gl = \"off\"").unwrap()));
    assert_texts!("plans", texts);
}

#[test]
fn refusals_with_their_hints() {
    let linux = host(Os::Linux);
    let no_kvm = host(Os::Linux).disable(Feature::Accelerator(Accelerator::Kvm), "it fails");
    let mut kvm_to_fix = host(Os::Linux);
    kvm_to_fix.acceleration = Availability::unavailable_with_fix("there is no /dev/kvm", "what to type");
    let no_gtk = host(Os::Linux).disable(Feature::Window(Window::Gtk), "it fails");
    let no_gl = host(Os::Linux).disable(Feature::Gl, "it fails");
    let aarch64 = HostFacts { arch: Some(Arch::Aarch64), ..host(Os::Linux) };
    let two = [("0000:01:00.0", 1), ("0000:02:00.0", 2)]
        .map(|(address, group)| gpu(address, "nouveau", Some(group)));
    let no_iommu = with_pci(bus(vec![gpu("0000:01:00.0", "nouveau", None)]));
    let unprivileged =
        PciFacts { privilege: Privilege::None, ..bus(vec![gpu("0000:01:00.0", "nouveau", Some(1))]) };
    let locked = with_pci(PciFacts { memlock: Memlock::Bytes(8 << 20), ..linux.pci.clone() });
    let usb = |address: &str| format!("gpu = \"auto\"\ninput = [\"usb:{address}\"]");
    let mut no_pack = with_usb(Node::Usable);
    no_pack.gpu_pack.is_there = false;
    let mut texts = Texts::default();
    for (about, facts, text) in [
        ("the accelerator of another system", &linux, "accel = \"hvf\""),
        ("an accelerator that fails", &no_kvm, "accel = \"kvm\""),
        ("an accelerator with a fix", &kvm_to_fix, "accel = \"kvm\""),
        ("no session", &no_session(), "display = \"gtk\""),
        ("a window that fails", &no_gtk, "display = \"gtk\""),
        ("the window of another system", &linux, "display = \"cocoa\""),
        ("the window of another system", &host(Os::MacOs), "display = \"gtk\""),
        ("OpenGL that fails", &no_gl, "gl = \"on\""),
        ("OpenGL without a window", &linux, "display = \"none\"\ngl = \"on\""),
        ("more memory than there is", &linux, "memory = 16385"),
        ("an instant start with OpenGL", &linux, "start = \"instant\"\ngl = \"on\""),
        ("an instant start with a passed GPU", &linux, "start = \"instant\"\ngpu = \"auto\""),
        ("an instant start with own files", &linux, "start = \"instant\"\nrootfs = \"/r\""),
        ("an instant start on aarch64", &aarch64, "start = \"instant\""),
        (
            "an instant start that failed",
            &linux.clone().disable(Feature::Checkpoint, "it fails"),
            "start = \"instant\"",
        ),
        ("passthrough on another system", &host(Os::Windows), PASSED),
        ("no GPU at the address", &linux, "gpu = \"0000:09:00.0\""),
        ("no GPU at all", &with_pci(bus(vec![])), PASSED),
        ("no GPU at all", &with_pci(bus(vec![])), "gpu = \"0000:09:00.0\""),
        ("no eligible GPU", &no_iommu, PASSED),
        ("a GPU that is not eligible", &no_iommu, "gpu = \"0000:01:00.0\""),
        ("a GPU that shows the host's display", &linux, "gpu = \"0000:00:02.0\""),
        ("several eligible GPUs", &with_pci(bus(two.into())), PASSED),
        ("no root", &with_pci(unprivileged), "gpu = \"0000:01:00.0\""),
        ("memory that may not be locked", &locked, PASSED),
        ("a keyboard without a passed GPU", &linux, "input = [\"/dev/input/by-id/usb-k-event-kbd\"]"),
        ("USB without a GPU pack", &no_pack, &usb("046d:c52b")),
        ("USB that is not there", &with_usb(Node::Usable), &usb("046d:c52c")),
        ("USB without permission", &with_usb(Node::Denied), &usb("1-2.4")),
    ] {
        let about = format!("{about}\n  {}", text.replace('\n', "\n  "));
        texts.add(about, Error::from(spec(facts, text).unwrap_err()));
    }
    texts.add(
        "a folder on another system",
        Error::from(can_share(Os::Windows, Path::new("/src")).unwrap_err()),
    );
    let other = plan(&linux, &config("accel = \"kvm\""), Arch::Aarch64, &vm("web"));
    texts.add("the accelerator for another architecture", Error::from(other.unwrap_err()));
    assert_texts!("refusals", texts);
}
