//! Legs: a message to one side is built from an allow-list of fields and sources; what is not listed does not pass.

use std::sync::Arc;

use crate::codec::encode::{Head, Writer};
use crate::codec::envelope::Preface;
use crate::codec::name::{Name, Proved, Source, Wire};
use crate::codec::seal::Seal;
use crate::codec::spec::{Hot, Part, Spec};
use crate::codec::value::push_decimal;
use crate::error::EncodeFault;

/// Where a leg takes a field from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The acquirer's request.
    Request,
    /// The bank's answer.
    Reply,
    /// An accepted request as the journal keeps it.
    Original,
    /// The switch itself.
    Own,
    /// The vault: the card behind a token that was proved.
    Vault,
    /// What was proved of a tap: tag and fact, in the layout of the field.
    Proof(Proofs),
    /// A constant, in normal form.
    Const(Vec<u8>),
}

/// Parts of one field that tell of a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// Tag as text, and what it tells, in ascending order of tags.
    pub parts: Vec<(Vec<u8>, Proved)>,
    pub length_digits: u8,
}

impl Proofs {
    fn write(&self, source: &dyn Source, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        for (tag, what) in &self.parts {
            let part = out.len();
            out.extend_from_slice(tag);
            let digits = out.len();
            out.resize(digits + usize::from(self.length_digits), b'0');
            let value = out.len();
            if !source.proved(*what, out) {
                out.truncate(part);
                continue;
            }
            let mut length = out.len() - value;
            for place in out[digits..value].iter_mut().rev() {
                *place = b'0' + (length % 10) as u8;
                length /= 10;
            }
        }
        out.len() > start
    }
}

/// One field of the allow-list.
#[derive(Clone, Debug)]
pub struct Slot {
    pub name: Name,
    pub hot: Hot,
    pub from: From,
    pub spec: Arc<Spec>,
}

/// An allow-list compiled for one dialect: whatever dialects the sources speak, the message is written in this one.
#[derive(Clone, Debug)]
pub struct Leg {
    pub name: String,
    pub dialect: Arc<str>,
    /// See `Dialect::identity`.
    pub identity: u64,
    pub head: Head,
    /// In ascending field order.
    pub slots: Vec<Slot>,
    /// The message code behind all of them, where the link has codes.
    pub seal: Option<Hot>,
}

/// What a message is built from; a source that is not there has no fields.
#[derive(Clone, Copy, Default)]
pub struct Sources<'a> {
    pub request: Option<&'a dyn Source>,
    pub reply: Option<&'a dyn Source>,
    pub original: Option<&'a dyn Source>,
    pub own: Option<&'a dyn Source>,
    pub vault: Option<&'a dyn Source>,
    /// What an answer carries before its body; None: the dialect's own.
    pub preface: Option<Preface>,
    /// Makes the message code; None: the link has none.
    pub seal: Option<&'a dyn Seal>,
}

