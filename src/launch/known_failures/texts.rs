//! A plan after a feature failed at an earlier start.

use super::*;
use crate::host::Availability;
use crate::model::Os;
use crate::testing::{Texts, assert_texts, host, spec};

#[test]
fn a_plan_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = KnownFailures::load(&folder.path().join("known-failures.json"), "here", "1");
    known.add([(Feature::Gl, "egl: eglInitialize failed")]).unwrap();
    let day = known.current().next().unwrap().day();
    let facts = known.apply(host(Os::Linux));
    let Availability::Doubtful { because } = &facts.gl else { panic!("{:?}", facts.gl) };
    let mut texts = Texts::default();
    texts.add("OpenGL", because.replace(&day, "[DATE]"));
    texts.add("the plan", spec(&facts, "").unwrap().to_string().replace(&day, "[DATE]"));
    assert_texts!("known-failures", texts);
}
