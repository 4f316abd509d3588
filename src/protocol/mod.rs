//! The protocol between guest and host: messages on the control port, one JSON object per line, and the names of ports,
//! credentials and kernel parameters. Compiled into both programs. The guest is hostile: the host limits the length of these
//! messages and removes control characters.

pub mod request;

use request::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// The name of the control port, a virtio-serial port: /dev/virtio-ports/NAME in the guest.
pub const CONTROL_PORT: &str = "org.virtualghost.control";

/// The agent's port, of vsock and of TCP in the guest.
pub const AGENT_PORT: u16 = 22;

/// The port of TCP in the guest at which the agent relays to ::1: a connection begins with the port there, in two bytes of the
/// network's order. It is that of TCPMUX (RFC 1078), which is for the same.
pub const RELAY_PORT: u16 = 1;

/// The guest's address, and the host's for it: those of QEMU's user network, which images are used to.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The address of the guest's network card: QEMU's first one.
pub const GUEST_MAC: &str = "52:54:00:12:34:56";

/// The largest IP packet that the card carries (where it has a peer of ours): the guest's driver takes it from the
/// card. Each packet costs about the same, so the longer they are, the fewer and the cheaper. But the card gathers no
/// pieces, so the guest's kernel copies each packet into contiguous memory, without waiting: up to 32 KiB it keeps some
/// (PAGE_ALLOC_COSTLY_ORDER); of longer ones it may have none left after some hours, and then it loses packets.
pub const CARD_MTU: u16 = 31_000;

/// The system credentials (systemd.exec(5), "Credentials") that the agent reads: its host key, and the authorized keys of
/// the terminal's user and of root.
pub const HOST_KEY: &str = "ghostly.host-key";
pub const AUTHORIZED_USER: &str = "ghostly.authorized-user";
pub const AUTHORIZED_ROOT: &str = "ghostly.authorized-root";
pub const CREDENTIALS: [&str; 3] = [HOST_KEY, AUTHORIZED_USER, AUTHORIZED_ROOT];

/// The system credential with the [`Doors`] of a VM that boots, if there are any. It is no secret.
pub const DOORS: &str = "ghostly.doors";

/// The user and group id of the terminal's user in the guest.
pub const TERMINAL_USER: u32 = 1000;

/// The kernel parameter of a guest without a screen.
pub const HEADLESS: &str = "virtualghost.headless";

/// The kernel parameter of a guest that is to be saved, or has been.
pub const CHECKPOINT: &str = "virtualghost.checkpoint";

/// The kernel parameter of a session without the start files of its home. A guest that resumes a checkpoint gets it with its
/// identity.
pub const SAFE: &str = "virtualghost.safe";

/// The kernel parameter with the name of the guest's time zone, if that is not UTC. A guest that resumes a checkpoint gets it
/// with its identity.
pub const TIMEZONE: &str = "virtualghost.timezone";

/// The kernel parameter with the terminal, if it is not the image's own: `ghostty`, `foot`, or a command, in double quotes.
pub const TERMINAL: &str = "virtualghost.terminal";

/// From the guest to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GuestEvent {
    /// The guest has booted as far as it can without an identity, and waits for a [`GuestIdentity`].
    Checkpoint,
    /// The first prompt is on the screen, and the next key arrives.
    SessionReady,
    /// The terminal has ended, with the exit status of its shell.
    SessionExit { status: i32 },
    /// The guest's clock may be wrong: it asks for the host's time. The answer has the same token.
    TimeQuestion { token: u64 },
    /// The terminal's size in character cells.
    TerminalSize { columns: u16, rows: u16 },
    /// The session can't start, and why.
    Failed { message: String },
    /// Programs listen on these TCP ports. Sent when they change.
    Listening(ListeningPorts),
    /// A sentence for the user.
    Notice { message: String },
    /// A sentence for the log.
    Log { message: String },
}

