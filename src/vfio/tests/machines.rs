//! Machines that people have, by what lspci and sysfs show of them.

use super::tree::{Dev, Tree};

const VGA: u32 = 0x030000;
const AUDIO: u32 = 0x040300;
const PORT: u32 = 0x060400;
pub const INTEL: &str = "GenuineIntel";
pub const AMD: &str = "AuthenticAMD";

const ROOT_PORT: Dev = Dev {
    at: "0000:00:01.0",
    class: PORT,
    ids: (0x8086, 0xa70d),
    driver: "pcieport",
    group: Some(1),
    ..NONE
};
const NONE: Dev = Dev {
    at: "",
    below: &[],
    class: 0,
    ids: (0, 0),
    driver: "",
    group: None,
    boot_vga: false,
    bars: &[],
    reset: "",
};

/// A GeForce RTX 2080: GPU, audio, USB, UCSI, in one group with the processor's root port, which has no ACS.
pub const NVIDIA: [Dev; 5] = [
    ROOT_PORT,
    Dev {
        at: "0000:01:00.0",
        below: &["0000:00:01.0"],
        class: VGA,
        ids: (0x10de, 0x1e87),
        driver: "nvidia",
        group: Some(1),
        bars: &[16 << 20, 256 << 20, 0, 32 << 20, 0, 128],
        reset: "flr bus",
        ..NONE
    },
    nvidia_part("0000:01:00.1", AUDIO, 0x10f8, "snd_hda_intel"),
    nvidia_part("0000:01:00.2", 0x0c0330, 0x1ad8, "xhci_hcd"),
    nvidia_part("0000:01:00.3", 0x0c8000, 0x1ad9, "nvidia-gpu"),
];

const fn nvidia_part(at: &'static str, class: u32, id: u16, driver: &'static str) -> Dev {
    Dev { at, below: &["0000:00:01.0"], class, ids: (0x10de, id), driver, group: Some(1), ..NONE }
}

const INTEGRATED: Dev = Dev {
    at: "0000:00:02.0",
    class: VGA,
    ids: (0x8086, 0xa780),
    driver: "i915",
    group: Some(0),
    boot_vga: true,
    bars: &[16 << 20, 0, 256 << 20, 0, 64],
    reset: "flr",
    ..NONE
};

const NVME: Dev = Dev {
    at: "0000:02:00.0",
    below: &["0000:00:01.1"],
    class: 0x010802,
    ids: (0x144d, 0xa80a),
    driver: "nvme",
    group: Some(1),
    ..NONE
};

const NIC: Dev = Dev {
    at: "0000:03:00.0",
    below: &["0000:00:01.2"],
    class: 0x020000,
    ids: (0x8086, 0x15f3),
    driver: "igc",
    group: Some(1),
    ..NONE
};

/// A Radeon RX 6800 behind its own two bridges, each function with a group of its own.
const NAVI: [Dev; 4] = [
    amd("0000:0b:00.0", &[], PORT, 0x1478, "pcieport", 25),
    amd("0000:0c:00.0", &["0000:0b:00.0"], PORT, 0x1479, "pcieport", 26),
    amd("0000:0d:00.0", &["0000:0b:00.0", "0000:0c:00.0"], VGA, 0x73bf, "amdgpu", 27),
    amd("0000:0d:00.1", &["0000:0b:00.0", "0000:0c:00.0"], AUDIO, 0xab28, "snd_hda_intel", 28),
];

/// A Ryzen's graphics: the same slot holds the security processor and the host's USB.
const RYZEN: [Dev; 4] = [
    Dev { boot_vga: true, ..amd("0000:30:00.0", &[], VGA, 0x13c0, "amdgpu", 15) },
    amd("0000:30:00.1", &[], AUDIO, 0x1640, "snd_hda_intel", 16),
    amd("0000:30:00.2", &[], 0x108000, 0x1649, "ccp", 17),
    amd("0000:30:00.3", &[], 0x0c0330, 0x15b6, "xhci_hcd", 18),
];

const fn amd(
    at: &'static str,
    below: &'static [&'static str],
    class: u32,
    id: u16,
    driver: &'static str,
    group: u32,
) -> Dev {
    Dev { at, below, class, ids: (0x1002, id), driver, group: Some(group), ..NONE }
}

const FLEX: [Dev; 3] =
    [flex("0000:4d:00.0", "i915", 40), flex("0000:4d:00.1", "", 41), flex("0000:4d:00.2", "i915", 42)];

const fn flex(at: &'static str, driver: &'static str, group: u32) -> Dev {
    Dev { at, class: 0x038000, ids: (0x8086, 0x56c0), driver, group: Some(group), reset: "flr", ..NONE }
}

fn without_group(devices: &[Dev]) -> Vec<Dev> {
    devices.iter().map(|device| Dev { group: None, ..*device }).collect()
}

/// The group of a root port that has no ACS: card and disk.
fn no_acs(cpu: &str, other: Dev) -> Tree {
    Tree::new(cpu, &[&NVIDIA[..3], &[other]].concat())
}

