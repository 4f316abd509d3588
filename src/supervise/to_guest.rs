//! What the launcher sends to the guest on the control port.

use super::Vm;
use super::state_machine::Event;
use crate::protocol::{self, GuestEvent, GuestIdentity};
use crate::qemu::qmp::Message;
use std::time::{Instant, SystemTime};

impl Vm<'_> {
    pub(super) fn send_identity(&mut self, identity: GuestIdentity) {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Until the year 2554.
        let clock = u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX);
        self.child.send_to_guest(&protocol::line(&GuestIdentity { clock, ..identity }));
    }

    pub(super) fn note_for_guest_clock(&mut self, event: &Event) {
        match event {
            Event::Guest(GuestEvent::TimeQuestion { token }) => {
                self.guest_clock.on_question(*token, Instant::now());
            }
            Event::Qmp(Message::Resume) => self.guest_clock.on_standstill(),
            _ => {}
        }
    }

    /// Only now, not when the event arrives: an answer that waits for another event is late.
    pub(super) fn look_at_guest_clock(&mut self) {
        if self.child.was_continued() {
            self.guest_clock.on_standstill();
        }
        if let Some(message) = self.guest_clock.look(Instant::now(), SystemTime::now()) {
            tracing::debug!("to the guest: {message:?}");
            self.child.send_to_guest(&protocol::line(&message));
        }
    }
}
