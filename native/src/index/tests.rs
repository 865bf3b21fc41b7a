//! Tests of the token index: records, seals, generations, damaged files.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::record::{CURRENCIES_MAX, Few, MCCS_MAX};
use super::seal::Seal;
use super::store::Stamp;
use super::*;
use crate::journal::keys::Keys;
use crate::journal::testing::TempDir;
use crate::tap::proven::Card;

fn card(digits: &str) -> Card {
    let mut card = Card {
        length: digits.len() as u8,
        expiry: *b"3101",
        sequence: Some(2),
        ..Card::default()
    };
    card.digits[..digits.len()].copy_from_slice(digits.as_bytes());
    card
}

fn record(state: TokenState) -> TokenRecord {
    TokenRecord {
        state,
        token_sequence: 1,
        token_expiry: *b"3012",
        card: card("6299001234567894"),
        requestor: *b"12300000001",
        assurance: *b"1A",
        mapping_version: 7,
        domain: Domain::default(),
    }
}

fn token(number: u64) -> Token {
    Token::parse(format!("629977{number:010}").as_bytes()).unwrap()
}

const VAULT: [u8; 16] = [7; 16];

fn filled(dir: &TempDir, keys: &Keys, count: u64, change: u64) -> Index {
    let mut index = Index::open(dir.path(), Seal::new(keys).unwrap());
    let mut rebuild = index.rebuild(Seal::new(keys).unwrap()).unwrap();
    let records: Vec<_> = (0..count)
        .map(|n| (token(n), record(TokenState::Active)))
        .collect();
    for batch in records.chunks(100) {
        rebuild.add(batch, change).unwrap();
    }
    rebuild
        .finish(&Stamp {
            change,
            vault: VAULT,
        })
        .unwrap();
    index.look();
    index
}

fn some_record() -> impl Strategy<Value = TokenRecord> {
    let domain = (
        any::<bool>(),
        any::<u16>(),
        prop::collection::vec(any::<u16>(), 0..=MCCS_MAX),
        prop::option::of((any::<u64>(), any::<u16>())),
        prop::collection::vec(any::<u16>(), 0..=CURRENCIES_MAX),
        any::<(u32, u32)>(),
    );
    let rest = (
        1u8..=4,
        0u8..=99,
        "[0-9]{2}(0[1-9]|1[0-2])",
        "[0-9]{8,19}",
        prop::option::of("[0-9]{2}(0[1-9]|1[0-2])"),
        prop::option::of(0u8..=99),
        "[0-9]{11}",
        (any::<[u8; 2]>(), 1u32..),
    );
    (domain, rest).prop_map(|(domain, rest)| {
        let (requestor_bound, channels, mccs, ceiling, currencies, dates) = domain;
        let (state, token_sequence, expiry, pan, card_expiry, sequence, requestor, tail) = rest;
        let mut card = card(&pan);
        // A card's expiry of January 2000 stands for none.
        card.expiry = card_expiry.map_or([0; 4], |text| text.as_bytes().try_into().unwrap());
        card.sequence = sequence;
        TokenRecord {
            state: TokenState::from_u8(state).unwrap(),
            token_sequence,
            token_expiry: expiry.as_bytes().try_into().unwrap(),
            card,
            requestor: requestor.as_bytes().try_into().unwrap(),
            assurance: tail.0,
            mapping_version: tail.1,
            domain: Domain {
                requestor_bound,
                channels,
                mccs: Few::new(&mccs).unwrap(),
                ceiling,
                currencies: Few::new(&currencies).unwrap(),
                not_before_s: dates.0,
                not_after_s: dates.1,
            },
        }
    })
}

