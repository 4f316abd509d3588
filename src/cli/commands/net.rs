//! `virtualghost net`: what a VM reaches, and another policy for one that runs.

use crate::cli::args::NetArgs;
use crate::cli::output::print;
use crate::error::{Error, Result};
use crate::instance::{self, RunningVm};
use crate::model::Net;
use crate::net::account::Account;
use crate::net::{self, Policy};
use crate::sys::Dirs;
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

/// How often a followed account is looked at.
const LOOK: Duration = Duration::from_secs(1);

pub fn run(args: &NetArgs) -> Result<ExitCode> {
    let vms = Dirs::find()?.vms_path();
    let vm = instance::find(&vms, args.name.as_ref())?;
    if args.off || args.net.is_some() || !args.allow.is_empty() {
        net::change(&changed(args, &vm)?, &vm.files.network_request_path())?;
    }
    let show = vm.files.network_socket_path();
    let mut before = net::show(&show)?;
    print(text(&before, args))?;
    while args.follow && instance::running(&vms, &vm.name).is_some() {
        std::thread::sleep(LOOK);
        let Ok(account) = net::show(&show) else { continue };
        if account != before {
            print(next_text(&account, args))?;
            before = account;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(account: &Account, args: &NetArgs) -> String {
    match (args.json, args.follow) {
        (true, true) => json!(account).to_string(),
        (true, false) => format!("{:#}", json!(account)),
        (false, _) => account.to_string().trim_end().to_owned(),
    }
}

/// The same after another one.
fn next_text(account: &Account, args: &NetArgs) -> String {
    let space = if args.json { "" } else { "\n" };
    format!("{space}{}", text(account, args))
}

/// The policy of the VM, and what the flags change of it.
fn changed(args: &NetArgs, vm: &RunningVm) -> Result<Policy> {
    if args.off {
        return Ok(Policy { net: Net::Off, allow: Vec::new() });
    }
    let state = vm.state.as_ref();
    let now = state.and_then(|state| Policy::of_words(&state.net, &state.allow));
    let mut policy =
        now.ok_or_else(|| Error::bad_input(format!("{} has not said yet what it may reach", vm.name)))?;
    policy.net = args.net.map_or(policy.net, Net::from);
    for rule in &args.allow {
        if !policy.allow.contains(rule) {
            policy.allow.push(rule.clone());
        }
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_as_json_is_one_object_a_line() {
        let account =
            Account { net: "off".to_owned(), allow: vec!["example.com".to_owned()], ..Account::default() };
        let args = NetArgs { name: None, json: true, follow: true, net: None, allow: Vec::new(), off: false };
        for line in [text(&account, &args), next_text(&account, &args)] {
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Account>(&line).unwrap(), account);
        }
    }
}
