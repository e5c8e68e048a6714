//! Access models to try the properties on: those that ship, and random ones.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::*;
use crate::domain::access_model::{Models, SERVICE_PERMISSIONS};

pub(super) fn shipped() -> impl Strategy<Value = Arc<AccessModel>> {
    let models: Vec<Arc<AccessModel>> = Models::shipped().unwrap().iter().cloned().collect();
    prop::sample::select(models)
}

/// The shape of one random role, beside the owner role: which permissions it has, and which roles it inherits, gives and changes.
#[derive(Debug, Clone)]
struct Shape {
    permissions: u32,
    inherits: u8,
    grants: u8,
    manages: u8,
}

const RANDOM_ROLES: usize = 4;

/// Permissions and `manages` are dense, so that commands succeed; `grants` is sparse, so that there is something left that nobody could give.
fn shape() -> impl Strategy<Value = Shape> {
    let bits = (any::<[u32; 2]>(), any::<[u8; 2]>(), any::<[u8; 2]>(), any::<[u8; 3]>());
    bits.prop_map(|(permissions, manages, grants, inherits)| Shape {
        permissions: permissions[0] | permissions[1] & 0xffff,
        manages: manages[0] | manages[1],
        grants: grants[0] & grants[1],
        inherits: inherits[0] & inherits[1] & inherits[2],
    })
}

/// A valid model of random roles. Most random ones give away more than they have, and are refused; so half of them are helped to what they lack.
pub(super) fn random_model() -> impl Strategy<Value = Arc<AccessModel>> {
    let shapes = prop::collection::vec(shape(), RANDOM_ROLES);
    (shapes, any::<bool>(), any::<bool>(), 1..4usize).prop_filter_map(
        "refused by validation",
        |(mut shapes, helped, one, limit)| {
            for _ in 0..RANDOM_ROLES * usize::from(helped) {
                let before = shapes.clone();
                for shape in &mut shapes {
                    shape.inherits = 0;
                    let given_roles = shape.grants;
                    for (number, given) in
                        before.iter().enumerate().filter(|(number, _)| given_roles & (1 << number) != 0)
                    {
                        shape.permissions |= given.permissions;
                        shape.manages |= given.manages;
                        shape.grants |= given.grants | (1 << number);
                    }
                }
            }
            AccessModel::parse(&document(&shapes, one, limit)).ok().map(Arc::new)
        },
    )
}

fn document(shapes: &[Shape], one: bool, limit: usize) -> String {
    let list =
        |ids: Vec<String>| format!("[{}]", ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", "));
    let named = |bits: u8| {
        list((0..RANDOM_ROLES).filter(|number| bits & (1 << number) != 0).map(|number| format!("r{number}")).collect())
    };
    let product = ["a", "b", "c", "d"];
    let ids = SERVICE_PERMISSIONS.iter().map(|permission| permission.id).chain(product);
    let ids: Vec<&str> = ids.collect();
    let (rule, ownable) = if one { ("exactly_one", "") } else { ("at_least_one_active", "\"owner\", ") };
    let everybody = (0..RANDOM_ROLES).map(|number| format!("\"r{number}\"")).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "id = \"random\"\nname = \"x\"\ndescription = \"x\"\nmax_roles_per_member = {limit}\ndefault_role = \"r0\"\n\
         [ownership]\nrole = \"owner\"\nrule = \"{rule}\"\n\
         [ownership.transfer]\neligible_roles = [\"r0\", \"r1\"]\nprevious_owner_role = \"r2\"\nconfirmation = \"none\"\n\
         [invitations]\nttl = 60\nopen_per_address = \"many\"\nin_roster = true\nstep_up = false\n\
         [members]\neditable_by_others = [\"given_name\"]\ndirect_creation = true\nusernames = false\nremoval = \"restorable\"\nadding_again_after_removal = true\n\
         [mfa]\nrequired = false\n[labels]\nactive = \"x\"\ninvited = \"x\"\nsuspended = \"x\"\nremoved = \"x\"\n\
         [[roles]]\nid = \"owner\"\nname = \"x\"\ndescription = \"x\"\npermissions = [\"*\"]\ninvitable = {invitable}\ngrants = [{ownable}{everybody}]\nmanages = [{ownable}{everybody}]\n",
        invitable = !one,
    );
    for id in &ids {
        text.push_str(&format!("[[permissions]]\nid = \"{id}\"\nname = \"x\"\ndescription = \"x\"\n"));
    }
    for (number, shape) in shapes.iter().enumerate() {
        let held = ids
            .iter()
            .enumerate()
            .filter(|(bit, _)| shape.permissions & (1 << bit) != 0)
            .map(|(_, id)| (*id).to_owned())
            .collect();
        text.push_str(&format!(
            "[[roles]]\nid = \"r{number}\"\nname = \"x\"\ndescription = \"x\"\npermissions = {}\ninherits = {}\ngrants = {}\nmanages = {}\n",
            list(held),
            named(shape.inherits),
            named(shape.grants),
            named(shape.manages),
        ));
    }
    text
}

pub(super) fn any_model() -> impl Strategy<Value = Arc<AccessModel>> {
    prop_oneof![shipped(), random_model()]
}
