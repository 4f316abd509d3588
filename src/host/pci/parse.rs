//! Parsers for sysfs, /proc and pci.ids. They never fail: what can't be parsed is skipped.

/// Sizes of the BARs in a `resource` file: its first six lines, `START END FLAGS` in hexadecimal (kernel documentation,
/// PCI/sysfs-pci).
pub fn bars(resource: &str) -> Vec<u64> {
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let size = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = (number(words.next()?)?, number(words.next()?)?);
        (end > start).then(|| (end - start).saturating_add(1))
    };
    resource.lines().take(6).filter_map(size).collect()
}

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `major:minor`
    pub device: String,
    pub at: String,
    /// `/dev/sda2`. Needed for btrfs, which has its own device numbers.
    pub source: String,
}

pub fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(2);
        let (device, _root, at) = (words.next()?, words.next()?, words.next()?);
        let source = filesystem.split(' ').nth(1)?;
        Some(Mount { device: device.to_owned(), at: at.to_owned(), source: source.to_owned() })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// `VENDOR DEVICE` from pci.ids: vendors at the start of a line, their devices after one tab, subsystems after two, then
/// the classes, which begin with `C `.
pub fn pci_name(ids: &str, vendor: u16, device: u16) -> Option<String> {
    let after = |line: &str, id: u16| {
        let (number, name) = line.split_once("  ")?;
        let is_number = number.len() == 4 && u16::from_str_radix(number, 16) == Ok(id);
        is_number.then(|| name.trim().to_owned())
    };
    let mut lines = ids.lines();
    let vendor = lines.find_map(|line| after(line, vendor))?;
    let devices = lines.take_while(|line| line.starts_with('\t') || line.starts_with('#'));
    let device = devices.filter_map(|line| line.strip_prefix('\t')).find_map(|line| after(line, device))?;
    Some(format!("{} {device}", short(&vendor)))
}

/// The common name, which pci.ids has in brackets at the end, if at all.
fn short(vendor: &str) -> &str {
    let bracketed = vendor.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    let name = bracketed.map_or(vendor, |(_, name)| name);
    name.strip_suffix(" Corporation").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDS: &str = "# comment\n1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\t73bf  Navi 21 [Radeon RX 6800]\n\
        \t\t1002 0e3a  Subsystem\n10de  NVIDIA Corporation\n\t2206  GA102 [GeForce RTX 3080]\nC 03  Display controller\n\
        \t00  VGA compatible controller\n";

    #[test]
    fn a_bars_size_is_its_end_minus_its_start() {
        let text = "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n\
            0x000000e000000000 0x000000e00fffffff 0x000000000014220c\n\
            0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
            0x000000e010000000 0x000000e011ffffff 0x000000000014220c\n\
            0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
            0x000000000000e000 0x000000000000e07f 0x0000000000040101\n\
            0x00000000f7000000 0x00000000f707ffff 0x0000000000046200\n";
        assert_eq!(bars(text), [16 << 20, 256 << 20, 32 << 20, 128]);
    }

    #[test]
    fn a_mount_is_found_by_number_and_by_source() {
        let text = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
            25 1 0:22 /@ / rw shared:1 - btrfs /dev/nvme0n1p2 rw\nnonsense\n";
        let found = mounts(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].device.as_str(), found[0].at.as_str()), ("98:0", "/mnt2"));
        assert_eq!(found[1].source, "/dev/nvme0n1p2");
    }

    #[test]
    fn a_gpu_has_the_name_that_lspci_shows() {
        assert_eq!(pci_name(IDS, 0x10de, 0x2206).unwrap(), "NVIDIA GA102 [GeForce RTX 3080]");
        assert_eq!(pci_name(IDS, 0x1002, 0x73bf).unwrap(), "AMD/ATI Navi 21 [Radeon RX 6800]");
        // Another vendor's device, a subsystem and a class are no device of this vendor.
        assert_eq!(pci_name(IDS, 0x1002, 0x2206), None);
        assert_eq!(pci_name(IDS, 0x1002, 0x1002), None);
        assert_eq!(pci_name(IDS, 0x0003, 0x0000), None);
        assert_eq!(pci_name(IDS, 0x10de, 0x0000), None);
    }

    proptest! {
        #[test]
        fn no_text_of_sysfs_is_a_panic(text in "(?s).*", vendor: u16, device: u16) {
            bars(&text);
            mounts(&text);
            pci_name(&text, vendor, device);
        }

        #[test]
        fn a_region_survives_its_own_text(start in 0..u64::MAX / 2, size in 2..u64::MAX / 2) {
            let text = format!("{start:#018x} {:#018x} 0x0000000000040200\n", start + (size - 1));
            prop_assert_eq!(bars(&text), [size]);
        }
    }
}
