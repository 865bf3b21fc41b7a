//! TLV: elements lie inside the data and in order; what passes the check is written back as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tapswitch_native::codec::tlv::{Ber, Decimal, check_ber, first_ber, push_ber};

fuzz_target!(|data: &[u8]| {
    let mut end = 0;
    for element in Ber::new(data).flatten() {
        assert!(element.at >= end && element.value_at > element.at);
        end = element.value_at + element.value.len();
        assert!(end <= data.len());
    }
    if check_ber(data).is_ok() {
        let mut again = Vec::new();
        for element in Ber::new(data).flatten() {
            assert_eq!(first_ber(data, element.tag), Some(element));
            push_ber(&mut again, element.tag, element.value);
        }
        assert!(check_ber(&again).is_ok() && again.len() <= data.len());
        let left: Vec<_> = Ber::new(data).flatten().map(|e| (e.tag, e.value)).collect();
        let right: Vec<_> = Ber::new(&again)
            .flatten()
            .map(|e| (e.tag, e.value))
            .collect();
        assert_eq!(left, right);
    }
    for (tag, length) in [(2, 3), (1, 1), (4, 4), (3, 2)] {
        for element in Decimal::new(data, tag, length).flatten() {
            assert!(element.value_at + element.value.len() <= data.len());
        }
    }
});
