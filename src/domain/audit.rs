//! Whether the record of an organization's changes is whole.
//!
//! Each entry carries a hash over the one before it and over its own fields, and the organization's row carries the last revision and the last hash. Here is
//! decided what follows from that, entry by entry, so that a long record needs no more memory than a short one. What such a chain can show and what it
//! cannot stands in `docs/decisions`. An entry whose data was erased is vouched for by a later one ([`erasure`](crate::domain::erasure)).

use std::collections::BTreeMap;

use crate::domain::erasure;

/// How a record is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The entry is not what was recorded.
    EntryChanged,
    /// There is no such entry, though there are later ones.
    EntryMissing,
    /// From there on entries are missing, though the organization has got further.
    EndMissing,
    /// The entry is beyond what the organization has recorded.
    EntryAdded,
    /// The chain fits together, and is another one than the organization's row or the caller knows of.
    ChainReplaced,
    /// The chain fits together, and nobody who has the secret key has sealed it.
    SealBroken,
}

/// Where a record is broken first, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// The revision of the entry.
    pub revision: i64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// A place of the chain that somebody remembers: the organization's row its end, a caller any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The revision of the entry.
    pub revision: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// An entry of the record, as it is verified.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its revision.
    pub revision: i64,
    /// What was done.
    pub kind: &'a str,
    /// What it tells of that.
    pub data: &'a str,
    /// The hash that it carries.
    pub stored: &'a [u8],
    /// The hash that follows from its fields and the last hash.
    pub computed: &'a [u8],
}

/// A verification that is under way.
#[derive(Debug, Clone)]
pub struct Verification {
    verified: Anchor,
    known: Option<Anchor>,
    sealed: Option<i64>,
    /// The entries so far without their data, by the hash that is left, that no later entry has told of yet.
    erased: BTreeMap<i64, Vec<u8>>,
}

impl Verification {
    /// Begins before the first entry, with the hash that chains begin with. `known` is what the caller has kept outside, `sealed` the revision that the head's seal tells.
    pub fn begin(start: Vec<u8>, known: Option<Anchor>, sealed: Option<i64>) -> Self {
        Self { verified: Anchor { revision: 0, hash: start }, known, sealed, erased: BTreeMap::new() }
    }

    /// Whether the last entry is the one that was sealed.
    pub fn at_seal(&self) -> bool {
        self.sealed == Some(self.verified.revision)
    }

    /// The break where the head has lost its seal.
    pub fn without_seal(&self) -> Break {
        broken(self.verified.revision, Flaw::SealBroken)
    }

    /// Takes what was found of the seal of the last entry.
    ///
    /// # Errors
    /// It does not hold.
    pub fn take_seal(&self, holds: bool) -> Result<(), Break> {
        if holds { Ok(()) } else { Err(broken(self.verified.revision, Flaw::SealBroken)) }
    }

