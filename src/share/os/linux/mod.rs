//! Linux: the launcher's side of the servers.

mod confine;
mod eager;
mod room;
mod server;

pub use server::role;

use crate::error::{Error, Kind, Result};
use crate::model::{ShareAccess, SharedFolder};
use crate::protocol::HostMessage;
use crate::share::Report;
use crate::sys::descriptors::Assigned;
use crate::sys::{process, role_command, sockets};
use anyhow::Context;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Arc;

/// What a server inherits, under these numbers: where QEMU connects to it, and its connection to the launcher.
const LISTENER: RawFd = 3;
const CONTROL: RawFd = 4;
/// A longer message is no sentence.
const MESSAGE_BYTES: u64 = 1000;

/// The servers of one VM's folders. They end when this is dropped.
pub struct Servers(Vec<Server>);

struct Server {
    share: SharedFolder,
    child: Child,
    control: UnixStream,
    stderr: ChildStderr,
    /// The end of the connection to it that QEMU gets: a socket.
    device: Arc<File>,
    has_ended: bool,
}

impl Servers {
    /// Must be called on the thread that supervises QEMU: a server dies with it. `socket`: a path in a private folder, for a
    /// socket that is there while this runs.
    ///
    /// # Errors
    /// A server can't be started.
    pub fn start(shares: &[SharedFolder], socket: &Path) -> Result<Self> {
        let start = |share: &SharedFolder| {
            let folder = share.folder.display();
            Server::start(share, socket)
                .with_context(|| format!("can't share {folder}"))
                .map_err(|e| Error::caused(Kind::Failed, e, "start without it, or share another folder"))
        };
        shares.iter().map(start).collect::<Result<_>>().map(Self)
    }

    /// What QEMU gets, in the order of the folders.
    pub fn devices(&self) -> Vec<Arc<File>> {
        self.0.iter().map(|server| server.device.clone()).collect()
    }

    /// What has happened since this was called the last time. To be called about once a second.
    pub fn look(&mut self) -> Vec<Report> {
        let servers = self.0.iter_mut().enumerate();
        servers.filter_map(|(number, server)| server.look(number)).collect()
    }
}

impl Server {
    fn start(share: &SharedFolder, socket: &Path) -> anyhow::Result<Self> {
        let listener = sockets::listen(socket)?;
        let device = sockets::connect(socket);
        fs::remove_file(socket)?;
        let (control, theirs) = UnixStream::pair()?;
        let mut child = spawn(share, &listener, &theirs)?;
        // The last one is the server's: reading ends with it.
        drop(theirs);
        let stderr = child.stderr.take().expect("it is piped");
        let mut server = Self {
            share: share.clone(),
            child,
            control,
            stderr,
            device: Arc::new(File::from(OwnedFd::from(device?))),
            has_ended: false,
        };
        let mut word = [0];
        let length = server.control.read(&mut word)?;
        anyhow::ensure!(word[..length] == [server::READY], "{}", server.last_words());
        server.control.set_nonblocking(true)?;
        Ok(server)
    }

    fn look(&mut self, number: usize) -> Option<Report> {
        let mut words = [0; 64];
        if self.control.read(&mut words).is_ok_and(|length| length > 0) {
            return Some(Report { message: HostMessage::ShareCrowded, notice: None });
        }
        let status = self.child.try_wait().ok()??;
        // QEMU has hung up, if it has succeeded.
        if std::mem::replace(&mut self.has_ended, true) || status.success() {
            return None;
        }
        let (place, cause) = (self.share.place.clone(), self.last_words());
        let notice = Some(format!(
            "the VM can't reach {place} any more: its server ended ({cause}); start the VM again"
        ));
        Some(Report { message: HostMessage::ShareLost { number }, notice })
    }

    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let status = self.child.wait();
        let mut text = Vec::new();
        let _ = (&mut self.stderr).take(MESSAGE_BYTES).read_to_end(&mut text);
        match String::from_utf8_lossy(&text).trim() {
            "" => status.map_or_else(|e| e.to_string(), |status| process::exit(status).to_string()),
            text => text.replace(char::is_control, " "),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(share: &SharedFolder, listener: &UnixListener, control: &UnixStream) -> anyhow::Result<Child> {
    let mut command = role_command("share-server")?;
    command.current_dir(&share.folder).stderr(Stdio::piped());
    if share.access == ShareAccess::Read {
        command.arg("--read-only");
    }
    let mut assigned = Assigned::default();
    assigned.add(listener, LISTENER)?;
    assigned.add(control, CONTROL)?;
    assigned.hand_to(&mut command);
    Ok(command.spawn()?)
}
