//! The settings: four layers (defaults < file < environment < flags), merged key by key, each value with
//! its origin. Owns the names, types and ranges of the settings. Must not know the host or QEMU.
//!
//! ```text
//! default.toml ─┐
//! config.toml  ─┤  Layer (every key optional, each with its Origin)  ──►  Config (complete)
//! VIRTUALGHOST_*┤
//! flags        ─┘
//! ```

mod values;

pub use values::*;

use crate::units::{Factor, HomeMiB, MiB, Seconds, Vcpus, WindowSize};
use serde::Deserialize;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::Spanned;

const DEFAULTS: &str = include_str!("default.toml");

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Environment { variable: String },
    Flag { name: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment { variable } => write!(f, "environment, {variable}"),
            Self::Flag { name } => write!(f, "flag, --{name}"),
        }
    }
}

/// A value and where it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub fn flag(name: &str, value: T) -> Self {
        Self { value, origin: Origin::Flag { name: name.to_owned() } }
    }
}

/// One row of `config --show`.
pub struct Row {
    pub key: &'static str,
    pub value: String,
    pub origin: Origin,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}, line {line}: {message}", path.display())]
    File { path: PathBuf, line: usize, message: String },
    #[error("environment variable {variable}: {message}")]
    Environment { variable: String, message: String },
}

/// The one list of settings. From it come the file's form, a layer, the complete configuration, the
/// environment's names and the rows of `config --show`; `default.toml` describes each key.
macro_rules! settings {
    ($($key:ident: $type:ty),+ $(,)?) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File { $($key: Option<Spanned<$type>>),+ }

        /// What one layer says: any subset of the settings.
        #[derive(Debug, Default, Clone)]
        pub struct Layer { $(pub $key: Option<Setting<$type>>),+ }

        /// Every setting, with its origin.
        #[derive(Debug, Clone)]
        pub struct Config { $(pub $key: Setting<$type>),+ }

        impl Layer {
            fn parse(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Self, toml::de::Error> {
                let file: File = toml::from_str(text)?;
                Ok(Self {$(
                    $key: file.$key.map(|spanned| {
                        let origin = origin(line_of(text, spanned.span().start));
                        Setting { value: spanned.into_inner(), origin }
                    })
                ),+})
            }

            /// The environment's layer: `VIRTUALGHOST_` and the key in capitals.
            pub fn environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
                Ok(Self {$($key: variable(stringify!($key), &get)?),+})
            }

            /// This layer over `below`: what this one says wins.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self {$($key: self.$key.or(below.$key)),+}
            }
        }

        impl Config {
            /// The defaults under `layers`, the first of which wins.
            pub fn merge(layers: impl IntoIterator<Item = Layer>) -> Self {
                let defaults = Layer::parse(DEFAULTS, |_| Origin::Default).expect("default.toml is valid");
                let all = layers.into_iter().fold(Layer::default(), |above, below| above.over(below)).over(defaults);
                Self {$($key: all.$key.expect(concat!("default.toml has ", stringify!($key)))),+}
            }

            pub fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    key: stringify!($key),
                    value: self.$key.value.to_string(),
                    origin: self.$key.origin.clone(),
                }),+]
            }
        }
    };
}

settings! {
    vcpus: Vcpus,
    memory: MiB,
    accel: AccelChoice,
    gpu: GpuChoice,
    gpu_rom: RomChoice,
    gpu_x_vga: bool,
    gpu_pack: PackChoice,
    input: Inputs,
    display: DisplayChoice,
    gl: GlChoice,
    start: StartChoice,
    size: WindowSize,
    fullscreen: bool,
    keyboard: KeyboardChoice,
    kernel: Source,
    rootfs: Source,
    qemu: Source,
    home_size: HomeMiB,
    life_timeout: Seconds,
    ready_timeout: Seconds,
    tcg_patience: Factor,
    poweroff_timeout: Seconds,
}

