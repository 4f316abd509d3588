use super::*;

fn file(text: &str) -> Result<Layer, ConfigError> {
    Layer::file(text, Path::new("/etc/vg/config.toml"), &VmName::default())
}

/// Line and message.
fn refusal(text: &str) -> (usize, String) {
    match file(text) {
        Err(ConfigError::File { line, message, .. }) => (line, message),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn the_defaults_are_the_published_ones() {
    let config = Config::merge([]);
    assert_eq!(config.vcpus.value.get(), 2);
    assert_eq!(config.memory.value.get(), 2048);
    assert_eq!(config.vcpus.origin, Origin::Default);
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = file("vcpus = 3\nmemory = 1024\n\ngl = \"off\"").unwrap();
    let env = Layer::environment(|name| {
        Some(match name {
            "VIRTUALGHOST_VCPUS" => "4".into(),
            "VIRTUALGHOST_MEMORY" => "4096".into(),
            _ => return None,
        })
    })
    .unwrap();
    let flags = Layer { vcpus: Some(Setting::flag("vcpus", "5".parse().unwrap())), ..Layer::default() };
    let config = Config::merge([flags, env, file]);
    assert_eq!((config.vcpus.value.get(), config.memory.value.get()), (5, 4096));
    assert_eq!(config.vcpus.origin, Origin::Flag { name: "vcpus".into() });
    assert_eq!(config.memory.origin, Origin::Environment { variable: "VIRTUALGHOST_MEMORY".into() });
    assert_eq!(config.gl.origin, Origin::File { path: "/etc/vg/config.toml".into(), line: 4 });
    assert_eq!(config.display.origin, Origin::Default);
}

#[test]
fn the_settings_of_a_vm_win_over_the_rest_of_the_file() {
    let text =
        "vcpus = 3\nmemory = 1024\n\n[vm.web]\nmemory = 4096\nkernel = \"vmlinux\"\n\n[vm.db]\nvcpus = 1";
    let of = |name: &str| {
        let layer = Layer::file(text, Path::new("/etc/vg/config.toml"), &name.parse().unwrap()).unwrap();
        Config::merge([layer])
    };
    let amounts = |config: &Config| (config.vcpus.value.get(), config.memory.value.get());
    assert_eq!(["default", "web", "db"].map(|name| amounts(&of(name))), [(3, 1024), (3, 4096), (1, 1024)]);
    let web = of("web");
    assert_eq!(web.memory.origin, Origin::File { path: "/etc/vg/config.toml".into(), line: 5 });
    assert_eq!(web.kernel.value, Source::File("/etc/vg/vmlinux".into()));
}

#[test]
fn a_bad_file_is_an_error_with_its_line_and_the_allowed_range() {
    for (text, line, named) in [
        ("\nvcpus = 0", 2, "255"),
        ("vcpu = 2", 1, "vcpu"),
        ("vcpus = \"two\"", 1, "two"),
        ("size = \"10x10\"", 1, "16384"),
        ("a = ]", 1, ""),
    ] {
        let (found, message) = refusal(text);
        assert!(found == line && message.contains(named), "{text:?}: {found}, {message}");
    }
}

#[test]
fn a_bad_environment_variable_is_named() {
    let layer = Layer::environment(|name| (name == "VIRTUALGHOST_FULLSCREEN").then(|| "maybe".into()));
    let ConfigError::Environment { variable, message } = layer.unwrap_err() else { panic!("a file") };
    assert_eq!(variable, "VIRTUALGHOST_FULLSCREEN");
    assert!(message.contains("maybe"), "{message}");
}

#[test]
fn paths_in_the_file_are_relative_to_its_folder() {
    let layer =
        file("kernel = \"vmlinux\"\nrootfs = \"/srv/r.img\"\nqemu = \"embedded\"\ngpu_pack = \"pack\"")
            .unwrap();
    assert_eq!(layer.kernel.unwrap().value, Source::File("/etc/vg/vmlinux".into()));
    assert_eq!(layer.rootfs.unwrap().value, Source::File("/srv/r.img".into()));
    assert_eq!(layer.qemu.unwrap().value, Source::Embedded);
    assert_eq!(layer.gpu_pack.unwrap().value, PackChoice::File("/etc/vg/pack".into()));
}

#[test]
fn a_setting_is_shown_on_one_line_whatever_its_path_contains() {
    let shown = Config::merge([file("kernel = \"/a\\nb\\u001b[2J\"").unwrap()]).to_string();
    assert!(shown.contains("kernel = /a\u{fffd}b\u{fffd}[2J "), "{shown}");
    assert_eq!(shown.lines().count(), Config::merge([]).rows().len());
}

#[test]
fn the_template_sets_nothing_and_is_valid_without_its_comments() {
    assert!(Config::merge([file(&template()).unwrap()]).rows().iter().all(|r| r.origin == Origin::Default));
    let edited: String = template()
        .lines()
        .map(|l| {
            l.strip_prefix('#').filter(|l| l.contains(" = ") && !l.starts_with(' ')).unwrap_or(l).to_owned()
                + "\n"
        })
        .collect();
    assert!(Config::merge([file(&edited).unwrap()]).rows().iter().all(|r| r.origin != Origin::Default));
}
