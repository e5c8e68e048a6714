//! How the domain says no: a refusal names the rule, a violation names the field.

/// Declares [`Reason`] with its wire name and its message, so that the three cannot drift apart.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $message:literal;)*) => {
        /// Why a call was refused. Mirrors the contract's `ErrorReason` one to one, which documents each reason with an example.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $message] $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)*];

            /// The reason's name on the wire, such as `LAST_OWNER`.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// What a developer reads in the status message.
            pub fn message(self) -> &'static str {
                match self { $(Reason::$variant => $message,)* }
            }
        }
    };
}

reasons! {
    InvalidRequest, "INVALID_REQUEST", "The request breaks constraints of its fields.";
    CredentialsMissing, "CREDENTIALS_MISSING", "The method needs a credential: send `authorization: Bearer <service key or session>`.";
    CredentialsInvalid, "CREDENTIALS_INVALID", "The credential is not valid.";
    SessionNotRecent, "SESSION_NOT_RECENT", "The session began too long ago for this: sign in again.";
    SessionOutdated, "SESSION_OUTDATED", "The session is from before the member was removed from the organization or suspended there: sign in again.";
    SignInFailed, "SIGN_IN_FAILED", "The address and the password do not match an account that may sign in.";
    CallerNotAllowed, "CALLER_NOT_ALLOWED", "This kind of caller may not call the method.";
    KeyConfined, "KEY_CONFINED", "The service key is confined to organizations, and the method reaches beyond them.";
    ScopeRequired, "SCOPE_REQUIRED", "The service key lacks the scope.";
    PermissionRequired, "PERMISSION_REQUIRED", "The user lacks the permission in this organization.";
    RoleNotGrantable, "ROLE_NOT_GRANTABLE", "The caller's roles do not let them give this role.";
    MemberNotManageable, "MEMBER_NOT_MANAGEABLE", "The caller's roles do not let them change this member.";
    EmailMismatch, "EMAIL_MISMATCH", "The session belongs to another address than the invitation.";
    EmailUnverified, "EMAIL_UNVERIFIED", "The account's address has not been verified.";
    NotOwner, "NOT_OWNER", "Only the current owner may do this.";
    SelfOnly, "SELF_ONLY", "Only the person themselves may call this, or a service.";
    OrganizationNotFound, "ORGANIZATION_NOT_FOUND", "There is no such organization among the caller's.";
    MemberNotFound, "MEMBER_NOT_FOUND", "The organization has no such member.";
    JoinLinkNotFound, "JOIN_LINK_NOT_FOUND", "There is no such join link.";
    JoinLinkNotOpen, "JOIN_LINK_NOT_OPEN", "Nobody joins by the link any more.";
    TooManyJoinLinks, "TOO_MANY_JOIN_LINKS", "An organization has fewer join links than that.";
    EmailDomainNotAllowed, "EMAIL_DOMAIN_NOT_ALLOWED", "The link is for addresses of other domains.";
    InvitationNotFound, "INVITATION_NOT_FOUND", "There is no such invitation, or its link has been replaced.";
    UserNotFound, "USER_NOT_FOUND", "There is no such user.";
    SessionNotFound, "SESSION_NOT_FOUND", "The user has no such session.";
    AccessModelNotFound, "ACCESS_MODEL_NOT_FOUND", "No access model of that id is loaded.";
    AccessModelInUse, "ACCESS_MODEL_IN_USE", "Somebody would be left with something that the new access model does not know.";
    ServiceAccountNotFound, "SERVICE_ACCOUNT_NOT_FOUND", "There is no such service account.";
    ServiceKeyNotFound, "SERVICE_KEY_NOT_FOUND", "The service account has no such key.";
    MessageNotFound, "MESSAGE_NOT_FOUND", "There is no such message.";
    TransferNotFound, "TRANSFER_NOT_FOUND", "There is no such transfer of ownership.";
    RoleNotFound, "ROLE_NOT_FOUND", "The organization has no such role.";
    RoleExists, "ROLE_EXISTS", "The organization has a role of this id.";
    RoleBeyondCaller, "ROLE_BEYOND_CALLER", "The role has something that the caller lacks.";
    RoleInvalid, "ROLE_INVALID", "The access model does not let a role be like this.";
    RoleInUse, "ROLE_IN_USE", "Somebody holds the role or is invited to it.";
    RoleOfModel, "ROLE_OF_MODEL", "The role belongs to the access model; only an organization's own roles are changed.";
    TooManyCustomRoles, "TOO_MANY_CUSTOM_ROLES", "An organization has fewer roles of its own than that.";
    ContactNotFound, "CONTACT_NOT_FOUND", "The organization has no such contact.";
    ContactExists, "CONTACT_EXISTS", "The address is a contact of the organization already.";
    AlreadyMember, "ALREADY_MEMBER", "The address belongs to a member of the organization.";
    InvitationPending, "INVITATION_PENDING", "An invitation to the address is pending.";
    EmailTaken, "EMAIL_TAKEN", "Another account has this address.";
    AccountExists, "ACCOUNT_EXISTS", "The invited address has an account, which has to sign in to accept.";
    SlugTaken, "SLUG_TAKEN", "Another organization has this slug, or had it lately.";
    UsernameTaken, "USERNAME_TAKEN", "Another account has this username.";
    TransferPending, "TRANSFER_PENDING", "A transfer of ownership waits for its nominee.";
    RequestIdReused, "REQUEST_ID_REUSED", "The request_id was used for another request.";
    RoleUnknown, "ROLE_UNKNOWN", "The access model has no such role.";
    RoleNotInvitable, "ROLE_NOT_INVITABLE", "The access model does not let this role be given by invitation.";
    RoleNotInOrganizationKind, "ROLE_NOT_IN_ORGANIZATION_KIND", "The role exists only in organizations of another kind.";
    TooManyRoles, "TOO_MANY_ROLES", "A member may hold fewer roles than that.";
    OwnerByTransferOnly, "OWNER_BY_TRANSFER_ONLY", "The owner role changes hands only by a transfer of ownership.";
    LastOwner, "LAST_OWNER", "It would leave the organization without an active owner.";
    MemberStateConflict, "MEMBER_STATE_CONFLICT", "The member is in a state that does not allow this.";
    RemovalFinal, "REMOVAL_FINAL", "The access model makes removal final.";
    RestoreByOperatorOnly, "RESTORE_BY_OPERATOR_ONLY", "Only an operator restores a removed member under this access model.";
    TransferNotSupported, "TRANSFER_NOT_SUPPORTED", "The access model knows no transfer of ownership.";
    TransferTargetIneligible, "TRANSFER_TARGET_INELIGIBLE", "The nominee is not an active member in a role that may receive ownership.";
    InvitationAlreadyUsed, "INVITATION_ALREADY_USED", "The invitation has been accepted already.";
    InvitationExpired, "INVITATION_EXPIRED", "The invitation has expired.";
    InvitationRevoked, "INVITATION_REVOKED", "The invitation has been revoked.";
    InvitationDeclined, "INVITATION_DECLINED", "The invitation has been declined.";
    InviterNoLongerAuthorized, "INVITER_NO_LONGER_AUTHORIZED", "The sender of the invitation may no longer give its roles.";
    TransferNoLongerAuthorized, "TRANSFER_NO_LONGER_AUTHORIZED", "The caller who started the transfer may no longer do so.";
    ServiceRequired, "SERVICE_REQUIRED", "ID tokens are taken from services only.";
    RemovedMember, "REMOVED_MEMBER", "The person was removed, and the access model does not let them be added again.";
    StepUpRequired, "STEP_UP_REQUIRED", "The access model asks the user for a second confirmation before this call.";
    DirectCreationNotAllowed, "DIRECT_CREATION_NOT_ALLOWED", "The access model adds people by invitation only.";
    OrganizationSuspended, "ORGANIZATION_SUSPENDED", "The organization is suspended.";
    OrganizationDeleted, "ORGANIZATION_DELETED", "The organization is deleted.";
    OrganizationStateConflict, "ORGANIZATION_STATE_CONFLICT", "The organization is in a state that does not allow this.";
    UserStateConflict, "USER_STATE_CONFLICT", "The account is in a state that does not allow this.";
    FieldNotEditable, "FIELD_NOT_EDITABLE", "Others do not edit this field.";
    TransferStateConflict, "TRANSFER_STATE_CONFLICT", "The transfer of ownership is in a state that does not allow this.";
    MessageNotFailed, "MESSAGE_NOT_FAILED", "Only a failed message can be retried.";
    ServiceAccountDisabled, "SERVICE_ACCOUNT_DISABLED", "The service account is disabled.";
    ScopeNotGrantable, "SCOPE_NOT_GRANTABLE", "A key neither passes on scopes that it lacks nor changes service accounts that have them.";
    OrganizationKindUnknown, "ORGANIZATION_KIND_UNKNOWN", "The access model does not know this kind of organization.";
    ChallengeInvalid, "CHALLENGE_INVALID", "The link, code or half-finished sign-in is unknown, used, replaced or expired.";
    CodeInvalid, "CODE_INVALID", "The code is not right.";
    PasswordIncorrect, "PASSWORD_INCORRECT", "The present password is not right.";
    MfaRequired, "MFA_REQUIRED", "The organization asks for a second factor, and the user has none.";
    MfaNotEnrolled, "MFA_NOT_ENROLLED", "The user has no second factor.";
    MfaAlreadyEnrolled, "MFA_ALREADY_ENROLLED", "The user has a second factor already.";
    MfaEnforced, "MFA_ENFORCED", "A second factor is asked for.";
    TooManyAttempts, "TOO_MANY_ATTEMPTS", "There have been too many attempts or requests for this account; try again later.";
    SecondFactorExhausted, "SECOND_FACTOR_EXHAUSTED", "There have been too many wrong codes in a row: only choosing a new password by a link in a mail helps.";
    CursorExpired, "CURSOR_EXPIRED", "The cursor is a place in another log than the one there is now.";
    IdTokenInvalid, "ID_TOKEN_INVALID", "The ID token does not say who somebody is.";
    IdTokenUsed, "ID_TOKEN_USED", "The ID token has been used already.";
    IdentityUnknown, "IDENTITY_UNKNOWN", "No account has this identity.";
    IdentityTaken, "IDENTITY_TAKEN", "An account has this identity already.";
    IdentityNotFound, "IDENTITY_NOT_FOUND", "The user has no such identity.";
    LastCredential, "LAST_CREDENTIAL", "It is the last way to sign in.";
    IdentityProviderUnavailable, "IDENTITY_PROVIDER_UNAVAILABLE", "The identity provider does not answer; try again.";
    TooManyIdentities, "TOO_MANY_IDENTITIES", "A user has fewer identities than that.";
    HashUnsupported, "HASH_UNSUPPORTED", "The password hash is of no scheme that can be compared with.";
    HashMalformed, "HASH_MALFORMED", "The password hash is not as its scheme writes it.";
    HashTooExpensive, "HASH_TOO_EXPENSIVE", "Comparing with the password hash would cost more than is accepted.";
    InvitationRecentlySent, "INVITATION_RECENTLY_SENT", "The invitation was sent a moment ago; try again later.";
    MailBudgetSpent, "MAIL_BUDGET_SPENT", "So much mail has been sent that there is no more for now.";
    ServiceKeyOutlivesCaller, "SERVICE_KEY_OUTLIVES_CALLER", "A key makes no key that outlives it, and gives none scopes.";
    EtagMismatch, "ETAG_MISMATCH", "The resource has changed since the etag was read.";
    Conflict, "CONFLICT", "Concurrent writes kept getting in the way; try again.";
    Overloaded, "OVERLOADED", "The server sheds load; try again.";
    DatabaseUnavailable, "DATABASE_UNAVAILABLE", "The database does not answer; try again.";
    Internal, "INTERNAL", "Something is wrong with the server.";
    DeadlineExceeded, "DEADLINE_EXCEEDED", "The server's time limit for one call passed.";
}