impl Layer {
    /// The layer of a configuration file with this text.
    pub fn file(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let origin = |line| Origin::File { path: path.to_owned(), line };
        let mut layer = Self::parse(text, origin).map_err(|e| ConfigError::File {
            path: path.to_owned(),
            line: e.span().map_or(1, |span| line_of(text, span.start)),
            message: e.message().to_owned(),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for source in [&mut layer.kernel, &mut layer.rootfs, &mut layer.qemu].into_iter().flatten() {
            source.value = source.value.clone().anchored(folder);
        }
        layer.gpu_rom.iter_mut().for_each(|rom| rom.value = rom.value.clone().anchored(folder));
        layer.gpu_pack.iter_mut().for_each(|pack| pack.value = pack.value.clone().anchored(folder));
        Ok(layer)
    }
}

/// A setting a line: `key = value`, aligned, and its origin: what `config --show` prints. A path may hold a line's end
/// or an escape sequence; neither reaches the terminal.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let lines: Vec<_> = rows.iter().map(|row| shown(format!("{} = {}", row.key, row.value))).collect();
        let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let lines =
            lines.iter().zip(&rows).map(|(line, row)| shown(format!("{line:<width$}  ({})", row.origin)));
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

fn shown(text: String) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The commented file that `config --init` writes: every setting, none of them said.
pub fn template() -> String {
    DEFAULTS
        .lines()
        .map(|line| {
            if line.is_empty() || line.starts_with('#') { format!("{line}\n") } else { format!("#{line}\n") }
        })
        .collect()
}

/// 1-based line of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

fn variable<T: FromVariable>(
    key: &str,
    get: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<Setting<T>>, ConfigError> {
    let variable = format!("VIRTUALGHOST_{}", key.to_uppercase());
    match get(&variable).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match T::from_variable(text) {
            Ok(value) => Ok(Some(Setting { value, origin: Origin::Environment { variable } })),
            Err(message) => Err(ConfigError::Environment { variable, message }),
        },
    }
}

/// How a setting is read from an environment variable: as text, except for paths, which may be any bytes.
trait FromVariable: Sized {
    fn from_variable(text: OsString) -> Result<Self, String>;
}

macro_rules! from_text {
    ($($type:ty),+) => {$(
        impl FromVariable for $type {
            fn from_variable(text: OsString) -> Result<Self, String> {
                let text = text.to_str().ok_or("is not UTF-8")?;
                Self::from_str(text).map_err(|e| e.to_string())
            }
        }
    )+};
}
from_text!(
    Vcpus,
    MiB,
    HomeMiB,
    Factor,
    Seconds,
    WindowSize,
    AccelChoice,
    GpuChoice,
    DisplayChoice,
    GlChoice,
    Inputs,
    KeyboardChoice,
    StartChoice
);

impl FromVariable for bool {
    fn from_variable(text: OsString) -> Result<Self, String> {
        match text.to_str() {
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            _ => Err(format!("must be true or false, not {text:?}")),
        }
    }
}

macro_rules! from_path {
    ($($type:ty),+) => {$(
        impl FromVariable for $type {
            fn from_variable(text: OsString) -> Result<Self, String> {
                Ok(text.into())
            }
        }
    )+};
}
from_path!(Source, RomChoice, PackChoice);

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Layer, ConfigError> {
        Layer::file(text, Path::new("/etc/vg/config.toml"))
    }

    fn refusal(text: &str) -> String {
        file(text).unwrap_err().to_string()
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
            ["VIRTUALGHOST_VCPUS", "VIRTUALGHOST_MEMORY"]
                .contains(&name)
                .then(|| "4096".replace("4096", if name.ends_with("S") { "4" } else { "4096" }).into())
        })
        .unwrap();
        let flags = Layer { vcpus: Some(Setting::flag("vcpus", "5".parse().unwrap())), ..Layer::default() };
        let config = Config::merge([flags, env, file]);
        assert_eq!((config.vcpus.value.get(), config.memory.value.get()), (5, 4096));
        assert_eq!(config.vcpus.origin.to_string(), "flag, --vcpus");
        assert_eq!(config.memory.origin.to_string(), "environment, VIRTUALGHOST_MEMORY");
        assert_eq!(config.gl.origin.to_string(), "/etc/vg/config.toml, line 4");
        assert_eq!(config.display.origin, Origin::Default);
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line_and_the_allowed_range() {
        assert_eq!(refusal("\nvcpus = 0"), "/etc/vg/config.toml, line 2: vcpus must be from 1 to 255, not 0");
        assert!(refusal("vcpu = 2").contains("line 1: unknown field `vcpu`"), "{}", refusal("vcpu = 2"));
        assert!(
            refusal("vcpus = \"two\"").contains("line 1: invalid type: string"),
            "{}",
            refusal("vcpus = \"two\"")
        );
        assert!(refusal("size = \"10x10\"").contains("from 160 to 16384"));
        assert!(refusal("a = ]").contains("line 1"));
    }

    #[test]
    fn a_bad_environment_variable_is_named() {
        let layer = Layer::environment(|name| (name == "VIRTUALGHOST_FULLSCREEN").then(|| "maybe".into()));
        assert_eq!(
            layer.unwrap_err().to_string(),
            "environment variable VIRTUALGHOST_FULLSCREEN: must be true or false, not \"maybe\""
        );
    }

    #[test]
    fn paths_in_the_file_count_from_its_folder() {
        let layer =
            file("kernel = \"vmlinux\"\nrootfs = \"/srv/r.img\"\nqemu = \"embedded\"\ngpu_pack = \"pack\"")
                .unwrap();
        assert_eq!(layer.kernel.unwrap().value, Source::File("/etc/vg/vmlinux".into()));
        assert_eq!(layer.rootfs.unwrap().value, Source::File("/srv/r.img".into()));
        assert_eq!(layer.qemu.unwrap().value, Source::Embedded);
        assert_eq!(layer.gpu_pack.unwrap().value, PackChoice::File("/etc/vg/pack".into()));
    }

    #[test]
    fn a_setting_is_shown_on_one_line_whatever_its_path_holds() {
        let shown = Config::merge([file("kernel = \"/a\\nb\\u001b[2J\"").unwrap()]).to_string();
        assert!(shown.contains("kernel = /a\u{fffd}b\u{fffd}[2J "), "{shown}");
        assert_eq!(shown.lines().count(), Config::merge([]).rows().len());
    }

    #[test]
    fn the_template_says_nothing_until_it_is_edited_and_then_is_valid() {
        assert!(
            Config::merge([file(&template()).unwrap()]).rows().iter().all(|r| r.origin == Origin::Default)
        );
        let edited: String = template()
            .lines()
            .map(|l| {
                l.strip_prefix('#')
                    .filter(|l| l.contains(" = ") && !l.starts_with(' '))
                    .unwrap_or(l)
                    .to_owned()
                    + "\n"
            })
            .collect();
        assert!(Config::merge([file(&edited).unwrap()]).rows().iter().all(|r| r.origin != Origin::Default));
    }
}
