//! A peer on a thread, with a cable for a guest and a control for a launcher.

use super::guest::Guest;
use super::*;
use crate::model::Transport;
use crate::net::account::Account;
use crate::net::message::{Order, Settings, line};
use crate::net::ports::At;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::{IoSlice, Read};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// A peer on a thread of its own.
pub struct Scene {
    cable: UnixDatagram,
    control: UnixStream,
    folder: tempfile::TempDir,
    resolvers: Resolvers,
    _thread: std::thread::JoinHandle<()>,
}

impl Scene {
    pub fn start(net: Net, rules: &[&str], outside: Outside, resolvers: Resolvers) -> Self {
        let (cable, card) = cable().unwrap();
        let (ours, control) = UnixStream::pair().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listen = |name| Some(UnixListener::bind(folder.path().join(name)).unwrap());
        let (agent, show) = (listen("agent"), listen("show"));
        let inherited = Inherited { card, control, show, agent };
        // Both Landlock's rules and the filter are of a thread: this one is confined as the peer's process is.
        let thread = std::thread::spawn(move || run(inherited, outside, confine).unwrap());
        let mut this = Self { cable, control: ours, folder, resolvers, _thread: thread };
        this.set(net, rules);
        this
    }

    pub fn set(&mut self, net: Net, rules: &[&str]) {
        let allow = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let settings = Settings::new(&Policy { net, allow }, self.resolvers.clone());
        self.control.write_all(line(&Order::Set(settings)).as_bytes()).unwrap();
        // It is read before the frames that come after it, but not sooner.
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Lets a socket of the host lead to this port of the guest; where it listens.
    pub fn publish(&self, guest: u16, at: At) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        self.hand_over(guest, Transport::Tcp, at, &listener);
        place
    }

    /// The same for datagrams.
    pub fn publish_udp(&self, guest: u16) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let place = socket.local_addr().unwrap();
        self.hand_over(guest, Transport::Udp, At::Card, &socket);
        place
    }

    fn hand_over(&self, guest: u16, transport: Transport, at: At, socket: &impl AsRawFd) {
        let order = line(&Order::Publish { guest, transport, at });
        let sockets = [socket.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&sockets)];
        let bytes = [IoSlice::new(order.as_bytes())];
        sendmsg::<()>(self.control.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None).unwrap();
    }

    pub fn close(&mut self, guest: u16, transport: Transport) {
        self.control.write_all(line(&Order::Close { guest, transport }).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }

    pub fn agent_path(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    pub fn cable(&self) -> UnixDatagram {
        self.cable.try_clone().unwrap()
    }

    pub fn guest(&self) -> Guest {
        Guest::new(self.cable())
    }

    /// The account that is shown now.
    pub fn account(&self) -> Account {
        let mut text = Vec::new();
        let mut stream = UnixStream::connect(self.folder.path().join("show")).unwrap();
        stream.read_to_end(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Hangs up, and returns the last account.
    pub fn end(self) -> Account {
        self.control.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = Vec::new();
        (&self.control).read_to_end(&mut text).unwrap();
        let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
        match serde_json::from_slice(last).unwrap() {
            Report::Ended(account) => account,
            other => panic!("{other:?}"),
        }
    }

    /// What the peer has said so far.
    pub fn reports(&self) -> Vec<Report> {
        self.control.set_nonblocking(true).unwrap();
        let mut text = Vec::new();
        let _ = (&self.control).read_to_end(&mut text);
        text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}
