//! Where an artifact of the VM comes from: a keyword, or the user's own file.

/// An enum of keywords; any other text is a path.
macro_rules! path_choice {
    ($(#[$meta:meta])* $type:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
        #[serde(from = "std::path::PathBuf")]
        pub enum $type {
            $($(#[$variant_meta])* $variant,)+
            File(std::path::PathBuf),
        }

        impl $type {
            /// A relative path in the configuration file is relative to that file's folder.
            pub fn anchored(self, folder: &std::path::Path) -> Self {
                match self {
                    Self::File(path) => Self::File(folder.join(path)),
                    word => word,
                }
            }
        }

        impl From<std::path::PathBuf> for $type {
            fn from(path: std::path::PathBuf) -> Self {
                match path.to_str() {
                    $(Some($word) => Self::$variant,)+
                    _ => Self::File(path),
                }
            }
        }

        impl From<std::ffi::OsString> for $type {
            fn from(path: std::ffi::OsString) -> Self {
                std::path::PathBuf::from(path).into()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($word),)+
                    Self::File(path) => path.display().fmt(f),
                }
            }
        }
    };
}

pub(crate) use path_choice;

path_choice! {
    /// Where an artifact of the VM comes from.
    Source {
        /// It is embedded in the executable.
        Embedded = "embedded",
    }
}
path_choice! {
    /// The initrd of the user's own kernel.
    Initrd {
        None = "none",
    }
}
path_choice! {
    /// The option ROM of a passed GPU, as the VM sees it.
    RomChoice {
        /// The card's own ROM.
        Card = "card",
        None = "none",
    }
}
