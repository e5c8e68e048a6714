use std::path::Path;

use super::*;
use crate::{
    domain::{
        brand::COLOR,
        link::LinkTemplate,
        mail::{InvitationMail, Notice, OwnershipNews},
    },
    outbox::mail::samples::{bare_sample, sample},
};

const LINK: &str = "https://app.example.com/invitations/accept?token={token}";

fn brand() -> Brand {
    let link = |text| LinkTemplate::parse(text).unwrap();
    Brand {
        name: None,
        sender: "roster@example.com".to_owned(),
        color: COLOR.to_owned(),
        logo_url: None,
        links: Links {
            invitation: link(LINK),
            join: link("https://app.example.com/join/{token}"),
            password_reset: link("https://app.example.com/password-reset/{token}"),
            email_verification: link("https://app.example.com/email-verification/{token}"),
        },
        templates_dir: None,
    }
}

fn renderer() -> Renderer {
    match Renderer::new(&brand(), &[]) {
        Ok(renderer) => renderer,
        Err(error) => unreachable!("{error}"),
    }
}

fn render(mail: InvitationMail) -> Rendered {
    match renderer().render(&Payload::Invitation(mail)) {
        Ok(rendered) => rendered,
        Err(error) => unreachable!("{error}"),
    }
}

/// What `Renderer::new` says of a directory with these files over the shipped ones.
fn with_files(files: &[(&str, &str)]) -> Result<Renderer, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).map_err(|error| error.to_string())?;
    }
    Renderer::new(&brand(), &[directory.path()]).map_err(|error| error.to_string())
}

/// What a start holds of an operator's templates, it takes for granted of ours.
#[test]
fn the_shipped_mails_hand_over_what_they_are_about() {
    let renderer = renderer();
    renderer.check(&renderer.locales).unwrap();
    let languages: Vec<usize> = renderer.locales.values().map(BTreeSet::len).collect();
    assert_eq!(languages, [OTHERS.len() + 1; MAILS.len()]);
}

#[test]
fn the_subject_and_text_of_an_invitation() {
    let mail = render(sample("en"));
    insta::assert_snapshot!(mail.subject, @"Ada Lovelace invited you to join Example & Sons");
    insta::assert_snapshot!("invitation_text", mail.text);
}

#[test]
fn the_text_without_what_is_optional() {
    let mail = render(bare_sample("en"));
    insta::assert_snapshot!(mail.subject, @"You are invited to join Example & Sons");
    insta::assert_snapshot!("invitation_text_bare", mail.text);
}

#[test]
fn the_html_of_an_invitation() {
    insta::assert_snapshot!("invitation_html", render(sample("en")).html);
}

#[test]
fn the_mails_of_an_account() {
    let renderer = renderer();
    let mut all = String::new();
    for sample in samples("en") {
        if let Payload::Invitation(_) = sample {
            continue;
        }
        let mail = renderer.render(&sample).unwrap();
        all.push_str(&format!("## {}\n\n{}\n\n", mail.subject, mail.text));
    }
    insta::assert_snapshot!("account_texts", all);
}

#[test]
fn the_html_of_the_mails_of_an_account() {
    let renderer = renderer();
    for sample in samples("en") {
        let (name, mail) = (format!("{}_html", sample.kind()), renderer.render(&sample).unwrap());
        match &sample {
            Payload::Invitation(_) => {}
            Payload::SecurityNotice(notice) if notice.notice != Notice::PasswordChanged => {}
            Payload::Ownership(mail) if mail.news != OwnershipNews::Nominated => {}
            _ => insta::assert_snapshot!(name, mail.html),
        }
    }
}

/// The languages that every mail speaks besides English.
const OTHERS: [&str; 4] = ["de", "es", "fr", "ja"];

/// The mails of an account speak the languages that invitations do: with the address, the time, and the link or code, in words and in HTML.
#[test]
fn the_mails_of_an_account_in_every_language() {
    let renderer = renderer();
    for locale in OTHERS {
        let mut all = String::new();
        for sample in samples(locale) {
            if let Payload::Invitation(_) = sample {
                continue;
            }
            let mail = renderer.render(&sample).unwrap();
            all.push_str(&format!("## {}\n\n{}\n\n", mail.subject, mail.text));
            let called = format!("{locale}, {}", mail.subject);
            assert!(mail.html.contains(&format!("<html lang=\"{locale}\">")), "{called}");
            assert_ne!(mail.subject, renderer.render(&in_english(&sample)).unwrap().subject);
            for part in [&mail.text, &mail.html] {
                let address = part.contains("bob@example.org") || sample.kind() == "step_up";
                let news = matches!(&sample, Payload::Ownership(mail) if ![OwnershipNews::Nominated, OwnershipNews::Offered].contains(&mail.news));
                assert!(address && (news || part.contains("1970-01-01 00:00 UTC")), "{called}: {part}");
                assert!(!part.contains("January"), "{called}");
            }
        }
        insta::assert_snapshot!(format!("account_texts_{locale}"), all);
    }
}

