//! `doctor --boundary`: a VM that tries to leave its network policy. It is started for this, with the default policy and one open
//! port of this machine, and thrown away. What counts is what happened here, not what the guest says: each place that has to be
//! closed and is this machine's own has a listener, which must not be reached.

use crate::error::{Error, Kind, Result};
use crate::sys::printable::clean;
use crate::sys::process;
use anyhow::Context;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};

/// One thing that the guest tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub what: String,
    /// A command of the guest's shell that succeeds if it gets through.
    command: String,
    /// By the policy, it is to get through.
    pub is_open: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub attempt: Attempt,
    pub got_through: bool,
}

impl Row {
    pub fn holds(&self) -> bool {
        self.got_through == self.attempt.is_open
    }
}

/// The ports of this machine's listeners.
#[derive(Debug, Clone, Copy)]
struct Ports {
    /// Opened by a rule.
    open: u16,
    /// On 127.0.0.1 and ::1 alone.
    v4: u16,
    v6: u16,
    udp: u16,
}

fn attempts(ports: Ports, own: Option<(IpAddr, u16)>) -> Vec<Attempt> {
    let tcp = |address: &str, port: u16| format!("timeout 5 bash -c 'exec 3<>/dev/tcp/{address}/{port}'");
    let attempt = |is_open, what: String, command| Attempt { what, command, is_open };
    let open = |what: &str, command| attempt(true, what.to_owned(), command);
    let closed = |what: String, command| attempt(false, what, command);
    let mut all = vec![
        open("a port of this machine that a rule opens", tcp("10.0.2.2", ports.open)),
        open("the same by its name", tcp("host.virtualghost.internal", ports.open)),
        closed("another port of 127.0.0.1, at the gateway".to_owned(), tcp("10.0.2.2", ports.v4)),
        closed("a port of ::1, at the gateway".to_owned(), tcp("10.0.2.2", ports.v6)),
        closed("::1 as QEMU's user network had it, fec0::2".to_owned(), tcp("fec0::2", ports.v6)),
    ];
    for spelling in ["64:ff9b::127.0.0.1", "2002:7f00:1::", "::127.0.0.1", "0.0.0.1"] {
        all.push(closed(format!("127.0.0.1 spelled {spelling}"), tcp(spelling, ports.v4)));
    }
    if let Some((address, port)) = own {
        all.push(closed(format!("this machine's own address, {address}"), tcp(&address.to_string(), port)));
    }
    for (what, address) in [
        ("cloud metadata", "169.254.169.254"),
        ("a private network", "10.1.2.3"),
        ("a private network", "172.16.0.1"),
        ("a private network", "192.168.77.1"),
        ("a provider's network", "100.64.0.1"),
        ("a link-local address", "169.254.1.1"),
        ("a unique local address", "fd12:3456::1"),
        ("a private network behind NAT64", "64:ff9b::10.1.2.3"),
        ("a private network by 6to4", "2002:a01:203::1"),
    ] {
        all.push(closed(format!("{what}, {address}"), tcp(address, 80)));
    }
    // The second one fails if the first was refused.
    let datagram =
        format!("exec 3<>/dev/udp/10.0.2.2/{} && echo x >&3 && sleep 0.5 && echo x >&3", ports.udp);
    all.push(closed("a datagram to this machine".to_owned(), format!("bash -c '{datagram}'")));
    // Each of these leaves the guest's own network broken; so they are last.
    let forged = format!(
        "sudo ip address add 192.168.77.7/32 dev eth0 && sudo ip route replace default via 10.0.2.2 src 192.168.77.7 && \
         sudo ip route replace 10.0.2.2 dev eth0 src 192.168.77.7 && {}",
        tcp("10.0.2.2", ports.open)
    );
    all.push(closed("the open port, from a forged address".to_owned(), forged));
    let routed = format!(
        "sudo ip route del 10.0.2.2; sudo ip address del 127.0.0.1/8 dev lo; sudo ip route flush table local 127.0.0.0/8; \
         sudo ip route add 127.0.0.1/32 via 10.0.2.2 src 10.0.2.15 onlink dev eth0; {}",
        tcp("127.0.0.1", ports.v4)
    );
    all.push(closed("127.0.0.1, routed to the gateway by root".to_owned(), routed));
    all
}

/// The guest's script: a line with a number for each attempt that gets through.
fn script(attempts: &[Attempt]) -> String {
    let lines = attempts.iter().enumerate().map(|(number, attempt)| {
        format!("if {{ {}; }} >/dev/null 2>&1 </dev/null; then echo through {number}; fi\n", attempt.command)
    });
    lines.collect::<String>() + "echo done\n"
}

