//! Processes of other launchers: told apart by number and start time, asked to stop, killed.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

pub use os::{allow_stop_requests, ask_to_stop, kill, started};

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_that_only_has_the_number_is_let_alone() {
        let me = std::process::id();
        let since = started(me).unwrap();
        assert_eq!(started(me), Some(since), "it does not change");
        // Were it sent, this test would end here.
        assert!(kill(me, since + 1).is_err());
        assert!(ask_to_stop(me, since - 1).is_err());
    }

    #[test]
    fn a_process_that_has_ended_is_none_even_to_its_parent() {
        // Any program will do.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--list", "no such test"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(started(child.id()).is_some());
        child.wait().unwrap();
        assert_eq!(started(child.id()), None);
    }
}
