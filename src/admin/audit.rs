//! `admin verify`: whether the records of changes are whole, and whether members, service accounts and keys are what the records say (ab_49).

use std::{collections::BTreeMap, io::Write};

use prost_types::{Value, value::Kind};
use tonic::Code;

use super::{Operator, PAGE, line, sentence};
use crate::grpc::pb::{
    self, MemberState, audit_service_client::AuditServiceClient, member_service_client::MemberServiceClient,
    service_account_service_client::ServiceAccountServiceClient,
};

/// How often an organization is read again that changes while it is compared.
const TRIES: usize = 5;

/// Says how a record was found. One where it is broken, none where it is whole.
fn verdict(found: &pb::VerifyAuditChainResponse, of: &str, out: &mut impl Write) -> Result<usize, String> {
    let whole = found.verified_entries.to_string();
    if found.intact {
        line(out, &[of, "INTACT", &whole, &found.hash, &found.sealed_entries.to_string()].join("\t"))?;
        return Ok(0);
    }
    let flaw = found.flaw().as_str_name().trim_start_matches("AUDIT_FLAW_");
    let place = found.broken_revision.to_string();
    line(out, &[of, "BROKEN", &whole, &place, flaw].join("\t"))?;
    Ok(1)
}

/// What the record says of members, accounts or keys, or what their rows say: by id, in words that are compared.
type Standing = BTreeMap<String, String>;

