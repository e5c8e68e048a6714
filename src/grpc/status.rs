//! The one mapping from errors to status codes, with rich details.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    app::error::Error,
    domain::error::{Reason, Refusal},
};

/// The `domain` of every `google.rpc.ErrorInfo` of ours.
const DOMAIN: &str = "roster.v1";

/// When a caller who was turned away by load or a race should come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => status(&refusal, ErrorDetails::new()),
            Error::Invalid(violations) => {
                let mut details = ErrorDetails::new();
                for violation in violations {
                    details.add_bad_request_violation(violation.field, violation.description);
                }
                status(&Reason::InvalidRequest.into(), details)
            }
            Error::Busy(cause) => {
                tracing::info!(cause, "gave up after concurrent writes");
                retryable(Reason::Conflict)
            }
            Error::Unavailable(cause) => {
                tracing::error!(cause, "the database does not answer");
                retryable(Reason::DatabaseUnavailable)
            }
            Error::Overloaded => retryable(Reason::Overloaded),
            Error::Internal(cause) => defect(&cause),
        }
    }
}

/// A refusal as a status.
pub(super) fn refuse(refusal: &Refusal) -> Status {
    status(refusal, ErrorDetails::new())
}

/// A refusal that says when to try again.
pub(super) fn retryable(reason: Reason) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    status(&reason.into(), details)
}

fn defect(cause: &str) -> Status {
    tracing::error!(cause, "a defect");
    status(&Reason::Internal.into(), ErrorDetails::new())
}

fn status(refusal: &Refusal, mut details: ErrorDetails) -> Status {
    let reason = refusal.reason;
    let metadata: HashMap<String, String> = refusal
        .metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    details.set_error_info(reason.as_str(), DOMAIN, metadata);
    if let Some(resource) = resource(reason) {
        details.set_resource_info(resource, "", "", reason.message());
    }
    if code(reason) == Code::FailedPrecondition {
        details.add_precondition_failure_violation(reason.as_str(), "", reason.message());
    }
    Status::with_error_details(code(reason), reason.message(), details)
}

/// The code of each reason. Exhaustive: a new reason has to say what it is.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidRequest => Code::InvalidArgument,
        Reason::CredentialsMissing | Reason::CredentialsInvalid | Reason::SignInFailed => Code::Unauthenticated,
        Reason::CallerNotAllowed
        | Reason::ScopeRequired
        | Reason::PermissionRequired
        | Reason::RoleNotGrantable
        | Reason::MemberNotManageable
        | Reason::EmailMismatch
        | Reason::EmailUnverified
        | Reason::NotOwner => Code::PermissionDenied,
        Reason::OrganizationNotFound
        | Reason::MemberNotFound
        | Reason::InvitationNotFound
        | Reason::UserNotFound
        | Reason::SessionNotFound
        | Reason::AccessModelNotFound
        | Reason::ServiceAccountNotFound
        | Reason::ServiceKeyNotFound
        | Reason::MessageNotFound => Code::NotFound,
        Reason::AlreadyMember
        | Reason::InvitationPending
        | Reason::EmailTaken
        | Reason::AccountExists
        | Reason::RequestIdReused => Code::AlreadyExists,
        Reason::RoleUnknown
        | Reason::RoleNotInvitable
        | Reason::RoleNotInOrganizationKind
        | Reason::TooManyRoles
        | Reason::OwnerByTransferOnly
        | Reason::LastOwner
        | Reason::MemberStateConflict
        | Reason::RemovalFinal
        | Reason::RestoreByOperatorOnly
        | Reason::TransferNotSupported
        | Reason::TransferTargetIneligible
        | Reason::InvitationAlreadyUsed
        | Reason::InvitationExpired
        | Reason::InvitationRevoked
        | Reason::InvitationDeclined
        | Reason::InviterNoLongerAuthorized
        | Reason::RemovedMember
        | Reason::StepUpRequired
        | Reason::DirectCreationNotAllowed
        | Reason::OrganizationSuspended
        | Reason::MessageNotFailed
        | Reason::ServiceAccountDisabled
        | Reason::ScopeNotGrantable
        | Reason::OrganizationKindUnknown => Code::FailedPrecondition,
        Reason::EtagMismatch | Reason::Conflict => Code::Aborted,
        Reason::Overloaded => Code::ResourceExhausted,
        Reason::DatabaseUnavailable => Code::Unavailable,
        Reason::Internal => Code::Internal,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
    }
}

/// What was not found.
fn resource(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::OrganizationNotFound => Some("organization"),
        Reason::MemberNotFound => Some("member"),
        Reason::InvitationNotFound => Some("invitation"),
        Reason::UserNotFound => Some("user"),
        Reason::SessionNotFound => Some("session"),
        Reason::AccessModelNotFound => Some("access model"),
        Reason::ServiceAccountNotFound => Some("service account"),
        Reason::ServiceKeyNotFound => Some("service key"),
        Reason::MessageNotFound => Some("message"),
        _ => None,
    }
}
