//! What comes of it when an access model takes the place of another one under organizations that are at work: whose rights change, and who would be left with something that means nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{AccessModel, CustomRoles, OwnershipRule, PermissionId, RoleSet};

/// Members who hold the same roles in organizations of the same kind with the same roles of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holders {
    /// The kind of their organizations.
    pub organization_kind: Option<String>,
    /// The roles of their organizations' own.
    pub custom_roles: CustomRoles,
    /// The roles that each of them holds.
    pub roles: RoleSet,
    /// How many they are, suspended ones included.
    pub members: u64,
    /// In how many organizations.
    pub organizations: u64,
}

/// Pending invitations to the same roles in organizations of the same kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The kind of their organizations.
    pub organization_kind: Option<String>,
    /// The roles that they offer.
    pub roles: RoleSet,
    /// How many they are.
    pub invitations: u64,
}

/// How organizations stand to the owner role and the rule of ownership of another model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owned {
    /// Organizations that have an active owner now, and none of whose active members holds the other model's owner role.
    pub by_nobody: u64,
    /// Organizations where more than one member holds the other model's owner role.
    pub by_several: u64,
}

/// Where an access model is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many organizations there are of each kind.
    pub kinds: BTreeMap<Option<String>, u64>,
    /// Who holds what.
    pub holders: Vec<Holders>,
    /// Who is invited to what.
    pub invited: Vec<Invited>,
    /// Who would own.
    pub owned: Owned,
    /// Transfers of ownership that wait for their nominees.
    pub transfers: u64,
}

/// Permissions that come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermissionChange {
    /// Those that come.
    pub gained: BTreeSet<PermissionId>,
    /// Those that go.
    pub lost: BTreeSet<PermissionId>,
}

impl PermissionChange {
    /// What changes from these permissions to those.
    pub fn between(before: &BTreeSet<&PermissionId>, after: &BTreeSet<&PermissionId>) -> Self {
        let only = |one: &BTreeSet<&PermissionId>, other: &BTreeSet<&PermissionId>| {
            one.difference(other).map(|id| (*id).clone()).collect()
        };
        Self { gained: only(after, before), lost: only(before, after) }
    }

    /// What changes for a holder of these roles, with the roles of their organization's own, when `new` takes the place of `old`.
    pub fn by_model(old: &AccessModel, new: &AccessModel, custom_roles: &CustomRoles, roles: &RoleSet) -> Self {
        let (old, new) = (overlaid(old, custom_roles), overlaid(new, custom_roles));
        Self::between(&old.permissions_of(roles), &new.permissions_of(roles))
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty()
    }
}

/// What members gain and lose who hold the same roles in organizations of the same kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsChange {
    /// The kind of their organizations.
    pub organization_kind: Option<String>,
    /// The roles that each of them holds.
    pub roles: RoleSet,
    /// What changes for each of them.
    pub change: PermissionChange,
    /// How many they are.
    pub members: u64,
    /// In how many organizations.
    pub organizations: u64,
}

/// Whose rights change when `new` takes the place of `old`: those of most members first.
pub fn rights_changes(old: &AccessModel, new: &AccessModel, usage: &Usage) -> Vec<RightsChange> {
    let mut counts: BTreeMap<(Option<String>, RoleSet, PermissionChange), (u64, u64)> = BTreeMap::new();
    for group in &usage.holders {
        let change = PermissionChange::by_model(old, new, &group.custom_roles, &group.roles);
        if !change.is_empty() {
            // Roles of organizations' own may be of the same name and differ in what counts for nobody else.
            let key = (group.organization_kind.clone(), group.roles.clone(), change);
            let (members, organizations) = counts.entry(key).or_default();
            *members += group.members;
            *organizations += group.organizations;
        }
    }
    let told = |((organization_kind, roles, change), (members, organizations))| RightsChange {
        organization_kind,
        roles,
        change,
        members,
        organizations,
    };
    let mut changes: Vec<RightsChange> = counts.into_iter().map(told).collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.members));
    changes
}

