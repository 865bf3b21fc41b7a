//! Retrieval references of our own, for terminals that send none.

/// Digits of the references, in order.
const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Characters that the day takes; as many days pass before one comes again: 127 years.
const DAY_CHARACTERS: usize = 3;
/// Bits of a transaction's counter that are in its reference: a thousand million in a day.
const COUNTER_BITS: u32 = 30;

/// Field 37 of a transaction: the day (UTC) in three characters, then node, lane and counter in nine. The same
/// transaction has the same one for ever, since it is kept with it; no two of a day have one, on any node.
pub fn reference(txn: u64, now_s: i64) -> [u8; 12] {
    let mut out = [b'0'; 12];
    let (day, rest) = out.split_at_mut(DAY_CHARACTERS);
    write(day, now_s.div_euclid(86_400).unsigned_abs());
    let counter = txn & ((1 << COUNTER_BITS) - 1);
    write(rest, txn >> 48 << COUNTER_BITS | counter);
    out
}

fn write(places: &mut [u8], mut value: u64) {
    for place in places.iter_mut().rev() {
        *place = DIGITS[(value % 36) as usize];
        value /= 36;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_has_day_node_lane_and_counter() {
        assert_eq!(&reference(1 << 56 | 1, 86_400), b"00103I9Z7IF5");
    }

    proptest! {
        #[test]
        fn no_two_of_a_day_are_alike(a in any::<(u8, u8, u32)>(), b in any::<(u8, u8, u32)>(), day in 0i64..40_000) {
            let txn = |(node, lane, counter): (u8, u8, u32)| {
                u64::from(node) << 56 | u64::from(lane) << 48 | u64::from(counter & 0x3fff_ffff)
            };
            let (a, b) = (txn(a), txn(b));
            let one = reference(a, day * 86_400);
            prop_assert!(one.iter().all(u8::is_ascii_alphanumeric));
            prop_assert_eq!(a == b, one == reference(b, day * 86_400 + 86_399));
            prop_assert_ne!(one, reference(a, day * 86_400 + 86_400));
        }
    }
}
