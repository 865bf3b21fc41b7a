//! The code at the end of a message: what it covers, and who makes it.
//!
//! Covered is everything from the MTI to the last field before the code, the code's own bit in the bitmap included;
//! neither the frame's length nor TPDU and header. The code is the last field of the message: 128 where there is a
//! second bitmap, else 64.

use std::borrow::Cow;

use crate::codec::encode::Writer;
use crate::codec::message::Message;
use crate::codec::name::Name;
use crate::codec::spec::{Dialect, Hot};

/// Bytes of field 64 and of field 128.
pub const CODE_BYTES: usize = 8;

/// Makes the code over what was written; None when it has no key for it.
pub trait Seal {
    fn code(&self, covered: &[u8]) -> Option<[u8; CODE_BYTES]>;
}

/// A message as its code sees it.
pub struct Sealed<'a> {
    pub covered: &'a [u8],
    pub code: Cow<'a, [u8]>,
}

impl Message {
    /// What the code of this message covers, and the code; None where it has none in the last field.
    pub fn sealed(&self) -> Option<Sealed<'_>> {
        let name = if self.wide() { Name::Mac2 } else { Name::Mac };
        let place = self.place(self.dialect().number(name))?;
        let covered = self.body().get(..place.offset)?;
        (place.offset + place.wire.len() == self.length()).then(|| Sealed {
            covered,
            code: place.normal(),
        })
    }
}

impl Dialect {
    /// Whether messages of this kind go without a code, where the link has codes.
    pub fn unsealed(&self, kind: crate::codec::Kind) -> bool {
        self.unsealed & 1 << (kind as u32) != 0
    }
}

impl Writer<'_> {
    /// As `close`, with a code made over what was written.
    pub fn close_sealed(mut self, hot: &Hot, seal: &dyn Seal) -> Result<(), String> {
        self.field(hot, |out| {
            out.resize(out.len() + CODE_BYTES, 0);
            true
        })?;
        let (body, out) = self.finish();
        let at = out.len() - hot.wire_length(CODE_BYTES);
        let code = out
            .get(body..at)
            .and_then(|covered| seal.code(covered))
            .ok_or_else(|| "there is no key for the message code".to_owned())?;
        out.truncate(at);
        out.extend_from_slice(&code);
        hot.shape.write(out, at);
        self.frame()
    }
}
