use std::{
    any,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;

use crate::skip::{self, Need};

/// Namespaces are named by process and role, so one scenario runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a test's body if the machine has what it `needs`; otherwise prints what is missing.
pub fn scenario<F: FnOnce() -> Result<()>>(needs: &[Need], body: F) {
    // The closure's type has the test's name.
    let name = any::type_name::<F>().trim_end_matches("::{{closure}}");
    if !skip::possible(name, needs) {
        return;
    }
    // A failed scenario has removed what it created.
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = body() {
        panic!("{name}: {error:?}");
    }
}
