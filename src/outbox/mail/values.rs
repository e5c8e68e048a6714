//! What a template gets of a mail: names, addresses, times, made harmless.

use chrono::{DateTime, Utc};
use minijinja::{Value, context};

use crate::{
    domain::mail::{InvitationMail, NoticeMail, OwnershipMail, SecretMail},
    outbox::mail::text::{ControlCharacter, defang, lines, one_line, shown_address},
};

/// A time for people, and one that is the same in every language.
fn shown(time: DateTime<Utc>) -> (String, String) {
    (time.format("%-d %B %Y, %H:%M UTC").to_string(), time.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// Those of an invitation.
///
/// # Errors
/// A text has a character in it that has no place in a mail.
pub(crate) fn invitation_values(mail: &InvitationMail) -> Result<Value, ControlCharacter> {
    let name = |field, text| one_line(field, text).map(defang);
    let address = |field, text| one_line(field, text).map(shown_address);
    let inviter_name = mail.inviter_name.as_deref().map(|text| name("inviter_name", text)).transpose()?;
    let inviter_email = mail.inviter_email.as_deref().map(|text| address("inviter_email", text)).transpose()?;
    let roles = mail.role_names.iter().map(|text| name("role_names", text)).collect::<Result<Vec<_>, _>>()?;
    let message = mail.message.as_deref().map(|text| lines("message", text)).transpose()?.unwrap_or_default();
    let (expire_time, expire_time_iso) = shown(mail.expire_time);
    Ok(context! {
        inviter_name,
        inviter_email,
        organization_name => name("organization_name", &mail.organization_name)?,
        invitee_email => address("invitee_email", &mail.invitee_email)?,
        role_names => roles,
        message_lines => message.trim().lines().map(defang).collect::<Vec<_>>(),
        expire_time,
        expire_time_iso,
    })
}

/// Those of a mail with a link or a code.
///
/// # Errors
/// A text has a character in it that has no place in a mail.
pub(crate) fn secret_values(mail: &SecretMail) -> Result<Value, ControlCharacter> {
    let (expire_time, expire_time_iso) = shown(mail.expire_time);
    Ok(context! {
        email => shown_address(one_line("email", &mail.email)?),
        expire_time,
        expire_time_iso,
    })
}

/// Those of news about ownership.
///
/// # Errors
/// A text has a character in it that has no place in a mail.
pub(crate) fn ownership_values(mail: &OwnershipMail) -> Result<Value, ControlCharacter> {
    let name = |field, text| one_line(field, text).map(defang);
    let (expire_time, expire_time_iso) = shown(mail.expire_time);
    Ok(context! {
        news => mail.news.as_str(),
        email => one_line("email", &mail.email).map(shown_address)?,
        organization_name => name("organization_name", &mail.organization_name)?,
        other_name => name("other_name", &mail.other_name)?,
        expire_time,
        expire_time_iso,
    })
}

/// Those of a notice.
///
/// # Errors
/// A text has a character in it that has no place in a mail.
pub(crate) fn notice_values(mail: &NoticeMail) -> Result<Value, ControlCharacter> {
    let (time, time_iso) = shown(mail.time);
    Ok(context! {
        notice => mail.notice.as_str(),
        email => shown_address(one_line("email", &mail.email)?),
        time,
        time_iso,
    })
}
