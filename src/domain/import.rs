//! People who are brought in from another system: who of a batch is let in.

use std::collections::{HashMap, hash_map::Entry};

use uuid::Uuid;

use crate::domain::error::{Reason, Refusal};

/// What of a person has to be theirs alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a> {
    /// The person's place in the import.
    pub index: i64,
    /// The key of the address.
    pub email_key: &'a str,
    /// The username.
    pub username: Option<&'a str>,
}

/// An account that the same import has created before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// The place in the import of the person it was created for.
    pub index: i64,
    /// The account.
    pub user_id: Uuid,
}

/// What a person of a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Somebody new.
    New,
    /// Somebody who came with the same import before.
    Already(Uuid),
}

/// The addresses and usernames that are taken, before a batch and by those who were let in of it.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// By the import before: address and account.
    pub earlier: HashMap<String, Earlier>,
    /// Addresses: by the person of the batch at this place, or (`None`) by another account.
    pub emails: HashMap<String, Option<i64>>,
    /// Usernames, in the same way.
    pub usernames: HashMap<String, Option<i64>>,
}

impl Taken {
    /// Whether a person is let in. A new person has to be [noted](Self::note) once nothing else refuses them.
    ///
    /// # Errors
    /// `EMAIL_TAKEN`, `USERNAME_TAKEN`, with the place of who has it, where the import brought them.
    pub fn admit(&self, names: Names<'_>) -> Result<Admission, Refusal> {
        match self.earlier.get(names.email_key) {
            Some(earlier) if earlier.index == names.index => return Ok(Admission::Already(earlier.user_id)),
            Some(earlier) => return Err(taken(Reason::EmailTaken, Some(earlier.index))),
            None => {}
        }
        if let Some(by) = self.emails.get(names.email_key) {
            return Err(taken(Reason::EmailTaken, *by));
        }
        match names.username.and_then(|username| self.usernames.get(username)) {
            Some(by) => Err(taken(Reason::UsernameTaken, *by)),
            None => Ok(Admission::New),
        }
    }

    /// Notes that a person has been let in: nobody after them gets the same address or username.
    pub fn note(&mut self, names: Names<'_>) {
        let note = |taken: &mut HashMap<String, Option<i64>>, name: &str| {
            if let Entry::Vacant(free) = taken.entry(name.to_owned()) {
                free.insert(Some(names.index));
            }
        };
        note(&mut self.emails, names.email_key);
        if let Some(username) = names.username {
            note(&mut self.usernames, username);
        }
    }
}

fn taken(reason: Reason, by: Option<i64>) -> Refusal {
    let refusal = Refusal::new(reason);
    match by {
        Some(index) => refusal.with("index", index.to_string()),
        None => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(index: i64, email_key: &'static str, username: Option<&'static str>) -> Names<'static> {
        Names { index, email_key, username }
    }

    fn refused(taken: &Taken, names: Names<'_>) -> (Reason, Option<String>) {
        let refusal = taken.admit(names).unwrap_err();
        (refusal.reason, refusal.metadata.first().map(|(_, index)| index.clone()))
    }

    #[test]
    fn who_came_before_is_recognized_by_address_and_place() {
        let user_id = Uuid::from_u128(7);
        let mut taken = Taken::default();
        taken.earlier.insert("ada@x".to_owned(), Earlier { index: 3, user_id });
        // Their own account has the address and the username, and is in nobody's way.
        taken.emails.insert("ada@x".to_owned(), None);
        taken.usernames.insert("ada".to_owned(), None);
        assert_eq!(taken.admit(names(3, "ada@x", Some("ada"))), Ok(Admission::Already(user_id)));
        assert_eq!(refused(&taken, names(4, "ada@x", None)), (Reason::EmailTaken, Some("3".to_owned())));
        assert_eq!(refused(&taken, names(3, "bob@x", Some("ada"))), (Reason::UsernameTaken, None));
        assert_eq!(taken.admit(names(3, "bob@x", None)), Ok(Admission::New));
    }

    #[test]
    fn the_first_of_a_batch_has_the_address_and_the_username() {
        let mut taken = Taken::default();
        let ada = names(0, "ada@x", Some("ada"));
        assert_eq!(taken.admit(ada), Ok(Admission::New));
        taken.note(ada);
        assert_eq!(refused(&taken, names(1, "ada@x", None)), (Reason::EmailTaken, Some("0".to_owned())));
        assert_eq!(refused(&taken, names(2, "bob@x", Some("ada"))), (Reason::UsernameTaken, Some("0".to_owned())));
        assert_eq!(taken.admit(names(3, "bob@x", Some("bob"))), Ok(Admission::New));
    }

    #[test]
    fn who_was_not_let_in_takes_nothing() {
        let mut taken = Taken::default();
        taken.emails.insert("ada@x".to_owned(), None);
        assert_eq!(refused(&taken, names(0, "ada@x", Some("ada"))), (Reason::EmailTaken, None));
        assert_eq!(taken.admit(names(1, "bob@x", Some("ada"))), Ok(Admission::New));
    }
}
