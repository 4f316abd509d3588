//! Each obstacle with its fix, and how the host uses a device.

use super::*;
use crate::host::pci::*;
use crate::testing::{Texts, assert_texts};

#[test]
fn obstacles_with_their_fixes() {
    let gpu = "0000:01:00.0".parse().unwrap();
    let in_use = |what| Obstacle::InUse { address: gpu, what };
    let (disk, name) = (|| "nvme0n1".to_owned(), || "eth0".to_owned());
    let uses = [
        Use::Mount { disk: disk(), at: "/".to_owned() },
        Use::Mount { disk: disk(), at: "/srv".to_owned() },
        Use::Swap { disk: disk() },
        Use::Holder { disk: disk(), by: "md0".to_owned() },
        Use::Interface { name: name() },
        Use::Screen { connector: "DP-1".to_owned() },
    ];
    let shared = vec![("0000:02:00.0".parse().unwrap(), Class(0x0c_0330).to_string())];
    let mut obstacles = vec![
        Obstacle::IommuOff { cpu: Cpu::Intel },
        Obstacle::IommuOff { cpu: Cpu::Amd },
        Obstacle::IommuOff { cpu: Cpu::Other },
        Obstacle::NoDriver,
        Obstacle::VirtualFunctions { of: gpu, count: 2 },
        Obstacle::Bridge { address: gpu, driver: "shpchp".to_owned() },
        Obstacle::Display { gpu, because: Use::Screen { connector: "DP-1".to_owned() }.to_string() },
        Obstacle::Shared { gpu, group: 1, with: shared },
        Obstacle::NoPermission { node: "/dev/vfio/1".to_owned() },
        Obstacle::NotRoot { gpu },
        Obstacle::Memlock { needed: 1088 << 20, limit: 8 << 20 },
    ];
    obstacles.extend(uses.map(in_use));
    let mut texts = Texts::default();
    for obstacle in obstacles {
        let about = format!("{obstacle:?}");
        let about = about.split(' ').next().unwrap();
        texts.add(about, format!("{obstacle}\nfix: {}", obstacle.fix()));
    }
    assert_texts!("obstacles", texts);
}

#[test]
fn names_of_device_classes() {
    let mut texts = Texts::default();
    for class in [
        0x01_0600, 0x01_0802, 0x01_0000, 0x02_0000, 0x03_0000, 0x04_0300, 0x06_0400, 0x0c_0330, 0x0c_8000,
        0x10_8000, 0x09_0000,
    ] {
        texts.add(format!("{class:06x}"), Class(class));
    }
    assert_texts!("classes", texts);
}

#[test]
fn a_list_without_a_gpu() {
    assert_texts!("no-gpu", table(&PciFacts::default()));
}
