//! The programs that the launcher runs here, by the names that it gave them: another connection of the same user may send
//! them signals, because ssh(1) has no way to do so in its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::libc::uid_t;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

#[derive(Debug, Default)]
pub struct Programs(Mutex<HashMap<String, (uid_t, Pid)>>);

/// A program in the list; dropped when it has ended.
pub struct Listed {
    programs: Arc<Programs>,
    id: String,
}

impl Programs {
    pub fn list(self: &Arc<Self>, id: &str, user: uid_t, group: Pid) -> Listed {
        self.lock().insert(id.to_owned(), (user, group));
        Listed { programs: self.clone(), id: id.to_owned() }
    }

    /// Sends the signal of this name, without SIG, to a program's process group. Whether there is one of that user.
    pub fn signal(&self, id: &str, user: uid_t, signal: &str) -> bool {
        let Ok(signal) = format!("SIG{signal}").parse::<Signal>() else { return false };
        let programs = self.lock();
        let found = programs.get(id).filter(|(owner, _)| *owner == user);
        found.is_some_and(|(_, group)| killpg(*group, signal).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (uid_t, Pid)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.programs.lock().remove(&self.id);
    }
}
