//! An authenticator app, made from the standards alone (FIPS 180-4, RFC 2104, RFC 4226, RFC 6238, RFC 4648), so that it shares nothing with the server's.

use chrono::{DateTime, Utc};

/// The code that the app shows for a secret in base32.
pub(crate) fn code(secret: &str, now: DateTime<Utc>) -> String {
    code_of_step(secret, now.timestamp() / 30)
}

/// The code of a time step.
pub(crate) fn code_of_step(secret: &str, step: i64) -> String {
    let tag = hmac(&unbase32(secret), &step.to_be_bytes());
    let offset = usize::from(tag[19] & 15);
    let number = tag[offset..offset + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

fn unbase32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => panic!("{text} is not base32"),
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 20] {
    assert!(key.len() <= 64);
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|place| key.get(place).copied().unwrap_or(0) ^ with).collect() };
    let inner = sha1(&[&pad(0x36)[..], message].concat());
    sha1(&[&pad(0x5c)[..], &inner].concat())
}

fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut words: Vec<u32> = block.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (to, from) in state.iter_mut().zip([a, b, c, d, e]) {
            *to = to.wrapping_add(from);
        }
    }
    let mut digest = [0; 20];
    for (to, from) in digest.chunks_mut(4).zip(state) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    digest
}