    /// The last entry that was found to be whole; revision 0 before the first.
    pub fn verified(&self) -> &Anchor {
        &self.verified
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// Where the record is broken.
    pub fn take(&mut self, entry: &Entry<'_>) -> Result<(), Break> {
        let (revision, expected) = (entry.revision, self.verified.revision + 1);
        if revision != expected {
            return Err(broken(expected, Flaw::EntryMissing));
        }
        if entry.stored != entry.computed {
            if !erasure::is_erased(entry.data) {
                return Err(broken(revision, Flaw::EntryChanged));
            }
            self.erased.insert(revision, entry.computed.to_vec());
        }
        for (erased, left) in erasure::read(entry.kind, entry.data) {
            // Whose data is there again is as it was recorded.
            if self.erased.remove(&erased).is_some_and(|computed| computed != left) {
                return Err(broken(erased, Flaw::EntryChanged));
            }
        }
        if self.known.as_ref().is_some_and(|known| known.revision == revision && known.hash != entry.stored) {
            return Err(broken(revision, Flaw::ChainReplaced));
        }
        self.verified = Anchor { revision, hash: entry.stored.to_vec() };
        Ok(())
    }

    /// Whether the record is whole, when all entries up to the organization's revision have been taken. `head` is what the organization's row says, `newest`
    /// the revision of the newest entry there is.
    ///
    /// # Errors
    /// Where the record is broken.
    pub fn finish(&self, head: &Anchor, newest: i64) -> Result<(), Break> {
        if let Some(revision) = self.erased.keys().next() {
            return Err(broken(*revision, Flaw::EntryChanged));
        }
        let behind = self.verified.revision + 1;
        let known = self.known.as_ref().map_or(0, |known| known.revision).max(self.sealed.unwrap_or(0));
        if behind <= head.revision.max(known) {
            return Err(broken(behind, Flaw::EndMissing));
        }
        if self.verified.hash != head.hash {
            return Err(broken(head.revision, Flaw::ChainReplaced));
        }
        if newest > head.revision {
            return Err(broken(behind, Flaw::EntryAdded));
        }
        Ok(())
    }
}

fn broken(revision: i64, flaw: Flaw) -> Break {
    Break { revision, flaw }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(revision: i64, hash: u8) -> Anchor {
        Anchor { revision, hash: vec![hash] }
    }

    fn entry<'a>(revision: i64, stored: &'a [u8], computed: &'a [u8]) -> Entry<'a> {
        Entry { revision, kind: "member.added", data: "{}", stored, computed }
    }

    /// Takes entries whose hash is their revision.
    fn taken(entries: &[i64], known: Option<Anchor>) -> Result<Verification, Break> {
        let mut verification = Verification::begin(vec![0], known, None);
        for revision in entries {
            let hash = [u8::try_from(*revision).unwrap()];
            verification.take(&entry(*revision, &hash, &hash))?;
        }
        Ok(verification)
    }

    #[test]
    fn a_whole_record_is_whole_with_and_without_a_known_entry() {
        for known in [None, Some(anchor(1, 1)), Some(anchor(3, 3))] {
            assert_eq!(taken(&[1, 2, 3], known).unwrap().finish(&anchor(3, 3), 3), Ok(()));
        }
        assert_eq!(taken(&[], None).unwrap().finish(&anchor(0, 0), 0), Ok(()));
    }

    #[test]
    fn the_first_break_is_named() {
        assert_eq!(taken(&[1, 3], None).unwrap_err(), broken(2, Flaw::EntryMissing));
        assert_eq!(taken(&[2], None).unwrap_err(), broken(1, Flaw::EntryMissing));
        let mut changed = taken(&[1], None).unwrap();
        assert_eq!(changed.take(&entry(2, &[2], &[9])).unwrap_err(), broken(2, Flaw::EntryChanged));
        assert_eq!(changed.verified(), &anchor(1, 1));
        let known = Some(anchor(2, 9));
        assert_eq!(taken(&[1, 2], known).unwrap_err(), broken(2, Flaw::ChainReplaced));
    }

    #[test]
    fn an_entry_without_its_data_is_whole_where_a_later_one_tells_what_is_left_of_it() {
        let verified = |computed: &[u8], left: &[u8], kind: &str| {
            let mut verification = taken(&[1], None).unwrap();
            verification.take(&Entry { data: r#"{"erased":true}"#, ..entry(2, &[2], computed) })?;
            let told = erasure::named(&BTreeMap::from([(2, left.to_vec())])).to_string();
            verification.take(&Entry { kind, data: &told, ..entry(3, &[3], &[3]) })?;
            verification.finish(&anchor(3, 3), 3)
        };
        assert_eq!(verified(&[7], &[7], erasure::USER_ERASED), Ok(()));
        // What is left of it is another thing by now, or nobody has told of it.
        assert_eq!(verified(&[8], &[7], erasure::USER_ERASED), Err(broken(2, Flaw::EntryChanged)));
        assert_eq!(verified(&[7], &[7], "contact.updated"), Err(broken(2, Flaw::EntryChanged)));
        // With its data, as it comes back by a backup.
        let mut back = taken(&[1, 2], None).unwrap();
        let told = erasure::named(&BTreeMap::from([(2, vec![7])])).to_string();
        back.take(&Entry { kind: erasure::USER_ERASED, data: &told, ..entry(3, &[3], &[3]) }).unwrap();
        assert_eq!(back.finish(&anchor(3, 3), 3), Ok(()));
    }

    #[test]
    fn the_end_is_compared_with_what_the_organization_and_the_caller_know() {
        let whole = taken(&[1, 2], None).unwrap();
        assert_eq!(whole.finish(&anchor(3, 3), 2), Err(broken(3, Flaw::EndMissing)));
        assert_eq!(whole.finish(&anchor(2, 9), 2), Err(broken(2, Flaw::ChainReplaced)));
        assert_eq!(whole.finish(&anchor(2, 2), 3), Err(broken(3, Flaw::EntryAdded)));
        // The row was set back together with the entries: only who kept a later one outside can tell.
        assert_eq!(
            taken(&[1, 2], Some(anchor(3, 3))).unwrap().finish(&anchor(2, 2), 2),
            Err(broken(3, Flaw::EndMissing))
        );
    }
}
