//! The reader of one payload.

use super::record::{FIELD_END, FIELDS, Field, PAYLOAD_BYTES_MAX, RecordError};

/// The fields of one payload, found in one pass; values are slices of it.
pub struct Fields<'a> {
    payload: &'a [u8],
    /// Start and length by field number; length 0 is absence (no value is empty).
    places: [(u16, u16); FIELD_END],
}

impl<'a> Fields<'a> {
    /// Checks every field against the table: an unknown number, a wrong type or a repeated field is an error, so what
    /// was read is what may be written.
    pub fn parse(payload: &'a [u8]) -> Result<Fields<'a>, RecordError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(RecordError::Long);
        }
        let mut places = [(0u16, 0u16); FIELD_END];
        let mut at = 0;
        while at < payload.len() {
            let head = payload.get(at..at + 3).ok_or(RecordError::Short)?;
            let field = Field::from_u8(head[0]).ok_or(RecordError::UnknownField(head[0]))?;
            let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
            let value = payload
                .get(at + 3..at + 3 + length)
                .ok_or(RecordError::Short)?;
            if value.is_empty() || !field.admits(value) {
                return Err(RecordError::Value(field.as_str()));
            }
            let place = &mut places[field as usize];
            if place.1 != 0 {
                return Err(RecordError::Twice(field.as_str()));
            }
            *place = ((at + 3) as u16, length as u16);
            at += 3 + length;
        }
        Ok(Fields { payload, places })
    }

    /// The value's bytes, None when absent.
    pub fn get(&self, field: Field) -> Option<&'a [u8]> {
        let (start, length) = self.places[field as usize];
        if length == 0 {
            return None;
        }
        Some(&self.payload[usize::from(start)..usize::from(start) + usize::from(length)])
    }

    pub fn has(&self, field: Field) -> bool {
        self.places[field as usize].1 != 0
    }

    /// An unsigned number of any width, None when absent.
    pub fn number(&self, field: Field) -> Option<u64> {
        let value = self.get(field)?;
        let mut wide = [0u8; 8];
        wide.get_mut(..value.len())?.copy_from_slice(value);
        Some(u64::from_le_bytes(wide))
    }

    /// Zero when absent.
    pub fn number_or_0(&self, field: Field) -> u64 {
        self.number(field).unwrap_or(0)
    }

    pub fn signed(&self, field: Field) -> Option<i64> {
        self.number(field).map(|n| n as i64)
    }

    /// Text as it stands; empty when absent or not UTF-8.
    pub fn text(&self, field: Field) -> &'a str {
        self.get(field)
            .and_then(|v| std::str::from_utf8(v).ok())
            .unwrap_or("")
    }

    /// A keyed hash of exactly `N` bytes.
    pub fn array<const N: usize>(&self, field: Field) -> Option<[u8; N]> {
        self.get(field)?.try_into().ok()
    }

    /// Present fields by number, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &'a [u8])> + '_ {
        FIELDS
            .iter()
            .filter_map(|(f, _, _)| self.get(*f).map(|v| (*f, v)))
    }

    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}
