//! Values with a form of their own: durations, and secrets in files.

use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// More than this in a file is no secret but a wrong file.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Reads a duration: a whole number and a unit, `250ms`, `90s`, `15m`, `12h`, `7d`.
///
/// # Errors
/// A sentence that names the form.
pub fn duration(text: &str) -> Result<Duration, String> {
    let form = || "expected a whole number and a unit: 250ms, 90s, 15m, 12h or 7d".to_owned();
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(form)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| form())?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(form()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "too long a time".to_owned())
}

/// A secret that was read from the file that a setting names, without the line end at its end.
#[derive(Clone, Debug)]
pub struct SecretFile(SecretString);

impl SecretFile {
    /// What the file held.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// Reads the file of this name.
impl FromStr for SecretFile {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > MAX_SECRET_BYTES {
            return Err(format!("has {length} bytes, which is no secret"));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| error.to_string())?);
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err("is empty".to_owned()),
            secret => Ok(Self(secret.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, expected) in [
            ("250ms", Duration::from_millis(250)),
            ("0s", Duration::ZERO),
            ("90s", Duration::from_secs(90)),
            ("15m", Duration::from_secs(900)),
            ("12h", Duration::from_secs(43_200)),
            ("7d", Duration::from_secs(604_800)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in
            ["", "7", "d", "-1s", "1.5h", "7 d", "7D", "1h30m", "99999999999999999999s", "999999999999999999d", "7d "]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_file_loses_its_line_end_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let read = |content: &str| {
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().parse::<SecretFile>()
        };
        assert_eq!(read(" with space \r\n").unwrap().secret().expose_secret(), " with space ");
        assert_eq!(read("one\ntwo").unwrap().secret().expose_secret(), "one\ntwo");
        assert!(read("\n").is_err());
        assert!(read(&"x".repeat(100_000)).is_err());
        assert!("/no/such/file".parse::<SecretFile>().is_err());
        assert!(!format!("{:?}", read("hidden").unwrap()).contains("hidden"));
    }
}
