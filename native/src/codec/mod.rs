//! The codec: dialect files compiled to tables, framing, lazy messages in normal form, legs.
//!
//! | file | job |
//! |---|---|
//! | `axis`, `charset`, `value` | how one value is written, each axis independent of the others |
//! | `frame`, `envelope` | where a message ends, and what stands before its body |
//! | `backlog` | whole frames that wait for their turn |
//! | `spec`, `compile`, `framing`, `field`, `elsewhere`, `section`, `toml` | a dialect and how its file becomes one |
//! | `decode`, `structure`, `form`, `message` | a body becomes a message, once |
//! | `encode`, `leg` | fields become a message, from an allow-list |
//! | `stencil` | a request that is only to be refused, answered where it stands |
//! | `supply` | what the switch adds to a message that lacks it |
//! | `kind`, `key` | what a message is, and when two are the same |
//! | `class`, `emv`, `tlv`, `describe` | sensitivity, and what may be shown |
//! | `doubt`, `vary` | values that were probably read wrongly, and other readings to try |

pub mod axis;
pub mod backlog;
pub mod charset;
pub mod class;
pub mod compile;
pub mod decode;
pub mod describe;
pub mod doubt;
mod elsewhere;
pub mod emv;
pub mod encode;
pub mod envelope;
mod field;
pub mod form;
pub mod frame;
mod framing;
pub mod image;
pub mod key;
pub mod kind;
pub mod leg;
pub mod message;
pub mod name;
pub mod seal;
mod section;
pub mod spec;
mod stencil;
mod structure;
pub mod supply;
pub mod tlv;
pub mod toml;
pub mod value;
pub mod vary;

#[cfg(test)]
mod tests;

pub use backlog::{Backlog, Came};
pub use decode::{Refusal, decode, receive};
pub use envelope::{Envelope, Preface};
pub use frame::{Framer, Framing};
pub use kind::{Check, Kind, RcClass};
pub use leg::{Leg, OriginalData, Own, Sources};
pub use message::Message;
pub use name::{Name, Source, Wire};
pub use spec::Dialect;
pub use stencil::{Answered, Seen, Stencil, is_new_request, receive_to_refuse};

/// Overwrites a buffer that may have held a PAN or a track, and empties it.
///
/// `zeroize` writes byte by byte, 100 ns for a message; a plain fill that the optimiser is told to keep costs 5.
#[inline]
pub fn wipe(buffer: &mut Vec<u8>) {
    buffer.fill(0);
    std::hint::black_box(buffer.as_ptr());
    buffer.clear();
}
