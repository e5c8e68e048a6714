//! Makes what mails are made with, and the brands that they have. Touches nothing, so that a mistake in a setting, a brand or a template stops the start before anything else happens.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use secrecy::ExposeSecret;

use crate::{
    config::MailConfig,
    domain::{
        brand::{Brand, Brands, COLOR, Links},
        link::LinkTemplate,
    },
    outbox::{Branding, MailDirectory, Mailer, Renderer, Sender, SmtpRelay, Transport},
    server::{Platform, StartError},
};

fn wrong(what: impl Display, error: impl Display) -> StartError {
    StartError::Installation(format!("{what}: {error}"))
}

/// The server's brand, and those of products.
pub(super) fn brands(mail: &MailConfig) -> Result<Brands, StartError> {
    let link =
        |setting: &str, text: &str| LinkTemplate::parse(text).ok_or_else(|| wrong(setting, "it is no link template"));
    let server = Brand {
        name: None,
        sender: mail.mail_from.clone(),
        color: COLOR.to_owned(),
        logo_url: None,
        links: Links {
            invitation: link("ROSTER_INVITATION_URL", &mail.invitation_url)?,
            join: link("ROSTER_JOIN_LINK_URL", &mail.join_link_url)?,
            password_reset: link("ROSTER_PASSWORD_RESET_URL", &mail.password_reset_url)?,
            email_verification: link("ROSTER_EMAIL_VERIFICATION_URL", &mail.email_verification_url)?,
        },
        templates_dir: None,
    };
    let mut products = BTreeMap::new();
    for path in documents(mail.brands_dir.as_deref())? {
        let place = format!("ROSTER_BRANDS_DIR: {}", path.display());
        let document = fs::read_to_string(&path).map_err(|error| wrong(&place, error))?;
        let mut brand = Brand::parse(&document, &server).map_err(|flaws| wrong(&place, flaws))?;
        brand.templates_dir =
            brand.templates_dir.map(|directory| path.parent().unwrap_or(Path::new("")).join(directory));
        let access_model = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        products.insert(access_model, brand);
    }
    Ok(Brands { server, products })
}

/// The documents in a directory; what else is in there, as templates, is no document.
fn documents(directory: Option<&Path>) -> Result<Vec<PathBuf>, StartError> {
    let Some(directory) = directory else { return Ok(Vec::new()) };
    let unreadable = |error| wrong(format!("ROSTER_BRANDS_DIR: {}", directory.display()), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What makes and sends messages.
pub(super) fn mailer(
    mail: &MailConfig,
    brands: &Brands,
    data_dir: &Path,
    platform: &Platform,
) -> Result<Mailer, StartError> {
    let transport = match mail.smtp_url() {
        Some(url) => {
            let relay = SmtpRelay::new(url.expose_secret(), None, platform.clock.clone());
            Transport::Smtp(Box::new(relay.map_err(|error| wrong("ROSTER_SMTP_URL", error))?))
        }
        None => Transport::Files(MailDirectory::in_data_directory(data_dir)),
    };
    let shared = mail.mail_templates_dir.as_deref();
    let server = branding(&brands.server, shared, "ROSTER_MAIL_TEMPLATES_DIR", "ROSTER_MAIL_FROM")?;
    let mut products = BTreeMap::new();
    for (access_model, brand) in &brands.products {
        let place = format!("ROSTER_BRANDS_DIR: {access_model}.toml");
        products.insert(access_model.clone(), branding(brand, shared, &place, &place)?);
    }
    Ok(Mailer { server, products, transport })
}

/// How the mails of a brand come to be: by the templates of all, and over them by its own. The last two say where a mistake was made.
fn branding(brand: &Brand, shared: Option<&Path>, templates: &str, sender: &str) -> Result<Branding, StartError> {
    let overrides: Vec<&Path> = shared.into_iter().chain(brand.templates_dir.as_deref()).collect();
    Ok(Branding {
        renderer: Renderer::new(brand, &overrides).map_err(|error| wrong(templates, error))?,
        sender: Sender::parse(&brand.sender).map_err(|error| wrong(sender, error))?,
    })
}
