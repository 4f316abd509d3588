use super::*;
use crate::host::Os;
use crate::plan::VmSpec;
use crate::plan::tests::host;

fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

fn spec(config: &str) -> VmSpec {
    crate::plan::tests::spec(&host(Os::Linux), config).unwrap()
}

fn state() -> State {
    State::new(&spec(""), None)
}

#[test]
fn a_name_is_taken_once_and_is_free_again_when_its_holder_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = Instance::take(&name("web"), folder.path()).unwrap();
    first.tell(&state());
    let refusal = Instance::take(&name("web"), folder.path()).err().expect("it is taken").to_string();
    assert!(refusal.contains(&format!("running already (pid {})", std::process::id())), "{refusal}");
    assert!(refusal.contains("--name") && refusal.contains("--ephemeral"), "{refusal}");
    drop(first);
    Instance::take(&name("web"), folder.path()).unwrap();
}

#[test]
fn what_runs_is_what_is_locked_whatever_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let vms = folder.path();
    let web = Instance::take(&name("web"), vms).unwrap();
    let mut told = state();
    told.runs_on(&spec("accel = \"tcg\""), None);
    web.tell(&told);
    // A crashed launcher's.
    std::fs::create_dir(vms.join("old")).unwrap();
    told.save(&vms.join("old")).unwrap();
    std::fs::write(vms.join("old").join(LOCK), "").unwrap();
    let found = list(vms);
    assert_eq!(found.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert_eq!(found[0].state.as_ref().unwrap().accelerator, "tcg");
    assert_eq!(find(vms, None).unwrap().name, name("web"));
    assert!(find(vms, Some(&name("old"))).unwrap_err().to_string().contains("running: web"));
    drop(web);
    assert!(list(vms).is_empty());
    assert!(!vms.join("web").join(KEYS).exists(), "keys are left");
}

#[test]
fn a_state_of_a_process_that_has_another_start_time_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let web = Instance::take(&name("web"), folder.path()).unwrap();
    web.tell(&State { pid_started: 1, ..state() });
    assert!(running(folder.path(), &name("web")).unwrap().state.is_none());
}

#[test]
fn a_vm_that_keeps_nothing_leaves_nothing_and_a_killed_ones_rest_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("ephemeral-4194305");
    std::fs::create_dir(&left).unwrap();
    drop(Instance::take(&ephemeral_name(), folder.path()).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_running_vm_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let web = Instance::take(&name("web"), folder.path()).unwrap();
    let refusal = remove(folder.path(), &name("web"), || panic!("its home goes")).unwrap_err().to_string();
    assert!(refusal.contains("web is running") && refusal.contains("virtualghost stop web"), "{refusal}");
    drop(web);
    remove(folder.path(), &name("web"), || Ok(())).unwrap();
    assert!(!folder.path().join("web").exists());
}

#[test]
fn a_vm_that_another_process_stops_is_only_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let vms = folder.path();
    let web = Instance::take(&name("web"), vms).unwrap();
    // Were it asked to stop, this process would end.
    web.tell(&state());
    let vm = running(vms, &name("web")).unwrap();
    let _other = try_lock(&vm.files.0.join(STOP_LOCK)).unwrap().unwrap();
    let refusal = stop(vms, &vm, false, Duration::from_millis(10)).unwrap_err().to_string();
    assert!(refusal.contains("web is still running") && refusal.contains("--force"), "{refusal}");
    drop(web);
    stop(vms, &vm, false, Duration::ZERO).unwrap();
}
