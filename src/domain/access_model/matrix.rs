//! A model's roles as a table for people: what each may do, give and change.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{AccessModel, Role, RoleId};

/// The model's decisions as text: permissions by roles, then who may give and change which role. The same model always gives the same text.
pub fn matrix(model: &AccessModel) -> String {
    let mut text = format!("{} ({})\n", model.id(), model.name());
    table(&mut text, model, "permission", &permission_rows(model));
    table(&mut text, model, "role that it may give", &role_rows(model, |role| &role.grants));
    table(&mut text, model, "role whose holders it may change", &role_rows(model, |role| &role.manages));
    text.push('\n');
    for role in model.roles() {
        let mut traits = Vec::new();
        if &role.id == model.owner_role() {
            traits.push("owner".to_owned());
        }
        if Some(&role.id) == model.default_role() {
            traits.push("default".to_owned());
        }
        if !role.invitable {
            traits.push("not by invitation".to_owned());
        }
        if !role.organization_kinds.is_empty() {
            let kinds: Vec<&str> = role.organization_kinds.iter().map(String::as_str).collect();
            traits.push(format!("only in {}", kinds.join(", ")));
        }
        if !traits.is_empty() {
            line(&mut text, &format!("{}: {}", role.id, traits.join("; ")));
        }
    }
    text
}

/// A row of a table: its name, and the answer of each role.
type Row = (String, Vec<bool>);

fn permission_rows(model: &AccessModel) -> Vec<Row> {
    let row = |permission: &super::Permission| {
        let name = match &permission.class {
            Some(class) => format!("{} [{class}]", permission.id),
            None => permission.id.to_string(),
        };
        let answers = model.roles().iter().map(|role| role.permissions.contains(&permission.id));
        (name, answers.collect())
    };
    model.permissions().iter().map(row).collect()
}

fn role_rows(model: &AccessModel, list: fn(&Role) -> &BTreeSet<RoleId>) -> Vec<Row> {
    let row = |given: &Role| {
        let answers = model.roles().iter().map(|role| list(role).contains(&given.id));
        (given.id.to_string(), answers.collect())
    };
    model.roles().iter().map(row).collect()
}

fn table(text: &mut String, model: &AccessModel, title: &str, rows: &[Row]) {
    let width = rows.iter().map(|(name, _)| name.len()).chain([title.len()]).max().unwrap_or(0);
    let mut header = format!("{title:width$}");
    for role in model.roles() {
        let _ = write!(header, "  {}", role.id);
    }
    text.push('\n');
    line(text, &header);
    for (name, answers) in rows {
        let mut row = format!("{name:width$}");
        for (role, answer) in model.roles().iter().zip(answers) {
            let cell = if *answer { "yes" } else { "-" };
            let _ = write!(row, "  {cell:0$}", role.id.as_str().len());
        }
        line(text, &row);
    }
}

fn line(text: &mut String, content: &str) {
    text.push_str(content.trim_end());
    text.push('\n');
}
