//! Folders of the host: mounts each at its place (virtio-fs), and notes where the terminal opens.
//!
//! A folder that can't be mounted is reported to the user, and the session goes on without it.

use super::status;
use crate::protocol::{Doors, GuestShare, TERMINAL_USER, share_tag};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A link to the folder that the terminal opens in.
const WORKDIR: &str = "/run/virtualghost/workdir";
/// A device that was plugged in is there after some hundredths of a second.
const DEVICE: Duration = Duration::from_secs(10);
/// The kernel's virtio-fs devices, and what takes one from its driver.
const DEVICES: &str = "/sys/fs/virtiofs";
const UNBIND: &str = "/sys/bus/virtio/drivers/virtiofs/unbind";
const LOOK: Duration = Duration::from_millis(10);

/// Mounts all of them, and notes where the terminal opens.
///
/// # Errors
/// The host can't be reached.
pub fn mount_all(doors: &Doors) -> io::Result<()> {
    let mut missing = Vec::new();
    for share in &doors.shares {
        let place = path(&share.place.0);
        if let Err(e) = attach(share, &place) {
            missing.push(format!("{} is not in the VM: {e}", place.display()));
        }
    }
    if let Some(workdir) = doors.workdir.as_ref().map(|workdir| path(&workdir.0)).filter(|path| path.is_dir())
    {
        std::os::unix::fs::symlink(workdir, WORKDIR)?;
    }
    missing.into_iter().try_for_each(|message| status::report(["notice".to_owned(), message].into_iter()))
}

/// Takes the device of a folder whose server has ended from its driver, on a thread of its own: from then on each request for
/// the folder fails, and power-off does not wait for them. The driver waits for those that were sent before, forever. The
/// folder stays mounted, so that nothing is written beside it unseen.
pub fn give_up(number: usize) {
    std::thread::spawn(move || {
        let done = device(Path::new(DEVICES), &share_tag(number)).and_then(|name| fs::write(UNBIND, name));
        done.unwrap_or_else(|e| eprintln!("a folder without a server is not given up: {e}"));
    });
}

/// Lets the kernel forget files that nothing has open (kernel documentation, "vm", `drop_caches`), on a thread of its own: it
/// takes a while, and is repeated by the host if that was not enough.
pub fn forget() {
    const DENTRIES_AND_INODES: &str = "2";
    std::thread::spawn(|| {
        fs::write("/proc/sys/vm/drop_caches", DENTRIES_AND_INODES)
            .unwrap_or_else(|e| eprintln!("files are not forgotten: {e}"));
    });
}

/// The kernel's name of the virtio device with this tag (sysfs-fs-virtiofs in the kernel's documentation of its ABI).
fn device(devices: &Path, tag: &str) -> io::Result<String> {
    for entry in fs::read_dir(devices)? {
        let entry = entry?.path();
        if fs::read_to_string(entry.join("tag")).is_ok_and(|own| own.trim_end() == tag) {
            let device = fs::read_link(entry.join("device"))?;
            return Ok(device.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {tag}")))
}

/// Where the terminal opens, if not in the home.
pub fn workdir() -> Option<PathBuf> {
    fs::read_link(WORKDIR).ok()
}

fn path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

/// No devices and no setuid programs: the host's folder is not this machine's software.
fn attach(share: &GuestShare, place: &Path) -> io::Result<()> {
    make_folder(place)?;
    let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    flags.set(MsFlags::MS_RDONLY, share.is_read_only);
    let until = Instant::now() + DEVICE;
    loop {
        match mount(Some(share.tag.as_str()), place, Some("virtiofs"), flags, None::<&str>) {
            Ok(()) => return Ok(()),
            // There is no such device yet.
            Err(Errno::EINVAL) if Instant::now() < until => sleep(LOOK),
            Err(e) => return Err(e.into()),
        }
    }
}

/// What is made belongs to whom the folder above belongs to, so that nothing in the user's home is root's.
fn make_folder(place: &Path) -> io::Result<()> {
    if place.is_dir() {
        return Ok(());
    }
    let Some(above) = place.parent() else { return Ok(()) };
    make_folder(above)?;
    DirBuilder::new().mode(0o755).create(place)?;
    let owner = fs::metadata(above)?.uid();
    if owner == TERMINAL_USER { chown(place, Some(owner), Some(owner)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_device_is_found_by_its_tag() {
        let machine = tempfile::tempdir().unwrap();
        for (number, tag) in [(4, "share10"), (5, "share1")] {
            let entry = machine.path().join(number.to_string());
            fs::create_dir(&entry).unwrap();
            fs::write(entry.join("tag"), format!("{tag}\n")).unwrap();
            std::os::unix::fs::symlink(format!("../../devices/virtio{number}"), entry.join("device"))
                .unwrap();
        }
        assert_eq!(device(machine.path(), "share1").unwrap(), "virtio5");
        assert!(device(machine.path(), "share0").is_err());
    }

    #[test]
    fn folders_are_made_on_the_way_and_a_file_is_no_folder() {
        let machine = tempfile::tempdir().unwrap();
        let place = machine.path().join("home/anna/src");
        make_folder(&place).unwrap();
        assert!(place.is_dir());
        make_folder(&place).unwrap();
        fs::write(place.join("file"), "x").unwrap();
        assert!(make_folder(&place.join("file")).is_err());
        assert!(make_folder(&place.join("file/x")).is_err());
        assert_eq!(fs::read(place.join("file")).unwrap(), b"x");
    }
}
