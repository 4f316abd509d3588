//! The host's keyboard, from the sources that the desktop itself reads, in its order: libxkbcommon's environment variables,
//! the X server (in an X session), the desktop's settings (in a Wayland session), then the system's configuration.
//!
//! In a Wayland session Xwayland is not a source: its property holds the built-in default, whatever the layout is.

use super::HostKeyboard;
use super::x11;
use crate::model::Session;
use crate::sys::time_limit::output_within;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// For GNOME's and Sway's programs, which need some 20 ms.
const LIMIT: Duration = Duration::from_secs(1);

pub fn find(session: &Session) -> Option<HostKeyboard> {
    let from_session = || match session {
        Session::X11(_) => rules_names(&x11::xkb_rules_names()?),
        Session::Wayland(_) => from_desktop(),
        Session::Native | Session::None { .. } => None,
    };
    from_environment(|name| std::env::var(name).ok())
        .or_else(from_session)
        .or_else(|| from_system(Path::new("/")))
}

fn from_environment(get: impl Fn(&str) -> Option<String>) -> Option<HostKeyboard> {
    let get = |name| get(name).unwrap_or_default();
    with_layout(HostKeyboard {
        layout: get("XKB_DEFAULT_LAYOUT"),
        variant: get("XKB_DEFAULT_VARIANT"),
        model: get("XKB_DEFAULT_MODEL"),
        options: get("XKB_DEFAULT_OPTIONS"),
        found_in: "XKB_DEFAULT_LAYOUT",
    })
}

fn from_desktop() -> Option<HostKeyboard> {
    let desktop = std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default();
    let is = |names: &[&str]| desktop.split(':').any(|part| names.contains(&part));
    if is(&["KDE"]) {
        kde(&fs::read_to_string(config_folder()?.join("kxkbrc")).ok()?)
    } else if is(&["GNOME", "Unity", "Budgie", "Pantheon"]) {
        let get =
            |key| printed(Command::new("gsettings").args(["get", "org.gnome.desktop.input-sources", key]));
        let recent = get("mru-sources").unwrap_or_default();
        gnome(&get("sources")?, &recent, &get("xkb-options").unwrap_or_default())
    } else if std::env::var_os("SWAYSOCK").is_some() {
        let inputs = printed(Command::new("swaymsg").args(["--raw", "--type", "get_inputs"]))?;
        sway(&inputs, &fs::read_to_string("/usr/share/X11/xkb/rules/evdev.lst").ok()?)
    } else {
        None
    }
}

fn config_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))
}

fn printed(command: &mut Command) -> Option<String> {
    let output = output_within(command, LIMIT).ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// As systemd-localed does: its file for the X server, then the file of Debian's console-setup, then the console's.
/// `root`: the root directory.
fn from_system(root: &Path) -> Option<HostKeyboard> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let from = |path, parse: fn(&str) -> Option<HostKeyboard>| parse(&read(path)?);
    from("etc/X11/xorg.conf.d/00-keyboard.conf", xorg)
        .or_else(|| from("etc/default/keyboard", |text| assignments(text, "/etc/default/keyboard")))
        .or_else(|| from("etc/vconsole.conf", |text| assignments(text, "/etc/vconsole.conf")))
        .or_else(|| console(&read("etc/vconsole.conf")?, &read("usr/share/systemd/kbd-model-map")?))
}

fn with_layout(keyboard: HostKeyboard) -> Option<HostKeyboard> {
    (!keyboard.layout.is_empty()).then_some(keyboard)
}

