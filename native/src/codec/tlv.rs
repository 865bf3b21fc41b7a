//! Tag-length-value inside a field: BER-TLV (EMV) and decimal TLV. Nothing is copied; unknown tags stay as they are.
//!
//! Source: EMV 4.3 Book 3, annex B (rules for BER-TLV data objects).

/// One element; offsets count from the start of the field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u32,
    pub at: usize,
    pub value_at: usize,
    pub value: &'a [u8],
}

/// Why an element cannot be read; never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlvFault {
    pub at: usize,
    pub tag: Option<u32>,
    pub found: String,
    pub expected: String,
}

impl TlvFault {
    #[cold]
    fn new(at: usize, tag: Option<u32>, found: String, expected: &str) -> TlvFault {
        TlvFault {
            at,
            tag,
            found,
            expected: expected.to_owned(),
        }
    }
}

/// BER-TLV elements of the top level. Tags take up to four bytes, lengths up to 0x84; constructed values are not
/// entered. Zero bytes between elements are filling.
#[derive(Clone, Debug)]
pub struct Ber<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Ber<'a> {
    pub fn new(data: &'a [u8]) -> Ber<'a> {
        Ber { data, at: 0 }
    }

    #[inline]
    fn tag(&self, mut at: usize) -> Result<(u32, usize), TlvFault> {
        let start = at;
        let Some(&first) = self.data.get(at) else {
            return Err(TlvFault::new(at, None, "nothing".to_owned(), "a tag"));
        };
        at += 1;
        let mut tag = u32::from(first);
        if first & 0x1f != 0x1f {
            return Ok((tag, at));
        }
        loop {
            let Some(&next) = self.data.get(at) else {
                return Err(TlvFault::new(
                    start,
                    None,
                    "the end".to_owned(),
                    "rest of a tag",
                ));
            };
            at += 1;
            if tag > 0x00ff_ffff {
                return Err(TlvFault::new(
                    start,
                    None,
                    "a tag of more than 4 bytes".to_owned(),
                    "a tag of at most 4 bytes",
                ));
            }
            tag = tag << 8 | u32::from(next);
            if next & 0x80 == 0 {
                return Ok((tag, at));
            }
        }
    }

    #[inline]
    fn length(&self, tag: u32, at: usize) -> Result<(usize, usize), TlvFault> {
        let Some(&first) = self.data.get(at) else {
            return Err(TlvFault::new(
                at,
                Some(tag),
                "the end".to_owned(),
                "a length",
            ));
        };
        if first < 0x80 {
            return Ok((usize::from(first), at + 1));
        }
        let width = usize::from(first & 0x7f);
        let bytes = match self.data.get(at + 1..at + 1 + width) {
            Some(bytes) if (1..=4).contains(&width) => bytes,
            Some(_) => {
                let found = format!("length byte 0x{first:02X}");
                return Err(TlvFault::new(at, Some(tag), found, "00-7F or 81-84"));
            }
            None => {
                return Err(TlvFault::new(
                    at,
                    Some(tag),
                    "the end".to_owned(),
                    "a length",
                ));
            }
        };
        let length = bytes
            .iter()
            .fold(0usize, |length, &byte| length << 8 | usize::from(byte));
        Ok((length, at + 1 + width))
    }

    #[inline]
    fn read(&mut self) -> Result<Element<'a>, TlvFault> {
        let at = self.at;
        let (tag, after) = self.tag(at)?;
        let (length, value_at) = self.length(tag, after)?;
        let end = value_at.saturating_add(length);
        let Some(value) = self.data.get(value_at..end) else {
            let left = self.data.len() - value_at;
            let found = format!("length {length}");
            return Err(TlvFault::new(
                after,
                Some(tag),
                found,
                &format!("at most {left}"),
            ));
        };
        self.at = end;
        Ok(Element {
            tag,
            at,
            value_at,
            value,
        })
    }
}

