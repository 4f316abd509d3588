#[derive(Default)]
pub struct Forwards;
