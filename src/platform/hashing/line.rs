//! The line in front of the hashing threads: as many as find room, and none of them at the expense of the others (ab_54).
//!
//! Callers take turns, and behind one caller the people for whom it calls. Where there is no room, the one who has the most in the line loses the last that came: whoever floods it
//! pushes out their own.

use std::collections::HashMap;

/// On whose behalf something is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Party {
    /// Who calls: a service, a user, or an address of the network.
    pub caller: u128,
    /// For whom, as far as the caller says: where in the network they are, or else which account it is about.
    pub person: u128,
}

impl Party {
    /// Those who take turns: the caller among callers, the person among the people of one caller.
    const fn classes(self) -> [Class; 2] {
        [(self.caller, None), (self.caller, Some(self.person))]
    }
}

type Class = (u128, Option<u128>);

#[derive(Debug)]
struct Waiting<J> {
    party: Party,
    number: u64,
    job: J,
}

/// Who waits, and whose turn it is.
#[derive(Debug)]
pub(super) struct Line<J> {
    room: usize,
    waiting: Vec<Waiting<J>>,
    /// Of each class that waits: when it had its last turn, or came.
    turns: HashMap<Class, u64>,
    count: u64,
}

impl<J> Line<J> {
    /// A line with room for so many.
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            waiting: Vec::new(),
            turns: HashMap::new(),
            count: 0,
        }
    }

    /// Puts a job at the end. Answers with the one that finds no room any more, which may be this one.
    pub(super) fn join(&mut self, party: Party, job: J) -> Option<J> {
        let number = self.count();
        for class in party.classes() {
            self.turns.entry(class).or_insert(number);
        }
        self.waiting.push(Waiting { party, number, job });
        if self.waiting.len() <= self.room {
            return None;
        }
        let mut held: HashMap<Class, usize> = HashMap::new();
        for class in self.waiting.iter().flat_map(|waiting| waiting.party.classes()) {
            *held.entry(class).or_default() += 1;
        }
        let most = self.waiting.iter().enumerate().max_by_key(|(_, waiting)| {
            let held = waiting
                .party
                .classes()
                .map(|class| held.get(&class).copied().unwrap_or_default());
            (held, waiting.number)
        });
        let place = most.map(|(place, _)| place)?;
        Some(self.leave(place))
    }

    /// The job whose turn it is.
    pub(super) fn next(&mut self) -> Option<J> {
        let first = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| {
            let turns = waiting
                .party
                .classes()
                .map(|class| self.turns.get(&class).copied().unwrap_or_default());
            (turns, waiting.number)
        });
        let (place, party) = first.map(|(place, waiting)| (place, waiting.party))?;
        let turn = self.count();
        for class in party.classes() {
            self.turns.insert(class, turn);
        }
        Some(self.leave(place))
    }

    /// Takes those out whom nobody waits for any more.
    pub(super) fn retain(&mut self, keep: impl Fn(&J) -> bool) {
        self.waiting.retain(|waiting| keep(&waiting.job));
        self.forget();
    }

    fn leave(&mut self, place: usize) -> J {
        let left = self.waiting.remove(place);
        self.forget();
        left.job
    }

    /// Whoever does not wait has no turn: who comes back comes behind those who are there.
    fn forget(&mut self) {
        let waiting = &self.waiting;
        self.turns
            .retain(|class, _| waiting.iter().any(|waiting| waiting.party.classes().contains(class)));
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(caller: u128, person: u128) -> Party {
        Party { caller, person }
    }

    fn all(line: &mut Line<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.next()).collect()
    }

    #[test]
    fn callers_take_turns_and_so_do_the_people_of_each() {
        let mut line = Line::new(10);
        for (party, job) in [
            (party(1, 1), "1a"),
            (party(1, 1), "1b"),
            (party(1, 1), "1c"),
            (party(1, 2), "2a"),
            (party(2, 1), "other a"),
            (party(2, 1), "other b"),
        ] {
            assert_eq!(line.join(party, job), None);
        }
        assert_eq!(all(&mut line), ["1a", "other a", "2a", "other b", "1b", "1c"]);
        assert!(line.turns.is_empty());
    }

    #[test]
    fn whoever_has_the_most_in_a_full_line_loses_the_last() {
        let mut line = Line::new(3);
        for job in ["flood 1", "flood 2", "flood 3"] {
            assert_eq!(line.join(party(1, 1), job), None);
        }
        assert_eq!(line.join(party(1, 1), "flood 4"), Some("flood 4"));
        assert_eq!(line.join(party(1, 2), "somebody"), Some("flood 3"));
        assert_eq!(line.join(party(2, 1), "another caller"), Some("flood 2"));
        assert_eq!(line.join(party(1, 1), "flood 5"), Some("flood 5"));
        assert_eq!(all(&mut line), ["flood 1", "another caller", "somebody"]);
    }

    #[test]
    fn nobody_waits_longer_than_one_round() {
        let mut line = Line::new(8);
        for _ in 0..7 {
            line.join(party(1, 1), "flood");
        }
        line.join(party(1, 2), "somebody");
        let mut before = 0;
        while line.next() == Some("flood") {
            before += 1;
            line.join(party(1, 1), "flood");
        }
        assert_eq!(before, 1);
    }

    #[test]
    fn whoever_has_gone_leaves_room() {
        let mut line = Line::new(1);
        line.join(party(1, 1), "gone");
        line.retain(|job| *job != "gone");
        assert!(line.turns.is_empty());
        assert_eq!(line.join(party(1, 2), "here"), None);
        assert_eq!(all(&mut line), ["here"]);
    }
}