/// What the guest's lines say; None if it did not come to the end.
fn read(output: &str, attempts: Vec<Attempt>) -> Option<Vec<Row>> {
    let lines: Vec<_> = output.lines().map(str::trim).collect();
    lines.contains(&"done").then_some(())?;
    let through = |number| lines.contains(&format!("through {number}").as_str());
    let row = |(number, attempt)| Row { got_through: through(number), attempt };
    Some(attempts.into_iter().enumerate().map(row).collect())
}

/// Starts the VM and lets it try. The first two values are what came of each attempt, and how many connections and datagrams
/// reached a listener that none may reach.
///
/// # Errors
/// The VM does not start, or the guest does not come to the end.
pub fn run() -> Result<Boundary> {
    let listen = |address: IpAddr| TcpListener::bind((address, 0));
    let cannot = "can't listen on the loopback interface";
    let open = listen(Ipv4Addr::LOCALHOST.into()).context(cannot)?;
    let v4 = listen(Ipv4Addr::LOCALHOST.into()).context(cannot)?;
    // A machine without IPv6 has no ::1.
    let v6 =
        listen(Ipv6Addr::LOCALHOST.into()).or_else(|_| listen(Ipv4Addr::LOCALHOST.into())).context(cannot)?;
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context(cannot)?;
    let own = own_address().and_then(|address| Some((address, listen(address).ok()?)));
    let port = |listener: &TcpListener| listener.local_addr().map_or(0, |address| address.port());
    let ports = Ports {
        open: port(&open),
        v4: port(&v4),
        v6: port(&v6),
        udp: udp.local_addr().map_or(0, |address| address.port()),
    };
    let attempts = attempts(ports, own.as_ref().map(|(address, listener)| (*address, port(listener))));
    let rule = format!("host:{}", ports.open);
    let flags =
        ["run", "--ephemeral", "--display", "none", "--net", "public", "--ports", "off", "--allow", &rule];
    let mut vm = Command::new(process::this_program()?);
    vm.args(flags).args(["--", "bash", "-c", &script(&attempts)]).stdin(Stdio::null());
    let output = vm.output().context("can't start the VM")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = read(&text, attempts).ok_or_else(|| {
        let last =
            output.stderr.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
        Error::new(Kind::Failed, format!("the VM did not come to the end of its attempts: {}", clean(last)))
    })?;
    let mut reached = 0;
    for listener in [&v4, &v6].into_iter().chain(own.iter().map(|(_, listener)| listener)) {
        listener.set_nonblocking(true).context(cannot)?;
        while listener.accept().is_ok() {
            reached += 1;
        }
    }
    udp.set_nonblocking(true).context(cannot)?;
    while !matches!(udp.recv(&mut [0; 16]), Err(e) if e.kind() == ErrorKind::WouldBlock) {
        reached += 1;
    }
    Ok(Boundary { rows, reached })
}

/// An address of this machine that others reach: the one from which it would talk to the internet. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

/// What held.
pub struct Boundary {
    pub rows: Vec<Row>,
    /// Connections and datagrams that reached a listener that none may reach.
    pub reached: usize,
}

impl Boundary {
    pub fn holds(&self) -> bool {
        self.reached == 0 && self.rows.iter().all(Row::holds)
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let verdict = if row.holds() { "held" } else { "BROKEN" };
            let wanted = if row.attempt.is_open { "open" } else { "closed" };
            writeln!(f, "{verdict:<7} {wanted:<7} {}", row.attempt.what)?;
        }
        let held = self.rows.iter().filter(|row| row.holds()).count();
        write!(
            f,
            "{held} of {} held; {} connections came through that must not",
            self.rows.len(),
            self.reached
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Attempt> {
        let ports = Ports { open: 1001, v4: 1002, v6: 1003, udp: 1004 };
        attempts(ports, Some(("192.0.2.5".parse().unwrap(), 1005)))
    }

    #[test]
    fn a_boundary_holds_if_what_is_open_gets_through_and_nothing_else_does() {
        let rows = |output: &str| read(output, all()).unwrap();
        let good = Boundary { rows: rows("through 0\nthrough 1\ndone\n"), reached: 0 };
        assert!(good.holds());
        insta::assert_snapshot!("boundary", good);
        assert!(!Boundary { rows: rows("through 0\ndone\n"), reached: 0 }.holds(), "an open port was closed");
        assert!(!Boundary { rows: rows("through 0\nthrough 1\nthrough 4\ndone\n"), reached: 0 }.holds());
        assert!(!Boundary { rows: good.rows, reached: 1 }.holds(), "what the guest says does not count");
        assert_eq!(read("through 0\n", all()), None);
    }

    #[test]
    fn the_guests_script_is_one_line_for_each_attempt() {
        assert_eq!(script(&all()).lines().count(), all().len() + 1);
        assert!(all().iter().all(|attempt| !attempt.command.contains('\n')));
    }
}
