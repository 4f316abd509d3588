//! Windows has names of its own for time zones. The system translates them (Windows.Globalization.Calendar).

use super::HostTimezone;

/// Windows has no tz database to look in.
pub fn is_zone(_: &str) -> bool {
    true
}

pub fn system() -> Result<HostTimezone, String> {
    let name = iana_time_zone::get_timezone().map_err(|e| format!("the host's time zone is unknown: {e}"))?;
    HostTimezone::new(&name, "Windows")
}
