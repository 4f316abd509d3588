//! Whether the compositor reads the keyboards. It starts while udev still announces them, and what is typed before it has opened
//! them is lost.

use std::fs;
use std::path::{Path, PathBuf};

/// Of linux/input-event-codes.h.
const KEY_A: u32 = 30;

/// Whether the process `compositor` has each keyboard open that there is now. One whose files can't be seen counts as if.
pub fn are_open(compositor: u32) -> bool {
    let open = PathBuf::from(format!("/proc/{compositor}/fd"));
    all_open(Path::new("/sys/class/input"), &open)
}

fn all_open(class: &Path, open: &Path) -> bool {
    let Ok(open) = fs::read_dir(open) else { return true };
    let open: Vec<_> = open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
    keyboards(class).all(|keyboard| open.contains(&keyboard))
}

/// The device nodes of those that have letters: a power button has none.
fn keyboards(class: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(class).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let keys = fs::read_to_string(entry.path().join("device/capabilities/key")).ok()?;
        let is_events = entry.file_name().to_string_lossy().starts_with("event");
        (is_events && has(&keys, KEY_A)).then(|| Path::new("/dev/input").join(entry.file_name()))
    })
}

/// Whether a bitmap of sysfs has this bit: words of the size of a `long`, the highest first.
fn has(bitmap: &str, bit: u32) -> bool {
    let word = bitmap.split_whitespace().rev().nth((bit / usize::BITS) as usize);
    word.and_then(|word| u64::from_str_radix(word, 16).ok())
        .is_some_and(|word| word >> (bit % usize::BITS) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_keyboards_are_those_devices_that_have_letters() {
        let machine = tempfile::tempdir().unwrap();
        let [class, open] = ["input", "fd"].map(|name| machine.path().join(name));
        // As sysfs has it: a power button, a keyboard and a tablet of QEMU's, and the device that an event device is of.
        for (name, keys) in [
            ("event0", "10000000000000 0"),
            ("event1", "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe"),
            ("event2", "1f0000 0 0 0 0"),
            ("input1", "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe"),
        ] {
            let capabilities = class.join(name).join("device/capabilities");
            fs::create_dir_all(&capabilities).unwrap();
            fs::write(capabilities.join("key"), format!("{keys}\n")).unwrap();
        }
        assert_eq!(keyboards(&class).collect::<Vec<_>>(), [Path::new("/dev/input/event1")]);

        assert!(all_open(&class, &open), "a process whose files can't be seen");
        fs::create_dir(&open).unwrap();
        symlink("/dev/input/event0", open.join("3")).unwrap();
        symlink("socket:[1]", open.join("4")).unwrap();
        assert!(!all_open(&class, &open));
        symlink("/dev/input/event1", open.join("5")).unwrap();
        assert!(all_open(&class, &open));
    }
}
