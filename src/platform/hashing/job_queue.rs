//! The queue in front of the hashing threads: as many as find room, and none of them at the expense of the others (ab_54).
//!
//! Callers take turns, and behind one caller the people for whom it calls. Where there is no room, the one who has the most in the queue loses the last that came: whoever floods it
//! pushes out their own.

use std::collections::HashMap;

/// On whose behalf something is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Requester {
    /// Who calls: a service, a user, or an address of the network.
    pub caller: u128,
    /// For whom, as far as the caller says: where in the network they are, or else which account it is about.
    pub person: u128,
}

impl Requester {
    /// Those who take turns: the caller among callers, the person among the people of one caller.
    const fn classes(self) -> [Class; 2] {
        [(self.caller, None), (self.caller, Some(self.person))]
    }
}

type Class = (u128, Option<u128>);

#[derive(Debug)]
struct Waiting<J> {
    requester: Requester,
    number: u64,
    job: J,
}

/// Who waits, and whose turn it is.
#[derive(Debug)]
pub(super) struct JobQueue<J> {
    room: usize,
    waiting: Vec<Waiting<J>>,
    /// Of each class that waits: when it had its last turn, or came.
    turns: HashMap<Class, u64>,
    count: u64,
}

impl<J> JobQueue<J> {
    /// A queue with room for so many.
    pub(super) fn new(room: usize) -> Self {
        Self { room, waiting: Vec::new(), turns: HashMap::new(), count: 0 }
    }

    /// Puts a job at the end. Answers with the one that finds no room any more, which may be this one.
    pub(super) fn join(&mut self, requester: Requester, job: J) -> Option<J> {
        let number = self.count();
        for class in requester.classes() {
            self.turns.entry(class).or_insert(number);
        }
        self.waiting.push(Waiting { requester, number, job });
        if self.waiting.len() <= self.room {
            return None;
        }
        let mut held: HashMap<Class, usize> = HashMap::new();
        for class in self.waiting.iter().flat_map(|waiting| waiting.requester.classes()) {
            *held.entry(class).or_default() += 1;
        }
        let most = self.waiting.iter().enumerate().max_by_key(|(_, waiting)| {
            let held = waiting.requester.classes().map(|class| held.get(&class).copied().unwrap_or_default());
            (held, waiting.number)
        });
        let place = most.map(|(place, _)| place)?;
        Some(self.leave(place))
    }

    /// The job whose turn it is.
    pub(super) fn next(&mut self) -> Option<J> {
        let first = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| {
            let turns = waiting.requester.classes().map(|class| self.turns.get(&class).copied().unwrap_or_default());
            (turns, waiting.number)
        });
        let (place, requester) = first.map(|(place, waiting)| (place, waiting.requester))?;
        let turn = self.count();
        for class in requester.classes() {
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

    /// A requester who does not wait has no turn: one who comes back waits behind the others.
    fn forget(&mut self) {
        let waiting = &self.waiting;
        self.turns.retain(|class, _| waiting.iter().any(|waiting| waiting.requester.classes().contains(class)));
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requester(caller: u128, person: u128) -> Requester {
        Requester { caller, person }
    }

    fn all(queue: &mut JobQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn callers_take_turns_and_so_do_the_people_of_each() {
        let mut queue = JobQueue::new(10);
        for (requester, job) in [
            (requester(1, 1), "1a"),
            (requester(1, 1), "1b"),
            (requester(1, 1), "1c"),
            (requester(1, 2), "2a"),
            (requester(2, 1), "other a"),
            (requester(2, 1), "other b"),
        ] {
            assert_eq!(queue.join(requester, job), None);
        }
        assert_eq!(all(&mut queue), ["1a", "other a", "2a", "other b", "1b", "1c"]);
        assert!(queue.turns.is_empty());
    }

    #[test]
    fn whoever_has_the_most_in_a_full_line_loses_the_last() {
        let mut queue = JobQueue::new(3);
        for job in ["flood 1", "flood 2", "flood 3"] {
            assert_eq!(queue.join(requester(1, 1), job), None);
        }
        assert_eq!(queue.join(requester(1, 1), "flood 4"), Some("flood 4"));
        assert_eq!(queue.join(requester(1, 2), "somebody"), Some("flood 3"));
        assert_eq!(queue.join(requester(2, 1), "another caller"), Some("flood 2"));
        assert_eq!(queue.join(requester(1, 1), "flood 5"), Some("flood 5"));
        assert_eq!(all(&mut queue), ["flood 1", "another caller", "somebody"]);
    }

    #[test]
    fn nobody_waits_longer_than_one_round() {
        let mut queue = JobQueue::new(8);
        for _ in 0..7 {
            queue.join(requester(1, 1), "flood");
        }
        queue.join(requester(1, 2), "somebody");
        let mut before = 0;
        while queue.next() == Some("flood") {
            before += 1;
            queue.join(requester(1, 1), "flood");
        }
        assert_eq!(before, 1);
    }

    #[test]
    fn whoever_has_gone_leaves_room() {
        let mut queue = JobQueue::new(1);
        queue.join(requester(1, 1), "gone");
        queue.retain(|job| *job != "gone");
        assert!(queue.turns.is_empty());
        assert_eq!(queue.join(requester(1, 2), "here"), None);
        assert_eq!(all(&mut queue), ["here"]);
    }
}
