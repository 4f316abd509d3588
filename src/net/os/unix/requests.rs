//! What other commands ask of the launcher of a running VM, by a file, and of its network's process.

use crate::error::{Error, Kind, Result};
use crate::net::account::Account;
use crate::net::message::{Request, Settings, line};
use crate::net::policy::Policy;
use crate::net::resolvers::Resolvers;
use crate::sys::{files, sockets};
use anyhow::Context;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the network's process may take to show the account.
const PATIENCE: Duration = Duration::from_secs(1);

/// What another command has asked for, once.
pub fn requested(path: &Path) -> Request {
    let Ok(text) = fs::read(path) else { return Request::default() };
    let _ = fs::remove_file(path);
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Asks the launcher of a running VM for another policy, and returns once it is in force.
///
/// # Errors
/// It is not within some seconds.
pub fn change(policy: &Policy, request: &Path) -> Result<()> {
    ask(&Request { policy: Some(Settings::new(policy, Resolvers::default())), open: Vec::new() }, request)
}

/// Asks the launcher of a running VM to open a port, and returns once it has done what it can.
///
/// # Errors
/// It does not answer within some seconds.
pub fn open(ports: &[u16], request: &Path) -> Result<()> {
    ask(&Request { policy: None, open: ports.to_vec() }, request)
}

fn ask(what: &Request, request: &Path) -> Result<()> {
    const MOST: Duration = Duration::from_secs(10);
    let text = line(what);
    files::replace(request, text.as_bytes(), &request.with_extension("new"))?;
    let until = Instant::now() + MOST;
    while request.exists() {
        if Instant::now() > until {
            let _ = fs::remove_file(request);
            return Err(Error::new(Kind::Failed, "the launcher of the VM does not answer"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The account of a running VM.
///
/// # Errors
/// Its network's process does not answer.
pub fn show(show: &Path) -> Result<Account> {
    let mut stream = sockets::connect(show).context("the network of the VM does not answer")?;
    stream.set_read_timeout(Some(PATIENCE)).context("the network of the VM does not answer")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).context("the network of the VM does not answer")?;
    Ok(serde_json::from_slice(&text).context("the network of the VM does not answer")?)
}
