//! The guest's time zone: the configured one, else the host's, else UTC.

use super::explicit;
use crate::config::{Setting, TimezoneChoice};
use crate::host::HostFacts;
use crate::model::{Choice, Timezone};

pub fn timezone(facts: &HostFacts, setting: &Setting<TimezoneChoice>) -> Choice<Timezone> {
    match (&setting.value, &facts.timezone) {
        (TimezoneChoice::Zone(zone), _) => explicit(zone.clone(), setting),
        (TimezoneChoice::Auto, Ok(host)) => {
            Choice::new(host.zone.clone(), format!("from the host: {}", host.found_in))
        }
        (TimezoneChoice::Auto, Err(because)) => Choice::new(Timezone::utc(), because.clone()),
    }
}