/// `rules \0 model \0 layout \0 variant \0 options \0` (xkbcommon's and libxkbfile's XKB_RULES_NAMES).
fn rules_names(value: &[u8]) -> Option<HostKeyboard> {
    let mut parts = value.split(|&b| b == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let _rules = parts.next()?;
    let mut next = || parts.next().unwrap_or_default();
    with_layout(HostKeyboard {
        model: next(),
        layout: next(),
        variant: next(),
        options: next(),
        found_in: "the X server",
    })
}

/// The last assignment to `key` in a file of shell assignments, with any quotes, `export` and comments.
fn assigned(text: &str, key: &str) -> String {
    let words = text.lines().filter_map(shlex::split).flatten();
    let value = |word: String| Some(word.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    words.filter_map(value).next_back().unwrap_or_default()
}

/// Debian's keyboard(5), and vconsole.conf(5) since systemd 252: `XKBLAYOUT="de"`.
fn assignments(text: &str, found_in: &'static str) -> Option<HostKeyboard> {
    with_layout(HostKeyboard {
        layout: assigned(text, "XKBLAYOUT"),
        variant: assigned(text, "XKBVARIANT"),
        model: assigned(text, "XKBMODEL"),
        options: assigned(text, "XKBOPTIONS"),
        found_in,
    })
}

/// A console keymap (`KEYMAP=de-latin1-nodeadkeys`) by systemd's table: console keymap, layout, model, variant, options.
fn console(vconsole: &str, map: &str) -> Option<HostKeyboard> {
    let keymap = assigned(vconsole, "KEYMAP");
    let rows = map.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.len() >= 5 && row[0] == keymap)?;
    let value = |index: usize| if row[index] == "-" { String::new() } else { row[index].to_owned() };
    with_layout(HostKeyboard {
        layout: value(1),
        model: value(2),
        variant: value(3),
        options: value(4),
        found_in: "/etc/vconsole.conf",
    })
}

/// systemd-localed's file for the X server, which Fedora and Arch have: `Option "XkbLayout" "de"` (xorg.conf(5)).
fn xorg(text: &str) -> Option<HostKeyboard> {
    let options: Vec<_> = text.lines().filter_map(shlex::split).filter(|words| words.len() == 3).collect();
    let value = |name: &str| {
        let is = |words: &&Vec<String>| {
            words[0].eq_ignore_ascii_case("Option") && words[1].eq_ignore_ascii_case(name)
        };
        options.iter().rfind(is).map(|words| words[2].clone()).unwrap_or_default()
    };
    with_layout(HostKeyboard {
        layout: value("XkbLayout"),
        variant: value("XkbVariant"),
        model: value("XkbModel"),
        options: value("XkbOptions"),
        found_in: "/etc/X11/xorg.conf.d/00-keyboard.conf",
    })
}

/// KDE's kxkbrc, where `Use=true` means that its layouts replace the system's.
fn kde(text: &str) -> Option<HostKeyboard> {
    let group = text.lines().map(str::trim).skip_while(|&line| line != "[Layout]").skip(1);
    let rows: Vec<_> =
        group.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('=')).collect();
    let value = |key| rows.iter().find(|row| row.0 == key).map(|row| row.1.to_owned()).unwrap_or_default();
    let keyboard = HostKeyboard {
        layout: value("LayoutList"),
        variant: value("VariantList"),
        model: value("Model"),
        options: value("Options"),
        found_in: "KDE's settings",
    };
    with_layout(keyboard).filter(|_| value("Use") == "true")
}

/// GNOME's input sources as `gsettings` prints them: `[('xkb', 'de+nodeadkeys'), ('ibus', 'libpinyin')]`. The one that was
/// used last comes first.
fn gnome(sources: &str, recent: &str, options: &str) -> Option<HostKeyboard> {
    let layouts = |text: &str| -> Vec<String> {
        let words = strings(text);
        words.chunks_exact(2).filter(|pair| pair[0] == "xkb").map(|pair| pair[1].clone()).collect()
    };
    let recent = layouts(recent);
    let mut layouts = layouts(sources);
    layouts.sort_by_key(|layout| recent.iter().position(|used| used == layout).unwrap_or(usize::MAX));
    Some(joined(layouts.iter().map(|layout| layout.split_once('+').unwrap_or((layout, "")))))
        .map(|(layout, variant)| HostKeyboard {
            layout,
            variant,
            model: String::new(),
            options: strings(options).join(","),
            found_in: "GNOME's settings",
        })
        .and_then(with_layout)
}

