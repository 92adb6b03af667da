//! What Parlor is tested and measured with: a fake OpenAI-compatible provider ([`fake`]), a load
//! generator ([`load`]) and the clock that both of them stamp with ([`clock`]).

pub mod clock;
pub mod fake;
pub mod load;
