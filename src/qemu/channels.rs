//! The channels of console, control port and agent: the descriptors, pipes and addresses on the command line.

use crate::model::{AgentLink, Os, Source, VmSpec, Window};
use crate::protocol::CREDENTIALS;

/// The launcher's connection to the guest's console or control port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// An inherited, connected socket (Unix).
    Descriptor(i32),
    /// A named pipe that QEMU creates (Windows).
    Pipe(String),
}

/// The address of the guest's agent for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Its port at this context id (vsock(7)).
    Vsock { cid: u32 },
    /// Through the network card's peer.
    Socket,
    /// A port of 127.0.0.1 that the system chooses; `info usernet` shows it.
    Loopback,
}

/// How QEMU gets the guest's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Inherited pipes with these numbers, from this one on (Unix): they are in no file, and can be read once.
    Descriptors(i32),
    /// Files in [`super::Paths::keys`] (Windows).
    Files,
}

/// All channels except QMP, which is on QEMU's standard input and output on every OS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    pub console: Channel,
    pub control: Channel,
    /// The number of the inherited socket to the network card's peer, if there is one (Unix): each datagram is a frame.
    pub network: Option<i32>,
    pub agent: Agent,
    pub keys: KeySource,
    /// The inherited pipe that the bundle's window library (assets/qemu/window.c) waits on: while the launcher has its other
    /// end open, keys that are pressed in the window are kept.
    pub keyboard: Option<i32>,
    /// The numbers of the inherited sockets to the servers of shared folders, from this one on (Unix).
    pub shares: Option<i32>,
}

/// The guest's credentials have the numbers from this one on, then the keyboard, then the shares.
const FIRST_KEY: i32 = 6;
const KEYBOARD: i32 = FIRST_KEY + CREDENTIALS.len() as i32;
const FIRST_SHARE: i32 = KEYBOARD + 1;

/// The channels of a launch. `unique` is a random number of this launch: no other user can guess the pipes' names, and the
/// chance that another launcher, in whatever container, has the same context id is one in 2^31.
pub fn channels(spec: &VmSpec, unique: u64) -> Channels {
    let agent = agent(spec, unique);
    match spec.os {
        Os::Linux | Os::MacOs => {
            let [console, control] = [3, 4].map(Channel::Descriptor);
            let (network, keys) = (Some(5), KeySource::Descriptors(FIRST_KEY));
            let shares = (!spec.shares.is_empty()).then_some(FIRST_SHARE);
            Channels { console, control, network, agent, keys, keyboard: keyboard(spec), shares }
        }
        Os::Windows => {
            let pipe = |what| Channel::Pipe(format!("virtualghost-{unique:016x}-{what}"));
            let [console, control] = ["console", "control"].map(pipe);
            Channels {
                console,
                control,
                network: None,
                agent,
                keys: KeySource::Files,
                keyboard: keyboard(spec),
                shares: None,
            }
        }
    }
}

/// The bundle has the library on Linux only, and an own image may never report that it is ready.
pub(super) fn keyboard(spec: &VmSpec) -> Option<i32> {
    let waits = spec.os == Os::Linux && spec.window.value != Window::None && spec.rootfs == Source::Embedded;
    waits.then_some(KEYBOARD)
}

/// Context ids have 32 bits; 0 to 2 are reserved (vsock(7)), and other programs use small ones.
fn agent(spec: &VmSpec, unique: u64) -> Agent {
    const FIRST: u64 = 1 << 16;
    const LAST: u64 = (1 << 31) - 1;
    match spec.agent.value {
        AgentLink::Vsock => Agent::Vsock { cid: (FIRST + unique % (LAST - FIRST + 1)) as u32 },
        AgentLink::Socket => Agent::Socket,
        AgentLink::Loopback => Agent::Loopback,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Availability, HostFacts};
    use crate::testing::{host, spec};

    #[test]
    fn each_launch_has_a_context_id_and_pipes_of_its_own() {
        let linux = spec(&HostFacts { vsock: Availability::Available, ..host(Os::Linux) }, "").unwrap();
        let cid = |unique| match channels(&linux, unique).agent {
            Agent::Vsock { cid } => cid,
            Agent::Socket | Agent::Loopback => panic!("{:?}", linux.agent),
        };
        assert_eq!([cid(0), cid(1), cid(u64::MAX) & 0x8000_0000], [0x1_0000, 0x1_0001, 0]);
        let windows = spec(&host(Os::Windows), "").unwrap();
        assert_ne!(channels(&windows, 1).console, channels(&windows, 2).console);
    }
}
