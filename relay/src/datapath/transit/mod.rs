//! The program on transit interfaces, the same for all generations: it hands what other relays send to
//! the program on the relay's own interface.

mod hook;
mod loaded;
mod settings;

pub use hook::TransitHook;
pub use loaded::LoadedTransit;
pub use settings::TransitSettings;
