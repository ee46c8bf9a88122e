//! Compiles the contract with protox (no protoc needed) and writes, beside the
//! messages and services, one table of all RPCs with their policies and, for
//! each request message, the accessor that admission finds its target by.

use std::{env, error::Error, fmt::Write as _, fs, path::Path, path::PathBuf};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};

type BoxResult<T> = Result<T, Box<dyn Error>>;

fn main() -> BoxResult<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=confab");

    let mut files = Vec::new();
    find_protos(&root.join("confab"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // The typed set drops custom options; the encoded one keeps them.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    let mut config = prost_types_config();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_transport(false)
        .btree_map(".")
        .include_file("confab.rs")
        .compile_fds_with_config(prost_types::FileDescriptorSet::decode(&*encoded)?, config)?;

    let pool = DescriptorPool::decode(&*encoded)?;
    fs::write(out.join("methods.rs"), method_table(&pool)?)?;
    Ok(())
}

fn prost_types_config() -> tonic_prost_build::Config {
    tonic_prost_build::Config::new()
}

fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) -> BoxResult<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            found.push(path);
        }
    }
    Ok(())
}

fn method_table(pool: &DescriptorPool) -> BoxResult<String> {
    let mut table =
        String::from("/// Every RPC of the contract.\npub static METHODS: &[Method] = &[\n");
    let mut accessors = String::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let policy = policy_of(&method);
        check_minimum(&path, policy.as_ref())?;
        let index = table.matches("Method {").count();
        writeln!(
            table,
            "    Method {{ path: {path:?}, request: {:?}, response: {:?}, client_streaming: {}, \
             server_streaming: {}, idempotent: {}, policy: {} }},",
            method.input().full_name(),
            method.output().full_name(),
            method.is_client_streaming(),
            method.is_server_streaming(),
            idempotent(&method),
            policy.as_ref().map_or_else(|| "None".to_owned(), policy_literal),
        )?;
        if !method.is_client_streaming() {
            accessor(&mut accessors, &method, index, policy.as_ref())?;
        }
    }
    table.push_str("];\n\n");
    Ok(table + &accessors)
}

fn idempotent(method: &MethodDescriptor) -> bool {
    let options = method.options();
    let level = options.get_field_by_name("idempotency_level");
    level.and_then(|value| value.as_enum_number()).unwrap_or(0) != 0
}

fn policy_of(method: &MethodDescriptor) -> Option<DynamicMessage> {
    let extension = method.parent_pool().get_extension_by_name("confab.policy.v1.method")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

fn policy_literal(policy: &DynamicMessage) -> String {
    let callers: Vec<String> = field(policy, "callers")
        .as_list()
        .into_iter()
        .flatten()
        .filter_map(Value::as_enum_number)
        .map(|number| format!("Caller::from_number({number})"))
        .collect();
    let text = |name: &str| field(policy, name).as_str().unwrap_or_default().to_owned();
    format!(
        "Some(Policy {{ callers: &[{}], scope: {:?}, rate_class: {:?}, target: {} }})",
        callers.join(", "),
        text("scope"),
        text("rate_class"),
        target_literal(policy),
    )
}

fn target_literal(policy: &DynamicMessage) -> String {
    if let Some(target) = conversation_target(policy) {
        return format!(
            "Target::Conversation {{ field: {:?}, minimum: Relation::from_number({}), decided_by_log: {} }}",
            field(&target, "field").as_str().unwrap_or_default(),
            field(&target, "minimum").as_enum_number().unwrap_or_default(),
            field(&target, "decided_by_log").as_bool().unwrap_or_default(),
        );
    }
    for (name, literal) in [("owned", "Owned"), ("self", "Own"), ("mesh", "Mesh")] {
        if policy.has_field_by_name(name) {
            return format!("Target::{literal}");
        }
    }
    "Target::Missing".to_owned()
}

fn conversation_target(policy: &DynamicMessage) -> Option<DynamicMessage> {
    policy
        .has_field_by_name("conversation")
        .then(|| field(policy, "conversation").as_message().cloned())?
}

/// A conversation without a least relation is a policy that was not thought to
/// its end; the number 0 would be read as "anyone".
fn check_minimum(path: &str, policy: Option<&DynamicMessage>) -> BoxResult<()> {
    match policy.and_then(conversation_target) {
        Some(target) if field(&target, "minimum").as_enum_number().unwrap_or(0) == 0 => {
            Err(format!("{path}: names a conversation but no least relation to it").into())
        }
        _ => Ok(()),
    }
}

fn field(message: &DynamicMessage, name: &str) -> Value {
    message.get_field_by_name(name).map_or(Value::Bool(false), std::borrow::Cow::into_owned)
}

/// `impl RpcRequest for …`: the method and the conversation that it is about.
fn accessor(
    code: &mut String,
    method: &MethodDescriptor,
    index: usize,
    policy: Option<&DynamicMessage>,
) -> BoxResult<()> {
    let input = method.input();
    let target = match policy.and_then(conversation_target) {
        Some(target) => {
            let name = field(&target, "field").as_str().unwrap_or_default().to_owned();
            if input.get_field_by_name(&name).is_none() {
                return Err(format!("{}: no field {name:?}", input.full_name()).into());
            }
            format!("Some(&self.{name})")
        }
        None => "None".to_owned(),
    };
    writeln!(
        code,
        "impl RpcRequest for crate::{} {{\n    const METHOD: &'static Method = &METHODS[{index}];\n    \
         fn conversation_id(&self) -> Option<&str> {{ {target} }}\n}}",
        rust_path(&input),
    )?;
    Ok(())
}

/// `confab.messages.v1.SendMessageRequest` → `messages::v1::SendMessageRequest`.
fn rust_path(message: &MessageDescriptor) -> String {
    message.full_name().trim_start_matches("confab.").replace('.', "::")
}
