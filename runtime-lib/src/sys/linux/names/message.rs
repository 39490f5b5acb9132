//! Messages of the domain name system: a question, and what an answer says. Source: RFC 1035, sections 3 and 4; RFC 3596.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: an answer may be anything. All reads are checked against its end; names are followed backwards     ║
//! ║ only, so that no chain of pointers goes in a circle; and only records of the name that was asked for, or of  ║
//! ║ one that it stands for, count.                                                                               ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::names::Found;

/// Room for a question: header, name, type and class.
pub(super) const MAX_QUESTION_BYTES: usize = 12 + MAX_NAME_BYTES + 4;

/// The longest name on the wire.
const MAX_NAME_BYTES: usize = 255;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Addresses of IPv4.
    A = 1,
    /// Addresses of IPv6.
    Aaaa = 28,
}

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// How many names one may stand for in turn.
const MAX_ALIASES: usize = 8;

/// A question.
#[derive(Debug)]
pub(super) struct Question {
    bytes: [u8; MAX_QUESTION_BYTES],
    len: usize,
    kind: Kind,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answers another question.
    Foreign,
    /// It was cut: the whole one comes by TCP.
    Cut,
    /// The name does not exist.
    NoName,
    /// The server cannot say.
    Failed,
    /// Addresses, perhaps none, were added to what was found.
    Addresses,
}

impl Question {
    /// The question for a name, whose labels are no longer than they may be, with a number of its own.
    pub(super) fn new(name: &[u8], kind: Kind, number: u16) -> Option<Self> {
        let mut question = Self { bytes: [0; MAX_QUESTION_BYTES], len: 0, kind };
        // A standard question, please with the help of other servers.
        question.put(&number.to_be_bytes())?;
        question.put(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        for label in name.split(|&byte| byte == b'.') {
            let len = u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len))?;
            question.put(&[len])?;
            question.put(label)?;
        }
        question.put(&[0])?;
        question.put(&(kind as u16).to_be_bytes())?;
        question.put(&INTERNET.to_be_bytes())?;
        Some(question)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    /// The message.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Reads an answer, and adds the addresses in it.
    pub(super) fn read(&self, answer: &[u8], found: &mut Found) -> Answer {
        const HEADER_BYTES: usize = 12;
        // What follows the header is the question again, letter by letter.
        let asked = self.as_bytes().get(HEADER_BYTES..).unwrap_or_default();
        let Some(&[n0, n1, flags, code, q0, q1, a0, a1, ..]) = answer.get(..HEADER_BYTES) else {
            return Answer::Foreign;
        };
        let is_answer = flags & 0xf8 == 0x80 && [q0, q1] == [0, 1] && self.as_bytes().starts_with(&[n0, n1]);
        let repeated = answer.get(HEADER_BYTES..HEADER_BYTES + asked.len());
        if !is_answer || !repeated.is_some_and(|repeated| repeated.eq_ignore_ascii_case(asked)) {
            return Answer::Foreign;
        }
        if flags & 2 != 0 {
            return Answer::Cut;
        }
        match code & 15 {
            0 => {}
            3 => return Answer::NoName,
            _ => return Answer::Failed,
        }
        let count = usize::from(u16::from_be_bytes([a0, a1]));
        match self.records(answer, HEADER_BYTES + asked.len(), count, found) {
            Some(()) => Answer::Addresses,
            None => Answer::Failed,
        }
    }

    /// Reads the records of an answer: those of the name, then those of the one it stands for, and so on.
    fn records(&self, answer: &[u8], start: usize, count: usize, found: &mut Found) -> Option<()> {
        let mut name = Name::read(answer, 12)?.0;
        for _ in 0..=MAX_ALIASES {
            let mut alias = None;
            let mut at = start;
            for _ in 0..count {
                let record = Record::read(answer, at)?;
                at = record.end;
                if record.class != INTERNET || record.name != name {
                    continue;
                }
                if record.kind == self.kind as u16 {
                    found.add(address(self.kind, answer.get(record.data..record.end)?)?);
                } else if record.kind == CNAME {
                    alias = Some(Name::read(answer, record.data)?.0);
                }
            }
            match alias {
                Some(alias) => name = alias,
                None => return Some(()),
            }
        }
        None
    }
}

fn address(kind: Kind, data: &[u8]) -> Option<IpAddr> {
    match kind {
        Kind::A => <[u8; 4]>::try_from(data).ok().map(|ip| IpAddr::V4(Ipv4Addr::from(ip))),
        Kind::Aaaa => <[u8; 16]>::try_from(data).ok().map(|ip| IpAddr::V6(Ipv6Addr::from(ip))),
    }
}

/// A name, with lengths before its labels and letters of lower case.
#[derive(Clone, Copy, Debug)]
struct Name {
    bytes: [u8; MAX_NAME_BYTES],
    len: usize,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.get(..self.len) == other.bytes.get(..other.len)
    }
}

impl Name {
    /// Reads the name at a place, and what lies behind it there.
    fn read(message: &[u8], start: usize) -> Option<(Self, usize)> {
        let mut name = Self { bytes: [0; MAX_NAME_BYTES], len: 0 };
        let (mut at, mut end) = (start, None);
        // Pointers lead to what lies before this.
        let mut before = start;
        loop {
            let len = *message.get(at)?;
            match len {
                0 => return Some((name, end.unwrap_or(at + 1))),
                1..=63 => {
                    let label = message.get(at..=at + usize::from(len))?;
                    let place = name.bytes.get_mut(name.len..name.len + label.len())?;
                    place.copy_from_slice(label);
                    place.make_ascii_lowercase();
                    name.len += label.len();
                    at += label.len();
                }
                0xc0.. => {
                    let low = *message.get(at + 1)?;
                    let to = usize::from(u16::from_be_bytes([len & 0x3f, low]));
                    if to >= before {
                        return None;
                    }
                    end = end.or(Some(at + 2));
                    (at, before) = (to, to);
                }
                _ => return None,
            }
        }
    }
}