impl Operator {
    /// Verifies the named organizations, or all. A broken one is an error, but the others are looked at all the same.
    pub(super) async fn verify(&self, named: &[String], out: &mut impl Write) -> Result<(), String> {
        let mut broken = 0;
        for id in named {
            broken += self.verify_one(id, out).await?;
        }
        if named.is_empty() {
            broken += self.verify_installation(out).await?;
        }
        let mut page_token = String::new();
        while named.is_empty() {
            let page = self.organizations_page(page_token).await?;
            for row in page.organizations {
                broken += self.verify_one(&row.organization_id, out).await?;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        match broken {
            0 => Ok(()),
            count => Err(format!("{count} records are broken")),
        }
    }

    /// One where the record is broken, none where it is whole.
    async fn verify_one(&self, id: &str, out: &mut impl Write) -> Result<usize, String> {
        let request = self.request(pb::VerifyAuditChainRequest {
            organization_id: id.to_owned(),
            ..pb::VerifyAuditChainRequest::default()
        });
        let mut client = AuditServiceClient::new(self.channel.clone());
        let found = client.verify_audit_chain(request).await.map_err(sentence)?.into_inner();
        let broken = verdict(&found, id, out)?;
        // Of a broken record nothing follows.
        Ok(if broken == 0 { self.compare_members(id, out).await? } else { broken })
    }

    /// The same for the installation. A key that is no operator's does not read its record, which is said and is no break.
    async fn verify_installation(&self, out: &mut impl Write) -> Result<usize, String> {
        let request = self.request(pb::VerifyInstallationAuditChainRequest::default());
        let mut client = AuditServiceClient::new(self.channel.clone());
        let found = match client.verify_installation_audit_chain(request).await {
            Ok(found) => found.into_inner(),
            Err(status) if status.code() == Code::PermissionDenied => {
                line(out, "installation\tNOT_ALLOWED")?;
                return Ok(0);
            }
            Err(status) => return Err(sentence(status)),
        };
        let found = pb::VerifyAuditChainResponse {
            organization_id: String::new(),
            intact: found.intact,
            verified_entries: found.verified_entries,
            broken_revision: found.broken_revision,
            flaw: found.flaw,
            hash: found.hash,
            sealed_entries: found.sealed_entries,
        };
        let broken = verdict(&found, "installation", out)?;
        Ok(if broken == 0 { self.compare_keys(out).await? } else { broken })
    }

    /// Compares the members' rows with what the record says of them. One where they differ.
    async fn compare_members(&self, id: &str, out: &mut impl Write) -> Result<usize, String> {
        for _ in 0..TRIES {
            let (told, revision) = self.members_told(id).await?;
            let (rows, at) = match self.member_rows(id).await {
                Ok(found) => found,
                Err(status) if status.code() == Code::PermissionDenied => {
                    line(out, &[id, "MEMBERS_NOT_ALLOWED"].join("\t"))?;
                    return Ok(0);
                }
                Err(status) => return Err(sentence(status)),
            };
            if at == revision {
                return differences(id, &told, &rows, out);
            }
        }
        line(out, &[id, "CHANGES_TOO_FAST"].join("\t"))?;
        Ok(0)
    }

    /// The members as the record has them, and the revision that it ends with.
    async fn members_told(&self, id: &str) -> Result<(Standing, i64), String> {
        let request = pb::ExportAuditEntriesRequest { organization_id: id.to_owned(), after_revision: 0 };
        let mut client = AuditServiceClient::new(self.channel.clone());
        let mut batches = client.export_audit_entries(self.request(request)).await.map_err(sentence)?.into_inner();
        let (mut members, mut revision) = (BTreeMap::new(), 0);
        while let Some(batch) = batches.message().await.map_err(sentence)? {
            for entry in batch.entries {
                revision = entry.revision;
                note_member(&entry, &mut members);
            }
        }
        let told = |(user, (state, roles)): (String, (String, Vec<String>))| (user, member(&state, roles));
        Ok((members.into_iter().map(told).collect(), revision))
    }

    async fn member_rows(&self, id: &str) -> Result<(Standing, i64), tonic::Status> {
        let mut client = MemberServiceClient::new(self.channel.clone());
        let states = [MemberState::Active, MemberState::Suspended, MemberState::Removed];
        let (mut rows, mut page_token) = (Standing::new(), String::new());
        loop {
            let request = self.request(pb::ListMembersRequest {
                organization_id: id.to_owned(),
                page_size: PAGE,
                page_token,
                states: states.map(Into::into).to_vec(),
                ..pb::ListMembersRequest::default()
            });
            let page = client.list_members(request).await?.into_inner();
            rows.extend(page.members.into_iter().map(|row| {
                let state = row.state().as_str_name().trim_start_matches("MEMBER_STATE_").to_lowercase();
                (row.user_id, member(&state, row.roles))
            }));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok((rows, page.revision));
            }
        }
    }

    /// Compares service accounts and keys with what the installation's record says of them. One where they differ.
    async fn compare_keys(&self, out: &mut impl Write) -> Result<usize, String> {
        let told = self.keys_told().await?;
        let mut client = ServiceAccountServiceClient::new(self.channel.clone());
        let (mut rows, mut page_token) = (Standing::new(), String::new());
        loop {
            let request =
                self.request(pb::ListServiceAccountsRequest { page_size: PAGE, page_token, include_total_size: false });
            let page = client.list_service_accounts(request).await.map_err(sentence)?.into_inner();
            for row in page.service_accounts {
                rows.extend(self.key_rows(&row.service_account_id).await?);
                rows.insert(row.service_account_id, account(row.disabled, row.scopes));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return differences("installation", &told, &rows, out);
            }
        }
    }

    async fn key_rows(&self, account: &str) -> Result<Standing, String> {
        let mut client = ServiceAccountServiceClient::new(self.channel.clone());
        let request = self.request(pb::ListServiceKeysRequest {
            service_account_id: account.to_owned(),
            page_size: 1000,
            ..pb::ListServiceKeysRequest::default()
        });
        let page = client.list_service_keys(request).await.map_err(sentence)?.into_inner();
        let row = |row: pb::ServiceKey| (row.service_key_id, key(account, row.revoke_time.is_some()));
        Ok(page.service_keys.into_iter().map(row).collect())
    }

    async fn keys_told(&self) -> Result<Standing, String> {
        let mut client = AuditServiceClient::new(self.channel.clone());
        let (mut entries, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = self.request(pb::ListInstallationAuditEntriesRequest {
                page_size: PAGE,
                page_token,
                ..pb::ListInstallationAuditEntriesRequest::default()
            });
            let page = client.list_installation_audit_entries(request).await.map_err(sentence)?.into_inner();
            entries.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let (mut accounts, mut keys) = (BTreeMap::new(), Standing::new());
        // They come newest first.
        for entry in entries.into_iter().rev() {
            note_key(entry, &mut accounts, &mut keys);
        }
        keys.extend(accounts.into_iter().map(|(id, (disabled, scopes))| (id, account(disabled, scopes))));
        Ok(keys)
    }
}

/// Names everything that the two do not say alike.
fn differences(of: &str, told: &Standing, rows: &Standing, out: &mut impl Write) -> Result<usize, String> {
    let mut different = 0;
    for id in told.keys().chain(rows.keys().filter(|id| !told.contains_key(*id))) {
        let [said, is] = [told, rows].map(|standing| standing.get(id).map_or("nothing", String::as_str));
        if said != is {
            different = 1;
            line(out, &[of, "DIFFERS", id, &format!("recorded: {said}"), &format!("now: {is}")].join("\t"))?;
        }
    }
    Ok(different)
}

fn member(state: &str, mut roles: Vec<String>) -> String {
    roles.sort_unstable();
    format!("{state} {}", roles.join(","))
}

fn account(disabled: bool, mut scopes: Vec<String>) -> String {
    scopes.sort_unstable();
    format!("{} {}", if disabled { "disabled" } else { "enabled" }, scopes.join(","))
}

fn key(account: &str, revoked: bool) -> String {
    format!("{} of {account}", if revoked { "revoked" } else { "good" })
}

/// Takes what an entry says of a member.
fn note_member(entry: &pb::AuditEntry, members: &mut BTreeMap<String, (String, Vec<String>)>) {
    let after = entry.after.as_ref();
    let roles = match entry.kind.as_str() {
        "member.roles_set" => after.and_then(texts),
        _ => after.and_then(|after| field(after, "roles")).and_then(texts),
    };
    let state = after.and_then(|after| field(after, "state")).and_then(text);
    let (user, state) = match entry.kind.as_str() {
        "invitation.accepted" => (&entry.actor_user_id, Some("active")),
        "member.created" | "member.added" | "member.joined" => (&entry.subject_id, Some("active")),
        "member.account_deleted" => (&entry.subject_id, Some("removed")),
        "ownership.transferred" | "ownership.handed_over" => (&entry.subject_id, None),
        kind if kind.starts_with("member.") => (&entry.subject_id, state),
        _ => return,
    };
    let member = members.entry(user.clone()).or_default();
    if let Some(state) = state {
        state.clone_into(&mut member.0);
    }
    if let Some(roles) = roles {
        member.1 = roles;
    }
}

/// Takes what an entry says of a service account or a key.
fn note_key(entry: pb::AuditEntry, accounts: &mut BTreeMap<String, (bool, Vec<String>)>, keys: &mut Standing) {
    let after = entry.after.as_ref();
    let of = |name: &str| after.and_then(|after| field(after, name));
    match entry.kind.as_str() {
        "service_account.created" | "service_account.updated" | "service_account.disabled" => {
            let account = accounts.entry(entry.subject_id).or_default();
            if let Some(Kind::BoolValue(disabled)) = of("disabled").and_then(|value| value.kind.as_ref()) {
                account.0 = *disabled;
            }
            if let Some(scopes) = of("scopes").and_then(texts) {
                account.1 = scopes;
            }
        }
        "service_key.created" => {
            let account = of("service_account_id").and_then(text).unwrap_or_default();
            keys.insert(entry.subject_id, key(account, false));
        }
        "service_key.revoked" => {
            if let Some(standing) = keys.get_mut(&entry.subject_id) {
                *standing = standing.replace("good", "revoked");
            }
        }
        _ => {}
    }
}

fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value.kind.as_ref()? {
        Kind::StructValue(fields) => fields.fields.get(name),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value.kind.as_ref()? {
        Kind::ListValue(list) => Some(list.values.iter().filter_map(text).map(ToOwned::to_owned).collect()),
        _ => None,
    }
}
