//! Whether the rows of an organization agree with each other: what no race and no fault may break. Read from the database, with rules of its own:
//! a fault of the server's code is no excuse here.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement, TryGetable};
use uuid::Uuid;

/// What the rows of one organization say.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The kinds of its events, in order; there is one for each revision.
    pub(crate) events: Vec<String>,
    /// State by invitation id.
    pub(crate) invitations: BTreeMap<String, String>,
    /// State and roles by user id.
    pub(crate) members: BTreeMap<String, (String, Vec<String>)>,
    /// State by id of an invitation's message.
    pub(crate) messages: BTreeMap<Uuid, String>,
}

impl Ledger {
    /// Reads an organization that nobody is changing, and panics where rows contradict each other:
    ///
    /// - revisions count from 1 without a gap, one event each, and the hash chain is unbroken and ends in the organization's row
    /// - an invitation is accepted if and only if there is one event that says so, and then its member is there
    /// - it is revoked by at most one event, and was sent as often as events say
    /// - `role_holders` says what `members` says
    /// - there is one message for each sending; a settled one keeps no payload; none waits for an invitation that is over or has a newer link
    pub(crate) async fn read(database: &DatabaseConnection, organization: &str) -> Self {
        let rows = Rows { database, organization: organization.parse().unwrap() };
        let events = rows.events().await;
        let members = rows.members().await;
        let messages = rows.messages().await;
        let invitations = rows.invitations(&events, &members, &messages).await;
        Self {
            events: events.into_iter().map(|(kind, _)| kind).collect(),
            invitations,
            members: members.into_iter().map(|(user, seat)| (user.to_string(), seat)).collect(),
            messages,
        }
    }

    /// How often something happened.
    pub(crate) fn happened(&self, kind: &str) -> usize {
        self.events.iter().filter(|event| *event == kind).count()
    }

    /// The active holders of a role.
    pub(crate) fn active_holders(&self, role: &str) -> usize {
        self.members
            .values()
            .filter(|(state, roles)| state == "active" && roles.iter().any(|held| held == role))
            .count()
    }
}

fn get<T: TryGetable>(row: &QueryResult, column: &str) -> T {
    row.try_get("", column).unwrap()
}

struct Rows<'a> {
    database: &'a DatabaseConnection,
    organization: Uuid,
}

