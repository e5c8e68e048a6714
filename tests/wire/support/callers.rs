//! Every kind of caller, for tests that call a method as each of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use prost_reflect::DynamicMessage;
use tonic::metadata::MetadataMap;

use super::dynamic::{Contract, Method};
use super::pb::{CreateServiceAccountRequest, CreateServiceKeyRequest, RevokeServiceKeyRequest};
use super::scenario::{Person, service_key};
use super::tenant::{People, Seat, Tenant, is_prepared};
use super::world::World;

/// The scope of the service account that belongs to a tenant: what lets a key with the scope of the method pass it on.
const PASSED_ON: &str = "service_accounts.write";

/// A tenant of the stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum House {
    /// The one that requests are about.
    Home,
    /// One that is suspended; its people call about it.
    Suspended,
    /// One whose people call about [`House::Home`].
    Other,
}

/// What the key of a calling service may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scopes {
    /// Something that the method has nothing to do with.
    Unrelated,
    /// What the method needs and nothing else.
    Needed,
    /// What the method needs, and to act as any user.
    NeededToAct,
    /// Everything.
    Operator,
}

/// A kind of caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Nobody,
    /// With what is no credential at all.
    Garbled,
    /// With a key of the right form that nobody was given.
    UnknownKey,
    /// With an operator's key that was revoked.
    RevokedKey,
    Key(Scopes),
    Session(House, Seat),
    /// A service for the holder of a session.
    KeyFor(Scopes, House, Seat),
    /// A service as a user.
    KeyAs(Scopes, House, Seat),
}

impl Who {
    /// The user who calls or for whom a service calls.
    pub(crate) fn user(self) -> Option<(House, Seat)> {
        match self {
            Who::Session(house, seat) | Who::KeyFor(_, house, seat) | Who::KeyAs(_, house, seat) => Some((house, seat)),
            _ => None,
        }
    }

    /// The tenant that the caller's requests are about.
    pub(crate) fn about(self) -> House {
        match self.user() {
            Some((House::Suspended, _)) => House::Suspended,
            _ => House::Home,
        }
    }
}

/// The tenants and the keys.
pub(crate) struct Stage {
    pub(crate) world: World,
    home: Tenant,
    suspended: Tenant,
    other: Tenant,
    keys: HashMap<Vec<String>, String>,
    revoked_key: String,
    prepared: bool,
}

impl Stage {
    /// Founds the tenants, and makes the keys that the methods are called with.
    pub(crate) async fn set(world: &World, contract: &Contract) -> Self {
        let mut suspended = found(world).await;
        suspended.suspend(world).await;
        let mut keys = HashMap::new();
        for method in contract.methods() {
            for scopes in [Scopes::Unrelated, Scopes::Needed, Scopes::NeededToAct] {
                let names = names(scopes, &method);
                let texts: Vec<&str> = names.iter().map(String::as_str).collect();
                if let Entry::Vacant(missing) = keys.entry(names.clone()) {
                    missing.insert(service_key(world, &texts).await);
                }
            }
        }
        Self {
            world: world.clone(),
            home: found(world).await,
            suspended,
            other: found(world).await,
            keys,
            revoked_key: revoked_key(world).await,
            prepared: false,
        }
    }

    /// Whether anything was written to prepare a call since this was asked last.
    pub(crate) fn take_prepared(&mut self) -> bool {
        std::mem::take(&mut self.prepared)
    }

    /// The valid request of such a caller: about themselves, where they may call for themselves and `another` is not asked for.
    pub(crate) async fn request(&mut self, who: Who, method: &Method, another: bool) -> DynamicMessage {
        self.prepared |= is_prepared(method);
        let tenant = self.house(who.about());
        let own = self.person(who).filter(|_| !another && !method.rule().self_field.is_empty());
        tenant.request(&self.world, method, own.unwrap_or(tenant.subject())).await
    }

    pub(crate) fn house(&self, house: House) -> &Tenant {
        match house {
            House::Home => &self.home,
            House::Suspended => &self.suspended,
            House::Other => &self.other,
        }
    }

    /// The user who calls or for whom a service calls.
    pub(crate) fn person(&self, who: Who) -> Option<&Person> {
        who.user().map(|(house, seat)| self.house(house).person(seat))
    }

    /// What such a caller of the method sends along.
    pub(crate) fn credentials(&self, who: Who, method: &Method) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        let bearer = match who {
            Who::Nobody => None,
            Who::Garbled => Some("not-a-credential".to_owned()),
            Who::UnknownKey => Some(format!("rsk_{}", "A".repeat(43))),
            Who::RevokedKey => Some(self.revoked_key.clone()),
            Who::Key(scopes) | Who::KeyFor(scopes, ..) | Who::KeyAs(scopes, ..) => Some(self.key(scopes, method)),
            Who::Session(house, seat) => Some(self.house(house).person(seat).session.clone()),
        };
        if let Some(bearer) = bearer {
            metadata.insert("authorization", format!("Bearer {bearer}").parse().unwrap());
        }
        if let (Who::KeyFor(..), Some(person)) = (who, self.person(who)) {
            metadata.insert("roster-on-behalf-of", person.session.parse().unwrap());
        }
        if let (Who::KeyAs(..), Some(person)) = (who, self.person(who)) {
            metadata.insert("roster-actor", person.user_id.parse().unwrap());
        }
        metadata
    }

    fn key(&self, scopes: Scopes, method: &Method) -> String {
        match scopes {
            Scopes::Operator => self.world.operator_key().to_owned(),
            _ => self.keys[&names(scopes, method)].clone(),
        }
    }
}

/// The names of the scopes of a key for the method.
fn names(scopes: Scopes, method: &Method) -> Vec<String> {
    let needed = method.rule().scope;
    // A method that no scope opens is called with an unrelated one.
    let unrelated = match needed.as_str() {
        "access_models.read" => "users.read",
        _ => "access_models.read",
    };
    let needed = if needed.is_empty() { unrelated } else { needed.as_str() };
    let names = match scopes {
        Scopes::Unrelated => vec![unrelated],
        Scopes::Needed => vec![needed],
        Scopes::NeededToAct => vec![needed, "act_as_user"],
        Scopes::Operator => vec!["operator"],
    };
    names.into_iter().map(ToOwned::to_owned).collect()
}

async fn found(world: &World) -> Tenant {
    Tenant::found(world, People::arrive(world).await, &[PASSED_ON]).await
}

async fn revoked_key(world: &World) -> String {
    let mut accounts = world.service_accounts();
    let request = CreateServiceAccountRequest {
        display_name: "A former service".to_owned(),
        scopes: vec!["operator".to_owned()],
        ..CreateServiceAccountRequest::default()
    };
    let request = world.as_operator(request);
    let account = accounts.create_service_account(request).await.unwrap().into_inner();
    let service_account_id = account.service_account.unwrap().service_account_id;
    let request = CreateServiceKeyRequest {
        service_account_id: service_account_id.clone(),
        ..CreateServiceKeyRequest::default()
    };
    let request = world.as_operator(request);
    let created = accounts.create_service_key(request).await.unwrap().into_inner();
    let request = RevokeServiceKeyRequest {
        service_account_id,
        service_key_id: created.service_key.unwrap().service_key_id,
        ..RevokeServiceKeyRequest::default()
    };
    accounts.revoke_service_key(world.as_operator(request)).await.unwrap();
    created.key
}
