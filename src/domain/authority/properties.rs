//! Properties of the rules over whole histories: random members send random commands, and what must never happen is looked for after each one.

mod models;

use models::{any_model, random_model, shipped};

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::*;
use crate::domain::access_model::EDITABLE_FIELDS;
use crate::domain::actions::{Row, allowed_actions};
use crate::domain::invitation::{Acceptance, Invitation, decide_accept, decide_resend};
use crate::domain::ownership::decide_transfer;

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

struct Person {
    user_id: Uuid,
    roles: RoleSet,
    state: MemberState,
    account: UserState,
}

impl Person {
    fn target(&self) -> Target<'_> {
        Target { user_id: self.user_id, roles: &self.roles, state: self.state, account: self.account }
    }

    fn is_active(&self) -> bool {
        self.state == MemberState::Active && self.account == UserState::Active
    }
}

/// One organization: its members, and its open invitations with whoever answers for each (`None`: the service).
struct World {
    model: Arc<AccessModel>,
    people: Vec<Person>,
    invitations: Vec<(Invitation, Option<usize>)>,
}

/// Who sends a command.
#[derive(Debug, Clone)]
enum Sender {
    Service,
    Person(Index),
}

#[derive(Debug, Clone)]
enum Operation {
    Invite,
    Resend,
    Accept,
    Create,
    SetRoles,
    Suspend,
    Activate,
    Remove,
    Restore,
    Leave,
    Transfer,
    SuspendAccount,
    ActivateAccount,
}

#[derive(Debug, Clone)]
struct Command {
    sender: Sender,
    operation: Operation,
    target: Index,
    roles: Vec<Index>,
}

fn person(number: usize, roles: RoleSet, state: MemberState) -> Person {
    Person { user_id: Uuid::from_u128(number as u128), roles, state, account: UserState::Active }
}

impl World {
    /// An organization with one owner, who is the first person, and others who have got their roles somehow.
    fn new(model: Arc<AccessModel>, others: &[(Vec<Index>, MemberState)]) -> Self {
        let mut people = vec![person(0, founding_roles(&model), MemberState::Active)];
        for (roles, state) in others {
            let roles = choose(&model, roles).without(model.owner_role());
            people.push(person(people.len(), roles, *state));
        }
        Self { model, people, invitations: Vec::new() }
    }

    fn owners(&self) -> Owners {
        let active =
            self.people.iter().filter(|person| person.is_active() && person.roles.contains(self.model.owner_role()));
        Owners { active: active.count() as u64 }
    }

    fn situation(&self, authority: Authority<'static>) -> Situation<'_> {
        Situation { model: &self.model, organization_kind: Some("partner"), authority, owners: self.owners() }
    }

    fn authority(&self, sender: Option<usize>) -> Option<Authority<'_>> {
        match sender {
            None => Some(Authority::Service { operator: false }),
            Some(number) => {
                let person = &self.people[number];
                person.is_active().then_some(Authority::Member { user_id: person.user_id, roles: &person.roles })
            }
        }
    }

    /// Carries a command out as far as the rules let it, as the callers of the rules do.
    fn run(&mut self, command: &Command) {
        let sender = match &command.sender {
            Sender::Service => None,
            Sender::Person(index) => Some(index.index(self.people.len())),
        };
        let Some(authority) = self.authority(sender) else {
            return;
        };
        let situation = Situation { authority, ..self.situation(Authority::Service { operator: false }) };
        let roles = choose(&self.model, &command.roles);
        let number = command.target.index(self.people.len());
        let target = self.people[number].target();
        match command.operation {
            Operation::Invite => {
                if let Ok(roles) = decide_invite(&situation, &roles) {
                    let invitation = Invitation::issue(&self.model, String::new(), roles, NOW);
                    self.invitations.push((invitation, sender));
                }
            }
            Operation::Resend if !self.invitations.is_empty() => {
                let index = command.target.index(self.invitations.len());
                if decide_resend(&situation, &self.invitations[index].0, NOW).is_ok() {
                    self.invitations[index].1 = sender;
                }
            }
            Operation::Accept if !self.invitations.is_empty() => {
                let index = command.target.index(self.invitations.len());
                let (invitation, inviter) = &self.invitations[index];
                let acceptance = Acceptance {
                    model: &self.model,
                    organization_kind: Some("partner"),
                    inviter: self.authority(*inviter),
                    existing: None,
                    owners: self.owners(),
                    now: NOW,
                };
                if let Ok(roles) = decide_accept(&acceptance, invitation) {
                    self.invitations.remove(index);
                    self.people.push(person(self.people.len(), roles, MemberState::Active));
                }
            }
            Operation::Create => {
                if let Ok(roles) = decide_create(&situation, &roles, true) {
                    self.people.push(person(self.people.len(), roles, MemberState::Active));
                }
            }
            Operation::SetRoles => {
                if let Ok(roles) = decide_set_roles(&situation, &target, &roles) {
                    self.people[number].roles = roles;
                }
            }
            Operation::Suspend => self.move_to(number, decide_suspend(&situation, &target)),
            Operation::Activate => self.move_to(number, decide_activate(&situation, &target)),
            Operation::Remove => self.move_to(number, decide_remove(&situation, &target)),
            Operation::Leave => {
                if let Some(leaver) = sender {
                    self.move_to(leaver, decide_leave(&situation, &self.people[leaver].target()));
                }
            }
            Operation::Restore => {
                if let Ok(roles) = decide_restore(&situation, &target) {
                    self.people[number].roles = roles;
                    self.people[number].state = MemberState::Active;
                }
            }
            Operation::Transfer => {
                let owner = sender
                    .or_else(|| self.people.iter().position(|person| person.roles.contains(self.model.owner_role())));
                if let Some(owner) = owner
                    && let Ok(transfer) = decide_transfer(&situation, &self.people[owner].target(), &target)
                {
                    self.people[number].roles = transfer.new_owner_roles;
                    self.people[owner].roles = transfer.previous_owner_roles;
                }
            }
            Operation::SuspendAccount if is_last_owner(&self.model, &target, self.owners()) => {}
            Operation::SuspendAccount => self.people[number].account = UserState::Suspended,
            Operation::ActivateAccount => self.people[number].account = UserState::Active,
            Operation::Resend | Operation::Accept => {}
        }
    }

