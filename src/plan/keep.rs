//! What a VM keeps for its next start, and the image that its system was made from.

use super::{KeptSystem, PlanError, WantedVm, explicit, refused};
use crate::config::{Config, KeepChoice};
use crate::model::{Choice, Keep, Source};

/// A system stays with the image that it was made from.
pub fn keep(config: &Config, vm: &WantedVm) -> Result<Choice<Keep>, PlanError> {
    if vm.is_ephemeral {
        return Ok(Choice::explicit(Keep::Nothing, &"set by --ephemeral"));
    }
    let (setting, rootfs) = (&config.keep, &config.rootfs);
    let other = vm
        .system
        .as_ref()
        .map(|system| &system.made_from)
        .filter(|made_from| rootfs.value != Source::Embedded && **made_from != rootfs.value);
    let obstacle = other.map(|made_from| {
        let (rootfs, origin) = (&rootfs.value, &rootfs.origin);
        format!("that of {} was made from {made_from}, not from {rootfs}, set by {origin}", vm.name)
    });
    match (setting.value, obstacle) {
        (KeepChoice::Nothing, _) => Ok(explicit(Keep::Nothing, setting)),
        (KeepChoice::Home, _) => Ok(explicit(Keep::Home, setting)),
        (KeepChoice::System, None) => Ok(explicit(Keep::System, setting)),
        (KeepChoice::System, Some(because)) => {
            let hint = "use another VM: --name OTHER; or start this one from the image: --keep home";
            Err(refused("the kept system", setting, &because, hint))
        }
        (KeepChoice::Auto, None) if vm.system.is_some() => {
            Ok(Choice::new(Keep::System, "this VM has kept its system before"))
        }
        (KeepChoice::Auto, None) => Ok(Choice::new(Keep::Home, "default")),
        (KeepChoice::Auto, Some(because)) => {
            Ok(Choice::new(Keep::Home, format!("the kept system is not used: {because}")))
        }
    }
}

/// A system has a copy of an image of the user's own.
pub fn rootfs(config: &Config, vm: &WantedVm, keep: Keep) -> Source {
    match &vm.system {
        Some(KeptSystem { made_from: Source::File(_), image }) if keep == Keep::System => {
            Source::File(image.clone())
        }
        _ => config.rootfs.value.clone(),
    }
}
