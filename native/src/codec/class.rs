//! How sensitive a field is, and what may therefore be said of it.

/// Sensitivity of a field, sub-field or EMV tag. C1 to C3 are JR/T 0171-2020's classes (C3 the highest: what
/// authenticates the cardholder); `Sad` is PCI DSS sensitive authentication data, which never rests anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    C1 = 1,
    C2 = 2,
    C3 = 3,
    Sad = 4,
}

/// Spellings in dialect files.
pub const CLASSES: [(Class, &str); 4] = [
    (Class::C1, "C1"),
    (Class::C2, "C2"),
    (Class::C3, "C3"),
    (Class::Sad, "SAD"),
];

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::C1 => "C1",
            Class::C2 => "C2",
            Class::C3 => "C3",
            Class::Sad => "SAD",
        }
    }

    pub fn parse(text: &str) -> Option<Class> {
        CLASSES.iter().find(|(_, s)| *s == text).map(|(c, _)| *c)
    }

    /// Whether an error may quote a byte of it.
    pub fn quotable(self) -> bool {
        self == Class::C1
    }

    /// Whether a value may become a Python object outside simulators and tests.
    pub fn readable(self) -> bool {
        self <= Class::C2
    }
}

/// How a value is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// As it is.
    Clear,
    /// First six and last four.
    Pan,
    /// Its length only.
    All,
}

impl Mask {
    /// What a class gets when its field says nothing.
    pub fn of(class: Class) -> Mask {
        if class == Class::C1 {
            Mask::Clear
        } else {
            Mask::All
        }
    }

    /// Appends the masked form of printable text.
    pub fn apply(self, text: &str) -> String {
        match self {
            Mask::Clear => text.to_owned(),
            Mask::Pan => mask_pan(text),
            Mask::All => format!("({} hidden)", text.chars().count()),
        }
    }
}

/// First six and last four of an account number, the rest as stars; anything shorter than 13 is all stars, so
/// that never more than four digits in ten of a short number show.
pub fn mask_pan(text: &str) -> String {
    let length = text.chars().count();
    text.chars()
        .enumerate()
        .map(|(at, c)| {
            if length >= 13 && (at < 6 || at + 4 >= length) {
                c
            } else {
                '*'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pan_shows_six_and_four() {
        assert_eq!(mask_pan("6299001234567890"), "629900******7890");
        assert_eq!(mask_pan("62990012345"), "***********");
        assert_eq!(mask_pan(""), "");
    }

    #[test]
    fn only_the_lowest_class_may_be_quoted() {
        assert!(Class::C1.quotable() && !Class::C2.quotable());
        assert!(Class::C2.readable() && !Class::C3.readable() && !Class::Sad.readable());
        for (class, text) in CLASSES {
            assert_eq!(Class::parse(text), Some(class));
            assert_eq!(class.as_str(), text);
        }
    }
}
