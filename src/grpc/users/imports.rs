//! ImportUsers: a stream of batches, each parsed, admitted and committed by itself.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use secrecy::SecretString;
use tonic::{Request, Status, Streaming};

use crate::{
    app::users::imports::{Batch, ImportResults, ImportedPerson, Membership, Person, Refused, check_hash},
    domain::{
        error::{Reason, Refusal, Violation},
        text::{DisplayName, PersonName},
    },
    grpc::{
        invitations::batches::wire_reason,
        layers::authenticate::Admitted,
        pb,
        wire::{
            convert::id,
            edge::{Edge, admitted},
            fields::{Fields, Parse},
        },
    },
};

/// People of one batch at the most.
const MAX_BATCH: usize = 500;
/// Memberships of one person at the most.
const MAX_MEMBERSHIPS: usize = 20;

/// An import that is under way.
struct Import {
    edge: Edge,
    admitted: Arc<Admitted>,
    batches: Streaming<pb::ImportUsersRequest>,
    created: i64,
    already: i64,
    refused: i64,
}

impl Edge {
    /// The answers to the batches of a stream. The next batch is read when the answer before it has been taken: one is in work at a time, however fast the
    /// client sends.
    pub(crate) fn import(
        &self,
        request: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Result<BoxStream<'static, Result<pb::ImportUsersResponse, Status>>, Status> {
        let import = Import {
            edge: self.clone(),
            admitted: admitted(&request)?,
            batches: request.into_inner(),
            created: 0,
            already: 0,
            refused: 0,
        };
        Ok(stream::try_unfold(import, |mut import| async move {
            let answer = import.next().await?;
            Ok(answer.map(|answer| (answer, import)))
        })
        .boxed())
    }
}

impl Import {
    async fn next(&mut self) -> Result<Option<pb::ImportUsersResponse>, Status> {
        let Some(batch) = self.batches.message().await? else {
            return Ok(None);
        };
        let _place = self.admitted.permits().await?;
        let (ctx, batch) = self.edge.admit_again(&self.admitted, &batch).await?;
        let mut answer: pb::ImportUsersResponse = self.edge.app.execute(&ctx, batch).await?;
        // Committed by now, or, of a validation, taken back.
        self.created += answer.created_count;
        self.already += answer.already_imported_count;
        self.refused += answer.refused_count;
        (answer.created_count, answer.already_imported_count) = (self.created, self.already);
        answer.refused_count = self.refused;
        Ok(Some(answer))
    }
}

impl Parse for pb::ImportUsersRequest {
    type Command = Batch;

    fn parse(&self, fields: &mut Fields<'_>) -> Option<Batch> {
        let import_id = fields.uuid("import_id", &self.import_id);
        if self.users.is_empty() {
            fields.violation("users", "is required");
            return None;
        }
        fields.items("users", &self.users, MAX_BATCH)?;
        let people: Vec<Result<Person, Refused>> = self.users.iter().map(|user| user.read(fields)).collect();
        let Some(import_id) = import_id else {
            // The whole batch is refused: then everything is told in one place.
            for (index, refused) in people.into_iter().enumerate() {
                for violation in refused.err().into_iter().flat_map(|refused| refused.violations) {
                    fields.violation(&format!("users[{index}].{}", violation.field), violation.description);
                }
            }
            return None;
        };
        Some(Batch { import_id, people, validate_only: self.validate_only })
    }
}

impl pb::UserToImport {
    /// The person, or everything that is wrong with what is said of them.
    fn read(&self, fields: &mut Fields<'_>) -> Result<Person, Refused> {
        let hash = match self.password_hash.as_str() {
            "" => Ok(()),
            stored => check_hash(stored),
        };
        let read = fields.apart(|fields| {
            let person = self.person(fields);
            if let Err(refusal) = &hash {
                fields.violation("password_hash", hash_flaw(refusal));
            }
            person
        });
        read.map_err(|violations| Refused {
            index: self.index,
            refusal: match hash {
                // Nothing else is wrong: then the reason says more.
                Err(refusal) if violations.len() == 1 => refusal,
                _ => Reason::InvalidRequest.into(),
            },
            violations,
        })
    }

