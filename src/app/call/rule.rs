//! Who may call a method: the contract's access rules, and whether what they ask of a user has been looked at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    app::call::caller::Caller,
    domain::error::{Reason, Refusal},
};

/// The rules, sorted by method. The build writes them from the contract, and ends where a method has none.
static RULES: &[Rule] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// Methods that read many rows and answer with no page of them.
const LONG: [&str; 2] = ["/roster.v1.AuditService/VerifyAuditChain", "/roster.v1.UserService/BatchGetUsers"];

/// Who may call a method, and what else has to be known of it before its request is looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The method's full name, such as `/roster.v1.UserService/GetUser`.
    pub(crate) method: &'static str,
    /// No credential is needed: the request carries it.
    pub(crate) public: bool,
    /// The scope that a service key needs; empty: no service key may call.
    pub(crate) scope: &'static str,
    /// The permission that a user needs in the organization that the request names; empty: none.
    pub(crate) permission: &'static str,
    /// The field that names the user who may call for themselves; empty: none.
    pub(crate) self_field: &'static str,
    /// Any signed-in user may call.
    pub(crate) signed_in: bool,
    /// The requests are a stream, which is answered before its end has come.
    pub(crate) streams_requests: bool,
    /// The method answers with pages, or with a stream of its own making.
    pub(crate) answers_many: bool,
    /// The number of the request's field `consistency`; 0 where it has none.
    pub(crate) consistency: u32,
    /// The request names the organization that it is about.
    pub(crate) names_organization: bool,
    /// A key that is confined to organizations may call, although the rule does not know about which one.
    pub(crate) confined: bool,
    /// A service may call for a person, who is recorded as the one who did it and has no right of their own in it.
    pub(crate) names_actor: bool,
}

impl Rule {
    /// The rule of a method, by its path such as `/roster.v1.UserService/GetUser`.
    pub(crate) fn of(path: &str) -> Option<&'static Self> {
        let at = RULES.binary_search_by(|rule| rule.method.cmp(path)).ok()?;
        RULES.get(at)
    }

    /// Whether the method reads many rows, and so takes turns with the others that do (ab_54).
    pub(crate) fn reads_much(&self) -> bool {
        self.answers_many || LONG.contains(&self.method)
    }

    /// Refuses a caller who may not call the method, whatever the request says. What depends on the request, [`Ctx::require_self`] and [`access`] decide.
    ///
    /// # Errors
    /// `CREDENTIALS_MISSING`, `SCOPE_REQUIRED`, `KEY_CONFINED`, `CALLER_NOT_ALLOWED`.
    ///
    /// [`Ctx::require_self`]: crate::app::call::context::Ctx::require_self
    /// [`access`]: crate::app::call::access
    pub(crate) fn admit(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.public {
            return Ok(());
        }
        let not_allowed = || Refusal::new(Reason::CallerNotAllowed).with("method", self.method);
        match &caller.service {
            None if caller.user.is_none() => return Err(Reason::CredentialsMissing.into()),
            Some(_) if self.scope.is_empty() => return Err(not_allowed()),
            Some(service) if !service.scopes.allow(self.scope) => {
                return Err(Refusal::new(Reason::ScopeRequired).with("scope", self.scope));
            }
            // Where an organization is named, access to it is decided there (ab_48).
            Some(service) if service.confinement.is_some() && !self.names_organization && !self.confined => {
                return Err(Refusal::new(Reason::KeyConfined)
                    .with("method", self.method)
                    .with("hint", "call with a key that is not confined"));
            }
            _ => {}
        }
        let for_users = self.signed_in || !self.permission.is_empty() || !self.self_field.is_empty();
        let named = self.names_actor && caller.service.is_some();
        if caller.user.is_some() && !for_users && !named {
            return Err(not_allowed());
        }
        Ok(())
    }

    /// What is wrong where a user's right that depends on the request is missing: a permission in the organization that it names, or to be the user whom it names.
    pub(crate) fn unproven(&self, proof: &Proof) -> Option<String> {
        let depends = !self.permission.is_empty() || !self.self_field.is_empty();
        let missing = depends && !self.signed_in && !proof.is_given();
        missing.then(|| format!("{} has not asked for the caller's right", self.method))
    }
}

/// Whether a call's right has been proven. A use case that forgets to ask for it gets nothing done: its transaction is not committed and its answer does not leave. Clones are of the same call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proof(Arc<AtomicBool>);

impl Proof {
    /// The caller has the right that the rule asks for.
    pub(crate) fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// A stream's next message comes: what an earlier one has proven says nothing of it.
    pub(crate) fn withdraw(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        app::call::caller::ServiceCaller,
        domain::{
            access_model::is_service_permission,
            scope::{self, Scopes},
        },
    };

    fn service(scopes: &[&str]) -> Caller {
        Caller {
            service: Some(ServiceCaller {
                account_id: Uuid::nil(),
                key_id: Uuid::nil(),
                scopes: Scopes::parse(scopes.iter().copied()).unwrap(),
                key_expire_time: None,
                confinement: None,
            }),
            user: None,
            named: None,
        }
    }

    fn reason(rule: &Rule, caller: &Caller) -> Option<Reason> {
        rule.admit(caller).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_rule_without_anything_admits_nobody() {
        let none = Rule::default();
        assert_eq!(reason(&none, &Caller::default()), Some(Reason::CredentialsMissing));
        assert_eq!(reason(&none, &service(&["operator"])), Some(Reason::CallerNotAllowed));
    }

    #[test]
    fn a_service_needs_the_scope() {
        let rule = Rule { scope: "users.read", ..Rule::default() };
        assert_eq!(reason(&rule, &service(&["users.write"])), Some(Reason::ScopeRequired));
        assert_eq!(reason(&rule, &service(&["users.read"])), None);
        assert_eq!(reason(&rule, &Caller::default()), Some(Reason::CredentialsMissing));
    }

    #[test]
    fn every_rule_is_found_and_somebody_can_satisfy_it() {
        assert!(RULES.len() > 70);
        for rule in RULES {
            assert_eq!(Rule::of(rule.method), Some(rule));
            let somebody = rule.public || !rule.scope.is_empty() || !rule.permission.is_empty() || rule.signed_in;
            assert!(somebody, "{rule:?}");
            assert!(rule.scope.is_empty() || scope::ALL.contains(&rule.scope), "{rule:?}");
            let known = rule.permission.is_empty() || is_service_permission(rule.permission);
            assert!(known, "{rule:?}");
        }
        assert_eq!(Rule::of("/roster.v1.UserService/Nothing"), None);
    }

    #[test]
    fn lists_and_exports_read_much_and_checks_do_not() {
        let reads_much = |path: &str| Rule::of(path).unwrap().reads_much();
        for path in LONG.iter().copied().chain([
            "/roster.v1.InvitationService/ListInvitations",
            "/roster.v1.AuditService/ExportAuditEntries",
            "/roster.v1.MemberService/ListUserMemberships",
        ]) {
            assert!(reads_much(path), "{path}");
        }
        for path in [
            "/roster.v1.PermissionService/CheckPermission",
            "/roster.v1.PermissionService/ListEffectivePermissions",
            "/roster.v1.SessionService/VerifySession",
            "/roster.v1.UserService/ImportUsers",
        ] {
            assert!(!reads_much(path), "{path}");
        }
    }
}
