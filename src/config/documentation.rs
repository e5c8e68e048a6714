//! The documentation of the settings, taken from the command line's own description, so that it cannot disagree with the program.

use clap::{Arg, CommandFactory};

use super::Cli;

/// One setting of `serve`, as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// The group it belongs to.
    pub group: String,
    /// The flag, with its dashes.
    pub flag: String,
    /// The environment variable.
    pub env: String,
    /// The default; `None`: unset.
    pub default: Option<String>,
    /// What it does.
    pub help: String,
}

/// Every setting of `serve`, in the order of the help text.
#[must_use]
pub fn settings() -> Vec<SettingDoc> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve");
    serve.into_iter().flat_map(clap::Command::get_arguments).filter_map(describe).collect()
}

fn describe(argument: &Arg) -> Option<SettingDoc> {
    let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    Some(SettingDoc {
        group: argument.get_help_heading().unwrap_or_default().to_owned(),
        flag: format!("--{}", argument.get_long()?),
        env: argument.get_env()?.to_string_lossy().into_owned(),
        default: if default.is_empty() { None } else { Some(default.join(",")) },
        help: argument.get_help()?.to_string(),
    })
}

/// [`settings`] as Markdown: a table for each group.
#[must_use]
pub fn settings_markdown() -> String {
    let mut text = String::new();
    let mut group = String::new();
    for setting in settings() {
        if setting.group != group {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!(
                "{gap}## {}\n\n| variable | flag | default | what it does |\n|---|---|---|---|\n",
                setting.group
            ));
            group.clone_from(&setting.group);
        }
        let default = setting.default.map_or_else(|| "unset".to_owned(), |default| format!("`{}`", cell(&default)));
        text.push_str(&format!("| `{}` | `{}` | {default} | {} |\n", setting.env, setting.flag, cell(&setting.help)));
    }
    text
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_argument_of_serve_is_a_documented_setting() {
        let command = Cli::command();
        let arguments = command
            .find_subcommand("serve")
            .unwrap()
            .get_arguments()
            .filter(|argument| argument.get_id() != "help")
            .count();
        let settings = settings();
        assert_eq!(settings.len(), arguments, "an argument has no flag, no variable or no comment");
        assert_eq!(settings.iter().map(|setting| &setting.env).collect::<HashSet<_>>().len(), settings.len());
        for setting in &settings {
            assert!(!setting.group.is_empty(), "{setting:?}");
            let flag = setting.flag.trim_start_matches("--").replace('-', "_").to_uppercase();
            assert!(
                setting.env == format!("ROSTER_{flag}") || (setting.env == flag && flag.starts_with("OTEL_")),
                "{setting:?}"
            );
        }
    }

    #[test]
    fn the_settings_that_the_contract_names_are_there() {
        let settings = settings();
        let default = |env: &str| {
            settings.iter().find(|setting| setting.env == env).unwrap_or_else(|| panic!("{env}")).default.clone()
        };
        for (env, expected) in [
            ("ROSTER_LISTEN", Some("127.0.0.1:50051")),
            ("ROSTER_HTTP_LISTEN", Some("127.0.0.1:9464")),
            ("ROSTER_DATA_DIR", Some("./data")),
            ("ROSTER_DATABASE_URL", None),
            ("ROSTER_SECRET_KEY", None),
            ("ROSTER_SECRET_KEY_FILE", None),
            ("ROSTER_SMTP_URL", None),
            ("ROSTER_ACCESS_MODELS_DIR", None),
            ("ROSTER_TLS_CERT", None),
            ("ROSTER_TLS_KEY", None),
            ("ROSTER_TLS_CLIENT_CA", None),
            ("ROSTER_INSECURE", Some("false")),
            ("ROSTER_REFLECTION", Some("true")),
            ("ROSTER_GRPC_WEB", Some("false")),
            ("ROSTER_ARGON2_MEMORY_KIB", Some("19456")),
            ("ROSTER_SESSION_IDLE", Some("7d")),
            ("ROSTER_SESSION_LIFETIME", Some("30d")),
            ("ROSTER_DRAIN_TIMEOUT", Some("25s")),
            ("ROSTER_MAX_MESSAGE_BYTES", Some("262144")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", None),
        ] {
            assert_eq!(default(env).as_deref(), expected, "{env}");
        }
    }

    #[test]
    fn markdown_has_a_row_for_each() {
        let text = settings_markdown();
        assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), settings().len());
        assert!(
            text.contains("| `ROSTER_LISTEN` | `--listen` | `127.0.0.1:50051` | Where gRPC is served |\n"),
            "{text}"
        );
        assert!(text.contains("| `ROSTER_SECRET_KEY` | `--secret-key` | unset |"));
    }

    #[test]
    fn secrets_of_the_environment_do_not_show_in_the_help() {
        let command = Cli::command();
        for argument in command.find_subcommand("serve").unwrap().get_arguments() {
            let name = argument.get_id().as_str();
            if ["secret_key", "database_url", "smtp_url"].contains(&name) {
                assert!(argument.is_hide_env_values_set(), "{name}");
            }
        }
    }
}
