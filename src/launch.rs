//! A launch, from a plan to the end of its VM: takes the name, installs the parts, supervises QEMU, and
//! goes down a rung when one turns out not to bear.

use crate::config::Config;
use crate::error::Result;
use crate::folders::Folders;
use crate::host::{HostFacts, Os};
use crate::parts::Parts;
use crate::plan::VmSpec;
use crate::qemu::{self, Channel, Channels, Paths};
use std::process::ExitCode;

pub fn launch(
    facts: HostFacts,
    config: &Config,
    spec: VmSpec,
    parts: &Parts,
    folders: &Folders,
) -> Result<ExitCode> {
    todo!()
}

/// QEMU's command line as a shell would take it.
pub fn command_line(spec: &VmSpec, paths: &Paths) -> String {
    let argv = qemu::argv(spec, paths, &channels(spec));
    let words = std::iter::once(paths.qemu.path.as_os_str()).chain(argv.iter().map(|word| word.as_os_str()));
    let quoted = words.map(|word| {
        let quoted = shlex::bytes::try_quote(word.as_encoded_bytes()).unwrap_or(b"?".into());
        String::from_utf8_lossy(&quoted).into_owned()
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// What the supervisor will hand to QEMU.
fn channels(spec: &VmSpec) -> Channels {
    match spec.os {
        Os::Linux | Os::MacOs => {
            Channels { console: Channel::Descriptor(3), control: Channel::Descriptor(4) }
        }
        Os::Windows => {
            let pipe = |what| Channel::Pipe(format!("virtualghost-{}-{what}", std::process::id()));
            Channels { console: pipe("console"), control: pipe("control") }
        }
    }
}
