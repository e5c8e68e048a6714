//! Brands: how the mails of a product look, whom they come from, and where they lead. One for each access model that has one, and the server's own for the rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::Deserialize;
use url::Url;

use crate::domain::{link::LinkTemplate, text::one_line};

/// The colour of buttons and links where no brand names another one.
pub const COLOR: &str = "#2f5bd7";

/// WCAG 2.2, 1.4.3: what text and its background differ by at the least. The text on buttons is white.
const CONTRAST: f64 = 4.5;

/// Characters of a name at the most.
const LONGEST_NAME: usize = 100;

/// The pages behind links.
#[derive(Clone, Debug)]
pub struct Links {
    /// Where an invitation is accepted.
    pub invitation: LinkTemplate,
    /// Where people join an organization by a join link.
    pub join: LinkTemplate,
    /// Where a new password is chosen.
    pub password_reset: LinkTemplate,
    /// Where an address is confirmed.
    pub email_verification: LinkTemplate,
}

/// How a product shows itself to people.
#[derive(Clone, Debug)]
pub struct Brand {
    /// What people call the product.
    pub name: Option<String>,
    /// The sender of its mails, as `Name <user@domain>` or `user@domain`.
    pub sender: String,
    /// The colour of buttons and links, as `#rrggbb`.
    pub color: String,
    /// A picture at the head of mails.
    pub logo_url: Option<String>,
    /// The pages behind its links.
    pub links: Links,
    /// The directory of its mail templates, beside the document unless it is absolute.
    pub templates_dir: Option<PathBuf>,
}

/// The document of a brand, in TOML. What it leaves out is the server's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: Option<String>,
    sender: Option<String>,
    color: Option<String>,
    logo_url: Option<String>,
    invitation_url: Option<String>,
    join_link_url: Option<String>,
    password_reset_url: Option<String>,
    email_verification_url: Option<String>,
    templates_dir: Option<PathBuf>,
}

impl Brand {
    /// Reads a document. What it leaves out is the server's, but for name, logo and templates, which are a product's own.
    ///
    /// # Errors
    /// All that is wrong, a line each.
    pub fn parse(document: &str, server: &Brand) -> Result<Self, String> {
        let document: Document = toml::from_str(document).map_err(|error| error.to_string().trim_end().to_owned())?;
        let mut flaws = Vec::new();
        let mut link = |field: &str, text: Option<String>, server: &LinkTemplate| {
            match text.as_deref() {
            None => server.clone(),
            Some(text) => LinkTemplate::parse(text).unwrap_or_else(|| {
                flaws.push(format!("{field} is not an absolute http or https address with {{token}} once in its path, query or fragment"));
                server.clone()
            }),
        }
        };
        let links = Links {
            invitation: link("invitation_url", document.invitation_url, &server.links.invitation),
            join: link("join_link_url", document.join_link_url, &server.links.join),
            password_reset: link("password_reset_url", document.password_reset_url, &server.links.password_reset),
            email_verification: link(
                "email_verification_url",
                document.email_verification_url,
                &server.links.email_verification,
            ),
        };
        if let Some(Err(flaw)) = document.name.as_deref().map(|name| one_line(name, LONGEST_NAME)) {
            flaws.push(format!("name {flaw}"));
        }
        if let Some(flaw) = document.color.as_deref().and_then(color_flaw) {
            flaws.push(format!("color {flaw}"));
        }
        if document.logo_url.as_deref().is_some_and(|logo| !is_picture(logo)) {
            flaws.push("logo_url is not an absolute https address".to_owned());
        }
        if !flaws.is_empty() {
            return Err(flaws.join("\n"));
        }
        Ok(Self {
            name: document.name,
            sender: document.sender.unwrap_or_else(|| server.sender.clone()),
            color: document.color.unwrap_or_else(|| server.color.clone()),
            logo_url: document.logo_url,
            links,
            templates_dir: document.templates_dir,
        })
    }
}

/// Mail programs show no picture that is not fetched by https.
fn is_picture(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

/// What is wrong with a colour; `None`: nothing.
fn color_flaw(text: &str) -> Option<String> {
    let Some(luminance) = luminance(text) else { return Some("is not of the form #rrggbb".to_owned()) };
    let contrast = 1.05 / (luminance + 0.05);
    (contrast < CONTRAST).then(|| {
        format!("differs too little from the white text on it: {contrast:.1} to 1, and {CONTRAST} to 1 is the least")
    })
}

/// The relative luminance of a colour as WCAG 2.2 defines it; `None` where it is none.
fn luminance(color: &str) -> Option<f64> {
    let digits =
        color.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    let linear = |channel: u8| match f64::from(channel) / 255.0 {
        dark if dark <= 0.040_45 => dark / 12.92,
        light => ((light + 0.055) / 1.055).powf(2.4),
    };
    Some(0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue))
}

