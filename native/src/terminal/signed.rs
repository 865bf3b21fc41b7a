//! Which work keys a terminal has, and the keys themselves when they are needed.
//!
//! Two generations are good for a moment: an answer to a sign-on may be lost, and a terminal that did not get it goes
//! on with what it had. The older one is forgotten with the first message under the newer.

use std::io;
use std::sync::{Mutex, MutexGuard};

use hashbrown::HashMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::registry::{MERCHANT_BYTES, Registry, Who};
use crate::buf::Locked;
use crate::emv::des::Tdes;
use crate::mac::key::word;
use crate::mac::{self, Cipher};

/// Which of a terminal's work keys; the number is part of the derivation, never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Key {
    Pin = 1,
    Mac = 2,
    Track = 3,
}

/// What a sign-on asks for, by field 60.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// 001: keys of single length.
    Single,
    /// 003: double length.
    Double,
    /// 004: double length, and a key for track data.
    Track,
}

impl Variant {
    pub fn of_code(code: &[u8]) -> Option<Variant> {
        match code {
            b"001" => Some(Variant::Single),
            b"003" => Some(Variant::Double),
            b"004" => Some(Variant::Track),
            _ => None,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Variant::Single => "001",
            Variant::Double => "003",
            Variant::Track => "004",
        }
    }
}

/// Numbers of a terminal's work keys; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignOn {
    pub current: u32,
    /// Good until the current one was used.
    pub former: u32,
    /// The current one was used.
    pub used: bool,
    pub merchant_id: [u8; MERCHANT_BYTES],
    pub batch: [u8; 6],
}

/// Where a terminal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Nobody's terminal, or one that was retired.
    Unknown = 0,
    /// A terminal, and the merchant is another's.
    Merchant = 1,
    /// It has no work keys.
    Keyless = 2,
    SignedOn = 3,
}

/// New work keys for a terminal, not in force yet.
pub struct Issued {
    pub next: SignOn,
    /// Field 62: the keys under the master key, with their check values.
    pub download: Zeroizing<Vec<u8>>,
}

#[derive(Default)]
struct Inner {
    registry: Option<Registry>,
    signed: HashMap<Who, SignOn>,
}

/// All terminals of a node.
pub struct Terminals {
    secret: Locked<[u8; 32]>,
    inner: Mutex<Inner>,
}

/// The registry still has the terminal in use, at the merchant that it signed on for.
fn belongs(registry: &Registry, who: &Who, state: &SignOn) -> bool {
    registry
        .find(who)
        .is_some_and(|found| found.in_use && found.merchant_id == state.merchant_id)
}

fn padded(merchant: &[u8]) -> [u8; MERCHANT_BYTES] {
    let mut out = [0; MERCHANT_BYTES];
    let merchant = merchant.trim_ascii_end();
    let kept = merchant.len().min(MERCHANT_BYTES);
    out[..kept].copy_from_slice(&merchant[..kept]);
    out
}

