//! The part of the QEMU Machine Protocol that supervision needs: one JSON object per line. Unknown fields and events are
//! ignored: every version of QEMU adds some.
//!
//! Source: docs/interop/qmp-spec.rst and qapi/run-state.json of QEMU 10.

use serde_json::{Value, json};

/// The longest expected line, the greeting, has about 300 bytes.
pub const LINE_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// QEMU has started, and accepts [`Command::Capabilities`] only.
    Greeting,
    /// The reply to [`Command::Capabilities`]: QEMU accepts commands.
    Negotiated,
    /// The reply to [`Command::Status`]: `internal-error`, `io-error`, `guest-panicked`, `paused`, …
    Status(String),
    /// The reply to [`Command::UserNetwork`]: the port of the loopback interface that leads into the guest.
    Forwarded {
        port: u16,
    },
    /// `guest-shutdown`, `host-ui`, …; see the supervisor's state machine.
    Shutdown {
        reason: String,
    },
    /// The power button was pressed, by the launcher or in QEMU's window.
    Powerdown,
    Stop,
    /// The VM runs again.
    Resume,
    Panicked,
    /// The reply to one of the [`Step`]s.
    Done(Step),
    /// A [`Step`] failed, and why.
    Refused(Step, String),
    /// The state of saving or restoring: `active`, `completed`, `failed`, …
    Migration(String),
}

/// The message in a line, if it is a known one.
pub fn parse(line: &[u8]) -> Option<Message> {
    let message: Value = serde_json::from_slice(line).ok()?;
    if message.get("QMP").is_some() {
        return Some(Message::Greeting);
    }
    if let Some(answer) = message.get("return") {
        return match message.get("id")?.as_str()? {
            NEGOTIATE => Some(Message::Negotiated),
            USER_NETWORK => Some(Message::Forwarded { port: forwarded_port(answer.as_str()?)? }),
            STATUS => Some(Message::Status(answer.get("status")?.as_str()?.to_owned())),
            id => Step::of(id).map(Message::Done),
        };
    }
    if let Some(error) = message.get("error") {
        let step = Step::of(message.get("id")?.as_str()?)?;
        let why = error.get("desc").and_then(Value::as_str).unwrap_or("QEMU gave no reason");
        return Some(Message::Refused(step, why.to_owned()));
    }
    match message.get("event")?.as_str()? {
        "SHUTDOWN" => {
            let reason = message.pointer("/data/reason").and_then(Value::as_str).unwrap_or("unknown");
            Some(Message::Shutdown { reason: reason.to_owned() })
        }
        "POWERDOWN" => Some(Message::Powerdown),
        "STOP" => Some(Message::Stop),
        "RESUME" => Some(Message::Resume),
        "GUEST_PANICKED" => Some(Message::Panicked),
        "MIGRATION" => Some(Message::Migration(message.pointer("/data/status")?.as_str()?.to_owned())),
        _ => None,
    }
}