impl Leg {
    /// Appends one framed message to `out`. On a fault `out` is as before. Hot: allocates only to grow `out`.
    #[inline]
    pub fn build(
        &self,
        mti: [u8; 4],
        sources: &Sources<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeFault> {
        let start = out.len();
        let result = self.write(mti, sources, out);
        result.map_err(|(spec, problem)| {
            out.truncate(start);
            self.fault(spec, problem)
        })
    }

    #[inline]
    fn write(
        &self,
        mti: [u8; 4],
        sources: &Sources<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), (Option<&Spec>, String)> {
        let mut writer = Writer::open(self.head, sources.preface.as_ref(), mti, out);
        for slot in &self.slots {
            let source = match &slot.from {
                From::Request => sources.request,
                From::Reply => sources.reply,
                From::Original => sources.original,
                From::Own => sources.own,
                From::Vault => sources.vault,
                From::Proof(proofs) => {
                    if let Some(source) = sources.vault {
                        writer
                            .field(&slot.hot, |out| proofs.write(source, out))
                            .map_err(|problem| (Some(&*slot.spec), problem))?;
                    }
                    continue;
                }
                From::Const(value) => {
                    writer
                        .field(&slot.hot, |out| {
                            out.extend_from_slice(value);
                            true
                        })
                        .map_err(|problem| (Some(&*slot.spec), problem))?;
                    continue;
                }
            };
            let Some(source) = source else {
                continue;
            };
            match source.wire(self.identity, slot.hot.number) {
                Wire::Bytes(wire) => writer.copy(slot.hot.number, wire),
                Wire::Absent => {}
                Wire::Unlike => writer
                    .field(&slot.hot, |out| source.normal(slot.name, out))
                    .map_err(|problem| (Some(&*slot.spec), problem))?,
            }
        }
        let closed = match (&self.seal, sources.seal) {
            (Some(hot), Some(seal)) => writer.close_sealed(hot, seal),
            _ => writer.close(),
        };
        closed.map_err(|problem| (None, problem))
    }

    #[cold]
    fn fault(&self, spec: Option<&Spec>, problem: String) -> EncodeFault {
        EncodeFault {
            dialect: self.dialect.to_string(),
            path: spec.map_or_else(|| "message".to_owned(), |spec| spec.path(Part::Whole)),
            problem: format!("leg {}: {problem}", self.name),
        }
    }
}

/// What the switch itself puts into a leg. Empty slices and None are absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own<'a> {
    pub stan: Option<u32>,
    /// MMDDhhmmss.
    pub transmission_time: &'a [u8],
    pub forwarder_code: &'a [u8],
    pub response_code: &'a [u8],
    pub network_code: &'a [u8],
    pub original: Option<OriginalData<'a>>,
    /// Issuer authentication data (tag 91), without tag and length.
    pub issuer_auth: &'a [u8],
    /// Institution codes of bank and acquirer, for field 44.
    pub parties: Option<(&'a str, &'a str)>,
    /// A terminal's work keys under its master key.
    pub keys: &'a [u8],
    /// Reference of an answer that belongs to no transaction.
    pub rrn: &'a [u8],
}

/// The parts of field 90: what the bank was sent.
#[derive(Clone, Copy, Debug)]
pub struct OriginalData<'a> {
    pub mti: [u8; 4],
    pub stan: u32,
    pub transmission_time: &'a [u8],
    pub acquirer_code: &'a [u8],
    pub forwarder_code: &'a [u8],
}

impl Source for Own<'_> {
    #[inline]
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let text = match name {
            Name::Stan => {
                if let Some(stan) = self.stan {
                    push_decimal(out, u64::from(stan), 6);
                }
                return self.stan.is_some();
            }
            Name::TransmissionTime => self.transmission_time,
            Name::ForwarderCode => self.forwarder_code,
            Name::ResponseCode => self.response_code,
            Name::NetworkCode => self.network_code,
            Name::ReservedPrivate62 => self.keys,
            Name::Rrn => self.rrn,
            Name::Icc => {
                // At most 16 bytes, so the length is one byte.
                if !self.issuer_auth.is_empty() {
                    out.extend_from_slice(&[0x91, self.issuer_auth.len() as u8]);
                }
                self.issuer_auth
            }
            Name::AdditionalResponse => {
                let Some((bank, acquirer)) = self.parties else {
                    return false;
                };
                for code in [bank, acquirer] {
                    let end = out.len() + 11;
                    out.extend_from_slice(code.as_bytes());
                    out.resize(end, b' ');
                }
                return true;
            }
            Name::OriginalData => {
                if let Some(original) = &self.original {
                    original.write(out);
                }
                return self.original.is_some();
            }
            _ => return false,
        };
        out.extend_from_slice(text);
        !text.is_empty()
    }
}

impl OriginalData<'_> {
    /// 42 digits: MTI 4, STAN 6, transmission time 10, acquirer 11, forwarder 11, right-justified and zero-filled.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.mti);
        push_decimal(out, u64::from(self.stan), 6);
        for (text, width) in [
            (self.transmission_time, 10usize),
            (self.acquirer_code, 11),
            (self.forwarder_code, 11),
        ] {
            let text = text.get(text.len().saturating_sub(width)..).unwrap_or(&[]);
            out.resize(out.len() + width - text.len(), b'0');
            out.extend_from_slice(text);
        }
    }
}