/// The brands of an installation.
#[derive(Clone, Debug)]
pub struct Brands {
    /// The server's own, by its settings.
    pub server: Brand,
    /// Those of products, by access model.
    pub products: BTreeMap<String, Brand>,
}

impl Brands {
    /// The brand of what is under an access model.
    pub fn of(&self, access_model: &str) -> &Brand {
        self.products.get(access_model).unwrap_or(&self.server)
    }

    /// The access model whose brand a mail to a person has, by those of the organizations that they belong to: the one that the caller names, where it is theirs or they have none yet; the only
    /// one that they have. `None`: the server's brand.
    pub fn of_person(&self, theirs: BTreeSet<String>, named: Option<&str>) -> Option<String> {
        let named = named.filter(|named| theirs.is_empty() || theirs.contains(*named));
        let only = || theirs.first().filter(|_| theirs.len() == 1).cloned();
        named.map(ToOwned::to_owned).or_else(only).filter(|model| self.products.contains_key(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Brand {
        let link = |page: &str| LinkTemplate::parse(&format!("https://roster.example/{page}/{{token}}")).unwrap();
        Brand {
            name: None,
            sender: "roster@example.com".to_owned(),
            color: COLOR.to_owned(),
            logo_url: None,
            links: Links {
                invitation: link("invitations"),
                join: link("join"),
                password_reset: link("password-reset"),
                email_verification: link("email-verification"),
            },
            templates_dir: None,
        }
    }

    #[test]
    fn what_a_document_leaves_out_is_the_servers() {
        let brand =
            Brand::parse("name = \"Jetstack\"\ninvitation_url = \"https://jetstack.example/i/{token}\"\n", &server());
        let brand = brand.unwrap();
        assert_eq!(
            (brand.name.as_deref(), brand.sender.as_str(), brand.color.as_str()),
            (Some("Jetstack"), "roster@example.com", COLOR)
        );
        assert_eq!(brand.links.invitation.with_token("t"), "https://jetstack.example/i/t");
        assert_eq!(brand.links.password_reset.with_token("t"), "https://roster.example/password-reset/t");
    }

    #[test]
    fn every_flaw_is_told() {
        let wrong = "name = \"a\\nb\"\ncolor = \"blue\"\nlogo_url = \"http://x.example/logo.png\"\njoin_link_url = \"https://x.example/\"\n";
        let flaws = Brand::parse(wrong, &server()).unwrap_err();
        let fields: Vec<&str> = flaws.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(fields, ["join_link_url", "name", "color", "logo_url"], "{flaws}");
        assert!(Brand::parse("colour = \"#000000\"", &server()).unwrap_err().contains("unknown field `colour`"));
    }

    #[test]
    fn a_colour_can_be_read_behind_white_text() {
        // The examples of WCAG: black is 21 to 1, and #767676 is the lightest grey that is enough.
        for good in ["#000000", "#767676", COLOR, "#2F5BD7"] {
            assert_eq!(color_flaw(good), None, "{good}");
        }
        for bad in ["#777777", "#ffffff", "#ffcc00", "#fff", "2f5bd7", "#2f5bd7;", "red"] {
            assert!(color_flaw(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_person_is_written_to_by_the_product_that_is_theirs() {
        let brands = Brands {
            server: server(),
            products: ["a", "b"].into_iter().map(|model| (model.to_owned(), server())).collect(),
        };
        let of = |theirs: &[&str], named| brands.of_person(theirs.iter().map(|one| (*one).to_owned()).collect(), named);
        let table: [(&[&str], Option<&str>, Option<&str>); 9] = [
            (&["a"], None, Some("a")),
            (&["a", "b"], None, None),
            (&["a", "b"], Some("b"), Some("b")),
            (&["a"], Some("b"), Some("a")),
            (&["a", "c"], Some("b"), None),
            (&[], Some("b"), Some("b")),
            (&[], None, None),
            (&["c"], None, None),
            (&[], Some("c"), None),
        ];
        for (theirs, named, expected) in table {
            assert_eq!(of(theirs, named).as_deref(), expected, "{theirs:?} {named:?}");
        }
    }
}
