//! The guest's disks: its root, its home and the drivers of physical GPUs.

use super::{Paths, RootDisk, Switch};
use crate::model::{Start, VmSpec};

/// `snapshot=on`: the file is opened read-only, and the guest's writes go to a temporary file that is unlinked as soon as
/// it is open. Nothing large has to be cleaned up, however QEMU ends. (No QMP command may copy such a disk: drive-backup and
/// similar ones open the image with the flags of the temporary file, and so unlink it.) Space that the guest frees is freed
/// on the host.
pub fn root(paths: &Paths) -> Vec<Switch> {
    let (snapshot, overlay) = match &paths.root {
        RootDisk::ToSave(overlay) | RootDisk::Kept { disk: overlay, .. } => ("off", overlay),
        RootDisk::Enlarged(overlay) | RootDisk::Saved(overlay) => ("on", overlay),
    };
    vec![
        Switch::options("-drive")
            .set("if", "none")
            .set("id", "root")
            .set("format", "qcow2")
            .set("snapshot", snapshot)
            .set("discard", "unmap")
            .set("file", overlay),
        Switch::of("-device", "virtio-blk-pci").set("drive", "root"),
    ]
}

/// The guest finds it by its serial number. Space that the guest frees is freed on the host.
pub fn home(spec: &VmSpec, paths: &Paths) -> Vec<Switch> {
    let device = Switch::of("-device", "virtio-blk-pci").set("drive", "home").set("serial", "home");
    if spec.start.value == Start::Instant {
        return if spec.keeps_home() { placeholder_home_disk(device) } else { Vec::new() };
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

/// The disk is empty in a checkpoint. It is replaced by the home when the VM gets its identity.
fn placeholder_home_disk(device: Switch) -> Vec<Switch> {
    let node = |driver, name| Switch::options("-blockdev").set("driver", driver).set("node-name", name);
    vec![
        node("null-co", "home-none").set("size", "1048576").set("read-zeroes", "on"),
        node("raw", "home").set("file", "home-none").set("discard", "unmap"),
        device,
    ]
}