impl<'a> Iterator for Ber<'a> {
    type Item = Result<Element<'a>, TlvFault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.data.get(self.at) == Some(&0) {
            self.at += 1;
        }
        if self.at >= self.data.len() {
            return None;
        }
        let element = self.read();
        if element.is_err() {
            self.at = self.data.len();
        }
        Some(element)
    }
}

/// Checks that `data` is well-formed and that no tag comes twice: two values under one tag would let us check one
/// and a bank use the other.
#[inline]
pub fn check_ber(data: &[u8]) -> Result<(), TlvFault> {
    let mut seen = 0u64;
    for element in Ber::new(data) {
        let element = element?;
        let bit = 1u64 << (element.tag.wrapping_mul(0x9e37_79b1) >> 26);
        if seen & bit != 0 && first_ber(data, element.tag).is_some_and(|e| e.at != element.at) {
            return Err(TlvFault::new(
                element.at,
                Some(element.tag),
                "the tag a second time".to_owned(),
                "each tag once",
            ));
        }
        seen |= bit;
    }
    Ok(())
}

/// The element of a tag.
pub fn first_ber(data: &[u8], tag: u32) -> Option<Element<'_>> {
    Ber::new(data).map_while(Result::ok).find(|e| e.tag == tag)
}

/// Decimal TLV: `tag` characters of tag, `length` decimal digits, the value. The tag is packed big-endian.
#[derive(Clone, Debug)]
pub struct Decimal<'a> {
    data: &'a [u8],
    at: usize,
    tag: usize,
    length: usize,
}

impl<'a> Decimal<'a> {
    /// `tag` and `length` are 1 to 4.
    pub fn new(data: &'a [u8], tag: u8, length: u8) -> Decimal<'a> {
        Decimal {
            data,
            at: 0,
            tag: usize::from(tag.clamp(1, 4)),
            length: usize::from(length.clamp(1, 4)),
        }
    }

    fn read(&mut self) -> Result<Element<'a>, TlvFault> {
        let at = self.at;
        let after = at + self.tag;
        let Some(text) = self.data.get(at..after) else {
            return Err(TlvFault::new(at, None, "the end".to_owned(), "a tag"));
        };
        let tag = text
            .iter()
            .fold(0u32, |tag, &byte| tag << 8 | u32::from(byte));
        let value_at = after + self.length;
        let length = self
            .data
            .get(after..value_at)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))
            .map(|digits| {
                digits
                    .iter()
                    .fold(0usize, |n, &digit| n * 10 + usize::from(digit - b'0'))
            });
        let Some(length) = length else {
            let expected = format!("{} digits of length", self.length);
            return Err(TlvFault::new(
                after,
                Some(tag),
                "something else".to_owned(),
                &expected,
            ));
        };
        let Some(value) = self.data.get(value_at..value_at + length) else {
            let left = self.data.len() - value_at;
            let found = format!("length {length}");
            return Err(TlvFault::new(
                after,
                Some(tag),
                found,
                &format!("at most {left}"),
            ));
        };
        self.at = value_at + length;
        Ok(Element {
            tag,
            at,
            value_at,
            value,
        })
    }
}

impl<'a> Iterator for Decimal<'a> {
    type Item = Result<Element<'a>, TlvFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.data.len() {
            return None;
        }
        let element = self.read();
        if element.is_err() {
            self.at = self.data.len();
        }
        Some(element)
    }
}

/// Appends a BER-TLV element with the shortest length.
pub fn push_ber(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    let bytes = tag.to_be_bytes();
    let skip = (tag.leading_zeros() / 8).min(3) as usize;
    out.extend_from_slice(bytes.get(skip..).unwrap_or(&[]));
    let length = value.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = (length as u32).to_be_bytes();
        let skip = ((length as u32).leading_zeros() / 8) as usize;
        out.push(0x80 | (4 - skip) as u8);
        out.extend_from_slice(bytes.get(skip..).unwrap_or(&[]));
    }
    out.extend_from_slice(value);
}

