//! What of the host is open to a guest, as the guest gets it: with its identity, or in a credential if it boots.

use super::Switch;
use crate::model::{ShareAccess, Start, VmSpec};
use crate::protocol::request::Bytes;
use crate::protocol::{DOORS, Doors, GuestShare, share_tag};
use std::ffi::OsStr;

/// None if nothing is open.
pub fn doors(spec: &VmSpec) -> Option<Doors> {
    let bytes = |place: &OsStr| Bytes(place.as_encoded_bytes().to_vec());
    let shares = spec.shares.iter().enumerate().map(|(number, share)| GuestShare {
        tag: share_tag(number),
        place: bytes(share.place.as_os_str()),
        is_read_only: share.access == ShareAccess::Read,
    });
    let workdir = spec.workdir.as_ref().map(|place| bytes(place.as_os_str()));
    let doors = Doors { shares: shares.collect(), workdir, git: spec.git.clone() };
    (doors != Doors::default()).then_some(doors)
}

/// It is no secret: it is on the command line.
pub fn credential(spec: &VmSpec) -> Vec<Switch> {
    let Some(doors) = doors(spec).filter(|_| spec.start.value == Start::Boot) else { return Vec::new() };
    let text = serde_json::to_string(&doors).expect("strings have a JSON form");
    vec![
        Switch::options("-fw_cfg")
            .set("name", format!("opt/io.systemd.credentials/{DOORS}"))
            .set("string", text),
    ]
}
