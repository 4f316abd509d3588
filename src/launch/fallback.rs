//! The notice that a feature failed, with its fallback.

use crate::model::{Feature, VmSpec, Window};

/// `spec`: the new plan, without the feature. It may differ in more than the fallback: without OpenGL a start can be instant.
pub fn notice(feature: Feature, because: &str, spec: &VmSpec) -> String {
    let fallback = match feature {
        Feature::Accelerator(_) => format!("falling back to {}, which is slow", spec.accelerator.value),
        Feature::Gl => format!("falling back to {} rendering", spec.gpu.value),
        Feature::StrictJail => format!("falling back to jail {}", spec.jail.value),
        Feature::Window(_) if spec.window.value == Window::None => "continuing without a window".to_owned(),
        Feature::Window(_) => format!("falling back to {}", spec.window.value),
        Feature::Vsock => format!("falling back to {}", spec.agent.value),
        Feature::Checkpoint => "booting instead".to_owned(),
    };
    format!("{feature} failed: {because}; {fallback}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Os, Start};
    use crate::testing::{host, spec};

    #[test]
    fn the_fallback_of_a_failed_feature_is_named_whatever_else_changes_with_it() {
        let facts = host(Os::Linux);
        let before = spec(&facts, "").unwrap();
        let after = spec(&facts.disable(Feature::Gl, "it fails"), "").unwrap();
        assert_eq!((before.start.value, after.start.value), (Start::Boot, Start::Instant));
        let notice = notice(Feature::Gl, "it fails", &after);
        assert!(notice.ends_with("; falling back to software rendering"), "{notice}");
    }
}
