//! Plans of hosts on which everything works, and of others.

use super::*;
use crate::host::HostKeyboard;
use crate::model::{Feature, Net, Os, Session};
use crate::testing::{config, host, spec, vm};

/// The forced choice, why it is not available, and the hint.
pub fn refusal(facts: &HostFacts, text: &str) -> [String; 3] {
    match spec(facts, text) {
        Err(PlanError::Forced { wanted, because, hint, .. }) => [wanted, because, hint],
        other => panic!("{text}: {other:?}"),
    }
}

/// Why it is not available.
pub fn because(facts: &HostFacts, text: &str) -> String {
    let [_, because, _] = refusal(facts, text);
    because
}

#[test]
fn each_os_uses_the_best_features_that_are_available() {
    let chosen = |os| {
        let spec = spec(&host(os), "").unwrap();
        (spec.accelerator.value, spec.gpu.value, spec.window.value)
    };
    assert_eq!(chosen(Os::Linux), (Accelerator::Kvm, GpuMode::Virgl, Window::Gtk));
    assert_eq!(chosen(Os::MacOs), (Accelerator::Hvf, GpuMode::Software, Window::Cocoa));
    assert_eq!(chosen(Os::Windows), (Accelerator::Whpx, GpuMode::Virgl, Window::Sdl));
}

#[test]
fn a_guest_of_another_architecture_runs_under_tcg() {
    let run = |host_arch, guest, text| {
        let facts = HostFacts { arch: host_arch, ..host(Os::Linux) };
        plan(&facts, &config(text), guest, &vm("default"))
    };
    let own = run(Some(Arch::Aarch64), Arch::Aarch64, "").unwrap();
    assert_eq!((own.arch, own.accelerator.value), (Arch::Aarch64, Accelerator::Kvm));
    for host_arch in [Some(Arch::X86_64), None] {
        let other = run(host_arch, Arch::Aarch64, "").unwrap();
        assert_eq!(other.accelerator.value, Accelerator::Tcg);
        assert!(other.accelerator.because.contains("aarch64"), "{}", other.accelerator.because);
    }
    let refused = run(Some(Arch::X86_64), Arch::Aarch64, "accel = \"kvm\"").unwrap_err();
    assert!(
        matches!(&refused, PlanError::Forced { because, .. } if because.contains("aarch64")),
        "{refused}"
    );
}

#[test]
fn without_vmgenid_no_guest_starts_from_a_checkpoint() {
    let aarch64 = HostFacts { arch: Some(Arch::Aarch64), ..host(Os::Linux) };
    assert_eq!(spec(&host(Os::Linux), "gl = \"off\"").unwrap().start.value, Start::Instant);
    let planned = spec(&aarch64, "gl = \"off\"").unwrap();
    assert_eq!(planned.start.value, Start::Boot);
    assert!(planned.start.because.contains("vmgenid"), "{}", planned.start.because);
    assert!(because(&aarch64, "start = \"instant\"").contains("vmgenid"));
}

#[test]
fn a_failed_feature_is_replaced_and_the_reason_is_kept() {
    let facts = host(Os::Linux).disable(Feature::Accelerator(Accelerator::Kvm), "failed to set MSR 0x10a");
    let planned = spec(&facts, "").unwrap();
    assert_eq!(planned.accelerator.value, Accelerator::Tcg);
    assert!(planned.accelerator.because.contains("failed to set MSR 0x10a"));

    let planned = spec(&host(Os::Linux).disable(Feature::Gl, "no EGL"), "").unwrap();
    assert_eq!((planned.gpu.value, planned.gpu.because.as_str()), (GpuMode::Software, "no EGL"));
    assert_eq!(planned.window.value, Window::Gtk);

    let no_gtk = host(Os::Linux).disable(Feature::Window(Window::Gtk), "no module");
    let planned = spec(&no_gtk, "").unwrap();
    assert_eq!((planned.gpu.value, planned.window.value), (GpuMode::Virgl, Window::Sdl));
    assert!(planned.window.because.contains("no module"), "{}", planned.window.because);
    let planned = spec(&no_gtk.disable(Feature::Window(Window::Sdl), "no SDL"), "").unwrap();
    assert_eq!((planned.gpu.value, planned.window.value), (GpuMode::Software, Window::None));
    let because = &planned.window.because;
    assert!(because.contains("no module") && because.contains("no SDL"), "{because}");
}

