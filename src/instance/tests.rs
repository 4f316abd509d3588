use super::*;
use crate::model::{Os, VmSpec};
use crate::testing::host;
#[cfg(unix)]
use crate::testing::process;

fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

fn spec(config: &str) -> VmSpec {
    crate::testing::spec(&host(Os::Linux), config).unwrap()
}

fn state() -> VmState {
    VmState::new(&spec(""), None)
}

#[test]
fn a_name_is_reserved_once_and_free_again_when_its_holder_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let first = Instance::take(&name("web"), folder.path(), false).unwrap();
    first.publish(&state());
    let refusal = Instance::take(&name("web"), folder.path(), false).err().expect("it is in use").to_string();
    assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
    assert!(refusal.contains("--name") && refusal.contains("--ephemeral"), "{refusal}");
    drop(first);
    Instance::take(&name("web"), folder.path(), false).unwrap();
}

#[test]
fn a_vm_is_running_if_its_lock_is_held_whatever_its_files_contain() {
    let folder = tempfile::tempdir().unwrap();
    let vms = folder.path();
    let web = Instance::take(&name("web"), vms, false).unwrap();
    let mut published = state();
    published.runs_on(&spec("accel = \"tcg\""), None);
    web.publish(&published);
    // A crashed launcher's.
    fs::create_dir(vms.join("old")).unwrap();
    published.save(&vms.join("old")).unwrap();
    fs::write(vms.join("old").join(LOCK), "").unwrap();
    let found = list(vms);
    assert_eq!(found.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert_eq!(found[0].state.as_ref().unwrap().accelerator, "tcg");
    assert_eq!(find(vms, None).unwrap().name, name("web"));
    assert!(find(vms, Some(&name("old"))).unwrap_err().to_string().contains("web"));
    drop(web);
    assert!(list(vms).is_empty());
    assert!(!vms.join("web").join(KEYS).exists(), "keys are left");
}

#[test]
fn a_state_with_another_start_time_of_its_process_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let web = Instance::take(&name("web"), folder.path(), false).unwrap();
    web.publish(&VmState { pid_started: 1, ..state() });
    assert!(running(folder.path(), &name("web")).unwrap().state.is_none());
}

#[test]
fn an_ephemeral_vm_leaves_nothing_even_if_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let killed = folder.path().join("web");
    fs::create_dir(&killed).unwrap();
    fs::write(killed.join(EPHEMERAL), "").unwrap();
    drop(Instance::take(&ephemeral_name(), folder.path(), true).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_vm_is_ephemeral_by_request_and_not_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let name = name("ephemeral-7");
    drop(Instance::take(&name, folder.path(), false).unwrap());
    let logs = VmFiles::new(folder.path(), &name).console_log_path();
    assert!(logs.exists());
    // Another start sweeps.
    drop(Instance::take(&ephemeral_name(), folder.path(), true).unwrap());
    assert!(logs.exists());
    // One that kept nothing under a name is one that keeps its logs at the next start.
    drop(Instance::take(&name, folder.path(), true).unwrap());
    assert!(!logs.exists());
    drop(Instance::take(&name, folder.path(), false).unwrap());
    assert!(logs.exists());
}

#[test]
fn two_checks_at_once_find_a_stopped_vm_stopped() {
    let folder = tempfile::tempdir().unwrap();
    drop(Instance::take(&name("web"), folder.path(), false).unwrap());
    // What another `ps` holds while it looks.
    let look = File::open(VmFiles::new(folder.path(), &name("web")).0.join(LOCK)).unwrap();
    look.try_lock_shared().unwrap();
    assert!(list(folder.path()).is_empty());
}

#[test]
fn a_running_vm_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let web = Instance::take(&name("web"), folder.path(), false).unwrap();
    let refusal = remove(folder.path(), &name("web"), || panic!("its home goes")).unwrap_err().to_string();
    assert!(refusal.contains("virtualghost stop web"), "{refusal}");
    drop(web);
    remove(folder.path(), &name("web"), || Ok(())).unwrap();
    assert!(!folder.path().join("web").exists());
}

#[test]
fn a_second_stop_only_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let vms = folder.path();
    let web = Instance::take(&name("web"), vms, false).unwrap();
    // Were it asked to stop, this process would end.
    web.publish(&state());
    let vm = running(vms, &name("web")).unwrap();
    let _other = FileLock::try_exclusive(&vm.files.0.join(STOP_LOCK)).unwrap().unwrap();
    let waits = std::thread::spawn({
        let (vms, vm) = (vms.to_owned(), vm.clone());
        move || stop(&vms, &vm, false)
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!waits.is_finished());
    drop(web);
    waits.join().unwrap().unwrap();
}

#[test]
fn stop_waits_for_the_timeout_that_the_vm_was_started_with() {
    let state = VmState::new(&spec("poweroff_timeout = 77"), None);
    assert_eq!(state.poweroff_timeout, 77);
}

#[cfg(unix)]
#[test]
fn a_state_is_written_on_a_full_disk_with_the_space_of_the_reserve() {
    let folder = tempfile::tempdir().unwrap();
    process::on_small_disk("64k", folder.path(), "disk", "instance::tests::on_a_full_disk");
}

#[cfg(unix)]
#[test]
#[ignore = "a part of a_state_is_written_on_a_full_disk_with_the_space_of_the_reserve"]
fn on_a_full_disk() {
    let disk = process::lab().join("disk");
    VmState::reserve(&disk).unwrap();
    assert!(fs::write(disk.join("guest"), vec![1; 64 << 10]).is_err(), "the disk is not full");
    state().save(&disk).unwrap();
    assert!(VmState::load(&disk).is_some());
    // There is no space for another reserve, so none that is too small is left.
    fs::write(disk.join("guest"), vec![1; 64 << 10]).unwrap_err();
    assert!(VmState::reserve(&disk).is_err());
    assert!(!disk.join("reserve").exists());
}

#[test]
fn the_reserve_is_set_aside_again_once_the_disk_has_space() {
    let folder = tempfile::tempdir().unwrap();
    let vm = Instance::take(&name("web"), folder.path(), false).unwrap();
    let reserve = folder.path().join("web/reserve");
    vm.publish(&state());
    assert!(reserve.exists());
    fs::remove_file(&reserve).unwrap();
    vm.publish(&VmState { state: Phase::Paused, ..state() });
    assert!(!reserve.exists(), "the disk is full");
    vm.publish(&state());
    assert!(reserve.exists());
}
