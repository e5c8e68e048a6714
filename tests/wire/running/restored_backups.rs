//! A backup that is restored, served as it is and after `roster admin after-restore`.

use std::time::Duration;

use roster_test_macros::wire_test;
use sea_orm::{ConnectionTrait, DbBackend};
use tonic::Code;

use crate::running::migrations::inserts;
use crate::services::credentials::passwords::{reset, reset_token};
use crate::support::pb::{
    CreateJoinLinkRequest, CreateOrganizationRequest, GetUserRequest, ListInstallationAuditEntriesRequest,
    ListServiceKeysRequest, PreviewInvitationRequest, PreviewJoinLinkRequest, RevokeInvitationRequest,
    RevokeServiceKeyRequest, RevokeUserSessionsRequest, VerifyAuditChainRequest, VerifyInstallationAuditChainRequest,
    create_organization_request::Owner,
};
use crate::support::postgres::{self, TestDatabase};
use crate::support::process::{Ended, run};
use crate::support::scenario::{PASSWORD, Scenario, assert_refused, call, create_user, service_account, sign_in};
use crate::support::world::World;

const ADA: &str = "ada@example.com";
const REQUEST: &str = "5f0c6f0e-6a53-4f7e-9d7b-8a1f6f2f7a10";

/// A copy of a world's database, as a backup has it.
struct Backup {
    url: String,
    separate: Option<TestDatabase>,
}

impl Backup {
    /// SQLite by its own means, `.backup` and `VACUUM INTO` being the same copy; PostgreSQL row by row, as `pg_dump --inserts` does.
    async fn take(world: &World) -> Self {
        if world.database().get_database_backend() == DbBackend::Sqlite {
            let file = world.folder().join("backup.db");
            let copy = format!("VACUUM INTO '{}'", file.display());
            world.database().execute_unprepared(&copy).await.unwrap();
            return Self { url: format!("sqlite://{}", file.display()), separate: None };
        }
        let separate = postgres::shared().await.unwrap().create_database().await.unwrap();
        let copy = postgres::connect(&separate.url).await.unwrap();
        // A dump makes the tables itself; here the migrations have, with a row of their own.
        copy.execute_unprepared("DELETE FROM stream_heads").await.unwrap();
        copy.execute_unprepared(&inserts(world.database()).await).await.unwrap();
        copy.close().await.unwrap();
        Self { url: separate.url.clone(), separate: Some(separate) }
    }

    async fn after_restore(&self, arguments: &[&str]) -> Ended {
        let url = format!("--database-url={}", self.url);
        let ended = run(&[&["admin", "after-restore", &url], arguments].concat(), &[]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }

    async fn drop(self) {
        if let Some(database) = self.separate {
            postgres::shared().await.unwrap().drop_database(&database).await.unwrap();
        }
    }
}

/// The lines of a kind, with their fields.
fn lines<'a>(told: &'a Ended, kind: &str) -> Vec<Vec<&'a str>> {
    let fields = told.stdout.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    fields.filter(|fields| fields[0] == kind).map(|fields| fields[1..].to_vec()).collect()
}

fn founding(owner: &str) -> CreateOrganizationRequest {
    CreateOrganizationRequest {
        display_name: "Twice".to_owned(),
        access_model: "default".to_owned(),
        owner: Some(Owner::OwnerUserId(owner.to_owned())),
        request_id: REQUEST.to_owned(),
        ..CreateOrganizationRequest::default()
    }
}

