/// A target that has begun: it takes one input after the other.
pub(crate) type Run = Box<dyn FnMut(&[u8])>;
