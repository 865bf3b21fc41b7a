//! Longest BIN prefix to an issuer: nested prefixes are flattened to disjoint ranges once, then found by bisection.

use std::collections::BTreeMap;

/// Longest prefix. Card numbers have at least as many digits, so a short number never falls into a long prefix.
pub const PREFIX_DIGITS_MAX: usize = 12;

/// Why a table of routes was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("prefix {0:?} is not at most {PREFIX_DIGITS_MAX} digits")]
    Prefix(String),
    #[error("prefix {0:?} leads to two issuers")]
    Twice(String),
}

/// Where a card number leads, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub issuer: i32,
    /// Digits of the prefix that decided; 0 for the default route.
    pub digits: u8,
}

/// No rule, too short, or not digits.
pub const NOWHERE: Route = Route {
    issuer: -1,
    digits: 0,
};

/// Starts of ranges in ascending order with the route of each. The first starts at 0.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    starts: Vec<u64>,
    routes: Vec<Route>,
}

impl Routes {
    /// Flattens rules of (prefix, issuer). The empty prefix is a default route.
    pub fn new(rules: &[(String, i32)]) -> Result<Routes, RouteError> {
        let mut unique: BTreeMap<&str, i32> = BTreeMap::new();
        for (prefix, issuer) in rules {
            if prefix.len() > PREFIX_DIGITS_MAX || !prefix.bytes().all(|b| b.is_ascii_digit()) {
                return Err(RouteError::Prefix(prefix.clone()));
            }
            match unique.insert(prefix, *issuer) {
                Some(other) if other != *issuer => return Err(RouteError::Twice(prefix.clone())),
                _ => {}
            }
        }
        let longest = |mut digits: &str| {
            loop {
                if let Some(issuer) = unique.get(digits) {
                    return Route {
                        issuer: *issuer,
                        digits: digits.len() as u8,
                    };
                }
                match digits.len().checked_sub(1).and_then(|n| digits.get(..n)) {
                    Some(shorter) => digits = shorter,
                    None => return NOWHERE,
                }
            }
        };
        let mut edges = std::collections::BTreeSet::from([0u64]);
        for prefix in unique.keys() {
            let (first, behind) = span(prefix);
            edges.insert(first);
            edges.insert(behind);
        }
        let mut routes = Routes::default();
        for edge in edges {
            let digits = format!("{edge:0width$}", width = PREFIX_DIGITS_MAX);
            let route = if digits.len() > PREFIX_DIGITS_MAX {
                NOWHERE
            } else {
                longest(&digits)
            };
            if routes.routes.last() != Some(&route) {
                routes.starts.push(edge);
                routes.routes.push(route);
            }
        }
        Ok(routes)
    }

    /// The route of a card number in digits.
    #[inline]
    pub fn find(&self, pan: &[u8]) -> Route {
        let Some(head) = pan.get(..PREFIX_DIGITS_MAX) else {
            return NOWHERE;
        };
        let mut number = 0u64;
        for digit in head {
            if !digit.is_ascii_digit() {
                return NOWHERE;
            }
            number = number * 10 + u64::from(digit - b'0');
        }
        let behind = self.starts.partition_point(|start| *start <= number);
        behind
            .checked_sub(1)
            .and_then(|at| self.routes.get(at))
            .copied()
            .unwrap_or(NOWHERE)
    }
}

/// First number of a prefix and the first one behind it, over `PREFIX_DIGITS_MAX` digits.
fn span(prefix: &str) -> (u64, u64) {
    let width = 10u64.pow((PREFIX_DIGITS_MAX - prefix.len()) as u32);
    let value: u64 = prefix.parse().unwrap_or(0);
    (value * width, (value + 1) * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(list: &[(&str, i32)]) -> Vec<(String, i32)> {
        list.iter().map(|(p, i)| ((*p).to_string(), *i)).collect()
    }

    #[test]
    fn longest_prefix_wins() -> Result<(), RouteError> {
        let routes = Routes::new(&rules(&[
            ("6299", 1),
            ("629901", 2),
            ("62990155", 3),
            ("9", 4),
        ]))?;
        for (pan, issuer, digits) in [
            ("6299001234567890", 1, 4),
            ("6299011234567890", 2, 6),
            ("6299015512345678", 3, 8),
            ("6299020000000000", 1, 4),
            ("9999999999999999", 4, 1),
            ("6300000000000000", -1, 0),
            ("62990155", -1, 0),
            ("62990155x2345678", -1, 0),
            ("", -1, 0),
        ] {
            assert_eq!(
                routes.find(pan.as_bytes()),
                Route { issuer, digits },
                "{pan}"
            );
        }
        Ok(())
    }

    #[test]
    fn empty_prefix_is_the_default_and_an_empty_table_finds_nothing() -> Result<(), RouteError> {
        assert_eq!(
            Routes::new(&rules(&[("", 7)]))?.find(b"0000000000000000"),
            Route {
                issuer: 7,
                digits: 0
            }
        );
        assert_eq!(Routes::new(&[])?.find(b"6299001234567890"), NOWHERE);
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(
            Routes::new(&rules(&[("62a", 1)])).err(),
            Some(RouteError::Prefix("62a".into()))
        );
        assert!(Routes::new(&rules(&[("6299001234567", 1)])).is_err());
        assert_eq!(
            Routes::new(&rules(&[("62", 1), ("62", 2)])).err(),
            Some(RouteError::Twice("62".into()))
        );
        assert!(Routes::new(&rules(&[("62", 1), ("62", 1)])).is_ok());
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_prefix(
            rules in prop::collection::btree_map("[0-3]{0,6}", 0i32..9, 0..30),
            pan in "[0-3]{16}",
        ) {
            let list: Vec<(String, i32)> = rules.clone().into_iter().collect();
            let expected = (0..=16)
                .rev()
                .find_map(|n| rules.get(&pan[..n]).map(|issuer| Route { issuer: *issuer, digits: n as u8 }))
                .unwrap_or(NOWHERE);
            prop_assert_eq!(Routes::new(&list).map(|r| r.find(pan.as_bytes())), Ok(expected));
        }
    }
}
