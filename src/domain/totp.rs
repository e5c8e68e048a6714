//! Time-based one-time passwords: RFC 6238 with what every authenticator app understands, HMAC-SHA-1, six digits, 30 seconds.

use aws_lc_rs::hmac;
use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// Bytes of a secret: RFC 4226, section 4, asks for 128 bits and recommends 160.
pub const SECRET_LEN: usize = 20;
/// Seconds of a time step.
pub const PERIOD: i64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;

/// Steps before and after the present one whose codes are taken: clocks differ, and typing takes time (RFC 6238, section 5.2).
const WINDOW: i64 = 1;
/// What is percent-encoded in an address: everything but the unreserved characters (RFC 3986, section 2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The time step of a moment.
#[must_use]
pub fn step_at(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(PERIOD)
}

/// The code of a secret in a time step (RFC 4226, section 5.3).
#[must_use]
pub fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let word = tag.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let number = (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000;
    format!("{number:0DIGITS$}")
}

/// The step whose code this is, of those that count now and are later than `last`, the step of the last code that was taken: none is taken twice (ab_21).
///
/// Every candidate is compared in full, so that the time tells nothing of the code.
#[must_use]
pub fn matching_step(secret: &[u8], candidate: &str, now: DateTime<Utc>, last: Option<i64>) -> Option<i64> {
    let present = step_at(now);
    let mut found = None;
    for step in present - WINDOW..=present + WINDOW {
        let right = equal(code(secret, step).as_bytes(), candidate.as_bytes());
        if right && last.is_none_or(|last| step > last) {
            found = Some(step);
        }
    }
    found
}

/// Whether two secrets are the same, in a time that depends on their length only.
#[must_use]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Bytes in base32 without padding (RFC 4648, section 6), the form in which secrets are typed.
#[must_use]
pub fn base32(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE32_NOPAD.encode(bytes))
}

/// The address that an authenticator app reads from a picture ("Key Uri Format"). `account` says whose it is and `issuer` where it is good.
#[must_use]
pub fn provisioning_uri(secret: &[u8], issuer: &str, account: &str) -> Zeroizing<String> {
    let (issuer, account) = (utf8_percent_encode(issuer, &RESERVED), utf8_percent_encode(account, &RESERVED));
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={PERIOD}",
        *base32(secret)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the vectors: RFC 4226, appendix D, and RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_vectors_of_rfc_4226() {
        let expected =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, expected) in (0..).zip(expected) {
            assert_eq!(code(SECRET, counter), expected, "{counter}");
        }
    }

    /// Appendix B has eight digits; the last six of each are the code of six.
    #[test]
    fn the_vectors_of_rfc_6238() {
        let vectors = [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ];
        for (seconds, expected) in vectors {
            assert_eq!(code(SECRET, step_at(at(seconds))), expected[2..], "{seconds}");
        }
    }

    #[test]
    fn ab_21_the_steps_beside_the_present_one_count_and_no_others() {
        let now = at(1_000_000_005);
        let present = step_at(now);
        for (step, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = matching_step(SECRET, &code(SECRET, present + step), now, None);
            assert_eq!(found, taken.then_some(present + step), "{step}");
        }
    }

    #[test]
    fn ab_21_no_code_is_taken_twice_or_after_a_later_one() {
        let now = at(1_000_000_005);
        let present = step_at(now);
        let try_it = |step: i64, last: i64| matching_step(SECRET, &code(SECRET, step), now, Some(last));
        assert_eq!(try_it(present, present), None);
        assert_eq!(try_it(present - 1, present), None);
        assert_eq!(try_it(present + 1, present), Some(present + 1));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let right = code(SECRET, step_at(at(59)));
        for wrong in ["", "287082 ", "0287082", "28708", "287083", "２８７０８２"] {
            assert_eq!(matching_step(SECRET, wrong, at(59), None), None, "{wrong}");
        }
        assert_eq!(matching_step(SECRET, &right, at(59), None), Some(1));
    }

    /// The vectors of RFC 4648, section 10, without their padding.
    #[test]
    fn the_vectors_of_base32() {
        let vectors = [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(*base32(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn the_uri_escapes_what_has_a_meaning_in_it() {
        let uri = provisioning_uri(SECRET, "Ro ster", "a+b@x.example?secret=x");
        assert_eq!(
            *uri,
            "otpauth://totp/Ro%20ster:a%2Bb%40x.example%3Fsecret%3Dx?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ro%20ster&algorithm=SHA1&digits=6&period=30"
        );
    }
}