/// Name and tree of each.
pub fn all() -> Vec<(&'static str, Tree)> {
    let single =
        Tree::new(INTEL, &[NVIDIA[0], Dev { boot_vga: true, ..NVIDIA[1] }, NVIDIA[2], NVIDIA[3], NVIDIA[4]]);
    single.connector(&NVIDIA[1], "card0-DP-1", "connected\n", "enabled\n");
    single.connector(&NVIDIA[1], "card0-HDMI-A-1", "disconnected\n", "disabled\n");

    let mounted = no_acs(INTEL, NVME);
    mounted.disk(&NVME, "nvme/nvme0", "nvme0n1", ("259:0", "259:1"));
    mounted.write("proc/self/mountinfo", "25 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n");
    // The same disk with multipath on: it hangs from a virtual subsystem that links to its controller.
    let multipath = no_acs(INTEL, NVME);
    multipath.write("sys/bus/pci/devices/0000:02:00.0/nvme/nvme0/state", "live\n");
    let subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
    multipath.write(&format!("{subsystem}/nvme0n1/dev"), "259:0\n");
    multipath.link(&format!("{subsystem}/nvme0"), "sys/bus/pci/devices/0000:02:00.0/nvme/nvme0");
    multipath.link("sys/class/block/nvme0n1", &format!("{subsystem}/nvme0n1"));
    multipath.write("proc/self/mountinfo", "25 1 0:30 /@ /home rw - btrfs /dev/nvme0n1 rw\n");
    let encrypted = no_acs(INTEL, NVME);
    let disk = encrypted.disk(&NVME, "nvme/nvme0", "nvme0n1", ("259:0", "259:1"));
    encrypted.write(&format!("{disk}/nvme0n1p1/holders/dm-0/dev"), "254:0\n");
    let swapping = no_acs(INTEL, NVME);
    swapping.disk(&NVME, "nvme/nvme0", "nvme0n1", ("259:0", "259:1"));
    swapping.write("proc/swaps", "Filename\tType\n/dev/nvme0n1p1  partition 8388604 0 -2\n");
    let up = no_acs(INTEL, NIC);
    up.interface(&NIC, "enp3s0", "0x1003\n");
    let down = no_acs(INTEL, NIC);
    down.interface(&NIC, "enp3s0", "0x1002\n");

    let flex = Tree::new(INTEL, &FLEX);
    flex.write("sys/bus/pci/devices/0000:4d:00.0/sriov_numvfs", "2\n");
    for function in ["1", "2"] {
        let link = format!("sys/bus/pci/devices/0000:4d:00.{function}/physfn");
        flex.link(&link, "sys/devices/pci0000:00/0000:4d:00.0");
    }
    let bound = Tree::new(
        INTEL,
        &[NVIDIA[0], Dev { driver: "vfio-pci", ..NVIDIA[1] }, Dev { driver: "vfio-pci", ..NVIDIA[2] }],
    );
    let not_loaded = Tree::new(INTEL, &NVIDIA);
    std::fs::remove_dir_all(not_loaded.path("sys/bus/pci/drivers/vfio-pci")).unwrap();
    let vmd = Dev { at: "10000:e1:00.0", below: &["10000:e0:06.0"], ..NVIDIA[1] };
    let bridge = Dev { driver: "shpchp", ..ROOT_PORT };

    vec![
        ("a single NVIDIA with audio, USB and UCSI", single),
        ("Intel integrated plus NVIDIA", Tree::new(INTEL, &[&NVIDIA[..], &[INTEGRATED]].concat())),
        ("AMD behind bridges, beside a Ryzen's", Tree::new(AMD, &[NAVI, RYZEN].concat())),
        ("no ACS, a mounted disk in the group", mounted),
        ("no ACS, a mounted NVMe with multipath, btrfs", multipath),
        ("no ACS, an encrypted disk in the group", encrypted),
        ("no ACS, swap space in the group", swapping),
        ("no ACS, an idle disk in the group", no_acs(INTEL, NVME)),
        ("no ACS, an interface that is up", up),
        ("no ACS, an interface that is down", down),
        ("SR-IOV: a function with two virtual ones", flex),
        ("IOMMU off, Intel", Tree::new(INTEL, &without_group(&NVIDIA))),
        ("IOMMU off, AMD", Tree::new(AMD, &without_group(&NAVI))),
        ("a PCI domain of 32 bits", Tree::new(INTEL, &[vmd])),
        ("bound to vfio-pci already", bound),
        ("vfio-pci not loaded", not_loaded),
        ("a bridge whose driver does DMA", Tree::new(INTEL, &[&[bridge], &NVIDIA[1..]].concat())),
        (
            "a Ryzen's without ACS: all in one group",
            Tree::new(AMD, &RYZEN.map(|part| Dev { group: Some(3), ..part })),
        ),
        ("no GPU", Tree::new(INTEL, &[ROOT_PORT])),
    ]
}