    fn move_to(&mut self, number: usize, decision: Result<MemberState, Refusal>) {
        if let Ok(state) = decision {
            self.people[number].state = state;
        }
    }

    fn live(&self, person: &Person) -> BTreeSet<String> {
        if person.state != MemberState::Active {
            return BTreeSet::new();
        }
        self.model.permissions_of(&person.roles).into_iter().map(ToString::to_string).collect()
    }

    /// Every permission of the roles that this person may give now.
    fn could_give(&self, person: &Person) -> BTreeSet<String> {
        let grantable: RoleSet = match person.state {
            MemberState::Active => self
                .model
                .roles()
                .iter()
                .map(|role| role.id.clone())
                .filter(|role| self.model.may_grant(&person.roles, role))
                .collect(),
            MemberState::Suspended | MemberState::Removed => RoleSet::new(),
        };
        self.model.permissions_of(&grantable).into_iter().map(ToString::to_string).collect()
    }
}

/// As many of the model's roles as one member may hold.
fn choose(model: &AccessModel, indexes: &[Index]) -> RoleSet {
    indexes.iter().take(model.max_roles_per_member()).map(|index| index.get(model.roles()).id.clone()).collect()
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => Just(Operation::Invite),
        1 => Just(Operation::Resend),
        2 => Just(Operation::Accept),
        1 => Just(Operation::Create),
        4 => Just(Operation::SetRoles),
        3 => Just(Operation::Suspend),
        2 => Just(Operation::Activate),
        3 => Just(Operation::Remove),
        2 => Just(Operation::Restore),
        2 => Just(Operation::Leave),
        3 => Just(Operation::Transfer),
        2 => Just(Operation::SuspendAccount),
        1 => Just(Operation::ActivateAccount),
    ]
}

/// The operations by which somebody gains roles, more often than others.
fn climbing_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => Just(Operation::SetRoles),
        1 => Just(Operation::Invite),
        1 => Just(Operation::Accept),
        2 => Just(Operation::Activate),
        2 => Just(Operation::Restore),
        1 => operation(),
    ]
}

fn command(
    sender: impl Strategy<Value = Sender>,
    operation: impl Strategy<Value = Operation>,
) -> impl Strategy<Value = Command> {
    let roles = prop::collection::vec(any::<Index>(), 0..3);
    (sender, operation, any::<Index>(), roles).prop_map(|(sender, operation, target, roles)| Command {
        sender,
        operation,
        target,
        roles,
    })
}

fn anybody() -> impl Strategy<Value = Sender> {
    prop_oneof![1 => Just(Sender::Service), 4 => any::<Index>().prop_map(Sender::Person)]
}

fn state() -> impl Strategy<Value = MemberState> {
    prop_oneof![3 => Just(MemberState::Active), 1 => Just(MemberState::Suspended), 1 => Just(MemberState::Removed)]
}