/// The source port in a line of `info usernet`, whose columns are protocol and state, descriptor, source
/// address, port, and the rest (libslirp, `slirp_connection_info`).
fn forwarded_port(table: &str) -> Option<u16> {
    let line = table.lines().find(|line| line.contains("TCP[HOST_FORWARD]"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Capabilities,
    Status,
    /// Lists the forwarded ports. Only the human monitor can.
    UserNetwork,
    /// Presses the guest's ACPI power button.
    Powerdown,
    /// Ends QEMU without waiting for the guest, but writes its disk images back.
    Quit,
    /// Lets a paused VM run again.
    Continue,
    /// A step of saving or resuming a checkpoint, with its arguments.
    Step(Step, Value),
}

/// The steps of saving or resuming a checkpoint. Each is sent after the reply to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Enables a file with a fixed place for each page of memory, and events about the progress.
    SetCapabilities,
    Pause,
    Save,
    Restore,
    /// Redirects further writes to the root disk to a new file.
    SnapshotRootDisk,
    OpenHome,
    /// Replaces the empty disk by the home.
    AttachHome,
    /// Sets the size that the guest sees.
    SizeHome,
    /// Plugs in the device of a shared folder.
    PlugShare,
    Resume,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::SetCapabilities,
        Self::Pause,
        Self::Save,
        Self::Restore,
        Self::SnapshotRootDisk,
        Self::OpenHome,
        Self::AttachHome,
        Self::SizeHome,
        Self::PlugShare,
        Self::Resume,
    ];

    /// QEMU's name for it.
    fn name(self) -> &'static str {
        match self {
            Self::SetCapabilities => "migrate-set-capabilities",
            Self::Pause => "stop",
            Self::Save => "migrate",
            Self::Restore => "migrate-incoming",
            Self::SnapshotRootDisk => "blockdev-snapshot-sync",
            Self::OpenHome => "blockdev-add",
            Self::AttachHome => "blockdev-reopen",
            Self::SizeHome => "block_resize",
            Self::PlugShare => "device_add",
            Self::Resume => "cont",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

const NEGOTIATE: &str = "qmp_capabilities";
const STATUS: &str = "query-status";
const USER_NETWORK: &str = "human-monitor-command";

impl Command {
    /// The command as a line. Its name is also its id.
    pub fn line(&self) -> String {
        let (name, arguments) = match self {
            Self::Capabilities => (NEGOTIATE, json!({})),
            Self::Status => (STATUS, json!({})),
            Self::UserNetwork => (USER_NETWORK, json!({ "command-line": "info usernet" })),
            Self::Powerdown => ("system_powerdown", json!({})),
            Self::Quit => ("quit", json!({})),
            Self::Continue => ("cont", json!({})),
            Self::Step(step, arguments) => (step.name(), arguments.clone()),
        };
        format!("{}\n", json!({ "execute": name, "id": name, "arguments": arguments }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_messages_of_a_vm_are_parsed() {
        let read = |line: &str| parse(line.as_bytes());
        assert_eq!(read(r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#), Some(Message::Greeting));
        assert_eq!(read(r#"{"return": {}, "id": "qmp_capabilities"}"#), Some(Message::Negotiated));
        assert_eq!(
            read(r#"{"return": {"status": "internal-error", "running": false}, "id": "query-status"}"#),
            Some(Message::Status("internal-error".into()))
        );
        assert_eq!(
            read(
                r#"{"timestamp": {}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}"#
            ),
            Some(Message::Shutdown { reason: "guest-shutdown".into() })
        );
        assert_eq!(read("{\"event\": \"STOP\"}\r"), Some(Message::Stop));
        assert_eq!(read(r#"{"return": {}, "id": "cont"}"#), Some(Message::Done(Step::Resume)));
        assert_eq!(
            read(r#"{"error": {"class": "GenericError", "desc": "no"}, "id": "migrate"}"#),
            Some(Message::Refused(Step::Save, "no".into()))
        );
        assert_eq!(
            read(r#"{"event": "MIGRATION", "data": {"status": "completed"}}"#),
            Some(Message::Migration("completed".into()))
        );
        let forwards = "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  13       127.0.0.1 40123       10.0.2.15    22     0     0\r\n";
        let answer = json!({ "return": forwards, "id": "human-monitor-command" }).to_string();
        assert_eq!(read(&answer), Some(Message::Forwarded { port: 40123 }));
    }

    #[test]
    fn unknown_messages_are_ignored() {
        for line in
            ["", "garbage", "[]", "3", r#"{"event":"NEW"}"#, r#"{"return":{}}"#, r#"{"error":{}}"#, "{"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_command_is_one_line_with_an_id() {
        assert_eq!(Command::Quit.line(), "{\"arguments\":{},\"execute\":\"quit\",\"id\":\"quit\"}\n");
        let step = Command::Step(Step::SizeHome, json!({ "device": "home", "size": 4096 }));
        assert_eq!(
            step.line(),
            "{\"arguments\":{\"device\":\"home\",\"size\":4096},\"execute\":\"block_resize\",\"id\":\"block_resize\"}\n"
        );
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line: Vec<u8>) {
            parse(&line);
        }
    }
}