#[test]
fn a_known_failure_is_skipped_unless_the_feature_is_forced() {
    let mut facts = host(Os::Linux);
    facts.vsock = Availability::Available;
    for feature in
        [Feature::Accelerator(Accelerator::Kvm), Feature::Gl, Feature::Window(Window::Gtk), Feature::Vsock]
    {
        facts = facts.mark_doubtful(feature, "failed yesterday");
    }
    let chosen = |text| {
        let spec = spec(&facts, text).unwrap();
        (spec.accelerator.value, spec.gpu.value, spec.window.value, spec.agent.value)
    };
    assert_eq!(chosen(""), (Accelerator::Tcg, GpuMode::Software, Window::Sdl, AgentLink::Socket));
    let forced = chosen("accel = \"kvm\"\ngl = \"on\"\ndisplay = \"gtk\"");
    assert_eq!(forced, (Accelerator::Kvm, GpuMode::Virgl, Window::Gtk, AgentLink::Socket));
    // A failure in this launch is not a doubt any more.
    let failed = facts.disable(Feature::Accelerator(Accelerator::Kvm), "fails today");
    assert_eq!(because(&failed, "accel = \"kvm\""), "fails today");
}

#[test]
fn time_limits_are_longer_under_tcg() {
    let limits = |text| spec(&host(Os::Linux), text).unwrap().limits;
    let seconds = Duration::from_secs;
    let text = "boot_timeout = 2\nready_timeout = 3\ntcg_timeout_factor = 5\npoweroff_timeout = 7";
    let fast = limits(text);
    assert_eq!((fast.boot, fast.ready, fast.poweroff), (seconds(2), seconds(3), seconds(7)));
    let slow = limits(&format!("accel = \"tcg\"\n{text}"));
    assert_eq!((slow.boot, slow.ready, slow.poweroff), (seconds(10), seconds(15), seconds(7)));
}

#[test]
fn a_forced_choice_never_falls_back_and_its_error_names_its_origin() {
    let no_kvm = host(Os::Linux).disable(Feature::Accelerator(Accelerator::Kvm), "no /dev/kvm");
    let refused = spec(&no_kvm, "accel = \"kvm\"").unwrap_err();
    let line_1 = Origin::File { path: "/etc/vg.toml".into(), line: 1 };
    assert!(matches!(&refused, PlanError::Forced { origin, .. } if *origin == line_1), "{refused}");
    assert_eq!(because(&no_kvm, "accel = \"kvm\""), "no /dev/kvm");
    assert!(because(&host(Os::Linux), "accel = \"hvf\"").contains("KVM"));
    let no_window =
        HostFacts { session: Session::None { because: "DISPLAY is not set".to_owned() }, ..host(Os::Linux) };
    assert_eq!(because(&no_window, "display = \"gtk\""), "DISPLAY is not set");
    refusal(&no_window, "gl = \"on\"");
    assert_eq!(because(&host(Os::MacOs), "gl = \"on\""), "OpenGL 4.1 only");
    assert!(because(&host(Os::MacOs), "display = \"gtk\"").contains("cocoa"));
    let windows = because(&host(Os::Linux), "display = \"cocoa\"");
    assert!(windows.contains("gtk") && windows.contains("sdl"), "{windows}");
}

#[test]
fn a_forced_choice_that_is_available_is_used() {
    let forced = spec(&host(Os::Linux), "accel = \"tcg\"\ndisplay = \"sdl\"\ngl = \"off\"").unwrap();
    assert_eq!(forced.accelerator.value, Accelerator::Tcg);
    assert!(forced.accelerator.because.contains("/etc/vg.toml"), "{}", forced.accelerator.because);
    assert_eq!((forced.window.value, forced.gpu.value), (Window::Sdl, GpuMode::Software));
    assert_eq!(spec(&host(Os::Linux), "display = \"none\"").unwrap().window.value, Window::None);
}

#[test]
fn more_memory_than_the_machine_has_is_refused_before_anything_starts() {
    let refused = spec(&host(Os::Linux), "memory = 16385").unwrap_err();
    assert!(matches!(refused, PlanError::Memory { available: 16_384, .. }), "{refused}");
    assert!(spec(&host(Os::Linux), "memory = 16384").is_ok());
    assert!(spec(&HostFacts { memory_mib: None, ..host(Os::Linux) }, "memory = 999999").is_ok());
}

