use std::any;

use anyhow::Result;

use crate::skip::{self, Need};

/// Runs a test's body where the machine has what it `needs`, and says what is missing otherwise.
///
/// # Panics
/// The body failed, or something is missing that was required.
pub fn scenario<F: FnOnce() -> Result<()>>(needs: &[Need], body: F) {
    // The body is a closure inside the test, so its type bears the test's name.
    let name = any::type_name::<F>().trim_end_matches("::{{closure}}");
    if !skip::possible(name, needs) {
        return;
    }
    if let Err(error) = body() {
        panic!("{name}: {error:?}");
    }
}
