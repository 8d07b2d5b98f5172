//! Compiles the `.proto` files with a compiler written in Rust, so that nobody needs `protoc`: the messages, clients and
//! servers, the descriptors for reflection, and the table of methods with their options (`src/methods.rs`).

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use protox::prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};

const FILES: [&str; 7] = ["common", "event", "gateway", "guilds", "messages", "presence", "routing"];
const PACKAGE: &str = "starling.v1";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES.map(|name| format!("starling/v1/{name}.proto")))?;

    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .compile_fds(compiler.file_descriptor_set())?;
    // Encoded from the pool, which keeps options that prost does not know.
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    std::fs::write(out.join("methods.rs"), methods(&compiler.descriptor_pool())?)?;
    Ok(())
}

/// The table as Rust, in order of the path.
fn methods(pool: &DescriptorPool) -> Outcome<String> {
    let mut rows = Vec::new();
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let route = route(pool, &method).map_err(|error| format!("{path}: {error}"))?;
        let repeat = repeat(pool, &method).map_err(|error| format!("{path}: {error}"))?;
        rows.push((path, route, repeat));
    }
    rows.sort();
    let mut text = String::from("&[\n");
    for (path, route, repeat) in rows {
        writeln!(text, "    Method {{ path: {path:?}, route: {route}, repeat: {repeat} }},")?;
    }
    text.push_str("]\n");
    Ok(text)
}

fn route(pool: &DescriptorPool, method: &MethodDescriptor) -> Outcome<String> {
    let options = method.options();
    let Some(route) = set_option(pool, &options, "route")? else { return Ok("Route::Any".into()) };
    let route = route.as_message().ok_or("route is a message")?;
    let by = route.fields().next().map(|(field, value)| (field.name().to_owned(), value.clone()));
    let (set, value) = by.ok_or("route says nothing")?;
    if set == "service" {
        return Ok("Route::Service".into());
    }
    let set = match set.as_str() {
        "channel" => "Channels",
        "guild" => "Guilds",
        _ => "Users",
    };
    let field = field_path(&method.input(), value.as_str().ok_or("route names a field")?)?;
    Ok(format!("Route::Key {{ set: SlotSet::{set}, field: &{field:?} }}"))
}

fn repeat(pool: &DescriptorPool, method: &MethodDescriptor) -> Outcome<String> {
    let options = method.options();
    let level = options.get_field_by_name("idempotency_level").and_then(|value| value.as_enum_number());
    let with = set_option(pool, &options, "repeatable_with")?;
    let names = with.as_ref().and_then(Value::as_list).unwrap_or_default();
    if level.unwrap_or_default() != 0 {
        return Ok("Repeat::Always".into());
    }
    let mut fields = Vec::new();
    for name in names {
        fields.push(field_path(&method.input(), name.as_str().ok_or("a field has a name")?)?);
    }
    Ok(if fields.is_empty() {
        "Repeat::Never".into()
    } else {
        format!("Repeat::With(&{fields:?})").replace("[[", "[&[").replace("], [", "], &[")
    })
}

/// An option of ours, where the method has it.
fn set_option(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Outcome<Option<Value>> {
    let name = format!("{PACKAGE}.{name}");
    let extension = pool.get_extension_by_name(&name).ok_or_else(|| format!("no option `{name}`"))?;
    Ok(options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned()))
}

/// The numbers of a field's path, such as `state.guild_id`.
fn field_path(message: &MessageDescriptor, path: &str) -> Outcome<Vec<u32>> {
    let mut message = Some(message.clone());
    let mut numbers = Vec::new();
    for name in path.split('.') {
        let parent = message.ok_or_else(|| format!("`{path}`: there is nothing in front of `{name}`"))?;
        let field = parent.get_field_by_name(name);
        let field = field.ok_or_else(|| format!("{} has no field `{name}`", parent.full_name()))?;
        numbers.push(field.number());
        message = field.kind().as_message().cloned();
    }
    Ok(numbers)
}
