//! `virtualghost proxy NAME`: standard input and output, connected to the VM's agent. OpenSSH's ProxyCommand.

use super::os::{connect_socket, connect_vsock};
use crate::error::{Error, Kind, Result};
use crate::instance::{self, AgentAddress, VmFiles};
use crate::model::units::VmName;
use crate::protocol::AGENT_PORT;
use anyhow::Context;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// A connection, of whichever kind, that can be used from two threads.
pub trait Stream: Read + Write + Send {
    fn second(&self) -> io::Result<Box<dyn Stream>>;
    /// No more will be written.
    fn finish(&self);
    fn wait_at_most(&self, time: Option<Duration>) -> io::Result<()>;
}

macro_rules! stream {
    ($type:ty) => {
        impl Stream for $type {
            fn second(&self) -> io::Result<Box<dyn Stream>> {
                Ok(Box::new(self.try_clone()?))
            }

            fn finish(&self) {
                let _ = self.shutdown(Shutdown::Write);
            }

            fn wait_at_most(&self, time: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(time)
            }
        }
    };
}
pub(super) use stream;

/// A VM that boots is waited for this long, and each try to reach its agent so long.
const BOOT: Duration = Duration::from_secs(180);
const ANSWER: Duration = Duration::from_secs(10);

/// Returns when the agent has hung up.
///
/// # Errors
/// The VM does not run, or ends meanwhile, or its agent does not answer.
pub fn run(vms: &Path, name: &VmName) -> Result<()> {
    let (stream, banner) = reach(vms, name)?;
    pump(&*stream, &banner).context("the connection broke")?;
    Ok(())
}

/// QEMU takes a connection before the guest listens, and cuts it later. So one counts when the agent's greeting
/// has arrived, which it sends first (RFC 4253, section 4.2).
fn reach(vms: &Path, name: &VmName) -> Result<(Box<dyn Stream>, Vec<u8>)> {
    let until = Instant::now() + BOOT;
    loop {
        let vm = instance::find(vms, Some(name))?;
        if let Some(address) = vm.state.and_then(|state| state.channel) {
            match greeted(address, &vm.files) {
                Ok(reached) => return Ok(reached),
                Err(e) => tracing::debug!("{address} does not answer yet: {e}"),
            }
        }
        if Instant::now() > until {
            return Err(Error::new(Kind::Failed, format!("the agent in {name} does not answer"))
                .hint(format!("read the guest's log: virtualghost logs {name}")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn greeted(address: AgentAddress, files: &VmFiles) -> io::Result<(Box<dyn Stream>, Vec<u8>)> {
    let mut stream: Box<dyn Stream> = match address {
        AgentAddress::Port(port) => {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        AgentAddress::Socket => connect_socket(&files.agent_socket_path())?,
        AgentAddress::Vsock(cid) => connect_vsock(cid, AGENT_PORT.into())?,
    };
    stream.wait_at_most(Some(ANSWER))?;
    let mut banner = vec![0; 1024];
    let length = stream.read(&mut banner)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    banner.truncate(length);
    stream.wait_at_most(None)?;
    Ok((stream, banner))
}

fn pump(stream: &dyn Stream, banner: &[u8]) -> io::Result<()> {
    let (mut to_guest, mut from_guest) = (stream.second()?, stream.second()?);
    // Not joined: it may wait for input that never comes, and the process ends without it.
    std::thread::spawn(move || {
        let _ = copy(&mut io::stdin().lock(), &mut *to_guest);
        to_guest.finish();
    });
    let mut output = io::stdout().lock();
    output.write_all(banner)?;
    output.flush()?;
    copy(&mut *from_guest, &mut output)
}

/// Each piece goes on at once: SSH's packets are answered before the next comes.
fn copy(from: &mut (impl Read + ?Sized), to: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                to.write_all(&buffer[..length])?;
                to.flush()?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(e),
        }
    }
}