impl Rows<'_> {
    async fn all(&self, query: &str) -> Vec<QueryResult> {
        let backend = self.database.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, query, [self.organization.into()]);
        self.database.query_all_raw(statement).await.unwrap()
    }

    /// Kinds and subjects, after their chain was checked.
    async fn events(&self) -> Vec<(String, Option<Uuid>)> {
        let rows = self.all("SELECT * FROM events WHERE organization_id = $1 ORDER BY revision");
        let mut hash = vec![0; 32];
        let mut events = Vec::new();
        for (index, row) in rows.await.iter().enumerate() {
            let revision: i64 = get(row, "revision");
            assert_eq!(revision, index as i64 + 1, "the revisions have a gap");
            let id = |column| get::<Option<Uuid>>(row, column);
            let bytes = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
            let (kind, subject) = (get::<String>(row, "kind"), id("subject_id"));
            let fields = [
                hash,
                self.organization.as_bytes().to_vec(),
                revision.to_be_bytes().to_vec(),
                kind.clone().into_bytes(),
                bytes(id("actor_user_id")),
                bytes(id("actor_service_account_id")),
                bytes(subject),
                get::<String>(row, "data").into_bytes(),
                get::<DateTime<Utc>>(row, "create_time").timestamp_micros().to_be_bytes().to_vec(),
            ];
            let link: Vec<u8> =
                fields.iter().flat_map(|field| [&(field.len() as u64).to_be_bytes()[..], field].concat()).collect();
            hash = digest(&SHA256, &link).as_ref().to_vec();
            assert_eq!(hash, get::<Vec<u8>>(row, "hash"), "the chain breaks at revision {revision}");
            events.push((kind, subject));
        }
        let row = &self.all("SELECT revision, chain_hash FROM organizations WHERE id = $1").await[0];
        assert_eq!(get::<i64>(row, "revision"), events.len() as i64, "the organization's revision");
        assert_eq!(get::<Vec<u8>>(row, "chain_hash"), hash, "the chain's end");
        events
    }

    async fn members(&self) -> BTreeMap<Uuid, (String, Vec<String>)> {
        let holders: BTreeSet<(Uuid, String)> = self
            .all("SELECT user_id, role FROM role_holders WHERE organization_id = $1")
            .await
            .iter()
            .map(|row| (get(row, "user_id"), get(row, "role")))
            .collect();
        let members: BTreeMap<Uuid, (String, Vec<String>)> = self
            .all("SELECT user_id, state, roles FROM members WHERE organization_id = $1")
            .await
            .iter()
            .map(|row| {
                let roles = serde_json::from_str(&get::<String>(row, "roles")).unwrap();
                (get(row, "user_id"), (get(row, "state"), roles))
            })
            .collect();
        let expected: BTreeSet<(Uuid, String)> = members
            .iter()
            .filter(|(_, (state, _))| state != "removed")
            .flat_map(|(user, (_, roles))| roles.iter().map(|role| (*user, role.clone())))
            .collect();
        assert_eq!(holders, expected, "role_holders and members");
        members
    }

    async fn messages(&self) -> BTreeMap<Uuid, String> {
        let rows = self
            .all("SELECT id, state, sealed FROM outbox_messages WHERE kind = 'invitation' AND organization_id = $1");
        let mut messages = BTreeMap::new();
        for row in rows.await {
            let (id, state): (Uuid, String) = (get(&row, "id"), get(&row, "state"));
            let sealed = get::<Option<Vec<u8>>>(&row, "sealed").is_some();
            assert_eq!(
                sealed,
                matches!(state.as_str(), "queued" | "failed"),
                "the payload of a message that is {state}"
            );
            messages.insert(id, state);
        }
        messages
    }

    async fn invitations(
        &self,
        events: &[(String, Option<Uuid>)],
        members: &BTreeMap<Uuid, (String, Vec<String>)>,
        messages: &BTreeMap<Uuid, String>,
    ) -> BTreeMap<String, String> {
        let (mut states, mut current, mut sendings) = (BTreeMap::new(), BTreeSet::new(), 0);
        for row in self.all("SELECT * FROM invitations WHERE organization_id = $1").await {
            let (id, state): (Uuid, String) = (get(&row, "id"), get(&row, "state"));
            let happened = |what: &str| {
                let kind = format!("invitation.{what}");
                events.iter().filter(|event| **event == (kind.clone(), Some(id))).count()
            };
            assert_eq!(happened("created"), 1, "{id}");
            assert_eq!(happened("accepted"), usize::from(state == "accepted"), "{id} is {state}: {events:?}");
            assert!(happened("revoked") <= usize::from(state == "revoked"), "{id} is {state}: {events:?}");
            let sent: i32 = get(&row, "send_count");
            assert_eq!(1 + happened("resent") as i32, sent, "{id}");
            sendings += sent as usize;
            if state == "accepted" {
                let user: Option<Uuid> = get(&row, "accepted_user_id");
                assert!(user.is_some_and(|user| members.contains_key(&user)), "{id} was accepted by nobody");
            }
            let message: Uuid = get(&row, "message_id");
            assert!(messages.contains_key(&message), "{id} has no message");
            if state == "pending" {
                current.insert(message);
            }
            states.insert(id.to_string(), state);
        }
        assert_eq!(messages.len(), sendings, "messages and sendings");
        for (id, state) in messages {
            let settled = matches!(state.as_str(), "sent" | "cancelled");
            assert!(settled || current.contains(id), "{id} is {state}, and its link is dead");
        }
        states
    }
}
