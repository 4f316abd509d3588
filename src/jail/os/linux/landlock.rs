//! Landlock (landlock(7)): the rules are made in this process, and the new process takes them on before exec.

use crate::jail::{Access, JailPolicy, Network};
use anyhow::{Context, Result};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope, make_bitflags,
};

/// The newest version whose restrictions are used; an older kernel enforces those that it has.
const NEWEST: ABI = ABI::V9;

pub fn ruleset(policy: &JailPolicy) -> Result<RulesetCreated> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?.scope(Scope::Signal)?;
    if policy.network == Network::None {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    if policy.abstract_sockets.is_none() {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut ruleset = ruleset.create()?;
    for rule in &policy.rules {
        let Ok(opened) = PathFd::new(&rule.path) else { continue };
        let mut rights = rights(rule.access);
        if !rule.path.is_dir() {
            rights &= AccessFs::from_file(NEWEST);
        }
        ruleset = ruleset
            .add_rule(PathBeneath::new(opened, rights))
            .with_context(|| rule.path.display().to_string())?;
    }
    Ok(ruleset)
}

/// What this process shows of itself is a folder of its own in /proc, so only it can add that rule.
pub fn enter(ruleset: RulesetCreated) -> Result<(), landlock::RulesetError> {
    let ruleset = match PathFd::new("/proc/self") {
        Ok(own) => ruleset.add_rule(PathBeneath::new(own, rights(Access::Read)))?,
        Err(_) => ruleset,
    };
    ruleset.restrict_self().map(drop)
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{WriteFile | Truncate});
    let make = make_bitflags!(AccessFs::{MakeReg | MakeDir | RemoveFile | RemoveDir | Refer});
    match access {
        Access::Read => read,
        Access::Run => read | AccessFs::Execute,
        Access::Write => read | write,
        Access::Own => read | write | make,
        Access::Device => read | AccessFs::WriteFile | AccessFs::IoctlDev,
        Access::Connect => AccessFs::ResolveUnix.into(),
    }
}