/// A model with an organization's own roles; itself where there are none.
fn overlaid<'a>(model: &'a AccessModel, custom_roles: &CustomRoles) -> Cow<'a, AccessModel> {
    match custom_roles.is_empty() {
        true => Cow::Borrowed(model),
        false => Cow::Owned(model.with_custom_roles(custom_roles)),
    }
}

/// Who would be stranded under `new`: one sentence for each way, with numbers. Where there is none, `new` may take the place of the model in use.
pub fn stranded(new: &AccessModel, usage: &Usage) -> Vec<String> {
    let mut sentences = Vec::new();
    for (kind, organizations) in &usage.kinds {
        if let Some(kind) = kind.as_ref().filter(|kind| !new.organization_kinds().contains(*kind)) {
            sentences.push(format!("{organizations} organizations are of the kind {kind}"));
        }
    }
    let kind_of = |kind: &Option<String>| kind.as_ref().map(|kind| format!(" of the kind {kind}")).unwrap_or_default();
    let mut held: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    let mut too_many = 0;
    for group in &usage.holders {
        let model = overlaid(new, &group.custom_roles);
        for role in unknown(&model, &group.roles, group.organization_kind.as_deref()) {
            let counts = held.entry((role, kind_of(&group.organization_kind))).or_default();
            *counts = (counts.0 + group.members, counts.1 + group.organizations);
        }
        if group.roles.len() > new.max_roles_per_member() {
            too_many += group.members;
        }
    }
    for ((role, kind), (members, organizations)) in held {
        sentences.push(format!("{members} members of {organizations} organizations{kind} hold the role {role}"));
    }
    if too_many > 0 {
        sentences.push(format!("{too_many} members hold more than {} roles", new.max_roles_per_member()));
    }
    let mut offered: BTreeMap<(String, String), u64> = BTreeMap::new();
    for group in &usage.invited {
        let custom = |role: &String| role.starts_with(super::CUSTOM_PREFIX);
        for role in unknown(new, &group.roles, group.organization_kind.as_deref()).filter(|role| !custom(role)) {
            *offered.entry((role, kind_of(&group.organization_kind))).or_default() += group.invitations;
        }
    }
    for ((role, kind), invitations) in offered {
        sentences.push(format!("{invitations} pending invitations of organizations{kind} offer the role {role}"));
    }
    let owner = new.owner_role();
    if usage.owned.by_nobody > 0 {
        sentences.push(format!("{} organizations would have no owner: nobody holds {owner}", usage.owned.by_nobody));
    }
    if usage.owned.by_several > 0 && new.ownership().rule == OwnershipRule::ExactlyOne {
        sentences.push(format!("{} organizations would have several owners who hold {owner}", usage.owned.by_several));
    }
    if usage.transfers > 0 && new.ownership().transfer.is_none() {
        sentences.push(format!("{} transfers of ownership wait for their nominees", usage.transfers));
    }
    sentences
}

