//! The one mapping from errors to status codes, with rich details.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    app::call::error::Error,
    domain::error::{Reason, Refusal, Violation},
};

/// The `domain` of every `google.rpc.ErrorInfo` of ours.
const DOMAIN: &str = "roster.v1";

/// Octets of violations in one answer at the most. Details travel in a header, in base64, and common clients take 8 KiB of headers: on more
/// than they take, they close the connection with all its other calls.
const MAX_VIOLATIONS: usize = 4 * 1024;

/// Characters of a description in a message at the most.
const MAX_DESCRIPTION: usize = 200;

/// When a caller who was turned away by load or a race should come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => status(&refusal, ErrorDetails::new()),
            Error::Invalid(violations) => invalid(violations),
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

/// All violated fields; of more than fit, the first, and how many there are. The message tells of the first, for clients that read no details.
fn invalid(violations: Vec<Violation>) -> Status {
    let mut details = ErrorDetails::new();
    let message = first_of(&violations);
    let mut refusal = Refusal::new(Reason::InvalidRequest);
    let all = violations.len();
    let mut room = MAX_VIOLATIONS;
    for violation in violations {
        let Some(left) = room.checked_sub(violation.field.len() + violation.description.len()) else {
            refusal = refusal.with("violations", all.to_string());
            break;
        };
        room = left;
        details.add_bad_request_violation(violation.field, violation.description);
    }
    status_saying(&message, &refusal, details)
}

/// The sentence of a request with violations: which field comes first, what is wrong with it, and how many others there are.
fn first_of(violations: &[Violation]) -> String {
    let sentence = Reason::InvalidRequest.message().trim_end_matches('.');
    let Some(Violation { field, description }) = violations.first() else { return format!("{sentence}.") };
    let description: String = description.chars().take(MAX_DESCRIPTION).collect();
    match violations.len() - 1 {
        0 => format!("{sentence}: {field} {description}."),
        others => format!("{sentence}: {field} {description}; and {others} more."),
    }
}

/// A refusal as a status.
pub(crate) fn refuse(refusal: &Refusal) -> Status {
    status(refusal, ErrorDetails::new())
}

/// A refusal that says when to try again.
pub(crate) fn retryable(reason: Reason) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(RETRY_AFTER));
    status(&reason.into(), details)
}

/// The answer to a defect of this program. Its cause is for the log.
pub(crate) fn defect(cause: &str) -> Status {
    tracing::error!(cause, "a defect");
    status(&Reason::Internal.into(), ErrorDetails::new())
}

fn status(refusal: &Refusal, details: ErrorDetails) -> Status {
    status_saying(refusal.reason.message(), refusal, details)
}