#[test]
fn the_hosts_keyboard_is_used_unless_another_is_set() {
    let keyboard = |layout: &str| HostKeyboard {
        layout: layout.to_owned(),
        variant: "nodeadkeys".to_owned(),
        model: "pc105".to_owned(),
        options: "grp:alt_shift_toggle".to_owned(),
        found_in: "the X server",
    };
    let facts = |layout| HostFacts { keyboard: Some(keyboard(layout)), ..host(Os::Linux) };
    let xkb = spec(&facts("de"), "").unwrap().keyboard;
    assert_eq!(xkb.value.to_string(), "de(nodeadkeys)");
    assert!(xkb.because.contains("the X server"), "{}", xkb.because);
    assert_eq!(spec(&facts("de"), "keyboard = \"fr\"").unwrap().keyboard.value.to_string(), "fr");
    // A layout of the host with odd characters can't add an argument to the kernel command line.
    assert_eq!(spec(&facts("de init=/bin/sh"), "").unwrap().keyboard.value.layout, "");
}

#[test]
fn a_plan_is_printed_with_its_reasons() {
    insta::assert_snapshot!(spec(&host(Os::Linux), "vcpus = 4\ngl = \"off\"").unwrap());
}

#[test]
fn a_start_is_instant_with_software_rendering_and_embedded_artifacts() {
    let start = |facts: &HostFacts, text: &str| spec(facts, text).unwrap().start;
    let linux = host(Os::Linux);
    assert_eq!(start(&linux, "gl = \"off\"").value, Start::Instant);
    assert_eq!(start(&linux, "display = \"none\"").value, Start::Instant);
    assert_eq!(start(&host(Os::MacOs), "").value, Start::Instant);
    for (facts, text, because) in [
        (&linux, "", "OpenGL"),
        (&linux, "gl = \"off\"\nstart = \"boot\"", "/etc/vg.toml"),
        (&linux, "gl = \"off\"\nrootfs = \"/r.img\"", "/r.img"),
        (&linux, "gpu = \"auto\"", "GPU"),
        (&host(Os::Windows), "gl = \"off\"", "channel"),
        (&host(Os::Linux).disable(Feature::Checkpoint, "it is damaged"), "gl = \"off\"", "damaged"),
    ] {
        let start = start(facts, text);
        assert_eq!(start.value, Start::Boot, "{text}");
        assert!(start.because.contains(because), "{text}: {}", start.because);
    }
}

#[test]
fn what_a_vm_keeps_follows_the_setting_and_what_it_has_kept_before() {
    let of = |made_from: &str| KeptSystem {
        made_from: PathBuf::from(made_from).into(),
        image: "/systems/web/image".into(),
    };
    let planned = |system: &Option<KeptSystem>, text: &str| {
        let vm = WantedVm { system: system.clone(), ..vm("web") };
        plan(&host(Os::Linux), &config(text), Arch::X86_64, &vm)
    };
    let (none, embedded, own) = (None, Some(of("embedded")), Some(of("/r.img")));
    let (set, image) = ("rootfs = \"/r.img\"", "/systems/web/image");
    for (system, text, wanted, rootfs) in [
        (&none, "", Keep::Home, "embedded"),
        (&none, "keep = \"system\"", Keep::System, "embedded"),
        (&embedded, "", Keep::System, "embedded"),
        (&embedded, "keep = \"home\"", Keep::Home, "embedded"),
        (&embedded, "keep = \"nothing\"", Keep::Nothing, "embedded"),
        // Of an image of the user's own, which may have changed or be gone.
        (&none, &format!("keep = \"system\"\n{set}"), Keep::System, "/r.img"),
        (&own, "", Keep::System, image),
        (&own, set, Keep::System, image),
        (&own, "rootfs = \"/other.img\"", Keep::Home, "/other.img"),
        (&embedded, set, Keep::Home, "/r.img"),
    ] {
        let spec = planned(system, text).unwrap();
        assert_eq!(
            (spec.keep.value, spec.rootfs.to_string().as_str()),
            (wanted, rootfs),
            "{system:?} {text}"
        );
    }
    let refusal = planned(&embedded, &format!("keep = \"system\"\n{set}")).unwrap_err();
    assert!(refusal.to_string().contains("/r.img"), "{refusal}");
    let ephemeral = WantedVm { is_ephemeral: true, system: embedded, ..vm("web") };
    let spec = plan(&host(Os::Linux), &config("keep = \"system\""), Arch::X86_64, &ephemeral).unwrap();
    assert_eq!(spec.keep.value, Keep::Nothing);
}

#[test]
fn a_kept_system_boots_and_a_forced_instant_start_of_it_is_refused() {
    let kept = "keep = \"system\"\ndisplay = \"none\"";
    let planned = spec(&host(Os::Linux), kept).unwrap();
    assert_eq!(planned.start.value, Start::Boot);
    assert!(planned.start.because.contains("system"), "{}", planned.start.because);
    assert!(because(&host(Os::Linux), &format!("{kept}\nstart = \"instant\"")).contains("system"));
}