#[test]
fn a_mapping_has_a_version() {
    let mut none = record(TokenState::Active);
    none.mapping_version = 0;
    assert!(none.pack(&mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_went(record in some_record()) {
        let mut packed = Vec::new();
        record.pack(&mut packed).unwrap();
        prop_assert!(packed.len() <= record::PACKED_BYTES_MAX);
        let back = TokenRecord::unpack(&packed).unwrap();
        let mut again = Vec::new();
        back.pack(&mut again).unwrap();
        prop_assert_eq!(&packed, &again);
        prop_assert_eq!(back.card.pan(), record.card.pan());
        prop_assert_eq!(back.card.expiry, record.card.expiry);
        prop_assert_eq!(back.domain, record.domain);
        prop_assert_eq!(back.token_expiry, record.token_expiry);
        prop_assert_eq!(back.requestor, record.requestor);
        for end in 0..packed.len() {
            prop_assert!(TokenRecord::unpack(&packed[..end]).is_none());
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_none(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        let _ = TokenRecord::unpack(&bytes);
    }
}

#[test]
fn every_changed_byte_of_a_value_is_noticed_and_no_value_moves() {
    let seal = Seal::new(&Keys::ephemeral().unwrap()).unwrap();
    let (mut packed, mut sealed) = (Vec::new(), Vec::new());
    record(TokenState::Active).pack(&mut packed).unwrap();
    seal.seal(&token(1).key(), 9, &packed, &mut sealed).unwrap();
    assert!(seal.record(&token(1), &sealed).is_ok());
    assert!(seal.record(&token(2), &sealed).is_err());
    for at in 0..sealed.len() {
        let mut broken = sealed.clone();
        broken[at] ^= 1 << (at % 8);
        assert!(seal.record(&token(1), &broken).is_err(), "byte {at}");
    }
    for end in 0..sealed.len() {
        assert!(seal.record(&token(1), &sealed[..end]).is_err());
    }
    let other = Seal::new(&Keys::ephemeral().unwrap()).unwrap();
    assert!(other.record(&token(1), &sealed).is_err());
}

#[test]
fn what_was_written_is_found_after_the_next_renewal() {
    let (dir, keys) = (TempDir::new(), Keys::ephemeral().unwrap());
    let mut index = Index::open(dir.path(), Seal::new(&keys).unwrap());
    assert_eq!(index.why(), Some(Unavailable::Missing));
    assert_eq!(index.find(&token(1)).err(), Some(Unavailable::Missing));
    drop(index);
    index = filled(&dir, &keys, 250, 4);
    assert_eq!((index.why(), index.tokens()), (None, Ok(250)));
    assert_eq!(index.verify(), Ok(250));
    assert_eq!(
        index.stamp(),
        Ok(Stamp {
            change: 4,
            vault: VAULT
        })
    );
    let found = index.find(&token(249)).unwrap().unwrap();
    assert_eq!(found.card.pan(), b"6299001234567894");
    assert!(index.find(&token(250)).unwrap().is_none());
    let suspended = record(TokenState::Suspended);
    index
        .write(&[(token(3), Some(suspended)), (token(4), None)], 5)
        .unwrap();
    let state = index.find(&token(3)).unwrap().map(|found| found.state);
    assert_eq!(state, Some(TokenState::Suspended));
    assert!(index.find(&token(4)).unwrap().is_none());
    assert_eq!(index.stamp().map(|stamp| stamp.change), Ok(5));
    drop(index);
    let index = Index::open(dir.path(), Seal::new(&keys).unwrap());
    assert_eq!(index.stamp().map(|stamp| stamp.change), Ok(5));
}

#[test]
fn a_stale_generation_answers_nothing_until_it_is_replaced() {
    let (dir, keys) = (TempDir::new(), Keys::ephemeral().unwrap());
    let mut index = filled(&dir, &keys, 3, 1);
    index.mark_stale().unwrap();
    assert_eq!(index.find(&token(1)).err(), Some(Unavailable::Stale));
    assert!(index.write(&[], 2).is_err());
    let mut rebuild = index.rebuild(Seal::new(&keys).unwrap()).unwrap();
    rebuild
        .add(&[(token(1), record(TokenState::Active))], 8)
        .unwrap();
    assert_eq!(index.find(&token(1)).err(), Some(Unavailable::Stale));
    rebuild
        .finish(&Stamp {
            change: 8,
            vault: VAULT,
        })
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    index.renew();
    assert_eq!((index.why(), index.tokens()), (None, Ok(1)));
}

#[test]
fn half_a_rebuild_changes_nothing_and_order_is_kept() {
    let (dir, keys) = (TempDir::new(), Keys::ephemeral().unwrap());
    let index = filled(&dir, &keys, 3, 1);
    let mut rebuild = index.rebuild(Seal::new(&keys).unwrap()).unwrap();
    let one = (token(5), record(TokenState::Active));
    rebuild.add(std::slice::from_ref(&one), 2).unwrap();
    assert!(rebuild.add(&[one], 2).is_err());
    drop(rebuild);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(index.tokens(), Ok(3));
}

#[test]
fn what_changed_during_a_rebuild_takes_its_place() {
    let dir = TempDir::new();
    let keys = Keys::ephemeral().unwrap();
    let mut index = filled(&dir, &keys, 5, 1);
    let mut rebuild = index.rebuild(Seal::new(&keys).unwrap()).unwrap();
    let records: Vec<_> = (0..5)
        .map(|n| (token(n), record(TokenState::Active)))
        .collect();
    rebuild.add(&records, 1).unwrap();
    let changed = [
        (token(9), record(TokenState::Active)),
        (token(3), record(TokenState::Suspended)),
    ];
    rebuild.amend(&changed, 2).unwrap();
    let stamp = Stamp {
        change: 2,
        vault: VAULT,
    };
    rebuild.finish(&stamp).unwrap();
    // The old one is still open here: whoever reads it learns that it is no longer in force.
    index.mark_stale().unwrap();
    index.look();
    assert_eq!(index.stamp(), Ok(stamp));
    assert_eq!(index.tokens(), Ok(6));
    let found = index.find(&token(3)).unwrap().unwrap();
    assert_eq!(found.state, TokenState::Suspended);
}

#[test]
fn another_key_or_a_broken_file_is_unavailable_and_never_unknown() {
    let (dir, keys) = (TempDir::new(), Keys::ephemeral().unwrap());
    drop(filled(&dir, &keys, 2000, 1));
    let other = Index::open(dir.path(), Seal::new(&Keys::ephemeral().unwrap()).unwrap());
    assert_eq!(other.find(&token(1)).err(), Some(Unavailable::Sealed));
    drop(other);
    let current = std::fs::read_to_string(dir.path().join("CURRENT")).unwrap();
    let data = dir.path().join(current).join("data.mdb");
    let whole = std::fs::read(&data).unwrap();
    for length in [0, 10, 4095, 4096, 8192, whole.len() / 2, whole.len() - 4096] {
        std::fs::write(&data, &whole[..length]).unwrap();
        let index = Index::open(dir.path(), Seal::new(&keys).unwrap());
        let found = index.find(&token(1));
        assert_eq!(found.err(), Some(Unavailable::Damaged), "{length}");
    }
    std::fs::write(&data, vec![0xa5; whole.len()]).unwrap();
    let index = Index::open(dir.path(), Seal::new(&keys).unwrap());
    assert_eq!(index.find(&token(1)).err(), Some(Unavailable::Damaged));
    std::fs::remove_file(dir.path().join("CURRENT")).unwrap();
    drop(index);
    let index = Index::open(dir.path(), Seal::new(&keys).unwrap());
    assert_eq!(index.find(&token(1)).err(), Some(Unavailable::Missing));
}

#[test]
fn the_vault_opens_a_number_in_its_row_only() {
    let mut vault = VaultKeys::new(Keys::ephemeral().unwrap().into());
    let pan = b"6299001234567894";
    let sealed = vault.seal(pan, 7, 1).unwrap();
    assert_eq!(&**vault.open(&sealed, 7, 1).unwrap(), pan);
    assert!(vault.open(&sealed, 8, 1).is_err());
    assert!(vault.open(&sealed, 7, 2).is_err());
    assert_ne!(sealed, vault.seal(pan, 7, 1).unwrap());
    for at in 0..sealed.len() {
        let mut broken = sealed.clone();
        broken[at] ^= 1;
        assert!(vault.open(&broken, 7, 1).is_err());
    }
    assert_eq!(vault.hash(pan, 1).unwrap(), vault.hash(pan, 1).unwrap());
    assert_ne!(vault.hash(pan, 1).unwrap(), vault.hash(pan, 2).unwrap());
    assert!(vault.seal(b"62990012345x7894", 7, 1).is_err());
    assert_eq!(vault.card(&sealed, 7, 1).unwrap().pan(), pan);
}
