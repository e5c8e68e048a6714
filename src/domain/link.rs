//! The addresses of pages that mails lead to, each with a token in it.

use url::Url;

/// An address with one `{token}` in it.
#[derive(Clone, Debug)]
pub struct LinkTemplate {
    before: String,
    after: String,
}

impl LinkTemplate {
    /// Reads a setting; `None` where it is no absolute http or https address with one `{token}` in its path, query or fragment.
    pub fn parse(text: &str) -> Option<Self> {
        // A stand-in that no address escapes, so that the URL parser sees an ordinary address.
        const STAND_IN: &str = "roster-token-stand-in";
        let (before, after) = text.split_once("{token}").filter(|(_, after)| !after.contains("{token}"))?;
        let url = Url::parse(&format!("{before}{STAND_IN}{after}")).ok()?;
        let in_host = url.host_str().is_none_or(|host| host.contains(STAND_IN));
        let (before, after) = url.as_str().split_once(STAND_IN)?;
        let fit = matches!(url.scheme(), "http" | "https")
            && !in_host
            && url.username().is_empty()
            && url.password().is_none();
        fit.then(|| Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The address with a token in it.
    pub fn with_token(&self, token: &str) -> String {
        let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        format!("{}{}{}", self.before, token, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_templates_are_checked() {
        for bad in [
            "https://app.example.com/",
            "app.example.com/{token}",
            "ftp://x.example/{token}",
            "https://{token}.example.com/",
            "https://x.example/{token}/{token}",
            "javascript:alert('{token}')",
            "https://u:p@x.example/{token}",
            "",
        ] {
            assert!(LinkTemplate::parse(bad).is_none(), "{bad}");
        }
        for good in [
            "https://x.example/a/{token}",
            "http://localhost:3000/#/join/{token}",
            "https://x.example/?a=1&t={token}&b=2",
        ] {
            assert!(LinkTemplate::parse(good).is_some(), "{good}");
        }
    }
}