/// Whether `tag` is one that `Ber` reads back as itself.
pub fn is_ber_tag(tag: u32) -> bool {
    let mut out = Vec::new();
    push_ber(&mut out, tag, &[]);
    tag != 0 && matches!(Ber::new(&out).next(), Some(Ok(e)) if e.tag == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_of_every_width() {
        let mut data = Vec::new();
        for (tag, value) in [
            (0x82u32, 2usize),
            (0x9f26, 8),
            (0xdf8104, 1),
            (0xdf81_8205, 200),
        ] {
            push_ber(&mut data, tag, &vec![0xaa; value]);
        }
        let read: Vec<(u32, usize)> = Ber::new(&data)
            .map_while(Result::ok)
            .map(|e| (e.tag, e.value.len()))
            .collect();
        assert_eq!(
            read,
            [(0x82, 2), (0x9f26, 8), (0xdf8104, 1), (0xdf81_8205, 200)]
        );
        assert_eq!(check_ber(&data), Ok(()));
    }

    #[test]
    fn faults_name_offset_and_tag() {
        let fault = |data: &[u8]| check_ber(data).err().map(|f| (f.at, f.tag));
        assert_eq!(fault(&[0x9f]), Some((0, None)));
        assert_eq!(fault(&[0x9f, 0x26]), Some((2, Some(0x9f26))));
        assert_eq!(fault(&[0x9f, 0x26, 0x08, 1]), Some((2, Some(0x9f26))));
        assert_eq!(fault(&[0x95, 0x80]), Some((1, Some(0x95))));
        assert_eq!(fault(&[0x95, 0x85, 0, 0, 0, 0, 0]), Some((1, Some(0x95))));
        assert_eq!(
            fault(&[0x95, 0x84, 0xff, 0xff, 0xff, 0xff]),
            Some((1, Some(0x95)))
        );
        assert_eq!(fault(&[0xdf, 0x81, 0x81, 0x81, 0x01, 0]), Some((0, None)));
        assert_eq!(fault(&[0x95, 1, 0, 0x95, 1, 1]), Some((3, Some(0x95))));
        assert_eq!(fault(&[0, 0x95, 0, 0, 0]), None);
    }

    #[test]
    fn decimal_elements() {
        let data = b"AA003xyzBB000";
        let read: Vec<(u32, &[u8])> = Decimal::new(data, 2, 3)
            .map_while(Result::ok)
            .map(|e| (e.tag, e.value))
            .collect();
        assert_eq!(read, [(0x4141, &b"xyz"[..]), (0x4242, &b""[..])]);
        let fault = |data| Decimal::new(data, 2, 3).find_map(Result::err).map(|f| f.at);
        assert_eq!(fault(b"A"), Some(0));
        assert_eq!(fault(b"AA0x1"), Some(2));
        assert_eq!(fault(b"AA009x"), Some(2));
    }

    /// A tag of one to four bytes.
    fn some_tag() -> impl Strategy<Value = u32> {
        let short = (1u32..=0xff).prop_filter("more bytes follow", |tag| tag & 0x1f != 0x1f);
        let first = (0u32..8).prop_map(|high| high << 5 | 0x1f);
        prop_oneof![
            short,
            (first.clone(), 0u32..0x80).prop_map(|(a, b)| a << 8 | b),
            (first.clone(), 0x80u32..=0xff, 0u32..0x80).prop_map(|(a, b, c)| a << 16 | b << 8 | c),
            (first, 0x80u32..=0xff, 0x80u32..=0xff, 0u32..0x80)
                .prop_map(|(a, b, c, d)| a << 24 | b << 16 | c << 8 | d),
        ]
    }

    proptest! {
        #[test]
        fn nothing_panics_and_elements_stay_inside(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            for element in Ber::new(&data).chain(Decimal::new(&data, 2, 3)).flatten() {
                prop_assert!(element.value_at + element.value.len() <= data.len());
            }
            let _ = check_ber(&data);
        }

        #[test]
        fn written_elements_read_back(tag in some_tag(), value in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            prop_assert!(is_ber_tag(tag));
            let mut data = Vec::new();
            push_ber(&mut data, tag, &value);
            let read = first_ber(&data, tag).map(|e| e.value.to_vec());
            prop_assert_eq!(read, Some(value));
        }
    }
}
