//! For unit tests: a host, a configuration and a plan; snapshots of texts; tests that this machine cannot run.

#[path = "../../tests/skipped.rs"]
mod skipped;

#[cfg(unix)]
pub(crate) mod process;
/// Of Unix alone: its paths and its errors are in the texts.
#[cfg(unix)]
mod texts;

pub use skipped::skipped;
#[cfg(unix)]
pub(crate) use texts::{Texts, assert_texts};

use crate::config::{Config, Layer};
use crate::host::pci::{Class, Function, PciFacts, Privilege};
use crate::host::{Availability, GpuPack, HostFacts, HostTimezone};
use crate::model::units::VmName;
use crate::model::{Accelerator, Arch, Enforcement, Os, Session, Source, VmSpec, Window};
use crate::payload::Artifacts;
use crate::plan::{PlanError, WantedVm, plan};
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
        jail: match os {
            Os::Linux => Availability::Available,
            Os::MacOs | Os::Windows => Availability::unavailable("no Landlock"),
        },
        service_manager: None,
        jail_enforcement: Enforcement::Landlock,
        gl_in_strict_jail: Availability::Available,
        checkpoint: match os {
            Os::Windows => Availability::unavailable("there is no channel to the guest"),
            Os::Linux | Os::MacOs => Availability::Available,
        },
        keyboard: None,
        timezone: Ok(HostTimezone {
            zone: "Europe/Berlin".parse().unwrap(),
            found_in: "/etc/localtime".to_owned(),
        }),
        memory_mib: Some(16_384),
        available_mib: Some(8_192),
        pci: bus(vec![
            Function { boot_vga: true, ..gpu("0000:00:02.0", "i915", Some(0)) },
            gpu("0000:01:00.0", "vfio-pci", Some(13)),
            Function { class: Class(0x040300), ..gpu("0000:01:00.1", "vfio-pci", Some(13)) },
        ]),
        gpu_pack: GpuPack { folder: "/data/gpu-pack".into(), is_there: false },
    }
}

pub fn bus(functions: Vec<Function>) -> PciFacts {
    PciFacts { functions, vfio_pci: true, privilege: Privilege::Root, ..PciFacts::default() }
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
    Config::merge([Layer::file(text, Path::new("/etc/vg.toml"), &VmName::default()).unwrap()])
}

/// A VM that has not run before.
pub fn vm(name: &str) -> WantedVm {
    WantedVm {
        name: name.parse().unwrap(),
        is_ephemeral: false,
        system: None,
        shares: Vec::new(),
        workdir: None,
        git: None,
    }
}

pub fn spec(facts: &HostFacts, text: &str) -> Result<VmSpec, PlanError> {
    let guest = facts.arch.unwrap_or(Arch::X86_64);
    plan(facts, &config(text), guest, &vm("default"))
}

/// A plan whose kernel, root filesystem and QEMU are files in `folder`: no more of the first two than is looked at. A QEMU
/// that is there stays.
pub fn own(facts: &HostFacts, folder: &Path) -> (VmSpec, Artifacts) {
    let file = |name: &str, at: usize, content: &[u8]| {
        let mut bytes = vec![0; 4096];
        bytes[at..at + content.len()].copy_from_slice(content);
        let path = folder.join(name);
        if !path.exists() {
            std::fs::write(&path, bytes).unwrap();
        }
        Source::File(path)
    };
    let spec = VmSpec {
        kernel: file("kernel", 0x1fe, b"\x55\xaa\0\0HdrS"),
        rootfs: file("rootfs", 1024 + 0x38, b"\x53\xef"),
        qemu: file("qemu", 0, b""),
        ..spec(facts, "").unwrap()
    };
    let artifacts = Artifacts::check(&spec, None, folder).unwrap();
    (spec, artifacts)
}
