//! Renders mails from templates: ours, compiled in, or an operator's, read from a directory when the process starts.
//!
//! A mail has three templates, such as `invitation.en.subject.txt`, `invitation.en.txt` and `invitation.en.html`, in minijinja's language
//! (Jinja2). An operator replaces any of them by a file of the same name, or adds a language to a mail by three files with another tag
//! in place of `en`. The HTML templates fill the blocks of `layout.html` (title, preview, heading, body), which can be replaced as well, and is what
//! gives all mails another look. The mails with a replaced part are rendered with samples before anything is served: a template that names an
//! unknown variable, forgets the link or code, or has a subject of two lines stops the start rather than the first mail. A test renders ours.
//!
//! In a subject, every text has at most 60 characters: a longer one is cut and ends with an ellipsis.
//!
//! What a template gets has been made harmless before ([`crate::outbox::mail::text`]): names carry no control characters and nothing that a mail
//! program would turn into a link, and the HTML templates escape on top of that.
//!
//! | mail | variable | |
//! |---|---|---|
//! | every | `language` | tag of the language of the template, for `<html lang>` |
//! | every | `brand.name`, `brand.logo_url` | how the product shows itself: text or none |
//! | every | `brand.color` | the colour of buttons and links, as `#rrggbb` |
//! | `invitation` | `inviter_name`, `inviter_email` | text or none |
//! | `invitation` | `organization_name`, `invitee_email` | text |
//! | `invitation` | `role_names`, `message_lines` | lists of text, may be empty |
//! | all others | `email` | the address of the account |
//! | `invitation`, `password_reset`, `email_verification` | `link` | the link with its token |
//! | `step_up` | `code` | the code |
//! | `security_notice` | `notice` | what changed: one of the words of [`Notice`](crate::domain::mail::Notice) |
//! | `security_notice` | `time`, `time_iso` | when it changed, as below |
//! | `ownership` | `news` | what happens: one of the words of [`OwnershipNews`](crate::domain::mail::OwnershipNews) |
//! | `ownership` | `organization_name`, `other_name` | text |
//! | all but `security_notice` | `expire_time`, `expire_time_iso` | `21 November 2026, 14:05 UTC` and `2026-11-21 14:05 UTC` |

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, value::ValueKind};

use crate::{
    domain::{
        brand::{Brand, Links},
        mail::Payload,
    },
    outbox::mail::{
        samples::samples,
        text::{ControlCharacter, escape_html, one_line, shorten},
        values::{invitation_values, notice_values, ownership_values, secret_values},
    },
};

const FALLBACK_LOCALE: &str = "en";
const PARTS: [&str; 3] = ["subject.txt", "txt", "html"];
/// The mails that there are; each is named as the kind of its payload.
const MAILS: [&str; 6] =
    ["invitation", "password_reset", "email_verification", "step_up", "security_notice", "ownership"];

/// What every HTML part is put into, in every language.
const LAYOUT: &str = "layout.html";

/// The three shipped templates of each mail in each language.
macro_rules! shipped {
    ($($mail:literal)*) => { &[$(shipped!($mail: "en" "de" "es" "fr" "ja")),*] };
    ($mail:literal: $($locale:literal)*) => { [$([
        shipped!($mail, $locale, ".subject.txt"),
        shipped!($mail, $locale, ".txt"),
        shipped!($mail, $locale, ".html"),
    ]),*] };
    ($mail:literal, $locale:literal, $part:literal) => {
        (concat!($mail, ".", $locale, $part), include_str!(concat!("templates/", $mail, ".", $locale, $part)))
    };
}
const SHIPPED: &[[[(&str, &str); 3]; 5]] =
    shipped!("invitation" "password_reset" "email_verification" "step_up" "security_notice" "ownership");
