//! The lines of a file, one at a time and none longer than a limit.

use std::io::{self, BufRead, Read};

/// Octets of a line at the most. A person with every field at its longest has a few thousand.
const LONGEST: usize = 64 * 1024;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing: it is skipped, and counted.
    Blank,
    /// Text.
    Text(String),
    /// It cannot be looked at, for this reason.
    Unreadable(&'static str),
}

/// Reads lines and counts them.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { reader, number: 0, bytes: 0 }
    }

    /// The number of the line that was read last, from one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Octets that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let limit = LONGEST as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        if line.len() > LONGEST && !line.ends_with(b"\n") {
            self.skip_line()?;
            return Ok(Some(Line::Unreadable("the line has more than 65536 octets")));
        }
        let Ok(text) = String::from_utf8(line) else {
            return Ok(Some(Line::Unreadable("the line is not UTF-8")));
        };
        // Some programs mark the beginning of UTF-8.
        let text = text.trim_start_matches('\u{FEFF}').trim();
        Ok(Some(match text {
            "" => Line::Blank,
            text => Line::Text(text.to_owned()),
        }))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffered = self.reader.fill_buf()?;
            let end = buffered.iter().position(|octet| *octet == b'\n');
            let (length, over) = match end {
                Some(end) => (end + 1, true),
                None => (buffered.len(), buffered.is_empty()),
            };
            self.reader.consume(length);
            self.bytes += length as u64;
            if over {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(content: &[u8]) -> Vec<(u64, Line)> {
        let mut lines = Lines::of(std::io::BufReader::with_capacity(100, content));
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push((lines.number(), line));
        }
        assert_eq!(lines.bytes(), content.len() as u64);
        found
    }

    #[test]
    fn lines_are_counted_with_those_that_are_blank_or_unreadable() {
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(all(b""), []);
        assert_eq!(
            all(b"\xEF\xBB\xBFa\r\n\n  \nb\xFFc\nlast"),
            [
                (1, text("a")),
                (2, Line::Blank),
                (3, Line::Blank),
                (4, Line::Unreadable("the line is not UTF-8")),
                (5, text("last")),
            ]
        );
    }

    #[test]
    fn a_line_without_end_is_refused_and_the_next_one_read() {
        for length in [LONGEST - 1, LONGEST, LONGEST + 1, 10 * LONGEST] {
            let content = [vec![b'x'; length], b"\nnext\n".to_vec()].concat();
            let found = all(&content);
            assert_eq!(matches!(found[0].1, Line::Text(_)), length <= LONGEST, "{length}");
            assert_eq!(found[1..], [(2, Line::Text("next".to_owned()))], "{length}");
        }
        assert_eq!(all(&vec![b'x'; 2 * LONGEST]).len(), 1);
    }
}
