//! Only Linux has a jail to attack.

pub fn attack(_: &str) {}