/// A rule's refusal: which rule, and the facts that help the caller to act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reason.message())]
pub struct Refusal {
    /// Which rule refused.
    pub reason: Reason,
    /// The facts, by the names that the contract's `ErrorReason` shows in its examples.
    pub metadata: Vec<(&'static str, String)>,
}

/// Ids that a refusal names.
const NAMED_AT_MOST: usize = 20;

impl Refusal {
    /// A refusal without facts.
    pub fn new(reason: Reason) -> Self {
        Self { reason, metadata: Vec::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// Adds the ids of a kind that are in the way, so that all can be mended at once, but twenty at the most, since an error has to fit into headers; the first also by itself, for whoever shows only
    /// that. Where there are none, adds nothing.
    #[must_use]
    pub fn naming<'a>(self, (one, all): (&'static str, &'static str), ids: impl Iterator<Item = &'a str>) -> Self {
        let ids: Vec<&str> = ids.take(NAMED_AT_MOST).collect();
        match ids.first() {
            Some(first) => self.with(one, *first).with(all, ids.join(", ")),
            None => self,
        }
    }

    /// Whether there is anything in it besides the reason.
    #[must_use]
    pub fn states_facts(&self) -> bool {
        !self.metadata.is_empty()
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

/// One violated field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path, such as `sign_up.password` or `checks[3].user_id`.
    pub field: String,
    /// What the field has to be.
    pub description: String,
}
