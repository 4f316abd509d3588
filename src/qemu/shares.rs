//! Folders of the host: the devices that lead to their servers.
//!
//! A server reads and writes the guest's memory, so with shares that is memory which another process can map (QEMU's
//! docs/system/devices/vhost-user.rst). A VM that resumes a checkpoint has a PCI port for the devices; they are plugged in
//! after it is restored, because a checkpoint can't contain them.

use super::{Channels, Switch};
use crate::model::{Arch, Os, Start, VmSpec};
use crate::protocol::share_tag;
use serde_json::{Value, json};

const DEVICE: &str = "vhost-user-fs-pci";
const PORT: &str = "shares";

/// The guest's memory has the name that QEMU gives it otherwise, which a checkpoint has it under.
pub fn memory(spec: &VmSpec) -> Vec<Switch> {
    if spec.shares.is_empty() {
        return Vec::new();
    }
    let id = match spec.arch {
        Arch::X86_64 => "pc.ram",
        Arch::Aarch64 => "mach-virt.ram",
    };
    vec![
        Switch::of("-object", "memory-backend-memfd")
            .set("id", id)
            .set("size", format!("{}M", spec.memory))
            .set("share", "on")
            .set("x-use-canonical-path-for-ramblock-id", "off"),
        Switch::options("-machine").set("memory-backend", id),
    ]
}

/// The port that the devices are plugged into.
pub fn port(spec: &VmSpec) -> Vec<Switch> {
    match (spec.os, spec.start.value) {
        (Os::Linux, Start::Instant) => {
            vec![Switch::of("-device", "pcie-root-port").set("id", PORT).set("chassis", "2")]
        }
        _ => Vec::new(),
    }
}

/// The connections to the servers, and the devices of a VM that boots.
pub fn devices(spec: &VmSpec, channels: &Channels) -> Vec<Switch> {
    let Some(first) = channels.shares else { return Vec::new() };
    let mut switches = Vec::new();
    for (number, descriptor) in (0..spec.shares.len()).zip(first..) {
        let tag = share_tag(number);
        switches.push(Switch::of("-chardev", "socket").set("id", &tag).set("fd", descriptor.to_string()));
        if spec.start.value == Start::Boot {
            switches.push(Switch::of("-device", DEVICE).set("chardev", &tag).set("tag", &tag));
        }
    }
    switches
}

/// The arguments of `device_add` for each device of a VM that resumes: functions of one slot, the first of which comes last:
/// when it arrives, the guest looks at all of them.
pub fn plugged(spec: &VmSpec) -> Vec<Value> {
    if spec.start.value != Start::Instant {
        return Vec::new();
    }
    let plug = |number: usize| {
        let tag = share_tag(number);
        json!({ "driver": DEVICE, "id": tag, "chardev": tag, "tag": tag, "bus": PORT, "addr": format!("0.{number}"), "multifunction": true })
    };
    (0..spec.shares.len()).rev().map(plug).collect()
}
