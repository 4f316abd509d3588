//! The errors for names in use and VMs that are not running.

use super::*;
use crate::model::Os;
use crate::testing::{Texts, assert_texts, host, spec};

#[test]
fn refusals_with_their_hints() {
    let folder = tempfile::tempdir().unwrap();
    let vms = &folder.path().join("vms");
    let name = |text: &str| text.parse::<VmName>().unwrap();
    let mut texts = Texts::default();
    let mut add = |about: &str, error: Error| {
        texts.add(about, error.to_string().replace(&folder.path().display().to_string(), "[FOLDER]"));
    };
    add("no VM", find(vms, None).unwrap_err());
    add("no such VM, nor another", find(vms, Some(&name("db"))).unwrap_err());
    let web = Instance::take(&name("web"), vms, false).unwrap();
    let state = VmState { pid: 4711, ..VmState::new(&spec(&host(Os::Linux), "").unwrap(), None) };
    add("a name in use", name_in_use(&name("web"), Some(&state)));
    add("a name in use, by an unknown process", name_in_use(&name("web"), None));
    add("no such VM", find(vms, Some(&name("db"))).unwrap_err());
    add("a VM that runs is not removed", remove(vms, &name("web"), || Ok(())).unwrap_err());
    let vm = running(vms, &name("web")).unwrap();
    add("a VM without a state", stop(vms, &vm, false).unwrap_err());
    add("a VM that does not stop", still_running(&name("web")));
    let _db = Instance::take(&name("db"), vms, false).unwrap();
    add("several VMs", find(vms, None).unwrap_err());
    drop(web);
    let in_the_way = folder.path().join("web.img");
    fs::create_dir(&in_the_way).unwrap();
    add("a home that is no file", HomeFile::at(in_the_way).prepare("64".parse().unwrap()).unwrap_err());
    assert_texts!("refusals", texts);
}

#[test]
fn columns_of_ps() {
    let mut texts = Texts::default();
    for phase in [Phase::Booting, Phase::Ready, Phase::Stopping] {
        texts.add(format!("{phase:?}"), phase);
    }
    for address in [AgentAddress::Vsock(70000), AgentAddress::Port(40000)] {
        texts.add(format!("{address:?}"), address);
    }
    assert_texts!("columns", texts);
}
