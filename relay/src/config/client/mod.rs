//! Configurations of clients: `render` writes one, `rendered` remembers which client has which.

mod render;
mod rendered;
#[cfg(test)]
mod tests;

pub use render::render_client_into;
pub use rendered::{Rendered, RenderedError, Standing};
