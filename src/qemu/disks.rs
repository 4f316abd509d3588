//! The guest's disks: its root, its home and the drivers of physical GPUs.

use super::{Paths, RootDisk, Switch};
use crate::plan::{Home, Start, VmSpec};

/// `snapshot=on`: the image is opened read-only, and what the guest writes goes to a temporary file that
/// has no name any more once it is open. Nothing has to be cleaned up, however QEMU ends. (No other QMP command may copy
/// such a disk: drive-backup and its like open the image with the flags of the temporary file, and so unlink it.)
pub fn root(paths: &Paths) -> Vec<Switch> {
    let (format, snapshot, image) = match &paths.root {
        RootDisk::Image => ("raw", "on", &paths.rootfs),
        RootDisk::ToSave(overlay) => ("qcow2", "off", overlay),
        RootDisk::Saved(overlay) => ("qcow2", "on", overlay),
    };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "root")
            .set("format", format)
            .set("snapshot", snapshot)
            .set("discard", "unmap")
            .set("file", image),
        Switch::of("-device", "virtio-blk-pci").set("drive", "root"),
    ]
}

/// The guest finds it by its serial number. Space that it no longer uses goes back to the host.
pub fn home(spec: &VmSpec, paths: &Paths) -> Vec<Switch> {
    let device = Switch::of("-device", "virtio-blk-pci").set("drive", "home").set("serial", "home");
    if spec.start.value == Start::Instant {
        return if matches!(spec.home, Home::Kept(_)) { nobodys_home(device) } else { Vec::new() };
    }
    let Some(home) = &paths.home else { return Vec::new() };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "home")
            .set("format", "raw")
            .set("discard", "unmap")
            .set("file", home),
        device,
    ]
}

/// The guest finds it by its serial number, and can't write to it.
pub fn gpu_pack(paths: &Paths) -> Vec<Switch> {
    let Some(image) = &paths.gpu_pack else { return Vec::new() };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "gpu-pack")
            .set("format", "raw")
            .set("readonly", "on")
            .set("file", image),
        Switch::of("-device", "virtio-blk-pci").set("drive", "gpu-pack").set("serial", "gpu-pack"),
    ]
}

/// At a checkpoint the disk holds nothing. The home takes the place of what is behind it once the VM is somebody's.
fn nobodys_home(device: Switch) -> Vec<Switch> {
    let node = |driver, name| Switch::options("-blockdev").set("driver", driver).set("node-name", name);
    vec![
        node("null-co", "home-none").set("size", "1048576").set("read-zeroes", "on"),
        node("raw", "home").set("file", "home-none").set("discard", "unmap"),
        device,
    ]
}
