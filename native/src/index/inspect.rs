//! A look through all of the index, for its owner: damage that nobody has met yet is found here.

use heed::{RoTxn, WithoutTls};

use super::chain::{END, HEAD_KEY};
use super::error::Unavailable;
use super::pages::Pages;
use super::record::Token;
use super::seal::Seal;

/// A look through a whole generation.
pub struct Inspection {
    pub(super) pages: Pages,
    pub(super) seal: Seal,
    /// Keeps the pages from being taken up again.
    #[allow(dead_code, reason = "held, not read")]
    pub(super) snapshot: RoTxn<'static, WithoutTls>,
}

impl Inspection {
    /// Opens every value and follows the chain from end to end; how many tokens there are. A second of work for a
    /// million.
    pub fn run(mut self) -> Result<u64, Unavailable> {
        let mut count = 0;
        let mut expected = END;
        let seal = &self.seal;
        self.pages.walk(|key, sealed| {
            if key == HEAD_KEY && count == 0 {
                expected = seal.next(key, sealed)?;
                return Ok(());
            }
            let token = Token::from_key(key).ok_or(Unavailable::Damaged)?;
            if key != expected {
                return Err(Unavailable::Damaged);
            }
            expected = seal.next(key, sealed)?;
            count += 1;
            seal.record(&token, sealed).map(|_| ())
        })?;
        let whole = expected == END && self.pages.entries() == count + 1;
        whole.then_some(count).ok_or(Unavailable::Damaged)
    }
}
