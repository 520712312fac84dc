use std::{
    any,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;

use crate::skip::{self, Need};

/// Namespaces are named after the process and what they are.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a test's body, alone in this process, where the machine has what it `needs`, and says what
/// is missing otherwise.
///
/// # Panics
/// The body failed, or something is missing that was required.
pub fn scenario<F: FnOnce() -> Result<()>>(needs: &[Need], body: F) {
    // The body is a closure inside the test, so its type bears the test's name.
    let name = any::type_name::<F>().trim_end_matches("::{{closure}}");
    if !skip::possible(name, needs) {
        return;
    }
    // What a scenario that failed has left is gone with it.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = body() {
        panic!("{name}: {error:?}");
    }
}