/// The same sample in English.
fn in_english(sample: &Payload) -> Payload {
    let alike = |other: &Payload| match (sample, other) {
        (Payload::SecurityNotice(one), Payload::SecurityNotice(other)) => one.notice == other.notice,
        (Payload::Ownership(one), Payload::Ownership(other)) => one.news == other.news,
        _ => sample.kind() == other.kind(),
    };
    samples("en").into_iter().find(alike).unwrap()
}

#[test]
fn every_notice_and_every_news_says_something_of_its_own() {
    let renderer = renderer();
    for locale in OTHERS.into_iter().chain(["en"]) {
        let said: Vec<(String, String)> = samples(locale)
            .iter()
            .filter(|sample| ["security_notice", "ownership"].contains(&sample.kind()))
            .map(|sample| renderer.render(sample).unwrap())
            .map(|mail| {
                assert!(!mail.subject.is_empty(), "{locale}: {}", mail.text);
                assert!(!mail.text.starts_with([' ', '\u{ff08}', '\n']), "{locale}: {}", mail.text);
                (mail.text, mail.html)
            })
            .collect();
        assert_eq!(said.len(), Notice::ALL.len() + OwnershipNews::ALL.len());
        let texts: BTreeSet<&String> = said.iter().map(|(text, _)| text).collect();
        let pages: BTreeSet<&String> = said.iter().map(|(_, html)| html).collect();
        assert_eq!((texts.len(), pages.len()), (said.len(), said.len()), "{locale}");
    }
}

#[test]
fn ab_26_a_name_is_neither_markup_nor_a_link() {
    let mut mail = sample("en");
    mail.organization_name = "<a href=\"http://evil.example\">Win</a> evil.example".into();
    mail.inviter_name = Some("'\"><script>alert(1)</script> www.evil.example".into());
    mail.inviter_email = Some("www.evil.example/x@y.example".into());
    mail.role_names = vec!["<img src=x onerror=alert(1)>".into()];
    mail.message = Some("go to https://evil.example/now\n</blockquote><a href=x>".into());
    let mail = render(mail);

    let targets: Vec<&str> = mail.html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(targets, ["https://app.example.com/invitations/accept?token=sample-token"; 2]);
    for forbidden in ["<script", "<img", "</blockquote><a", "<a href=x"] {
        assert!(!mail.html.contains(forbidden), "{forbidden} in the HTML part");
    }
    for part in [&mail.subject, &mail.text, &mail.html] {
        for forbidden in ["evil.example", "http://evil", "https://evil", "www.evil"] {
            assert!(!part.contains(forbidden), "{forbidden} in {part}");
        }
    }
}

