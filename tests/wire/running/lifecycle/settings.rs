//! Settings at the start.

use std::io::Write;
use std::path::Path;

use roster_test_macros::wire_test;

use super::laptop_flags;
use crate::support::process::run;

/// `roster models test` counts the tests that hold and names one that does not, and `roster models diff` tells what another document decides otherwise.
#[wire_test(once)]
async fn the_command_line_tests_and_compares_models() {
    let all = run(&["models", "test"], &[]).await;
    assert_eq!((all.code, all.stdout.matches(" tests hold\n").count()), (Some(0), 6), "{} {}", all.stdout, all.stderr);
    let same = run(&["models", "diff", "portal", "portal"], &[]).await;
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), ""));

    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/models/default.toml");
    let document = std::fs::read_to_string(shipped).unwrap();
    let changed = document.replace(
        "permissions = [\"members.read\", \"organization.read\"]",
        "permissions = [\"members.read\", \"organization.read\", \"audit.read\"]",
    );
    assert_ne!(changed, document);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, &changed).unwrap();
    let told = run(&["models", "test", path], &[]).await;
    assert!(told.code == Some(1) && told.stderr.contains("`member` may not `audit.read`"), "{}", told.stderr);
    std::fs::write(&file, changed.split("[[tests]]").next().unwrap()).unwrap();
    let told = run(&["models", "diff", "default", path], &[]).await;
    assert_eq!(told.stdout, "+ role member may audit.read\n", "{}", told.stderr);
}

/// `roster models check` takes a good document, and names line or field of what is wrong in a bad one.
#[wire_test(once)]
async fn models_check_names_what_is_wrong() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/models/default.toml");
    let good = run(&["models", "check", shipped.to_str().unwrap()], &[]).await;
    assert_eq!((good.code, good.stdout.as_str()), (Some(0), "default: fine, 3 roles\n"));

    let text = std::fs::read_to_string(&shipped).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("max_roles_per_member")).unwrap();
    for (change, complaints) in [
        (text.replace("max_roles_per_member = 1", "max_roles_per_member = = 1"), vec![format!("line {line}")]),
        (
            text.replace("max_roles_per_member = 1", "max_roles_per_member = \"many\""),
            vec!["max_roles_per_member".to_owned()],
        ),
        (
            text.replace("default_role = \"member\"", "default_role = \"captain\""),
            vec!["default_role".to_owned(), "captain".to_owned()],
        ),
    ] {
        assert_ne!(change, text);
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(change.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let bad = run(&["models", "check", path], &[]).await;
        assert_eq!(bad.code, Some(1));
        for complaint in complaints.iter().map(String::as_str).chain([path]) {
            assert!(bad.stderr.contains(complaint), "{complaint} in {}", bad.stderr);
        }
    }
    let missing = run(&["models", "check", "/no/such/file.toml"], &[]).await;
    assert!(missing.code == Some(1) && missing.stderr.contains("/no/such/file.toml"), "{missing:?}");
}

/// `roster config` prints every setting, with nothing of what is set in it.
#[wire_test(once)]
async fn config_prints_every_setting() {
    let printed = run(
        &["config"],
        &[("ROSTER_SECRET_KEY", "canary-of-a-key"), ("ROSTER_DATABASE_URL", "postgres://u:canary@h/d")],
    )
    .await;
    assert_eq!(printed.code, Some(0));
    for setting in ["ROSTER_LISTEN", "ROSTER_DATABASE_URL_FILE", "ROSTER_GRPC_WEB", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        assert!(printed.stdout.contains(&format!("| `{setting}` |")), "{setting}");
    }
    assert!(!printed.stdout.contains("canary"));
}

/// Settings that do not fit are refused all at once, with their names, without the values of secrets, before anything is touched.
#[wire_test(once)]
async fn settings_that_do_not_fit_are_refused_together() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let environment = [
        ("ROSTER_DATABASE_URL", "postgres://user:canary@127.0.0.1:1/roster"),
        ("ROSTER_SMTP_URL", "ftp://user:canary@mail.example.com"),
        ("ROSTER_LISTEN", "0.0.0.0:0"),
        ("ROSTER_INVITATION_URL", "https://app.example.com/"),
        ("ROSTER_SESSION_IDLE", "90d"),
        ("ROSTER_DATA_DIR", data.to_str().unwrap()),
    ];
    let ended = run::<&str>(&[], &environment).await;
    assert_eq!(ended.code, Some(1));
    for name in
        ["ROSTER_SECRET_KEY", "ROSTER_SMTP_URL", "ROSTER_LISTEN", "ROSTER_INVITATION_URL", "ROSTER_SESSION_IDLE"]
    {
        assert!(ended.stderr.contains(name), "{name} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    assert!(!data.exists());
    // What only mail itself understands is found before anything is touched, too.
    let layout = folder.path().join("templates");
    std::fs::create_dir(&layout).unwrap();
    std::fs::write(layout.join("layout.html"), "{% block body %}{% endblock %}{{ logo }}").unwrap();
    let brands = folder.path().join("brands");
    std::fs::create_dir(&brands).unwrap();
    std::fs::write(brands.join("acme.toml"), "color = \"#ffff00\"").unwrap();
    for (setting, value) in [
        ("ROSTER_BRANDS_DIR", brands.to_str().unwrap()),
        ("ROSTER_SMTP_URL", "smtp://user:canary@mail.example.com?tls=maybe"),
        ("ROSTER_MAIL_TEMPLATES_DIR", layout.to_str().unwrap()),
    ] {
        let ended = run::<&str>(&[], &[(setting, value), ("ROSTER_DATA_DIR", data.to_str().unwrap())]).await;
        assert!(
            ended.code == Some(1) && ended.stderr.contains(setting) && !ended.stderr.contains("canary"),
            "{}",
            ended.stderr
        );
        assert!(!data.exists());
    }
    let broken = run(&["serve", "--listen=somewhere"], &[]).await;
    assert_eq!(broken.code, Some(2), "{}", broken.stderr);
}

/// A key that is none, in the environment or in the file that the first start left, stops the start and is not shown.
#[wire_test(once)]
async fn a_broken_key_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [&["serve".to_owned()], &laptop_flags(folder.path())[..]].concat();
    for key in ["canary-not-base64!", "Y2FuYXJ5", ""] {
        let ended = run(&flags, &[("ROSTER_SECRET_KEY", key)]).await;
        assert_ne!(ended.code, Some(0), "{key}");
        assert!(
            ended.stderr.contains("ROSTER_SECRET_KEY")
                && !ended.stderr.contains("anary")
                && !ended.stderr.contains("Y2Fu"),
            "{}",
            ended.stderr
        );
    }
    std::fs::write(folder.path().join("secret-key"), "Y2FuYXJ5\n").unwrap();
    let ended = run(&flags, &[]).await;
    assert!(ended.code == Some(1) && !ended.stderr.contains("Y2Fu"), "{}", ended.stderr);
}
