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

fn verified(index: &Index, keys: &Keys) -> Result<u64, Unavailable> {
    index.inspection(Seal::new(keys).unwrap())?.run()
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
    packed.extend_from_slice(&token(2).key());
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
    assert_eq!(verified(&index, &keys), Ok(250));
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

/// The data file of the generation in force.
fn data_of(dir: &TempDir) -> std::path::PathBuf {
    let current = std::fs::read_to_string(dir.path().join("CURRENT")).unwrap();
    dir.path().join(current).join("data.mdb")
}

/// One blow to a file: a flipped bit, a page of noise, a page in another's place, or a number between tree and pages.
fn damage(bytes: &mut [u8], kind: u8, at: usize, with: u64) {
    let pages = bytes.len() / 4096;
    let page = at % pages * 4096;
    match kind {
        0 => bytes[at % (pages * 4096)] ^= 1 << (with % 8),
        1 => bytes[page..page + 4096].fill(with as u8),
        2 => {
            let from = with as usize % pages * 4096;
            bytes.copy_within(from..from + 4096, page);
        }
        // Heads and pointers of a page, where every bit leads somewhere.
        3 => bytes[page + at / 7 % 40] ^= 1 << (with % 8),
        _ => {
            let place = page + 16 + at / 7 % 4000;
            bytes[place..place + 2].copy_from_slice(&(with as u16).to_ne_bytes());
        }
    }
}

/// What a damaged index may say: what is so, or that it cannot be said.
fn is_right_or_silent(index: &Index, count: u64) -> u64 {
    let mut silent = 0;
    for number in 0..2 * count {
        match index.find(&token(number)) {
            Err(_) => silent += 1,
            Ok(Some(found)) => {
                assert!(number % 2 == 0 && found.mapping_version == number as u32 + 1);
            }
            Ok(None) => assert!(number % 2 == 1, "token {number} became unknown"),
        }
    }
    silent
}

/// Every second number, with the number in its record.
fn numbered(dir: &TempDir, keys: &Keys, count: u64) -> Index {
    let mut index = Index::open(dir.path(), Seal::new(keys).unwrap());
    let mut rebuild = index.rebuild(Seal::new(keys).unwrap()).unwrap();
    let records: Vec<_> = (0..count)
        .map(|n| {
            let mut record = record(TokenState::Active);
            record.mapping_version = 2 * n as u32 + 1;
            (token(2 * n), record)
        })
        .collect();
    rebuild.add(&records, 1).unwrap();
    let stamp = Stamp {
        change: 1,
        vault: VAULT,
    };
    rebuild.finish(&stamp).unwrap();
    index.look();
    // A few writes more, so that there are free pages, and pages that are not full.
    for n in 0..20 {
        let mut record = record(TokenState::Suspended);
        record.mapping_version = 14 * n as u32 + 1;
        index
            .write(&[(token(14 * n), Some(record))], n + 2)
            .unwrap();
    }
    index
}

#[test]
fn damage_is_silence_and_never_a_wrong_answer() {
    const COUNT: u64 = 7000;
    let (dir, keys) = (TempDir::new(), Keys::ephemeral().unwrap());
    drop(numbered(&dir, &keys, COUNT));
    let data = data_of(&dir);
    let report = data.with_file_name("DAMAGED");
    let whole = std::fs::read(&data).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut noticed = 0;
    for round in 0..60u64 {
        let mut bytes = whole.clone();
        damage(&mut bytes, (round % 5) as u8, draw() as usize, draw());
        // Half of the rounds damage a file that is open already.
        let opened = (round % 2 == 0).then(|| Index::open(dir.path(), Seal::new(&keys).unwrap()));
        std::fs::File::options()
            .write(true)
            .open(&data)
            .and_then(|file| std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0))
            .unwrap();
        let mut index =
            opened.unwrap_or_else(|| Index::open(dir.path(), Seal::new(&keys).unwrap()));
        let inspected = verified(&index, &keys);
        let silent = is_right_or_silent(&index, COUNT);
        assert!(inspected.is_err() || silent == 0, "round {round}");
        assert!(silent == 0 || index.damaged() || index.why().is_some());
        noticed += u32::from(silent > 0);
        // Writing into it is refused or done, and ends nothing.
        let number = draw() % COUNT;
        let _ = index.write(&[(token(2 * number), None)], 90);
        let _ = index.mark_stale();
        assert!(index.why().is_some());
        drop(index);
        std::fs::write(&data, &whole).unwrap();
        std::fs::write(dir.path().join("CURRENT"), "0000000001").unwrap();
        let _ = std::fs::remove_file(&report);
    }
    assert!(noticed > 15, "{noticed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn what_is_written_is_what_is_found(
        batches in prop::collection::vec(prop::collection::vec((0u64..400, 0u32..4), 1..60), 1..20),
    ) {
        let (dir, keys) = (TempDir::new(), Keys::ephemeral().unwrap());
        let mut index = filled(&dir, &keys, 0, 1);
        let mut model = std::collections::BTreeMap::new();
        for (change, batch) in batches.iter().enumerate() {
            let mut records = Vec::new();
            for (number, version) in batch {
                let mut one = record(TokenState::Active);
                one.mapping_version = *version;
                // Version 0 stands for a token that goes.
                if *version == 0 {
                    model.remove(number);
                } else {
                    model.insert(*number, *version);
                }
                records.push((token(*number), (*version != 0).then_some(one)));
            }
            index.write(&records, change as u64 + 2).unwrap();
            prop_assert_eq!(verified(&index, &keys), Ok(model.len() as u64));
        }
        for number in 0..400 {
            let found = index.find(&token(number)).unwrap();
            prop_assert_eq!(found.map(|one| one.mapping_version), model.get(&number).copied());
        }
    }
}