fn status_saying(message: &str, refusal: &Refusal, mut details: ErrorDetails) -> Status {
    let reason = refusal.reason;
    let metadata: HashMap<String, String> =
        refusal.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    if let Some(seconds) = metadata.get("retry_after_seconds").and_then(|text| text.parse().ok()) {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    details.set_error_info(reason.as_str(), DOMAIN, metadata);
    if let Some(resource) = resource(reason) {
        details.set_resource_info(resource, "", "", reason.message());
    }
    if code(reason) == Code::FailedPrecondition {
        details.add_precondition_failure_violation(reason.as_str(), "", reason.message());
    }
    Status::with_error_details(code(reason), message, details)
}

/// The code of each reason. Exhaustive: a new reason has to say what it is.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidRequest | Reason::HashUnsupported | Reason::HashMalformed | Reason::HashTooExpensive => {
            Code::InvalidArgument
        }
        Reason::CredentialsMissing
        | Reason::CredentialsInvalid
        | Reason::SignInFailed
        | Reason::SessionOutdated
        | Reason::IdTokenInvalid
        | Reason::IdTokenUsed
        | Reason::IdentityUnknown => Code::Unauthenticated,
        Reason::CallerNotAllowed
        | Reason::ScopeRequired
        | Reason::KeyConfined
        | Reason::PermissionRequired
        | Reason::RoleNotGrantable
        | Reason::RoleBeyondCaller
        | Reason::MemberNotManageable
        | Reason::EmailMismatch
        | Reason::EmailUnverified
        | Reason::EmailDomainNotAllowed
        | Reason::MfaRequired
        | Reason::ServiceRequired
        | Reason::SelfOnly
        | Reason::NotOwner => Code::PermissionDenied,
        Reason::OrganizationNotFound
        | Reason::MemberNotFound
        | Reason::InvitationNotFound
        | Reason::JoinLinkNotFound
        | Reason::UserNotFound
        | Reason::SessionNotFound
        | Reason::AccessModelNotFound
        | Reason::ServiceAccountNotFound
        | Reason::ServiceKeyNotFound
        | Reason::MessageNotFound
        | Reason::TransferNotFound
        | Reason::ContactNotFound
        | Reason::IdentityNotFound
        | Reason::RoleNotFound => Code::NotFound,
        Reason::AlreadyMember
        | Reason::InvitationPending
        | Reason::EmailTaken
        | Reason::AccountExists
        | Reason::UsernameTaken
        | Reason::SlugTaken
        | Reason::TransferPending
        | Reason::ContactExists
        | Reason::RoleExists
        | Reason::IdentityTaken
        | Reason::RequestIdReused => Code::AlreadyExists,
        Reason::RoleUnknown
        | Reason::RoleInvalid
        | Reason::RoleInUse
        | Reason::RoleOfModel
        | Reason::TooManyCustomRoles
        | Reason::TooManyJoinLinks
        | Reason::JoinLinkNotOpen
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
        | Reason::TransferNoLongerAuthorized
        | Reason::RemovedMember
        | Reason::StepUpRequired
        | Reason::DirectCreationNotAllowed
        | Reason::OrganizationSuspended
        | Reason::MessageNotFailed
        | Reason::ServiceAccountDisabled
        | Reason::ScopeNotGrantable
        | Reason::ServiceKeyOutlivesCaller
        | Reason::OrganizationKindUnknown
        | Reason::OrganizationDeleted
        | Reason::OrganizationStateConflict
        | Reason::UserStateConflict
        | Reason::FieldNotEditable
        | Reason::TransferStateConflict
        | Reason::ChallengeInvalid
        | Reason::MfaNotEnrolled
        | Reason::MfaAlreadyEnrolled
        | Reason::MfaEnforced
        | Reason::CodeInvalid
        | Reason::LastCredential
        | Reason::TooManyIdentities
        | Reason::SessionNotRecent
        | Reason::SecondFactorExhausted
        | Reason::CursorExpired
        | Reason::AccessModelInUse
        | Reason::PasswordIncorrect => Code::FailedPrecondition,
        Reason::EtagMismatch | Reason::Conflict => Code::Aborted,
        Reason::Overloaded | Reason::TooManyAttempts | Reason::InvitationRecentlySent | Reason::MailBudgetSpent => {
            Code::ResourceExhausted
        }
        Reason::DatabaseUnavailable | Reason::IdentityProviderUnavailable => Code::Unavailable,
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
        Reason::JoinLinkNotFound => Some("join link"),
        Reason::UserNotFound => Some("user"),
        Reason::SessionNotFound => Some("session"),
        Reason::AccessModelNotFound => Some("access model"),
        Reason::ServiceAccountNotFound => Some("service account"),
        Reason::ServiceKeyNotFound => Some("service key"),
        Reason::MessageNotFound => Some("message"),
        Reason::TransferNotFound => Some("ownership transfer"),
        Reason::ContactNotFound => Some("contact"),
        Reason::RoleNotFound => Some("role"),
        Reason::IdentityNotFound => Some("identity"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::grpc::DESCRIPTOR_SET;

    /// The first word of the comment that the contract has for a reason.
    fn documented(pool: &DescriptorPool, reason: Reason) -> String {
        let reasons = pool.get_enum_by_name("roster.v1.ErrorReason").unwrap();
        let value = reasons.get_value_by_name(&format!("ERROR_REASON_{}", reason.as_str()));
        let value = value.unwrap();
        let file = reasons.parent_file_descriptor_proto();
        let mut places = file.source_code_info.as_ref().unwrap().location.iter();
        let comment = places.find(|place| place.path == value.path()).unwrap().leading_comments();
        comment.trim().split('.').next().unwrap().to_owned()
    }

    #[test]
    fn the_message_tells_of_the_first_field() {
        let violation = |field: &str, description: String| Violation { field: field.to_owned(), description };
        let message = |violations: Vec<Violation>| invalid(violations).message().to_owned();
        let first = violation("email", "is required".to_owned());
        let sentence = "The request breaks constraints of its fields";
        assert_eq!(message(vec![first.clone()]), format!("{sentence}: email is required."));
        let more = vec![first.clone(), violation("roles[0]", "x".to_owned()), violation("locale", "y".to_owned())];
        assert_eq!(message(more), format!("{sentence}: email is required; and 2 more."));
        let long = message(vec![violation("document", "é".repeat(5000))]);
        assert_eq!(long.chars().count(), sentence.len() + ": document ".len() + 200 + 1);
    }

    #[test]
    fn each_reason_has_the_code_that_the_contract_documents() {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
        for &reason in Reason::ALL {
            // `NotFound` for NOT_FOUND.
            let given = format!("{:?}", code(reason)).to_uppercase();
            assert_eq!(documented(&pool, reason).replace('_', ""), given, "{}", reason.as_str());
        }
    }

    #[test]
    fn more_violations_than_fit_are_counted() {
        let violation =
            |index| Violation { field: format!("checks[{index}].user_id"), description: "is required".to_owned() };
        let few = Status::from(Error::Invalid((0..3).map(violation).collect())).get_error_details();
        assert_eq!(few.bad_request().unwrap().field_violations.len(), 3);
        assert!(few.error_info().unwrap().metadata.is_empty());

        let many = Status::from(Error::Invalid((0..1500).map(violation).collect()));
        assert!(many.details().len() < 6_000, "{} octets", many.details().len());
        let many = many.get_error_details();
        assert!(many.bad_request().unwrap().field_violations.len() > 50);
        assert_eq!(many.error_info().unwrap().metadata.get("violations").unwrap(), "1500");
    }
}