#[test]
fn a_forced_instant_start_disables_opengl_or_is_refused() {
    let instant = spec(&host(Os::Linux), "start = \"instant\"").unwrap();
    assert_eq!((instant.start.value, instant.gpu.value), (Start::Instant, GpuMode::Software));
    assert!(because(&host(Os::Linux), "start = \"instant\"\ngl = \"on\"").contains("OpenGL"));
    assert_eq!(because(&host(Os::Windows), "start = \"instant\""), "there is no channel to the guest");
}

#[test]
fn checkpoints_always_use_a_private_socket_and_on_windows_a_loopback_port() {
    let facts = HostFacts { vsock: Availability::Available, ..host(Os::Linux) };
    assert_eq!(spec(&facts, "").unwrap().agent.value, AgentLink::Vsock);
    assert_eq!(spec(&facts, "gl = \"off\"").unwrap().agent.value, AgentLink::Socket);
    assert_eq!(spec(&host(Os::Windows), "gl = \"off\"").unwrap().agent.value, AgentLink::Loopback);
}

#[test]
fn the_network_is_public_unless_the_user_sets_another_and_on_windows_never_promised() {
    let net = |os, text: &str| spec(&host(os), text).map(|spec| (spec.net.value, spec.allow.len()));
    assert_eq!(net(Os::Linux, ""), Ok((Net::Public, 0)));
    assert_eq!(net(Os::MacOs, "net = \"off\"\nallow = [\"example.com\"]"), Ok((Net::Off, 1)));
    assert_eq!(net(Os::Windows, ""), Ok((Net::Open, 0)));
    assert_eq!(net(Os::Windows, "net = \"off\""), Ok((Net::Off, 0)));
    for refused in
        ["net = \"public\"", "allow = [\"example.com\"]", "net = \"off\"\nallow = [\"example.com\"]"]
    {
        assert!(because(&host(Os::Windows), refused).contains("QEMU's own network"), "{refused}");
    }
}

#[test]
fn the_guests_host_name_is_the_vms_unless_the_user_sets_another() {
    let linux = host(Os::Linux);
    assert_eq!(spec(&linux, "").unwrap().hostname.value.as_str(), "default");
    let set = spec(&linux, "hostname = \"web.example.org\"").unwrap();
    assert_eq!(set.hostname.value.as_str(), "web.example.org");
    assert_eq!(set.name.as_str(), "default");
}

#[test]
fn the_jail_is_widened_only_for_opengl_and_only_if_it_is_not_forced() {
    let fails = host(Os::Linux).disable(Feature::StrictJail, "egl: eglInitialize failed");
    let jail = |facts: &HostFacts, text| spec(facts, text).unwrap().jail.value;
    assert_eq!(jail(&host(Os::Linux), ""), Jail::Strict);
    assert_eq!(jail(&fails, ""), Jail::GpuWide);
    assert_eq!(jail(&fails, "gl = \"off\""), Jail::Strict);
    assert_eq!(jail(&fails, "display = \"none\""), Jail::Strict);
    assert_eq!(jail(&fails, "jail = \"strict\""), Jail::Strict);
    assert_eq!(jail(&host(Os::MacOs), ""), Jail::Off);
    for (facts, text, widens) in [
        (&host(Os::Linux), "", true),
        (&host(Os::Linux), "gl = \"off\"", false),
        (&host(Os::Linux), "jail = \"strict\"", false),
        (&fails, "", false),
    ] {
        let features = spec(facts, text).unwrap().features();
        assert_eq!(features.contains(&Feature::StrictJail), widens, "{text}");
    }
    let old = HostFacts { jail: Availability::unavailable("no Landlock"), ..host(Os::Linux) };
    assert_eq!(jail(&old, ""), Jail::Off);
    assert!(spec(&old, "jail = \"strict\"").unwrap_err().to_string().contains("no Landlock"));
}

#[test]
fn where_systemd_runs_qemus_memory_has_a_limit_with_room_for_the_guest_and_its_textures() {
    let facts = HostFacts { service_manager: Some(ServiceManager::User), ..host(Os::Linux) };
    let memory = |text| spec(&facts, text).unwrap().scope.unwrap().memory;
    assert_eq!(memory("memory = 3000"), 3000 + 1024 + 4096);
    assert_eq!(memory("memory = 3000\ngl = \"off\""), 3000 + 1024);
    assert_eq!(spec(&host(Os::Linux), "").unwrap().scope, None);
}
