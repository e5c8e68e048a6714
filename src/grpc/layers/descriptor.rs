//! The contract as data: the descriptor set, and the access rule of each method that stands in it.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

use crate::app::call::context::Rule;

/// The encoded descriptor set of the contract, with comments and options.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/roster.v1.binpb"));

/// The option that carries the access rule.
const OPTION: &str = "roster.v1.access";

/// Methods that read many rows and answer with no page of them.
const LONG: [&str; 2] = [
    "/roster.v1.AuditService/VerifyAuditChain",
    "/roster.v1.UserService/BatchGetUsers",
];

/// The access rules, by method, and what else the edge has to know of a method.
#[derive(Debug, Clone)]
pub(crate) struct Rules(Arc<HashMap<String, Method>>);

#[derive(Debug)]
struct Method {
    rule: Arc<Rule>,
    streams_requests: bool,
    reads_much: bool,
}

impl Rules {
    /// Reads the rules from the descriptor set.
    ///
    /// # Errors
    /// A method without a rule, or a rule that nobody could satisfy.
    pub(crate) fn load() -> Result<Self, String> {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).map_err(|error| error.to_string())?;
        let option = pool
            .get_extension_by_name(OPTION)
            .ok_or_else(|| format!("the contract does not declare {OPTION}"))?;
        let mut rules = HashMap::new();
        for method in pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let path = path(&method);
            let options = method.options();
            let rule = match options.get_extension(&option).as_ref() {
                Value::Message(message) if options.has_extension(&option) => rule(&path, message),
                _ => return Err(format!("{path} has no access rule")),
            };
            let method = Method {
                rule: Arc::new(rule),
                streams_requests: method.is_client_streaming(),
                reads_much: reads_much(&path, &method),
            };
            rules.insert(path, method);
        }
        Ok(Self(Arc::new(rules)))
    }

    /// The rule of a method, by its path such as `/roster.v1.UserService/GetUser`.
    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Rule>> {
        self.0.get(path).map(|method| &method.rule)
    }

    /// Whether a method reads many rows, and so takes turns with the others that do (ab_54).
    pub(crate) fn reads_much(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|method| method.reads_much)
    }

    /// Whether the requests of a method are a stream, which is answered before its end has come.
    pub(crate) fn streams_requests(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|method| method.streams_requests)
    }
}

/// Whether a method answers with many rows: with pages, or with a stream of its own making.
fn reads_much(path: &str, method: &MethodDescriptor) -> bool {
    let pages = method.output().get_field_by_name("next_page_token").is_some();
    let exports = method.is_server_streaming() && !method.is_client_streaming();
    pages || exports || LONG.contains(&path)
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn rule(path: &str, message: &DynamicMessage) -> Rule {
    let text = |field: &str| {
        let value = message.get_field_by_name(field);
        value
            .and_then(|value| value.as_str().map(ToOwned::to_owned))
            .unwrap_or_default()
    };
    let flag = |field: &str| {
        let value = message.get_field_by_name(field);
        value.and_then(|value| value.as_bool()).unwrap_or_default()
    };
    Rule {
        method: path.to_owned(),
        public: flag("public"),
        scope: text("scope"),
        permission: text("permission"),
        self_field: text("self_field"),
        signed_in: flag("signed_in"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{access_model::SERVICE_PERMISSIONS, error::Reason, scope};

    #[test]
    fn every_method_has_a_rule_that_somebody_can_satisfy() {
        let rules = Rules::load().unwrap();
        for Method { rule, .. } in rules.0.values() {
            let somebody = rule.public || !rule.scope.is_empty() || !rule.permission.is_empty() || rule.signed_in;
            assert!(somebody, "{rule:?}");
            assert!(
                rule.scope.is_empty() || scope::ALL.contains(&rule.scope.as_str()),
                "{rule:?}"
            );
            assert!(
                rule.permission.is_empty() || SERVICE_PERMISSIONS.contains(&rule.permission.as_str()),
                "{rule:?}"
            );
        }
    }

    #[test]
    fn lists_and_exports_read_much_and_checks_do_not() {
        let rules = Rules::load().unwrap();
        for path in LONG.iter().copied().chain([
            "/roster.v1.InvitationService/ListInvitations",
            "/roster.v1.AuditService/ExportAuditEntries",
            "/roster.v1.MemberService/ListUserMemberships",
        ]) {
            assert!(rules.reads_much(path), "{path}");
        }
        for path in [
            "/roster.v1.PermissionService/CheckPermission",
            "/roster.v1.PermissionService/ListEffectivePermissions",
            "/roster.v1.SessionService/VerifySession",
            "/roster.v1.UserService/ImportUsers",
        ] {
            assert!(rules.get(path).is_some() && !rules.reads_much(path), "{path}");
        }
    }

    #[test]
    fn the_fields_that_rules_name_exist() {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
        let option = pool.get_extension_by_name(OPTION).unwrap();
        for method in pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let options = method.options();
            let value = options.get_extension(&option);
            let rule = value.as_message().unwrap();
            let permission = rule.get_field_by_name("permission").unwrap();
            for name in ["organization_field", "self_field"] {
                let value = rule.get_field_by_name(name).unwrap();
                let field = value.as_str().unwrap();
                let wanted = name == "organization_field" && permission.as_str() != Some("");
                assert_eq!(
                    wanted || (name == "self_field" && !field.is_empty()),
                    !field.is_empty(),
                    "{}",
                    method.name()
                );
                if field.is_empty() {
                    continue;
                }
                let mut message = Some(method.input());
                for part in field.split('.') {
                    let found = message
                        .unwrap()
                        .get_field_by_name(part)
                        .unwrap_or_else(|| panic!("{field}"));
                    message = found.kind().as_message().cloned();
                }
            }
        }
    }

    #[test]
    fn the_reasons_of_the_domain_and_of_the_contract_are_the_same() {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
        let contract = pool.get_enum_by_name("roster.v1.ErrorReason").unwrap();
        let mut declared: Vec<String> = contract
            .values()
            .map(|value| value.name().trim_start_matches("ERROR_REASON_").to_owned())
            .filter(|name| name != "UNSPECIFIED")
            .collect();
        let mut given: Vec<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
        declared.sort();
        given.sort();
        assert_eq!(declared, given);
    }
}