#[test]
fn ab_26_control_characters_in_any_text_are_refused() {
    let changes: [fn(&mut InvitationMail); 6] = [
        |mail| mail.organization_name = "a\r\nBcc: x@y.example".into(),
        |mail| mail.inviter_name = Some("a\nb".into()),
        |mail| mail.inviter_email = Some("a@b.example\r\n".into()),
        |mail| mail.role_names.push("\u{202e}nimda".into()),
        |mail| mail.invitee_email = "a@b.example\n".into(),
        |mail| mail.message = Some("a\u{8}".into()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut mail = sample("en");
        change(&mut mail);
        assert!(matches!(renderer().render(&Payload::Invitation(mail)), Err(RenderError::Text(_))), "case {number}");
    }
}

#[test]
fn the_link_carries_the_token_and_nothing_of_it_breaks_out() {
    let mut mail = sample("en");
    mail.token = "a b&c\"<>'/".into();
    let mail = render(mail);
    assert!(mail.text.contains("accept?token=a+b%26c%22%3C%3E%27%2F\n"), "{}", mail.text);
}

#[test]
fn an_operator_replaces_one_template_or_adds_a_language() {
    let replaced = with_files(&[("invitation.en.subject.txt", "Join {{ organization_name }}!\n")]);
    let mail = replaced.map(|renderer| {
        renderer.render(&Payload::Invitation(sample("en"))).map(|mail| mail.subject).unwrap_or_default()
    });
    assert_eq!(mail, Ok("Join Example & Sons!".to_owned()));

    let german = with_files(&[
        ("invitation.de.subject.txt", "Einladung zu {{ organization_name }}"),
        ("invitation.de.txt", "Bis {{ expire_time_iso }}: {{ link }}"),
        ("invitation.de.html", "<p>{{ organization_name }}</p><a href=\"{{ link }}\">Annehmen</a>"),
        (".hidden", "ignored"),
    ]);
    for (locale, subject) in [
        ("de-CH", "Einladung zu Example & Sons"),
        ("DE", "Einladung zu Example & Sons"),
        ("it", "Ada Lovelace invited you to join Example & Sons"),
    ] {
        let mail = german.as_ref().map(|renderer| {
            renderer.render(&Payload::Invitation(sample(locale))).map(|mail| mail.subject).unwrap_or_default()
        });
        assert_eq!(mail, Ok(subject.to_owned()), "{locale}");
    }
}

/// One file gives all mails another look, and what it drops or misspells stops the start and is named.
#[test]
fn an_operator_replaces_the_layout_of_every_mail() {
    let layout = "<html lang=\"{{ language }}\"><title>{% block title %}{% endblock %}</title>Example Inc. {% block body %}{% endblock %}</html>";
    let branded = with_files(&[("layout.html", layout)]);
    for locale in ["en", "de", "ja"] {
        for payload in samples(locale) {
            let html =
                branded.as_ref().map(|renderer| renderer.render(&payload).map(|mail| mail.html).unwrap_or_default());
            let start = format!("<html lang=\"{locale}\"><title>");
            assert!(
                html.is_ok_and(|html| html.starts_with(&start) && html.contains("Example Inc. <p")),
                "{} {locale}",
                payload.kind()
            );
        }
    }
    for (content, reason) in [
        ("{% block title %}{% endblock %}", "no quoted attribute holds the link"),
        ("{{ logo }}{% block body %}{% endblock %}", "(layout.html, line 1)"),
    ] {
        let said = with_files(&[("layout.html", content)]).err().unwrap_or_default();
        assert!(said.contains(reason), "{content:?}: {said}");
    }
}

#[test]
fn a_wrong_template_stops_the_start_and_is_named() {
    let cases: [(&str, &str, &str); 10] = [
        ("invitation.en.txt", "{{ link }} {{ nickname }}", "undefined"),
        ("invitation.en.txt", "{{ link", "syntax"),
        ("invitation.en.txt", "no link", "the link is missing"),
        ("invitation.en.html", "<p>{{ link }}</p>", "no quoted attribute"),
        ("invitation.en.subject.txt", "a\nb", "one line"),
        ("invitation.en.subject.txt", "{{ link }}", "must not show the link"),
        ("invitation.it.txt", "{{ link }}", "not found"),
        ("step_up.en.txt", "no code", "the code is missing"),
        ("step_up.en.subject.txt", "{{ code }}", "must not show"),
        ("security_notice.en.txt", "{{ link }}", "undefined"),
    ];
    for (name, content, reason) in cases {
        let said = with_files(&[(name, content)]).err().unwrap_or_default();
        let mail = name.rsplit_once(".t").map_or(name, |(mail, _)| mail.trim_end_matches(".subject"));
        assert!(said.contains(mail.trim_end_matches(".html")) && said.contains(reason), "{name} {content:?}: {said}");
        assert!(!said.contains("sample-token"), "{said}");
    }
    let said = with_files(&[("invitation.en.htm", "x")]).err().unwrap_or_default();
    assert!(said.contains("no mail uses"), "{said}");
    assert!(matches!(Renderer::new(&brand(), &[Path::new("/nonexistent")]), Err(TemplateError::Read { .. })));
}

/// An invitation speaks five languages, with everything in it that the English one has.
#[test]
fn the_texts_of_an_invitation_in_every_language() {
    let mut all = String::new();
    for locale in ["de", "es", "fr", "ja"] {
        for mail in [render(sample(locale)), render(bare_sample(locale))] {
            all.push_str(&format!("## {locale}: {}\n\n{}\n\n", mail.subject, mail.text));
        }
        let html = render(sample(locale)).html;
        for part in ["Ada Lovelace", "Example &amp; Sons", "Admin", "See you on Monday.", "1970-01-01 00:00 UTC"] {
            assert!(html.contains(part), "{locale}: {part}");
        }
        assert!(html.contains(&format!("<html lang=\"{locale}\">")), "{locale}");
    }
    insta::assert_snapshot!("invitation_texts", all);
}
