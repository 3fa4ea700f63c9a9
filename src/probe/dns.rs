//! The question for a name's addresses, and a name server's answer (RFC 1035, 4).
//!
//! By hand, since this is all of DNS that is needed: a library that knows all kinds of records is 60 kB.
//! The names in an answer are skipped, so no pointer in it is ever followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kinds of addresses, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Kind {
    /// IPv4.
    A = 1,
    /// IPv6 (RFC 3596).
    Aaaa = 28,
}

/// A name of the Internet.
const INTERNET: u16 = 1;
/// "Ask others if you do not know it."
const RECURSION_DESIRED: u16 = 1 << 8;
const RESPONSE: u16 = 1 << 15;

/// What a name server says.
#[derive(PartialEq, Eq, Debug)]
pub struct Answer {
    /// The number of the question.
    pub id: u16,
    /// How it went.
    pub code: u8,
    /// Of the name, and of those that it is an alias of.
    pub addresses: Vec<IpAddr>,
}

/// The question for the addresses of this kind.
///
/// # Errors
/// It is no name; why.
pub fn question(id: u16, name: &str, kind: Kind) -> Result<Vec<u8>, &'static str> {
    let mut packet = Vec::with_capacity(512);
    for number in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        packet.extend(number.to_be_bytes());
    }
    for label in name.split('.') {
        match u8::try_from(label.len()) {
            Ok(length @ 1..=63) => packet.push(length),
            Ok(_) | Err(_) => return Err("a part of it is empty, or longer than 63 bytes"),
        }
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    if name.len() > 253 {
        return Err("it is longer than 253 bytes");
    }
    packet.extend((kind as u16).to_be_bytes());
    packet.extend(INTERNET.to_be_bytes());
    Ok(packet)
}

/// What a packet says; `None` if it is no whole answer.
pub fn answer(packet: &[u8]) -> Option<Answer> {
    let mut rest = Rest(packet);
    let (id, flags) = (rest.number()?, rest.number()?);
    let (questions, records) = (rest.number()?, rest.number()?);
    // How many authorities and additional records there are.
    rest.take(4)?;
    for _ in 0..questions {
        rest.skip_name()?;
        rest.take(4)?;
    }
    let mut addresses = Vec::new();
    for _ in 0..records {
        rest.skip_name()?;
        let kind = rest.number()?;
        // The class, and for how long it may be kept.
        rest.take(6)?;
        let length = rest.number()?;
        let data = rest.take(length.into())?;
        if kind == Kind::A as u16 {
            addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into());
        } else if kind == Kind::Aaaa as u16 {
            addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into());
        }
    }
    (flags & RESPONSE != 0).then_some(Answer { id, code: (flags & 15) as u8, addresses })
}

/// What a code means, unless it is 0, or 3: there is no such name.
pub fn meaning(code: u8) -> &'static str {
    match code {
        1 => "FormatError",
        2 => "ServerFailure",
        4 => "NotImplemented",
        5 => "Refused",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        _ => "Reserved",
    }
}

/// The bytes that have not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Labels up to an empty one, or to a pointer to others.
    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.take(1)?[0] {
                0 => return Some(()),
                length @ 1..64 => self.take(length.into())?,
                192.. => return self.take(1).map(|_| ()),
                64..192 => return None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a server answers to `www.db.example`: it is an alias, by a pointer, and has both kinds.
    const ANSWER: &[u8] = b"\x12\x34\x81\x80\0\x01\0\x03\0\0\0\0\x03www\x02db\x07example\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x0a\0\x02\xc0\x10\
        \xc0\x10\0\x01\0\x01\0\0\0\x0a\0\x04\xc0\0\x02\x01\
        \x02db\xc0\x13\0\x1c\0\x01\0\0\0\x0a\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";

    #[test]
    fn a_question_is_written_as_the_rfc_says() {
        let packet = question(0x1234, "db.example", Kind::Aaaa).unwrap();
        assert_eq!(packet, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02db\x07example\0\0\x1c\0\x01");
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for name in ["", "a..b", ".a", &"x".repeat(64), &"x".repeat(300), &["x"; 128].join(".")] {
            assert!(question(1, name, Kind::A).is_err(), "{name}");
        }
        assert!(question(1, &["x"; 127].join("."), Kind::A).is_ok());
        assert!(question(1, &"x".repeat(63), Kind::A).is_ok());
    }

    #[test]
    fn an_answer_has_the_addresses_behind_an_alias() {
        let addresses = vec!["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(answer(ANSWER), Some(Answer { id: 0x1234, code: 0, addresses }));
    }

    #[test]
    fn half_an_answer_is_none_and_neither_is_a_question() {
        for end in 0..ANSWER.len() {
            assert_eq!(answer(&ANSWER[..end]), None, "{end}");
        }
        assert_eq!(answer(&question(1, "db", Kind::A).unwrap()), None);
    }

    proptest! {
        #[test]
        fn no_packet_is_too_strange(mut packet: Vec<u8>, at in 0..ANSWER.len(), byte: u8) {
            let _ = answer(&packet);
            packet = ANSWER.to_vec();
            packet[at] = byte;
            let _ = answer(&packet);
        }
    }
}
