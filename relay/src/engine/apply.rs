use std::path::Path;

use super::{
    Result,
    guard::GuardFailure,
    plan::Plan,
    step::{Target, Undo},
};
use crate::{
    datapath::Datapath,
    net::{self, Handle},
};

impl Plan {
    /// Applies the steps in order, and returns what of the guard could not be changed. If a step
    /// fails and this plan creates the interface, everything it created is removed again.
    ///
    /// # Errors
    /// A step fails.
    pub(super) async fn apply(
        &self,
        handle: &Handle,
        datapath: &Datapath,
        state: &Path,
    ) -> Result<Vec<GuardFailure>> {
        let Self { interface, observed, listen_port, .. } = self;
        let listen_port = *listen_port;
        let target = Target { interface, listen_port, handle, datapath, observed, state };
        let (mut failures, mut undo) = (Vec::new(), Vec::new());
        for step in &self.steps {
            tracing::debug!("{interface}: {step}");
            undo.extend(step.undo());
            match step.apply(&target).await {
                Ok(failed) => failures.extend(failed),
                Err(error) => {
                    if self.creates_interface() {
                        take_back(undo, &target).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(failures)
    }
}

async fn take_back(mut undo: Vec<Undo>, target: &Target<'_>) {
    // A netlink socket that failed to send answers nobody any more.
    let fresh = net::connect();
    let target = Target { handle: fresh.as_ref().unwrap_or(target.handle), ..*target };
    undo.sort_unstable();
    for one in undo {
        if let Err(error) = one.apply(&target).await {
            tracing::warn!("{}: cannot undo: {}", target.interface, error.chain());
            return;
        }
    }
}