/// The languages of each mail.
type Locales = BTreeMap<&'static str, BTreeSet<String>>;
/// The shipped templates, parsed. No setting changes them.
static PARSED: LazyLock<Result<(Environment<'static>, Locales), TemplateError>> = LazyLock::new(parse_shipped);
/// A template is a page of text; more is a mistake.
const MAX_TEMPLATE_BYTES: u64 = 256 * 1024;

/// The templates cannot be used. Found when the process starts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    /// The directory or a file in it cannot be read.
    #[error("cannot read the mail template {path}: {source}")]
    Read {
        /// The file or directory.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The template itself is wrong.
    #[error("mail template {name}: {reason}")]
    Invalid {
        /// Name of the template.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One that comes with the program is wrong.
    #[error("{0}")]
    Shipped(&'static TemplateError),
}

/// One message could not be rendered; another may well be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    /// A text has a character in it that has no place in a mail.
    #[error(transparent)]
    Text(#[from] ControlCharacter),
    /// The template failed for this message's values.
    #[error("mail template {name}: {reason}")]
    Template {
        /// Name of the template.
        name: String,
        /// What failed.
        reason: String,
    },
}

/// A mail in words: what becomes its subject and its two parts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// One line.
    pub(crate) subject: String,
    /// The plain text part.
    pub(crate) text: String,
    /// The HTML part.
    pub(crate) html: String,
}

/// Turns payloads into words.
#[derive(Debug)]
pub(crate) struct Renderer {
    environment: Environment<'static>,
    links: Links,
    locales: Locales,
}

/// What a mail hands to its reader: a link, a code, or nothing.
enum Handed {
    Link(String),
    Code(String),
    Nothing,
}

impl Renderer {
    /// Loads the shipped templates and, over them, those in each of `overrides`, for mails of a brand.
    ///
    /// # Errors
    /// [`TemplateError`] when a file cannot be read, has a name that no mail uses, or fails with a sample.
    pub(crate) fn new(brand: &Brand, overrides: &[&Path]) -> Result<Self, TemplateError> {
        let (mut environment, mut locales) = PARSED.as_ref().map_err(TemplateError::Shipped)?.clone();
        environment.add_global("brand", shown(brand));
        let mut replaced = Locales::new();
        let mut layout = false;
        let mut sources = BTreeMap::new();
        for directory in overrides {
            sources.extend(read_overrides(directory)?);
        }
        for (name, source) in sources {
            if name == LAYOUT {
                layout = true;
            } else {
                let (mail, locale) = mail_and_locale(&name).ok_or_else(|| TemplateError::Invalid {
                    name: name.clone(),
                    reason: format!(
                        "no mail uses a template of this name; expected {LAYOUT} or <mail>.<language>.subject.txt, .txt or .html, where the mail is \
                         one of {}",
                        MAILS.join(", ")
                    ),
                })?;
                locales.entry(mail).or_default().insert(locale.to_owned());
                replaced.entry(mail).or_default().insert(locale.to_owned());
            }
            environment.add_template_owned(name.clone(), source).map_err(|error| invalid(&name, &error))?;
        }
        let renderer = Self { environment, links: brand.links.clone(), locales };
        renderer.check(if layout { &renderer.locales } else { &replaced })?;
        Ok(renderer)
    }

    /// Renders one message.
    ///
    /// # Errors
    /// [`RenderError`] when a text in it is refused or the template fails for its values; it will fail again next time.
    pub(crate) fn render(&self, payload: &Payload) -> Result<Rendered, RenderError> {
        let (locale, values) = match payload {
            Payload::Invitation(mail) => (&mail.locale, invitation_values(mail)?),
            Payload::PasswordReset(mail) | Payload::EmailVerification(mail) | Payload::StepUp(mail) => {
                (&mail.locale, secret_values(mail)?)
            }
            Payload::SecurityNotice(mail) => (&mail.locale, notice_values(mail)?),
            Payload::Ownership(mail) => (&mail.locale, ownership_values(mail)?),
        };
        self.words(payload.kind(), locale, &values, &self.handed(payload))
    }

    fn handed(&self, payload: &Payload) -> Handed {
        match payload {
            Payload::Invitation(mail) => Handed::Link(self.links.invitation.with_token(&mail.token)),
            Payload::PasswordReset(mail) => Handed::Link(self.links.password_reset.with_token(&mail.secret)),
            Payload::EmailVerification(mail) => Handed::Link(self.links.email_verification.with_token(&mail.secret)),
            Payload::StepUp(mail) => Handed::Code(mail.secret.clone()),
            Payload::SecurityNotice(_) | Payload::Ownership(_) => Handed::Nothing,
        }
    }

    fn words(&self, mail: &str, locale: &str, values: &Value, handed: &Handed) -> Result<Rendered, RenderError> {
        let locale = self.locale(mail, locale);
        let part = |part: &str, values: &Value, escape: fn(&str) -> Value| {
            let name = format!("{mail}.{locale}.{part}");
            let handed = match handed {
                Handed::Link(link) => context! { link => escape(link) },
                Handed::Code(code) => context! { code => escape(code) },
                Handed::Nothing => context! {},
            };
            self.environment
                .get_template(&name)
                .and_then(|template| {
                    template.render(context! { ..context! { language => locale }, ..handed, ..values.clone() })
                })
                .map_err(|error| RenderError::Template { name, reason: explain(&error) })
        };
        let plain = |text: &str| Value::from(text);
        Ok(Rendered {
            subject: part("subject.txt", &shortened(values), plain)?.trim().to_owned(),
            text: part("txt", values, plain)?,
            // Escaped here rather than by minijinja, which would write every `/` as an entity.
            html: part("html", values, |text| Value::from_safe_string(escape_html(text)))?,
        })
    }

    /// The best language that a mail has: the one asked for, then without its region, then English.
    fn locale<'a>(&'a self, mail: &str, wanted: &'a str) -> &'a str {
        let locales = self.locales.get(mail);
        let known = |tag: &str| locales?.iter().find(|locale| locale.eq_ignore_ascii_case(tag));
        let primary = wanted.split(['-', '_']).next().unwrap_or_default();
        known(wanted).or_else(|| known(primary)).map_or(FALLBACK_LOCALE, String::as_str)
    }

    /// Renders these mails in these languages with samples of all that they may have to say.
    fn check(&self, mails: &Locales) -> Result<(), TemplateError> {
        for (mail, locales) in mails {
            for locale in locales {
                for sample in samples(locale).iter().filter(|sample| sample.kind() == *mail) {
                    self.check_sample(sample, locale)?;
                }
            }
        }
        Ok(())
    }

    fn check_sample(&self, sample: &Payload, locale: &str) -> Result<(), TemplateError> {
        let failed = |part: &str, reason: &str| TemplateError::Invalid {
            name: format!("{}.{locale}.{part}", sample.kind()),
            reason: reason.to_owned(),
        };
        let mail = self.render(sample).map_err(|error| match error {
            RenderError::Template { name, reason } => TemplateError::Invalid { name, reason },
            RenderError::Text(error) => failed("txt", &error.to_string()),
        })?;
        one_line("subject", &mail.subject).map_err(|_| failed("subject.txt", "the subject has to be one line"))?;
        if mail.subject.is_empty() {
            return Err(failed("subject.txt", "the subject is empty"));
        }
        if sample.secret().is_some_and(|secret| mail.subject.contains(secret)) {
            return Err(failed(
                "subject.txt",
                "the subject must not show the link or code: subjects are logged by mail servers",
            ));
        }
        match self.handed(sample) {
            Handed::Link(link) if !mail.text.contains(&link) => Err(failed("txt", "the link is missing")),
            Handed::Link(link) if !mail.html.contains(&format!("\"{}\"", escape_html(&link))) => {
                Err(failed("html", "no quoted attribute holds the link"))
            }
            Handed::Code(code) if !mail.text.contains(&code) => Err(failed("txt", "the code is missing")),
            Handed::Code(code) if !mail.html.contains(&code) => Err(failed("html", "the code is missing")),
            _ => Ok(()),
        }
    }
}

/// A brand, as templates see it.
fn shown(brand: &Brand) -> Value {
    // Escaped here rather than by minijinja, which would write every `/` as an entity.
    let logo_url = brand.logo_url.as_deref().map(|logo| Value::from_safe_string(escape_html(logo)));
    context! { name => &brand.name, color => &brand.color, logo_url }
}

/// The same values for a subject, each text at most so long that what people are called leaves room for what the mail says (ab_55).
fn shortened(values: &Value) -> Value {
    match values.kind() {
        ValueKind::String => Value::from(shorten(values.as_str().unwrap_or_default())),
        ValueKind::Seq => values.try_iter().into_iter().flatten().map(|item| shortened(&item)).collect(),
        ValueKind::Map => {
            let keys = values.try_iter().into_iter().flatten();
            let named = keys.filter_map(|key| {
                let value = values.get_item(&key).ok()?;
                Some((key.as_str()?.to_owned(), shortened(&value)))
            });
            Value::from_pairs(named)
        }
        _ => values.clone(),
    }
}

fn parse_shipped() -> Result<(Environment<'static>, Locales), TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    let mut locales = Locales::new();
    let layout = (LAYOUT, include_str!("templates/layout.html"));
    for (name, source) in SHIPPED.iter().flatten().flatten().copied().chain([layout]) {
        environment.add_template(name, source).map_err(|error| invalid(name, &error))?;
        if let Some((mail, locale)) = mail_and_locale(name) {
            locales.entry(mail).or_default().insert(locale.to_owned());
        }
    }
    Ok((environment, locales))
}

/// The mail and the language in a template's file name, when the name is one that a mail uses.
fn mail_and_locale(name: &str) -> Option<(&'static str, &str)> {
    let (mail, rest) = name.split_once('.')?;
    let (locale, part) = rest.split_once('.')?;
    let mail = MAILS.into_iter().find(|known| *known == mail)?;
    let is_tag = !locale.is_empty() && locale.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (is_tag && PARTS.contains(&part)).then_some((mail, locale))
}

fn read_overrides(directory: &Path) -> Result<Vec<(String, String)>, TemplateError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| TemplateError::Read { path, source }
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Hidden files are an editor's or a mounted ConfigMap's own.
        if name.starts_with('.') {
            continue;
        }
        let size = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
        if size > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::Invalid { name, reason: format!("larger than {MAX_TEMPLATE_BYTES} bytes") });
        }
        found.push((name, std::fs::read_to_string(&path).map_err(unreadable(&path))?));
    }
    Ok(found)
}

fn invalid(name: &str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Invalid { name: name.to_owned(), reason: explain(error) }
}

/// What failed and where, without the values: minijinja's long form prints the variables, and one of them is the token.
fn explain(error: &minijinja::Error) -> String {
    let place = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!(" ({name}, line {line})"),
        _ => String::new(),
    };
    format!("{}{place}: {}", error.kind(), error.detail().unwrap_or("no detail"))
}

#[cfg(test)]
mod tests;