/// ab_41: after a backup a user's sessions are ended, their link is used, a key and an invitation are revoked. The restored backup has all of it again, which this
/// shows first. `roster admin after-restore` ends sessions, links and kept answers before anybody may call, begins another epoch each time, and lists what
/// else may have come back, keys by age; with `--revoke-invitations` the open invitations end as well, each by an entry of its organization's log.
#[wire_test]
async fn ab_41_a_restored_backup_revives_nothing(world: World) {
    let acme = Scenario::acme(&world).await;
    let ada = create_user(&world, ADA).await;
    // Keys of one instant come in any order. The operator's is made by the machine's clock, for all worlds, which on a busy machine may be a while after this world's clock began.
    world.clock.advance(Duration::from_secs(600));
    let (account, key) = service_account(&world, &["users.read", "permissions.check"]).await;
    let link = reset_token(&world, ADA).await;
    let (invitation, token) = acme.invited_by(&acme.owner.session, "guest@example.com", &["member"]).await;
    let first = call!(world, organizations.create_organization, world.operator_key(), founding(&ada.user_id)).unwrap();
    let request = CreateJoinLinkRequest { organization_id: acme.organization_id.clone(), ..Default::default() };
    let posted = call!(world, join_links.create_join_link, &acme.owner.session, request).unwrap();
    let posted_id = posted.join_link.unwrap().join_link_id;
    let backup = Backup::take(&world).await;

    let request = RevokeUserSessionsRequest { user_id: ada.user_id.clone(), ..RevokeUserSessionsRequest::default() };
    call!(world, sessions.revoke_user_sessions, world.operator_key(), request).unwrap();
    let keys = ListServiceKeysRequest { service_account_id: account.clone(), ..Default::default() };
    let key_id = call!(world, service_accounts.list_service_keys, world.operator_key(), keys).unwrap().service_keys[0]
        .service_key_id
        .clone();
    let request = RevokeServiceKeyRequest {
        service_account_id: account.clone(),
        service_key_id: key_id.clone(),
        ..RevokeServiceKeyRequest::default()
    };
    call!(world, service_accounts.revoke_service_key, world.operator_key(), request).unwrap();
    let request = RevokeInvitationRequest {
        organization_id: acme.organization_id.clone(),
        invitation_id: invitation.invitation_id.clone(),
        ..RevokeInvitationRequest::default()
    };
    call!(world, invitations.revoke_invitation, &acme.owner.session, request).unwrap();

    let settings = [("database-url", backup.url.as_str()), ("database-max-connections", "4")];
    let myself = GetUserRequest { user_id: ada.user_id.clone() };
    let restored = world.server_with(&settings).await;
    call!(restored, users.get_user, &ada.session, myself.clone()).expect("the restored backup gives the session back");
    call!(restored, users.get_user, &key, myself.clone()).expect("and the key");
    let again =
        call!(restored, organizations.create_organization, world.operator_key(), founding(&ada.user_id)).unwrap();
    assert_eq!(again, first, "and the answer");
    restored.stop().await;

    let told = backup.after_restore(&[]).await;
    let sessions: u64 = lines(&told, "SESSIONS_ENDED")[0][0].parse().unwrap();
    let challenges: u64 = lines(&told, "CHALLENGES_ENDED")[0][0].parse().unwrap();
    let answers: u64 = lines(&told, "ANSWERS_FORGOTTEN")[0][0].parse().unwrap();
    assert!(sessions >= 2 && challenges == 1 && answers == 1, "{}", told.stdout);
    let open = lines(&told, "INVITATION_OPEN");
    assert_eq!((open.len(), open[0][1], open[0][3]), (1, invitation.invitation_id.as_str(), "guest@example.com"));
    let links = lines(&told, "JOIN_LINK_OPEN");
    assert_eq!((links.len(), links[0][1]), (1, posted_id.as_str()));
    let listed = lines(&told, "KEY");
    let by_age: Vec<(&str, &str)> = listed.iter().map(|fields| (fields[1], fields[4])).collect();
    assert_eq!(
        (by_age.len(), by_age[0].1, by_age[1]),
        (2, "operator", (key_id.as_str(), "permissions.check,users.read"))
    );

    let restored = world.server_with(&settings).await;
    assert_refused(call!(restored, users.get_user, &ada.session, myself), Code::Unauthenticated, "CREDENTIALS_INVALID");
    let used = restored.credentials().reset_password(reset(&link, "crimson ladder over 7 rivers")).await;
    assert_refused(used, Code::FailedPrecondition, "CHALLENGE_INVALID");
    let anew =
        call!(restored, organizations.create_organization, world.operator_key(), founding(&ada.user_id)).unwrap();
    assert_ne!(anew.organization.unwrap().organization_id, first.organization.unwrap().organization_id);
    restored.stop().await;

    let once_more = backup.after_restore(&["--revoke-invitations"]).await;
    assert_eq!(lines(&once_more, "INVITATION_REVOKED").len(), 1, "{}", once_more.stdout);
    assert_eq!(lines(&once_more, "JOIN_LINK_REVOKED").len(), 1, "{}", once_more.stdout);
    assert_ne!(lines(&once_more, "EPOCH"), lines(&told, "EPOCH"));
    let third = backup.after_restore(&["--revoke-invitations"]).await;
    assert!(lines(&third, "INVITATION_REVOKED").is_empty() && lines(&third, "INVITATION_OPEN").is_empty());
    let restored = world.server_with(&settings).await;
    let request = PreviewInvitationRequest { token };
    let preview = restored.invitations().preview_invitation(request).await;
    assert_refused(preview, Code::FailedPrecondition, "INVITATION_REVOKED");
    let preview = restored.join_links().preview_join_link(PreviewJoinLinkRequest { token: posted.token }).await;
    assert_refused(preview, Code::FailedPrecondition, "JOIN_LINK_NOT_OPEN");
    let request =
        VerifyAuditChainRequest { organization_id: acme.organization_id.clone(), ..VerifyAuditChainRequest::default() };
    let chain = call!(restored, audit.verify_audit_chain, world.operator_key(), request).unwrap();
    assert!(chain.intact, "{chain:?}");
    // Each is in the record of the installation, which is whole.
    let kinds = vec!["installation.restored".to_owned()];
    let request = ListInstallationAuditEntriesRequest { kinds, ..Default::default() };
    let entries =
        call!(restored, audit.list_installation_audit_entries, world.operator_key(), request).unwrap().entries;
    let epochs: Vec<String> = entries.iter().map(|entry| format!("{:?}", entry.after)).collect();
    let told = [&third, &once_more, &told].map(|told| lines(told, "EPOCH")[0][0].to_owned());
    assert!(epochs.len() == 3 && epochs.iter().zip(&told).all(|(entry, epoch)| entry.contains(epoch)), "{epochs:?}");
    let request = VerifyInstallationAuditChainRequest::default();
    let chain = call!(restored, audit.verify_installation_audit_chain, world.operator_key(), request).unwrap();
    assert!(chain.intact, "{chain:?}");
    restored.stop().await;
    backup.drop().await;
    sign_in(&world, ADA, PASSWORD).await.unwrap();
}
