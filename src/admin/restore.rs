//! What `admin after-restore` tells: what it has ended, and what an operator has to look at.

use std::io::Write;

use chrono::{DateTime, Utc};

use crate::{admin::line, app::operators::restore::Restored};

/// Writes a line for each thing, its kind first.
pub(super) fn show(restored: &Restored, revoked: bool, out: &mut impl Write) -> Result<(), String> {
    line(out, &["EPOCH", &restored.epoch.to_string()].join("\t"))?;
    for (kind, count) in [
        ("SESSIONS_ENDED", restored.sessions),
        ("CHALLENGES_ENDED", restored.challenges),
        ("ANSWERS_FORGOTTEN", restored.answers),
    ] {
        line(out, &[kind, &count.to_string()].join("\t"))?;
    }
    let kind = if revoked { "INVITATION_REVOKED" } else { "INVITATION_OPEN" };
    for one in &restored.invitations {
        let (organization, id) = (one.organization_id.to_string(), one.id.to_string());
        let fields = [kind, &organization, &id, &date(one.create_time), &one.email];
        line(out, &fields.join("\t"))?;
    }
    let kind = if revoked { "JOIN_LINK_REVOKED" } else { "JOIN_LINK_OPEN" };
    for one in &restored.join_links {
        let (organization, id) = (one.organization_id.to_string(), one.id.to_string());
        let name = one.display_name.as_deref().unwrap_or_default();
        line(out, &[kind, &organization, &id, &date(one.create_time), name].join("\t"))?;
    }
    for one in &restored.transfers {
        let (organization, id) = (one.organization_id.to_string(), one.id.to_string());
        line(out, &["TRANSFER_WAITS", &organization, &id, &date(one.create_time)].join("\t"))?;
    }
    for (key, account) in &restored.keys {
        let (account_id, id) = (account.id.to_string(), key.id.to_string());
        let scopes: Vec<&str> = account.scopes.iter().collect();
        let fields =
            ["KEY", &account_id, &id, &date(key.create_time), &key.hint, &scopes.join(","), &account.display_name];
        line(out, &fields.join("\t"))?;
    }
    Ok(())
}

fn date(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
