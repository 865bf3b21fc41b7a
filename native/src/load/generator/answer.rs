//! What of an answer tells whose it is and what it says.

use super::super::frame;

/// Fields of an answer.
pub struct Answer<'a> {
    pub is_reply: bool,
    pub stan: u64,
    pub rrn: &'a [u8],
    pub terminal: &'a [u8],
    pub code: [u8; 2],
}

impl<'a> Answer<'a> {
    /// What does not hold together comes back as no reply with STAN 0, which is never in flight.
    pub fn read(body: &'a [u8], mti: [u8; 4]) -> Self {
        let mut answer = Self {
            is_reply: body.starts_with(&mti),
            stan: 0,
            rrn: b"",
            terminal: b"",
            code: [0; 2],
        };
        let walked = frame::walk(body, |field| match field.number {
            11 => answer.stan = frame::decimal(field.value).unwrap_or(0),
            37 => answer.rrn = field.value,
            39 => answer.code = field.value.try_into().unwrap_or([0; 2]),
            41 => answer.terminal = field.value,
            _ => {}
        });
        answer.is_reply &= walked.is_some();
        answer
    }
}
