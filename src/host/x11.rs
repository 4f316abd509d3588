//! The X server, each time with a limit: one behind a dead `ssh -X` accepts a connection and then sends nothing.

use crate::sys::time_limit::within;
use std::time::Duration;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt};

/// A server on the same machine needs a millisecond, one across a slow line some hundreds.
const LIMIT: Duration = Duration::from_secs(1);

/// Whether the session's X server accepts this user.
///
/// # Errors
/// It does not, and why.
pub fn check() -> Result<(), String> {
    within(LIMIT, || x11rb::connect(None).map(drop).map_err(|e| e.to_string()))
}

/// The root window's `_XKB_RULES_NAMES`, which every X server and setxkbmap keep.
pub fn xkb_rules_names() -> Option<Vec<u8>> {
    within(LIMIT, || read_xkb_rules_names(None).ok_or_else(|| "no such property".to_owned())).ok()
}

/// `display` as in the variable DISPLAY, which None means.
fn read_xkb_rules_names(display: Option<&str>) -> Option<Vec<u8>> {
    let (connection, screen) = x11rb::connect(display).ok()?;
    let root = connection.setup().roots.get(screen)?.root;
    let property = connection.intern_atom(true, b"_XKB_RULES_NAMES").ok()?.reply().ok()?.atom;
    let value = connection.get_property(false, root, property, AtomEnum::STRING, 0, 1024).ok()?;
    Some(value.reply().ok()?.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;

    #[test]
    fn an_x_server_that_sends_nothing_is_not_waited_for() {
        // The kernel accepts the connections of a listener. TCP port 6000 + N is display N (X(7)).
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let display = format!("127.0.0.1:{}", server.local_addr().unwrap().port() - 6000);
        let (ended, hung_up) = mpsc::channel();
        let asked = within(Duration::from_millis(50), move || {
            let names = read_xkb_rules_names(Some(&display));
            let _ = ended.send(());
            names.ok_or_else(|| "it hung up".to_owned())
        });
        assert_eq!(asked, Err("no reply within 0.05 s".to_owned()));
        assert!(hung_up.try_recv().is_err(), "the server was not waited for, so it still has the connection");
        drop(server);
    }
}
