//! The attribute that makes a function a wire test.

use proc_macro::{TokenStream, TokenTree};

/// Registers a wire test, so that `tests/wire/support/runner.rs` finds it.
///
/// `#[wire_test]` is for an `async fn name(world: World)`, which runs on both databases, with a server, a database, a mailbox and a clock of its own.
/// `#[wire_test(sqlite)]` and `#[wire_test(postgres)]` keep it to one database. `#[wire_test(once)]` is for an `async fn name()`, which runs once, without a world.
#[proc_macro_attribute]
pub fn wire_test(on: TokenStream, function: TokenStream) -> TokenStream {
    let on = on.to_string();
    let Some(name) = name_of(function.clone()) else {
        return error("a wire test is a function");
    };
    let body = match on.as_str() {
        "" => world("BOTH", &name),
        "sqlite" => world("SQLITE_ONLY", &name),
        "postgres" => world("POSTGRES_ONLY", &name),
        "once" => format!("Once(|| ::std::boxed::Box::pin({name}()))"),
        _ => return error("a wire test is for `sqlite`, `postgres`, `once`, or both databases"),
    };
    let registration = format!(
        "::inventory::submit! {{ crate::support::runner::WireTest {{
            module: module_path!(), name: {name:?}, body: crate::support::runner::Body::{body}
        }} }}"
    );
    let Ok(registration) = registration.parse::<TokenStream>() else {
        return error("a wire test has a plain name");
    };
    function.into_iter().chain(registration).collect()
}

fn world(databases: &str, name: &str) -> String {
    format!("World(crate::support::runner::{databases}, |world| ::std::boxed::Box::pin({name}(world)))")
}

/// The word behind the first `fn`.
fn name_of(function: TokenStream) -> Option<String> {
    let mut tokens = function.into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    tokens.next().map(|name| name.to_string())
}

fn error(what: &str) -> TokenStream {
    format!("::core::compile_error!({what:?});").parse().unwrap_or_default()
}
