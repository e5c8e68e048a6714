//! Compiles the contract in `proto/` into clients, servers and the descriptor set of reflection, and what stands in it beside the messages into Rust: the access rule of each
//! method, the fields that rules name, and the paging fields of lists.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MessageDescriptor, MethodDescriptor, Value};

/// The option that carries the access rule.
const OPTION: &str = "roster.v1.access";

/// The fields by which a request asks for a page, and an answer tells of the next one (AIP-158).
const PAGE_TOKEN: &str = "page_token";
const NEXT_PAGE_TOKEN: &str = "next_page_token";

/// The field by which a request says what it changes of the resource beside it (AIP-134).
const UPDATE_MASK: &str = "update_mask";

/// The field by which a request says what its answer has to know of.
const CONSISTENCY: &str = "consistency";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> =
        fs::read_dir("proto/roster/v1")?.map(|entry| entry.map(|found| found.path())).collect::<Result<_, _>>()?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write through the environment")]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Encoded by protox: prost would drop the access option of each method, which it does not know.
    let encoded = compiler.encode_file_descriptor_set();
    write_rules(&DescriptorPool::decode(encoded.as_slice())?, &out)?;
    fs::write(out.join("roster.v1.binpb"), encoded)?;

    tonic_prost_build::compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// Writes `rules.rs`, the access rules sorted by method, `requests.rs`, what their requests have in common, and `responses.rs`, how a page becomes the answer to a list. A method without a rule ends the build.
fn write_rules(pool: &DescriptorPool, out: &Path) -> Result<(), Box<dyn Error>> {
    let option = pool.get_extension_by_name(OPTION).ok_or_else(|| format!("the contract does not declare {OPTION}"))?;
    let mut methods: Vec<MethodDescriptor> =
        pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    methods.sort_by_key(path);
    let (mut rules, mut requests, mut responses) = (String::new(), String::new(), String::new());
    for method in &methods {
        let rule = rule(method, &option)?;
        write_rule(&mut rules, method, &rule)?;
        write_request(&mut requests, &method.input(), &rule)?;
        write_response(&mut responses, &method.output())?;
    }
    fs::write(out.join("rules.rs"), format!("&[{rules}]"))?;
    fs::write(out.join("requests.rs"), requests)?;
    fs::write(out.join("responses.rs"), responses)?;
    Ok(())
}

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

fn rule(method: &MethodDescriptor, option: &ExtensionDescriptor) -> Result<DynamicMessage, String> {
    let options = method.options();
    match options.get_extension(option).as_ref() {
        Value::Message(rule) if options.has_extension(option) => Ok(rule.clone()),
        _ => Err(format!("{} has no access rule", path(method))),
    }
}

fn text(rule: &DynamicMessage, field: &str) -> String {
    let value = rule.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn flag(rule: &DynamicMessage, field: &str) -> bool {
    rule.get_field_by_name(field).and_then(|value| value.as_bool()).unwrap_or_default()
}

fn write_rule(rules: &mut String, method: &MethodDescriptor, rule: &DynamicMessage) -> Result<(), Box<dyn Error>> {
    writeln!(
        rules,
        "Rule {{ method: {:?}, public: {}, scope: {:?}, permission: {:?}, self_field: {:?}, signed_in: {}, streams_requests: {}, answers_many: {}, consistency: {}, names_organization: {}, confined: {}, names_actor: {} }},",
        path(method),
        flag(rule, "public"),
        text(rule, "scope"),
        text(rule, "permission"),
        text(rule, "self_field"),
        flag(rule, "signed_in"),
        method.is_client_streaming(),
        method.output().get_field_by_name(NEXT_PAGE_TOKEN).is_some()
            || method.is_server_streaming() && !method.is_client_streaming(),
        method.input().get_field_by_name(CONSISTENCY).map_or(0, |field| field.number()),
        !text(rule, "organization_field").is_empty(),
        flag(rule, "confined"),
        flag(rule, "names_actor"),
    )?;
    Ok(())
}

fn write_request(
    requests: &mut String,
    request: &MessageDescriptor,
    rule: &DynamicMessage,
) -> Result<(), Box<dyn Error>> {
    let message = format!("crate::grpc::pb::{}", request.name());
    writeln!(requests, "impl Ruled for {message} {{")?;
    for (function, field) in [("organization", "organization_field"), ("user", "self_field")] {
        let field = text(rule, field);
        if !field.is_empty() {
            let getter = getter(request, &field)?;
            writeln!(requests, "fn {function}(&self) -> Option<&str> {{ {getter} }}")?;
        }
    }
    writeln!(requests, "}}")?;
    if request.get_field_by_name(PAGE_TOKEN).is_some() {
        writeln!(requests, "paged!({message});")?;
    }
    if request.get_field_by_name(UPDATE_MASK).is_some() {
        write_resource(requests, request)?;
    }
    Ok(())
}

/// The resource of an update is the other message of its request.
fn write_resource(requests: &mut String, request: &MessageDescriptor) -> Result<(), Box<dyn Error>> {
    let others = request.fields().filter(|field| field.name() != UPDATE_MASK);
    let resource = others.filter_map(|field| field.kind().as_message().cloned()).next();
    let resource = resource.ok_or_else(|| format!("{}: a mask without a resource", request.full_name()))?;
    let fields: Vec<String> = resource.fields().map(|field| field.name().to_owned()).collect();
    writeln!(requests, "resource!({}, {});", resource.name(), fields.join(", "))?;
    Ok(())
}

/// A list's answer has its rows in its only repeated field.
fn write_response(responses: &mut String, response: &MessageDescriptor) -> Result<(), Box<dyn Error>> {
    if response.get_field_by_name(NEXT_PAGE_TOKEN).is_none() {
        return Ok(());
    }
    let rows = response.fields().find(|field| field.is_list());
    let rows = rows.ok_or_else(|| format!("{}: a page without rows", response.full_name()))?;
    let kind = rows.kind();
    let row = kind.as_message().ok_or_else(|| format!("{}: rows that are no messages", response.full_name()))?;
    let fields = response.fields().count();
    let (response, row, rows) = (response.name(), row.name(), rows.name());
    // What an answer says beside its page, whoever makes it adds.
    let rest = if fields > 3 { ", Self::default()" } else { "" };
    writeln!(responses, "page!({response}, {row}, {rows}{rest});")?;
    Ok(())
}

/// The expression that reads a field such as `user_id` or `user.user_id`.
fn getter(request: &MessageDescriptor, field: &str) -> Result<String, String> {
    let missing = || format!("{}: the access rule names {field}, which is not there", request.full_name());
    match field.split_once('.') {
        None => {
            request.get_field_by_name(field).ok_or_else(missing)?;
            Ok(format!("Some(self.{field}.as_str())"))
        }
        Some((outer, inner)) => {
            let message = request.get_field_by_name(outer).ok_or_else(missing)?;
            let kind = message.kind();
            let kind = kind.as_message().ok_or_else(missing)?;
            kind.get_field_by_name(inner).ok_or_else(missing)?;
            Ok(format!("self.{outer}.as_ref().map(|message| message.{inner}.as_str())"))
        }
    }
}