/// A record of an answer.
#[derive(Debug)]
struct Record {
    name: Name,
    kind: u16,
    class: u16,
    /// Where its data begins, and where it ends.
    data: usize,
    end: usize,
}

impl Record {
    fn read(message: &[u8], start: usize) -> Option<Self> {
        let (name, at) = Name::read(message, start)?;
        let &[k0, k1, c0, c1, _, _, _, _, l0, l1] = message.get(at..at + 10)? else { return None };
        let data = at + 10;
        let end = data + usize::from(u16::from_be_bytes([l0, l1]));
        let number = |bytes| u16::from_be_bytes(bytes);
        (end <= message.len()).then_some(Self { name, kind: number([k0, k1]), class: number([c0, c1]), data, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// An answer to `question` with these records: name, type and data.
    fn answer(question: &Question, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut bytes = question.as_bytes().to_vec();
        (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80, records.len() as u8);
        for (name, kind, data) in records {
            bytes.extend_from_slice(name);
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 9]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
    }

    /// The name that was asked for, by a pointer.
    const ASKED: &[u8] = &[0xc0, 12];

    fn addresses(found: &Found) -> Vec<std::string::String> {
        found.as_slice().iter().map(std::string::ToString::to_string).collect()
    }

    fn sample() -> (Question, Vec<u8>) {
        let question = Question::new(b"www.example.org", Kind::A, 0x1234).unwrap();
        let bytes = answer(
            &question,
            &[
                (ASKED, CNAME, b"\x04host\xc0\x10"),
                (b"\x04HOST\x07example\x03org\0", 1, &[1, 2, 3, 4]),
                (b"\x05other\x00", 1, &[9, 9, 9, 9]),
                (b"\x04host\xc0\x10", 1, &[1, 2, 3, 5]),
            ],
        );
        (question, bytes)
    }

    #[test]
    fn addresses_of_a_name_and_of_what_it_stands_for() {
        let (question, bytes) = sample();
        let mut found = Found::NONE;
        assert_eq!(question.read(&bytes, &mut found), Answer::Addresses);
        assert_eq!(addresses(&found), ["1.2.3.4", "1.2.3.5"]);
        let question = Question::new(b"a.b", Kind::Aaaa, 7).unwrap();
        let mut found = Found::NONE;
        let bytes = answer(&question, &[(ASKED, 28, &[0xfd; 16]), (ASKED, 1, &[1, 2, 3, 4])]);
        assert_eq!(question.read(&bytes, &mut found), Answer::Addresses);
        assert_eq!(found.as_slice().len(), 1);
    }

    #[test]
    fn answers_to_other_questions_are_foreign() {
        let (question, bytes) = sample();
        let mut found = Found::NONE;
        for (place, value) in [(0, 0x13), (1, 0), (2, 0x01), (5, 2), (13, b'x'), (30, 28)] {
            let mut bytes = bytes.clone();
            bytes[place] = value;
            assert_eq!(question.read(&bytes, &mut found), Answer::Foreign, "{place}");
        }
        assert!(found.as_slice().is_empty());
        for (place, value, expected) in [(2, 0x83, Answer::Cut), (3, 0x83, Answer::NoName), (3, 0x82, Answer::Failed)] {
            let mut bytes = bytes.clone();
            bytes[place] = value;
            assert_eq!(question.read(&bytes, &mut found), expected);
        }
    }

    #[test]
    fn circles_and_wrong_lengths_end() {
        let question = Question::new(b"a.b", Kind::A, 7).unwrap();
        let start = question.as_bytes().len() as u8;
        let records: [(&[u8], u16, &[u8]); 6] = [
            // A name that is itself, one that points forwards, one without an end.
            (&[0xc0, start], 1, &[1, 2, 3, 4]),
            (&[0xc0, start + 2], 1, &[1, 2, 3, 4]),
            (&[63], 1, &[1, 2, 3, 4]),
            (&[0x40, 0], 1, &[1, 2, 3, 4]),
            (ASKED, 1, &[1, 2, 3]),
            // A name that stands for itself.
            (ASKED, CNAME, ASKED),
        ];
        for record in records {
            let mut found = Found::NONE;
            assert_eq!(question.read(&answer(&question, &[record]), &mut found), Answer::Failed, "{record:?}");
            assert!(found.as_slice().is_empty());
        }
    }

    #[test]
    fn no_change_of_an_answer_does_harm() {
        let (question, bytes) = sample();
        let mut found = Found::NONE;
        for len in 0..bytes.len() {
            question.read(&bytes[..len], &mut found);
        }
        for place in 0..bytes.len() {
            for value in 0..=255 {
                let mut bytes = bytes.clone();
                bytes[place] = value;
                question.read(&bytes, &mut found);
            }
        }
        // Two places at once, by a generator that repeats itself.
        let mut state = 1u64;
        for _ in 0..100_000 {
            let mut bytes = bytes.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let place = (state >> 33) as usize % bytes.len();
                bytes[place] = (state >> 56) as u8;
            }
            question.read(&bytes, &mut found);
        }
    }

    #[test]
    fn questions_have_bounds() {
        assert!(Question::new(b"", Kind::A, 1).is_none() && Question::new(b"a..b", Kind::A, 1).is_none());
        assert!(Question::new(&[b'a'; 64], Kind::A, 1).is_none());
        let long = [b"a.".repeat(126), b"a".to_vec()].concat();
        assert!(Question::new(&long, Kind::A, 1).is_some());
    }
}