/// The strings in single quotes of a GVariant in text form.
fn strings(variant: &str) -> Vec<String> {
    variant.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Sway's inputs (`swaymsg -t get_inputs`), which name layouts by their descriptions. `list`: evdev.lst of
/// xkeyboard-config, which has a description for each layout and variant.
fn sway(inputs: &str, list: &str) -> Option<HostKeyboard> {
    let inputs: Vec<serde_json::Value> = serde_json::from_str(inputs).ok()?;
    let keyboard = inputs.iter().find(|input| input["type"] == "keyboard")?;
    let names = keyboard["xkb_layout_names"].as_array()?.iter().filter_map(|name| name.as_str());
    let found: Vec<_> = names.filter_map(|name| layout_of(name, list)).collect();
    let (layout, variant) = joined(found.iter().map(|(layout, variant)| (layout.as_str(), variant.as_str())));
    with_layout(HostKeyboard {
        layout,
        variant,
        model: String::new(),
        options: String::new(),
        found_in: "Sway's settings",
    })
}

/// The layout and variant with this description: rows `  de  German` below `! layout`, and
/// `  nodeadkeys  de: German (no dead keys)` below `! variant`.
fn layout_of(description: &str, list: &str) -> Option<(String, String)> {
    let mut section = "";
    list.lines().find_map(|line| {
        if let Some(name) = line.strip_prefix('!') {
            section = name.trim();
            return None;
        }
        let (name, text) = line.trim().split_once(char::is_whitespace)?;
        match (section, text.trim().split_once(": ")) {
            ("layout", _) if text.trim() == description => Some((name.to_owned(), String::new())),
            ("variant", Some((layout, text))) if text == description => {
                Some((layout.to_owned(), name.to_owned()))
            }
            _ => None,
        }
    })
}

/// Layouts and variants as XKB has them: two lists with commas, the second one empty if it would have commas alone.
fn joined<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> (String, String) {
    let (layouts, variants): (Vec<_>, Vec<_>) = pairs.unzip();
    let has_variants = variants.iter().any(|variant| !variant.is_empty());
    (layouts.join(","), if has_variants { variants.join(",") } else { String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layout, variant, model, options, source.
    fn row(keyboard: Option<HostKeyboard>) -> String {
        keyboard.map_or("none".to_owned(), |k| {
            format!("{}|{}|{}|{}|{}", k.layout, k.variant, k.model, k.options, k.found_in)
        })
    }

    #[test]
    fn the_x_servers_keyboard_is_read_from_its_property() {
        let property = b"evdev\0pc105\0us,de\0,nodeadkeys\0grp:alt_shift_toggle\0";
        assert_eq!(row(rules_names(property)), "us,de|,nodeadkeys|pc105|grp:alt_shift_toggle|the X server");
        assert_eq!(rules_names(b""), None);
        assert_eq!(rules_names(b"evdev\0pc105\0"), None);
    }

    #[test]
    fn the_systems_keyboard_is_read_whatever_its_quotes_and_comments() {
        for text in [
            "# x\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"de\"\nXKBVARIANT=\"\"\n",
            "XKBMODEL='pc105' # the usual\nXKBLAYOUT='de' # German\n",
            "export XKBMODEL=pc105\n  XKBLAYOUT=us\nXKBLAYOUT=de#1\nXKBLAYOUT=de\n",
        ] {
            assert_eq!(row(assignments(text, "f")), "de||pc105||f", "{text}");
        }
        assert_eq!(assignments("XKBMODEL=pc105\n", "f"), None);
        assert_eq!(assignments("XKBLAYOUT='de\n", "f"), None, "a quote that does not end");
    }

    #[test]
    fn fedoras_and_archs_files_are_read_before_the_consoles() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(from_system(root.path()), None);
        write("etc/vconsole.conf", "KEYMAP=\"de-latin1-nodeadkeys\"\nFONT=eurlatgr\n");
        assert_eq!(from_system(root.path()), None, "without systemd's table");
        write(
            "usr/share/systemd/kbd-model-map",
            "# a b\nde\tde\tpc105\t-\t-\nde-latin1-nodeadkeys de pc105 nodeadkeys terminate:ctrl_alt_bksp\n",
        );
        assert_eq!(
            row(from_system(root.path())),
            "de|nodeadkeys|pc105|terminate:ctrl_alt_bksp|/etc/vconsole.conf"
        );
        write("etc/vconsole.conf", "KEYMAP=de\nXKBLAYOUT=fr\nXKBVARIANT=oss\n");
        assert_eq!(row(from_system(root.path())), "fr|oss|||/etc/vconsole.conf");
        write(
            "etc/X11/xorg.conf.d/00-keyboard.conf",
            "# Written by systemd-localed(8)\nSection \"InputClass\"\n        Identifier \"system-keyboard\"\n        \
             MatchIsKeyboard \"on\"\n        Option \"XkbLayout\" \"cz,us\"\n        Option \"xkbvariant\" \"qwerty,\"\nEndSection\n",
        );
        assert_eq!(row(from_system(root.path())), "cz,us|qwerty,|||/etc/X11/xorg.conf.d/00-keyboard.conf");
    }

    #[test]
    fn gnomes_layouts_are_those_of_its_sources_the_last_used_first() {
        let sources = "[('xkb', 'us'), ('ibus', 'libpinyin'), ('xkb', 'de+nodeadkeys')]\n";
        assert_eq!(row(gnome(sources, "@a(ss) []\n", "@as []\n")), "us,de|,nodeadkeys|||GNOME's settings");
        let recent = "[('xkb', 'de+nodeadkeys'), ('xkb', 'fr'), ('xkb', 'us')]\n";
        assert_eq!(
            row(gnome(sources, recent, "['caps:escape', 'grp:toggle']\n")),
            "de,us|nodeadkeys,||caps:escape,grp:toggle|GNOME's settings"
        );
        assert_eq!(gnome("@a(ss) []\n", "@a(ss) []\n", "@as []\n"), None, "then GNOME uses the system's");
    }

    #[test]
    fn kdes_layouts_count_only_if_it_uses_them() {
        let text = "[$Version]\nupdate_info=x\n\n[Layout]\nLayoutList=de,us\nModel=pc104\nOptions=caps:none\nUse=true\nVariantList=nodeadkeys,\n\n[Other]\nLayoutList=fr\n";
        assert_eq!(row(kde(text)), "de,us|nodeadkeys,|pc104|caps:none|KDE's settings");
        assert_eq!(kde(&text.replace("Use=true", "Use=false")), None);
        assert_eq!(kde("[Other]\nLayoutList=fr\nUse=true\n"), None);
    }

    #[test]
    fn sways_layouts_are_found_by_their_descriptions() {
        let list = "! model\n  pc104           Generic 104-key PC\n\n! layout\n  us              English (US)\n  de              German\n\n! variant\n  nodeadkeys      de: German (no dead keys)\n";
        let inputs = r#"[{"type":"pointer"},{"type":"keyboard","xkb_layout_names":["German (no dead keys)","English (US)"]}]"#;
        assert_eq!(row(sway(inputs, list)), "de,us|nodeadkeys,|||Sway's settings");
        assert_eq!(sway("[]", list), None);
        assert_eq!(sway(r#"[{"type":"keyboard","xkb_layout_names":["Elvish"]}]"#, list), None);
    }
}