    fn person(&self, fields: &mut Fields<'_>) -> Option<Person> {
        let index = fields.not_negative("index", self.index);
        let email = fields.email("email", &self.email);
        let given_name = fields.text("given_name", &self.given_name, PersonName::parse);
        let family_name = fields.optional_text("family_name", &self.family_name, PersonName::parse);
        let display_name = fields.optional_text("display_name", &self.display_name, DisplayName::parse);
        let username = fields.username("username", &self.username);
        let locale = fields.locale("locale", &self.locale);
        let phone_number = fields.phone_number("phone_number", &self.phone_number);
        let create_time = fields.past("create_time", self.create_time.as_ref());
        let memberships = self.memberships(fields);
        Some(Person {
            index: index?,
            email: email?,
            email_verified: self.email_verified,
            given_name: given_name?,
            family_name: family_name?,
            display_name: display_name?,
            username: username?,
            locale: locale?,
            phone_number: phone_number?,
            password_hash: Some(self.password_hash.as_str()).filter(|hash| !hash.is_empty()).map(SecretString::from),
            suspended: self.suspended,
            create_time: create_time?,
            memberships: memberships?,
        })
    }

    fn memberships(&self, fields: &mut Fields<'_>) -> Option<Vec<Membership>> {
        fields.items("memberships", &self.memberships, MAX_MEMBERSHIPS)?;
        let read: Vec<Option<Membership>> = self
            .memberships
            .iter()
            .enumerate()
            .map(|(index, one)| {
                fields.within(&format!("memberships[{index}]"), |fields| {
                    let organization_id = fields.uuid("organization_id", &one.organization_id);
                    let roles = fields.roles("roles", &one.roles);
                    Some(Membership { organization_id: organization_id?, roles: roles? })
                })
            })
            .collect();
        read.into_iter().collect()
    }
}

/// What is wrong with a hash, as other fields are described. The hash itself is no part of it.
fn hash_flaw(refusal: &Refusal) -> String {
    let fact = |name: &str| {
        let found = refusal.metadata.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    match refusal.reason {
        Reason::HashMalformed => format!("is no {} hash: {}", fact("scheme"), fact("flaw")),
        Reason::HashTooExpensive => format!(
            "costs more than is accepted: {} {} of {}, at most {}",
            fact("parameter"),
            fact("value"),
            fact("scheme"),
            fact("limit")
        ),
        _ => format!("must be a hash of one of {}", fact("supported")),
    }
}

impl From<ImportResults> for pb::ImportUsersResponse {
    fn from(results: ImportResults) -> Self {
        let mut answer = Self::default();
        for result in results {
            match result {
                Ok(imported) => {
                    answer.created_count += i64::from(!imported.already);
                    answer.already_imported_count += i64::from(imported.already);
                    answer.users.push(imported.into());
                }
                Err(refused) => {
                    answer.refused_count += 1;
                    answer.refused.push(refused.into());
                }
            }
        }
        answer
    }
}

impl From<ImportedPerson> for pb::ImportedUser {
    fn from(imported: ImportedPerson) -> Self {
        let outcome = match imported.already {
            true => pb::ImportOutcome::AlreadyImported,
            false => pb::ImportOutcome::Created,
        };
        Self { index: imported.index, user_id: id(imported.user_id), outcome: outcome.into() }
    }
}

impl From<Refused> for pb::RefusedUser {
    fn from(refused: Refused) -> Self {
        let reason = refused.refusal.reason;
        let facts = refused.refusal.metadata.into_iter();
        Self {
            index: refused.index,
            reason: wire_reason(reason).into(),
            reason_name: reason.as_str().to_owned(),
            message: reason.message().to_owned(),
            metadata: facts.map(|(key, value)| (key.to_owned(), value)).collect(),
            violations: refused.violations.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Violation> for pb::ImportViolation {
    fn from(violation: Violation) -> Self {
        Self { field: violation.field, description: violation.description }
    }
}