/// Those of the roles that organizations of this kind do not know.
fn unknown<'a>(
    model: &'a AccessModel,
    roles: &'a RoleSet,
    organization_kind: Option<&'a str>,
) -> impl Iterator<Item = String> + 'a {
    let known = move |id: &str| model.role(id).is_some_and(|role| role.in_kind(organization_kind));
    roles.iter().map(ToString::to_string).filter(move |id| !known(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access_model::{CustomRole, Models};

    /// The shipped model of this id, with parts of its document replaced. Its tests of itself are left out.
    fn model(id: &str, replaced: &[(&str, &str)]) -> AccessModel {
        let models = Models::shipped().unwrap();
        let source = models.get(id).unwrap().source().split("[[tests]]").next().unwrap().to_owned();
        let changed = replaced.iter().fold(source, |source, (from, to)| {
            assert!(source.contains(from), "no {from} in {id}");
            source.replace(from, to)
        });
        AccessModel::parse(&changed).unwrap()
    }

    fn holders(roles: &[&str], members: u64) -> Holders {
        Holders {
            organization_kind: None,
            custom_roles: CustomRoles::default(),
            roles: roles.iter().copied().collect(),
            members,
            organizations: 1,
        }
    }

    #[test]
    fn nothing_comes_of_the_same_model() {
        for model in Models::shipped().unwrap().iter() {
            let kinds: Vec<Option<String>> =
                model.organization_kinds().iter().cloned().map(Some).chain([None]).collect();
            let mut usage = Usage::default();
            for kind in &kinds {
                usage.kinds.insert(kind.clone(), 1);
                let known = model.roles().iter().filter(|role| role.in_kind(kind.as_deref()));
                let held =
                    known.map(|role| Holders { organization_kind: kind.clone(), ..holders(&[role.id.as_str()], 3) });
                usage.holders.extend(held);
            }
            assert!(!usage.holders.is_empty());
            assert_eq!(rights_changes(model, model, &usage), []);
            assert_eq!(stranded(model, &usage), [""; 0]);
        }
    }

    #[test]
    fn what_a_role_gains_its_holders_gain_unless_another_role_gives_it_already() {
        let old = model("default", &[]);
        let new = model("default", &[("\"members.invite\",\n", "")]);
        let usage = Usage { holders: vec![holders(&["admin"], 4), holders(&["member"], 9)], ..Usage::default() };
        let changes = rights_changes(&old, &new, &usage);
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((change.members, change.change.gained.len()), (4, 0));
        assert_eq!(change.change.lost, ["members.invite".into()].into());
        let [back] = &rights_changes(&new, &old, &usage)[..] else { panic!("one change") };
        assert_eq!((back.change.gained.len(), back.change.lost.len()), (1, 0));
        // A role of an organization's own loses what the model does not have any more.
        let own = CustomRole {
            id: "custom.inviter".into(),
            name: "Inviter".to_owned(),
            description: String::new(),
            permissions: ["members.read".into()].into(),
            grants: BTreeSet::new(),
            manages: BTreeSet::new(),
            changed_revision: 1,
        };
        let custom_roles = CustomRoles::default().with(own);
        let other = CustomRoles::default()
            .with(CustomRole { changed_revision: 2, ..custom_roles.iter().next().unwrap().clone() });
        let of = |custom_roles| Holders { custom_roles, ..holders(&["admin", "custom.inviter"], 1) };
        let usage = Usage { holders: vec![of(custom_roles), of(other)], ..Usage::default() };
        // In one line where nothing that is told of them differs.
        let changes = rights_changes(&old, &new, &usage);
        assert_eq!((changes.len(), changes[0].members, changes[0].organizations), (1, 2, 2));
        assert_eq!(stranded(&new, &usage), ["2 members hold more than 1 roles"]);
    }

    #[test]
    fn who_would_be_left_with_nothing_is_counted() {
        let portal = model("jetpack", &[]);
        let usage = Usage {
            kinds: [(Some("reseller".to_owned()), 2)].into(),
            holders: vec![holders(&["member"], 3), Holders { members: 4, ..holders(&["custom.x"], 0) }],
            invited: vec![Invited { organization_kind: None, roles: ["nobody"].into_iter().collect(), invitations: 5 }],
            owned: Owned { by_nobody: 6, by_several: 7 },
            transfers: 8,
        };
        let told = stranded(&portal, &usage).join("\n");
        for part in ["2 organizations are of the kind reseller", "4 members", "5 pending", "6 organizations"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        let one_owner = portal.ownership().rule == OwnershipRule::ExactlyOne;
        assert_eq!(told.contains("7 organizations"), one_owner);
        assert_eq!(told.contains("8 transfers"), portal.ownership().transfer.is_none());
    }
}
