//! The command line: where to listen, whose terminal this is, the limits. Syntax only.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const USAGE: &str = "\
ghostly-agent: the SSH server of a VirtualGhost guest

usage: ghostly-agent [--listen ADDRESS]... [--user NAME] [--credentials DIR]
  --listen tcp:IP:PORT | vsock:PORT   where to listen, besides the sockets that systemd passes
  --user NAME                         whose sessions the user key opens (ghost)
  --credentials DIR                   holds ghostly.host-key, ghostly.authorized-user and
                                      ghostly.authorized-root ($CREDENTIALS_DIRECTORY)
  --auth-timeout SECONDS              time to authenticate (20)
  --max-unauthenticated N             connections at once that have not authenticated (10)
  --max-channels N                    channels at once in a connection (100)
       ghostly-agent sftp-server      serve SFTP on standard input and output
       ghostly-agent copy             be one end of a copy, which the environment describes
       ghostly-agent report EVENT     report an event of the session to the host
       ghostly-agent first-prompt PID report that the session is ready, when the prompt of this shell is on the screen
       ghostly-agent await-screen text|blank
                                      wait until there is text on the screen, or none
       ghostly-agent checkpoint       wait for the identity of this machine from the host
       ghostly-agent compositor       run the compositor, again if it crashes
       ghostly-agent terminal         the same for the terminal in it
       ghostly-agent control          hold the control port, and keep the clock right
       ghostly-agent timezone         set the time zone of the kernel's command line
       ghostly-agent status           print the state of the session as JSON
       ghostly-agent --version";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Vsock(u32),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no address to listen on: {text:?} (tcp:IP:PORT or vsock:PORT)");
        match text.split_once(':') {
            Some(("tcp", address)) => address.parse().map(Self::Tcp).map_err(|_| wrong()),
            Some(("vsock", port)) => port.parse().map(Self::Vsock).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// What one client may take before and after it has authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub auth_timeout: Duration,
    pub unauthenticated: usize,
    pub channels: usize,
}

#[derive(Debug)]
pub struct Options {
    pub listen: Vec<Address>,
    pub user: String,
    pub credentials: PathBuf,
    pub limits: Limits,
}

impl Options {
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> io::Result<Self> {
        let refuse = |e: lexopt::Error| io::Error::new(io::ErrorKind::InvalidInput, format!("{e}\n{USAGE}"));
        Self::try_parse(args).map_err(refuse)
    }

    fn try_parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut listen = Vec::new();
        let mut user = "ghost".to_owned();
        let mut credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let mut limits = Limits { auth_timeout: Duration::from_secs(20), unauthenticated: 10, channels: 100 };
        let mut parser = lexopt::Parser::from_iter(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("listen") => listen.push(parser.value()?.parse()?),
                Long("user") => user = parser.value()?.string()?,
                Long("credentials") => credentials = Some(parser.value()?.into()),
                Long("auth-timeout") => limits.auth_timeout = Duration::from_secs(parser.value()?.parse()?),
                Long("max-unauthenticated") => limits.unauthenticated = parser.value()?.parse()?,
                Long("max-channels") => limits.channels = parser.value()?.parse()?,
                _ => return Err(arg.unexpected()),
            }
        }
        let credentials = credentials
            .ok_or("no credentials: neither --credentials nor $CREDENTIALS_DIRECTORY names their folder")?;
        Ok(Self { listen, user, credentials, limits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> io::Result<Options> {
        Options::parse(["ghostly-agent", "--credentials", "/c"].iter().chain(args).map(OsString::from))
    }

    #[test]
    fn addresses_name_their_kind() {
        let options = parse(&["--listen", "tcp:127.0.0.1:22", "--listen", "vsock:22"]).unwrap();
        assert_eq!(options.listen, [Address::Tcp("127.0.0.1:22".parse().unwrap()), Address::Vsock(22)]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_usage() {
        for wrong in [&["--listen", "22"][..], &["--listen", "vsock:x"], &["--max-channels", "-1"], &["x"]] {
            assert!(parse(wrong).unwrap_err().to_string().contains(USAGE), "{wrong:?}");
        }
    }
}
