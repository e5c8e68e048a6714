//! Whether the record of an organization's changes is whole.
//!
//! Each entry carries a hash over the one before it and over its own fields, and the organization's row carries the last revision and the last hash. Here is
//! decided what follows from that, entry by entry, so that a long record needs no more memory than a short one. What such a chain can show and what it
//! cannot stands in `docs/decisions`.

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

/// A verification that is under way.
#[derive(Debug, Clone)]
pub struct Verification {
    verified: Anchor,
    known: Option<Anchor>,
    sealed: Option<i64>,
}

impl Verification {
    /// Begins before the first entry, with the hash that chains begin with. `known` is what the caller has kept outside, `sealed` the revision that the head's seal tells.
    pub fn begin(start: Vec<u8>, known: Option<Anchor>, sealed: Option<i64>) -> Self {
        Self { verified: Anchor { revision: 0, hash: start }, known, sealed }
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

    /// Takes the next entry. `computed` is the hash that follows from the entry's fields and the last hash, `stored` the one that it carries.
    ///
    /// # Errors
    /// Where the record is broken.
    pub fn take(&mut self, revision: i64, stored: &[u8], computed: &[u8]) -> Result<(), Break> {
        let expected = self.verified.revision + 1;
        if revision != expected {
            return Err(broken(expected, Flaw::EntryMissing));
        }
        if stored != computed {
            return Err(broken(revision, Flaw::EntryChanged));
        }
        if self.known.as_ref().is_some_and(|known| known.revision == revision && known.hash != stored) {
            return Err(broken(revision, Flaw::ChainReplaced));
        }
        self.verified = Anchor { revision, hash: stored.to_vec() };
        Ok(())
    }

    /// Whether the record is whole, when all entries up to the organization's revision have been taken. `head` is what the organization's row says, `newest`
    /// the revision of the newest entry there is.
    ///
    /// # Errors
    /// Where the record is broken.
    pub fn finish(&self, head: &Anchor, newest: i64) -> Result<(), Break> {
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

    /// Takes entries whose hash is their revision.
    fn taken(entries: &[i64], known: Option<Anchor>) -> Result<Verification, Break> {
        let mut verification = Verification::begin(vec![0], known, None);
        for revision in entries {
            let hash = [u8::try_from(*revision).unwrap()];
            verification.take(*revision, &hash, &hash)?;
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
        assert_eq!(changed.take(2, &[2], &[9]).unwrap_err(), broken(2, Flaw::EntryChanged));
        assert_eq!(changed.verified(), &anchor(1, 1));
        let known = Some(anchor(2, 9));
        assert_eq!(taken(&[1, 2], known).unwrap_err(), broken(2, Flaw::ChainReplaced));
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
