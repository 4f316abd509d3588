//! The host's time zone by its name: TZ, which the C library and all tools obey, else the system's (one file per kind of
//! system).

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use crate::model::Timezone;

/// A time zone, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTimezone {
    pub zone: Timezone,
    pub found_in: String,
}

impl HostTimezone {
    fn new(name: &str, found_in: &str) -> Result<Self, String> {
        let unknown = |_| format!("{found_in} has no name of a time zone: {name:?}");
        Ok(Self { zone: name.parse().map_err(unknown)?, found_in: found_in.to_owned() })
    }
}

/// # Errors
/// Why the zone has no name.
pub fn timezone() -> Result<HostTimezone, String> {
    match std::env::var_os("TZ") {
        Some(value) => of_variable(&value.to_string_lossy(), os::is_zone),
        None => os::system(),
    }
}

/// TZ as tzset(3) describes it: a name or the path of its file, with or without a colon; nothing is UTC. A rule such as
/// `CET-1CEST` describes a zone instead of naming it.
fn of_variable(value: &str, is_zone: impl Fn(&str) -> bool) -> Result<HostTimezone, String> {
    let value = value.strip_prefix(':').unwrap_or(value);
    let name = if value.starts_with('/') { name_in_path(value).unwrap_or(value) } else { value };
    match name {
        "" | "UTC0" => Ok(HostTimezone { zone: Timezone::utc(), found_in: "TZ".to_owned() }),
        name if is_zone(name) => HostTimezone::new(name, "TZ"),
        _ => Err(format!("TZ is not the name of a time zone: {value:?}")),
    }
}

/// The zone of a file of the tz database: what follows its folder. The folders `posix` and `right` in it have the same zones
/// once more.
fn name_in_path(path: &str) -> Option<&str> {
    let (_, name) = path.rsplit_once("zoneinfo/")?;
    Some(name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tz_names_a_zone_as_the_c_library_reads_it() {
        let name = |value| of_variable(value, |name| name != "CET-1CEST").map(|found| found.zone.to_string());
        for (value, zone) in [
            ("Europe/Berlin", "Europe/Berlin"),
            (":Europe/Berlin", "Europe/Berlin"),
            (":/usr/share/zoneinfo/right/Asia/Tokyo", "Asia/Tokyo"),
            ("/usr/share/zoneinfo/posix/GMT", "GMT"),
            ("", "UTC"),
            ("UTC0", "UTC"),
        ] {
            assert_eq!(name(value).as_deref(), Ok(zone), "{value}");
        }
        for rule in ["CET-1CEST", "<+03>-3", "CET-1CEST,M3.5.0,M10.5.0/3", "/etc/localtime", "\u{1b}[2J"] {
            let because = name(rule).unwrap_err();
            assert!(because.contains("TZ") && !because.contains(char::is_control), "{because}");
        }
    }
}