fn others() -> impl Strategy<Value = Vec<(Vec<Index>, MemberState)>> {
    prop::collection::vec((prop::collection::vec(any::<Index>(), 1..3), state()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, max_global_rejects: 65_536, max_local_rejects: 1_000_000, ..ProptestConfig::default() })]

    /// JS08, CP09, ab_04, ab_07, ab_17: an organization that has an active owner keeps one, and under exactly-one never has a second holder.
    #[test]
    fn ownership_is_kept_by_every_history(model in any_model(), others in others(), commands in prop::collection::vec(command(anybody(), operation()), 1..60)) {
        let mut world = World::new(model, &others);
        for command in &commands {
            world.run(command);
            prop_assert!(world.owners().active >= 1, "no owner after {command:?}");
            if world.model.ownership().rule == OwnershipRule::ExactlyOne {
                let holders = world.people.iter().filter(|person| person.roles.contains(world.model.owner_role())).count();
                prop_assert_eq!(holders, 1, "after {:?}", command);
            }
        }
    }

    /// Founding by invitation: however many invitations the service sends, an exactly-one organization gets one owner.
    #[test]
    fn founding_makes_no_second_owner(model in any_model(), commands in prop::collection::vec(command(anybody(), operation()), 1..60)) {
        let mut world = World { model, people: vec![person(0, RoleSet::new(), MemberState::Suspended)], invitations: Vec::new() };
        let mut founded = false;
        for command in &commands {
            world.run(command);
            founded |= world.owners().active > 0;
            prop_assert!(!founded || world.owners().active >= 1, "no owner after {command:?}");
            if world.model.ownership().rule == OwnershipRule::ExactlyOne {
                prop_assert!(world.owners().active <= 1, "two owners after {command:?}");
            }
        }
    }

    /// ab_17: whatever those who are not owners do, and whomever they bring in, nobody comes to hold a permission that they did not hold before and
    /// that none of them could give.
    #[test]
    fn nobody_but_owners_creates_authority(
        model in prop_oneof![1 => shipped(), 4 => random_model()],
        others in others(),
        commands in prop::collection::vec(command(any::<Index>().prop_map(Sender::Person), climbing_operation()), 50..200),
    ) {
        let mut world = World::new(model, &others);
        let before: Vec<BTreeSet<String>> = world.people.iter().map(|person| world.live(person)).collect();
        let grantable: BTreeSet<String> = world.people.iter().skip(1).flat_map(|person| world.could_give(person)).collect();
        for command in &commands {
            let Sender::Person(index) = &command.sender else { continue };
            if index.index(world.people.len()) == 0 {
                continue;
            }
            world.run(command);
            for (number, person) in world.people.iter().enumerate() {
                let had = before.get(number).cloned().unwrap_or_default();
                let gained: Vec<String> = world.live(person).into_iter().filter(|id| !had.contains(id) && !grantable.contains(id)).collect();
                prop_assert!(gained.is_empty(), "person {number} gained {gained:?} by {command:?}");
            }
        }
    }

    /// JH13: a row offers an action exactly if the call would be accepted, for role changes with some set of roles that is not the one held.
    #[test]
    fn offered_actions_are_the_ones_that_calls_accept(
        model in any_model(),
        others in others(),
        commands in prop::collection::vec(command(anybody(), operation()), 0..12),
        caller in anybody(),
        row in any::<Index>(),
    ) {
        let mut world = World::new(model, &others);
        for command in &commands {
            world.run(command);
        }
        let sender = match caller {
            Sender::Service => None,
            Sender::Person(index) => Some(index.index(world.people.len())),
        };
        let Some(authority) = world.authority(sender) else { return Ok(()) };
        let situation = Situation { authority, ..world.situation(Authority::Service { operator: false }) };
        let target = world.people[row.index(world.people.len())].target();
        let offered = allowed_actions(&situation, |_| true, &Row::Member { target, belongs_elsewhere: false }, NOW);
        // A service may name anybody as the owner who hands over; where there is none, the page offers it to nobody.
        let mut owners = world.people.iter().enumerate().filter(|(number, _)| sender.is_none_or(|sender| sender == *number));
        let transfers = owners.any(|(_, owner)| decide_transfer(&situation, &owner.target(), &target).is_ok());
        let owned = world.people.iter().any(|person| person.state != MemberState::Removed && person.roles.contains(world.model.owner_role()));
        let offered: Vec<Action> = offered.into_iter().filter(|action| owned || *action != Action::TransferOwnership).collect();
        let calls = [
            (Action::ResendInvitation, false),
            (Action::RevokeInvitation, false),
            (Action::SetRoles, every_set(&world.model).iter().any(|roles| roles != target.roles && decide_set_roles(&situation, &target, roles).is_ok())),
            (
                Action::Update,
                EDITABLE_FIELDS
                    .iter()
                    .any(|field| decide_update(&situation, &target, &[field], false).is_ok()),
            ),
            (Action::Suspend, decide_suspend(&situation, &target).is_ok()),
            (Action::Activate, decide_activate(&situation, &target).is_ok()),
            (Action::Remove, decide_remove(&situation, &target).is_ok()),
            (Action::Restore, decide_restore(&situation, &target).is_ok()),
            (Action::TransferOwnership, transfers),
        ];
        for (action, accepted) in calls {
            prop_assert_eq!(offered.contains(&action), accepted, "{:?} on {:?}", action, target);
        }
    }
}

/// Every set of roles that names at least one, of whatever size.
fn every_set(model: &AccessModel) -> Vec<RoleSet> {
    let roles = model.roles();
    (1..1_usize << roles.len())
        .map(|bits| {
            roles
                .iter()
                .enumerate()
                .filter(|(number, _)| bits & (1 << number) != 0)
                .map(|(_, role)| role.id.clone())
                .collect()
        })
        .collect()
}