/// TCP ports that programs of the guest listen on: on the network card, and on 127.0.0.1 or ::1 alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListeningPorts {
    pub any: Vec<u16>,
    pub loopback: Vec<u16>,
    pub loopback_v6: Vec<u16>,
}

/// From the host to a guest that holds its control port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum HostMessage {
    /// The guest has stood still: it is to ask for the time.
    CheckClock,
    /// The host's time in nanoseconds since 1970, and the token of the question.
    Time { token: u64, nanoseconds: u64 },
    /// The server of this folder has ended: nobody answers the requests that wait for it.
    ShareLost { number: usize },
    /// A folder's server has nearly as many files open as it may: one for each that the guest remembers.
    ShareCrowded,
}

/// From the host to a guest at its checkpoint: the identity of this VM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestIdentity {
    pub host_name: String,
    pub timezone: String,
    /// Nanoseconds since 1970.
    pub clock: u64,
    /// Hexadecimal digits from the host's random numbers.
    pub entropy: String,
    /// The session is to start without the start files of its home.
    pub safe: bool,
    /// The home disk is attached.
    pub home: bool,
    pub doors: Option<Doors>,
    /// The texts of systemd's credentials, by name.
    pub credentials: BTreeMap<String, String>,
}

/// Without the secrets, because it may be logged.
impl fmt::Debug for GuestIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestIdentity")
            .field("host_name", &self.host_name)
            .field("timezone", &self.timezone)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

/// The name of a shared folder's device in the guest (virtio specification, 5.11.4).
pub fn share_tag(number: usize) -> String {
    format!("share{number}")
}

/// What the user has opened of the host to the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    pub shares: Vec<GuestShare>,
    /// Where the terminal opens, if not in the home.
    pub workdir: Option<Bytes>,
    /// Name and address for git's commits.
    pub git: Option<GitIdentity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitIdentity {
    pub name: String,
    pub email: String,
}

/// As git prints it.
impl fmt::Display for GitIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}

/// A folder to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestShare {
    /// Of the virtio-fs device.
    pub tag: String,
    pub place: Bytes,
    pub is_read_only: bool,
}

/// A message as a line.
pub fn line(message: &impl Serialize) -> String {
    let mut line = serde_json::to_string(message).expect("strings, numbers and enums have a JSON form");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_its_text_is_exact() {
        let event = GuestEvent::Failed { message: "a \"b\" \\c\nd".to_owned() };
        let text = line(&event);
        assert_eq!(text.lines().count(), 1);
        assert_eq!(serde_json::from_str::<GuestEvent>(&text).unwrap(), event);
        assert_eq!(
            line(&GuestEvent::TerminalSize { columns: 80, rows: 24 }),
            "{\"event\":\"terminal-size\",\"columns\":80,\"rows\":24}\n"
        );
    }

    #[test]
    fn an_identity_is_one_line_and_its_secrets_reach_no_log() {
        let identity = GuestIdentity {
            host_name: "work".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            clock: 1_700_000_000_000_000_100,
            entropy: "00ff".to_owned(),
            safe: false,
            home: false,
            doors: None,
            credentials: [("key".to_owned(), "-----\nsecret\n".to_owned())].into(),
        };
        let text = line(&identity);
        assert_eq!(text.lines().count(), 1);
        assert_eq!(serde_json::from_str::<GuestIdentity>(&text).unwrap(), identity);
        let shown = format!("{identity:?}");
        assert!(shown.contains("work") && !shown.contains("secret") && !shown.contains("00ff"), "{shown}");
    }

    #[test]
    fn an_identity_without_all_of_it_is_none() {
        let whole = r#"{"host_name":"a","timezone":"UTC","clock":1,"entropy":"00","safe":false,"home":false,"doors":null,"credentials":{"a":"b"}}"#;
        assert!(serde_json::from_str::<GuestIdentity>(whole).is_ok());
        assert!(serde_json::from_str::<GuestIdentity>(&whole.replace("\"clock\":1,", "")).is_err());
        assert!(serde_json::from_str::<GuestIdentity>("").is_err());
    }
}
