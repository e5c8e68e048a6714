//! What it costs everybody that an organization has made roles for itself.

use std::time::{Duration, Instant};

use roster::http::probe;
use roster_test_macros::wire_test;
use tonic::transport::Channel;

use crate::support::pb::permission_service_client::PermissionServiceClient;
use crate::support::pb::role_service_client::RoleServiceClient;
use crate::support::pb::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, CreateRoleRequest, Decision, PermissionCheck, Role,
    UpdateRoleRequest,
};
use crate::support::process::{Addresses, Process};
use crate::support::scenario::{Scenario, texts, with_credential};
use crate::support::world::World;

/// As many as an organization may have, and as many questions as fit in one call.
const ROLES: usize = 50;
const QUESTIONS: usize = 500;

/// An organization asked about over one server.
struct Asked<'a> {
    acme: &'a Scenario,
    channel: Channel,
}

impl Asked<'_> {
    async fn may(&self, user: &str, permission: &str) -> bool {
        let request = CheckPermissionRequest {
            organization_id: self.acme.organization_id.clone(),
            user_id: user.to_owned(),
            permission: permission.to_owned(),
            ..Default::default()
        };
        let request = with_credential(self.acme.world.operator_key(), request);
        let answer = PermissionServiceClient::new(self.channel.clone()).check_permission(request).await;
        answer.unwrap().into_inner().decision() == Decision::Allow
    }

    async fn check(&self) {
        assert!(self.may(&self.acme.owner.user_id, "audit.read").await);
    }

    async fn batch(&self) -> usize {
        let checks = (0..QUESTIONS)
            .map(|_| PermissionCheck {
                organization_id: self.acme.organization_id.clone(),
                user_id: self.acme.owner.user_id.clone(),
                permission: "audit.read".to_owned(),
            })
            .collect();
        let request = with_credential(
            self.acme.world.operator_key(),
            BatchCheckPermissionsRequest { checks, ..Default::default() },
        );
        let answer = PermissionServiceClient::new(self.channel.clone()).batch_check_permissions(request).await;
        let results = answer.unwrap().into_inner().results;
        results.iter().filter(|one| one.decision() == Decision::Allow).count()
    }

    async fn make(&self, number: usize) {
        let request = CreateRoleRequest {
            organization_id: self.acme.organization_id.clone(),
            role: format!("custom.role{number}"),
            display_name: format!("Role {number}"),
            permissions: texts(&[
                "members.read",
                "members.invite",
                "members.set_roles",
                "audit.read",
                "activity.read",
                "organization.read",
            ]),
            grants: texts(&["member"]),
            manages: texts(&["member"]),
            ..CreateRoleRequest::default()
        };
        let request = with_credential(&self.acme.owner.session, request);
        RoleServiceClient::new(self.channel.clone()).create_role(request).await.unwrap();
    }

    async fn change(&self, number: usize, permissions: &[&str]) {
        let request = UpdateRoleRequest {
            organization_id: self.acme.organization_id.clone(),
            role: Some(Role {
                role: format!("custom.role{number}"),
                permissions: texts(permissions),
                ..Role::default()
            }),
            update_mask: Some(prost_types::FieldMask { paths: texts(&["permissions"]) }),
            ..UpdateRoleRequest::default()
        };
        let request = with_credential(&self.acme.owner.session, request);
        RoleServiceClient::new(self.channel.clone()).update_role(request).await.unwrap();
    }

    /// The median time of a check, and the time of a batch.
    async fn times(&self) -> (Duration, Duration) {
        let mut checks = Vec::new();
        for _ in 0..31 {
            let start = Instant::now();
            self.check().await;
            checks.push(start.elapsed());
        }
        checks.sort();
        let start = Instant::now();
        self.batch().await;
        (checks[15], start.elapsed())
    }
}

/// How often a process has laid an organization's roles over its model.
async fn overlays(addresses: &Addresses) -> u64 {
    let (status, page) = probe(addresses.http, "/metrics", Duration::from_secs(5)).await.unwrap();
    assert_eq!(status, 200);
    let name = "roster_access_models_overlays_total";
    let line = page.lines().find(|line| line.starts_with(name));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// ab_44: an organization with fifty roles of its own costs its checks what one without costs. Its model is put together once, whatever is asked how often and
/// in whatever call, and once more when a role changes; the next check is answered by the changed roles.
///
/// It fails where the model is put together for each question: once for a check's standing, once for its decision, 1,000 times for a batch.
#[wire_test(sqlite)]
async fn ab_44_own_roles_are_laid_over_a_model_once(world: World) {
    let acme = Scenario::acme(&world).await;
    let (process, addresses) = Process::serve(&world.flags(), &[]).await;
    let asked = Asked { acme: &acme, channel: addresses.channel() };
    let without = asked.times().await;
    assert_eq!(overlays(&addresses).await, 0);
    for number in 0..ROLES {
        asked.make(number).await;
    }
    asked.check().await;

    let before = overlays(&addresses).await;
    let with = asked.times().await;
    eprintln!("a check and a batch of {QUESTIONS}: {without:?} without roles of its own, {with:?} with {ROLES}");
    assert_eq!(asked.batch().await, QUESTIONS);
    assert_eq!(overlays(&addresses).await - before, 0, "nothing has changed");

    let seller = acme.join("seller@example.com", &["custom.role7"]).await;
    assert!(asked.may(&seller.user_id, "audit.read").await);
    asked
        .change(7, &["members.read", "members.invite", "members.set_roles", "activity.read", "organization.read"])
        .await;
    assert!(!asked.may(&seller.user_id, "audit.read").await);
    asked.times().await;
    assert_eq!(overlays(&addresses).await - before, 1, "one role has changed");
    process.stop().await;
}