impl Terminals {
    /// Fails with the reason when the pages of its secret cannot be locked.
    pub fn new(secret: &Zeroizing<[u8; 32]>) -> io::Result<Terminals> {
        let mut locked = Locked::new([0; 32])?;
        locked.copy_from_slice(&**secret);
        Ok(Terminals {
            secret: locked,
            inner: Mutex::new(Inner::default()),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held would have left nothing half done: every change is one assignment.
        self.inner.lock().unwrap_or_else(|held| held.into_inner())
    }

    /// Puts a registry in force. Terminals that are not in it, or retired, have no work keys any more.
    pub fn install(&self, registry: Registry) {
        let mut inner = self.inner();
        inner
            .signed
            .retain(|who, state| belongs(&registry, who, state));
        inner.registry = Some(registry);
    }

    /// Generation, terminals and bytes of the registry; terminals that are signed on.
    pub fn figures(&self) -> (u64, usize, usize, usize) {
        let inner = self.inner();
        let registry = inner.registry.as_ref();
        (
            registry.map_or(0, Registry::generation),
            registry.map_or(0, Registry::len),
            registry.map_or(0, Registry::bytes),
            inner.signed.len(),
        )
    }

    /// Of a terminal whose message names this merchant.
    pub fn standing(&self, who: &Who, merchant: &[u8]) -> Standing {
        let inner = self.inner();
        let merchant = padded(merchant);
        if let Some(state) = inner.signed.get(who) {
            return match state.merchant_id == merchant {
                true => Standing::SignedOn,
                false => Standing::Merchant,
            };
        }
        match inner.registry.as_ref().and_then(|r| r.find(who)) {
            Some(found) if !found.in_use => Standing::Unknown,
            Some(found) if found.merchant_id != merchant => Standing::Merchant,
            Some(_) => Standing::Keyless,
            None => Standing::Unknown,
        }
    }

    pub fn sign_on(&self, who: &Who) -> Option<SignOn> {
        self.inner().signed.get(who).copied()
    }

    /// What the journal says; also a sign-off, without a current key.
    pub fn set(&self, who: &Who, state: SignOn) {
        let mut inner = self.inner();
        // A journal remembers terminals that were retired, or went to another merchant, since.
        let known = inner
            .registry
            .as_ref()
            .is_some_and(|registry| belongs(registry, who, &state));
        if state.current == 0 || !known {
            inner.signed.remove(who);
        } else {
            inner.signed.insert(*who, state);
        }
    }

    /// A message under this key was proved.
    pub fn used(&self, who: &Who, key: u32) {
        if let Some(state) = self.inner().signed.get_mut(who)
            && state.current == key
        {
            state.used = true;
            state.former = 0;
        }
    }

    /// Whoever is signed on, in order, for a checkpoint.
    pub fn all(&self) -> Vec<Who> {
        let mut all: Vec<Who> = self.inner().signed.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// Makes new work keys for a terminal under its master key; None when there is no such terminal in use, or
    /// `cipher` has no room in what it asks for. The number is that of the second, so that it grows also where a
    /// journal was lost.
    pub fn issue(
        &self,
        who: &Who,
        variant: Variant,
        cipher: Cipher,
        batch: [u8; 6],
        now_s: i64,
    ) -> Option<Issued> {
        let inner = self.inner();
        let registry = inner.registry.as_ref()?;
        let found = registry.find(who).filter(|found| found.in_use)?;
        let before = inner.signed.get(who).copied().unwrap_or_default();
        let number = before
            .current
            .saturating_add(1)
            .max(u32::try_from(now_s).unwrap_or(0));
        let next = SignOn {
            current: number,
            // A key that was never used may never have arrived: what it took over from stays good.
            former: match before.used || before.former == 0 {
                true => before.current,
                false => before.former,
            },
            used: false,
            merchant_id: found.merchant_id,
            batch,
        };
        let master = registry.master(found.place)?;
        let master = Tdes::new(&Zeroizing::new([word(&master[..8]), word(&master[8..])]));
        let download = self.download((who, number), variant, cipher, &master)?;
        Some(Issued { next, download })
    }

    /// Field 62 for a number; None when the key for message codes has no room in it.
    fn download(
        &self,
        (who, number): (&Who, u32),
        variant: Variant,
        cipher: Cipher,
        master: &Tdes,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (pin, slot) = match variant {
            Variant::Single => (Cipher::Des, 8),
            _ => (Cipher::Tdes, 16),
        };
        if cipher.key_bytes() > slot || cipher == Cipher::Sm4 {
            return None;
        }
        let mut out = Zeroizing::new(Vec::with_capacity(60));
        self.put(who, number, (Key::Pin, pin), master, slot, &mut out)?;
        self.put(who, number, (Key::Mac, cipher), master, slot, &mut out)?;
        if variant == Variant::Track {
            self.put(
                who,
                number,
                (Key::Track, Cipher::Tdes),
                master,
                16,
                &mut out,
            )?;
        }
        Some(out)
    }

    /// One key under the master key, zeros up to its slot, and its check value.
    fn put(
        &self,
        who: &Who,
        number: u32,
        (key, cipher): (Key, Cipher),
        master: &Tdes,
        slot: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let clear = self.derive(who, number, key, cipher);
        let end = out.len() + slot;
        for block in clear[..cipher.key_bytes()].chunks_exact(8) {
            let [under] = master.encrypt([word(block)]);
            out.extend_from_slice(&under.to_be_bytes());
        }
        out.resize(end, 0);
        out.extend_from_slice(&mac::Key::new(cipher, &*clear)?.check_value());
        Some(())
    }

    /// The key for message codes of a number.
    pub fn code_key(&self, who: &Who, number: u32, cipher: Cipher) -> Option<mac::Key> {
        mac::Key::new(cipher, &*self.derive(who, number, Key::Mac, cipher))
    }

    /// HMAC-SHA-256 over purpose, terminal and number (NIST SP 800-108 with one block), in odd parity.
    fn derive(&self, who: &Who, number: u32, key: Key, cipher: Cipher) -> Zeroizing<[u8; 16]> {
        let mut out = Zeroizing::new([0u8; 16]);
        // HMAC takes a key of any length, so there is no error to report.
        if let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(&*self.secret) {
            hmac.update(b"tapswitch 1 work key");
            hmac.update(&[0, key as u8, cipher as u8]);
            hmac.update(&number.to_be_bytes());
            hmac.update(who);
            let mut full = hmac.finalize().into_bytes();
            let kept = cipher.key_bytes();
            for (byte, random) in out.iter_mut().zip(full.iter().take(kept)) {
                let even = (random & 0xfe).count_ones() % 2 == 0;
                *byte = random & 0xfe | u8::from(even);
            }
            full.as_mut_slice().zeroize();
        }
        out
    }
}

/// The terminal's side: its key for message codes out of field 62, when every key in it has its check value.
pub fn downloaded(master: &[u8; 16], field: &[u8], cipher: Cipher) -> Option<mac::Key> {
    let slots: &[(usize, Cipher)] = match field.len() {
        24 => &[(8, Cipher::Des), (8, cipher)],
        40 => &[(16, Cipher::Tdes), (16, cipher)],
        60 => &[(16, Cipher::Tdes), (16, cipher), (16, Cipher::Tdes)],
        _ => return None,
    };
    let master = Tdes::new(&Zeroizing::new([word(&master[..8]), word(&master[8..])]));
    let (mut at, mut found) = (0, None);
    for (place, (slot, cipher)) in slots.iter().enumerate() {
        let mut clear = Zeroizing::new([0u8; 16]);
        let sealed = field.get(at..at + cipher.key_bytes())?;
        for (out, block) in clear.chunks_exact_mut(8).zip(sealed.chunks_exact(8)) {
            let [block] = master.decrypt([word(block)]);
            out.copy_from_slice(&block.to_be_bytes());
        }
        let key = mac::Key::new(*cipher, &*clear)?;
        if field.get(at + slot..at + slot + 4)? != key.check_value() {
            return None;
        }
        if place == 1 {
            found = Some(key);
        }
        at += slot + 4;
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::journal::testing::TempDir;
    use crate::terminal::Terminal;
    use crate::terminal::registry::who;

    fn terminals(dir: &TempDir) -> (Terminals, Zeroizing<[u8; 16]>, Who) {
        let (path, seal) = (dir.path().join("terminals"), Zeroizing::new([1; 32]));
        let mut master = Zeroizing::new([0x5a; 16]);
        master[9] = 1;
        let terminal = Terminal {
            acquirer: "ACQ".to_owned(),
            terminal_id: "T1".to_owned(),
            merchant_id: "M1".to_owned(),
            capability: b'6',
            zone: String::new(),
            check_value: [0; 4],
            added_s: 1,
            retired_s: 0,
        };
        Registry::add(&path, &seal, vec![(terminal, None, master.clone())], false).unwrap();
        let made = Terminals::new(&Zeroizing::new([7; 32])).unwrap();
        made.install(Registry::open(&path, &seal).unwrap());
        (made, master, who("ACQ", b"T1").unwrap())
    }

    #[test]
    fn what_is_issued_opens_under_the_master_key() {
        let dir = TempDir::new();
        let (terminals, master, who) = terminals(&dir);
        for (variant, length) in [
            (Variant::Single, 24),
            (Variant::Double, 40),
            (Variant::Track, 60),
        ] {
            let issued = terminals
                .issue(&who, variant, Cipher::Des, [0; 6], 100)
                .unwrap();
            assert_eq!(issued.download.len(), length);
            let key = downloaded(&master, &issued.download, Cipher::Des).unwrap();
            let ours = terminals
                .code_key(&who, issued.next.current, Cipher::Des)
                .unwrap();
            assert_eq!(key.check_value(), ours.check_value());
            let mut broken = issued.download.clone();
            broken[0] ^= 0x40;
            assert!(downloaded(&master, &broken, Cipher::Des).is_none());
        }
        assert!(
            terminals
                .issue(&who, Variant::Single, Cipher::Tdes, [0; 6], 1)
                .is_none()
        );
        assert!(
            terminals
                .issue(&who, Variant::Double, Cipher::Tdes, [0; 6], 1)
                .is_some()
        );
    }

    #[test]
    fn the_older_keys_stay_good_until_the_newer_are_used() {
        let dir = TempDir::new();
        let (terminals, _, who) = terminals(&dir);
        let issue = |now_s| {
            let issued = terminals
                .issue(&who, Variant::Double, Cipher::Des, [0; 6], now_s)
                .unwrap();
            terminals.set(&who, issued.next);
            issued.next
        };
        assert_eq!((issue(100).current, issue(100).current), (100, 101));
        terminals.used(&who, 101);
        let lost = issue(50);
        assert_eq!((lost.current, lost.former), (102, 101));
        let again = issue(200);
        assert_eq!(
            (again.current, again.former),
            (200, 101),
            "101 is what the terminal has"
        );
        terminals.used(&who, 200);
        assert_eq!(terminals.sign_on(&who).unwrap().former, 0);
        let elsewhere = SignOn {
            merchant_id: [b'M'; MERCHANT_BYTES],
            ..again
        };
        terminals.set(&who, elsewhere);
        assert_eq!(terminals.sign_on(&who), None, "another merchant's by now");
        terminals.set(&who, SignOn::default());
        assert_eq!(terminals.standing(&who, b"M1"), Standing::Keyless);
        assert_eq!(terminals.standing(&who, b"M2"), Standing::Merchant);
    }
}
