//! From a name to addresses, without getaddrinfo: a static glibc would load the host
//! image's NSS libraries for it.
//!
//! In order: a number is itself; `localhost` is the loopback (RFC 6761); then /etc/hosts
//! (hosts(5)); then the name servers of /etc/resolv.conf over UDP (resolv.conf(5)), with
//! its `search`, `ndots`, `timeout` and `attempts`. That is what containers have. There is no
//! /etc/nsswitch.conf here, no mDNS, and no TCP: an answer too long for UDP is used as far
//! as it came.

use super::{NoAnswer, TimeLimit};
use crate::core::sorted;
use crate::sys::clock;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// resolv.conf(5): MAXNS.
const SERVERS_MAX: usize = 3;
/// The largest answer over UDP without EDNS is 512 bytes (RFC 1035, 4.2.1); some send more.
const ANSWER_MAX: usize = 4096;

/// All addresses of this host, IPv4 first; never empty.
///
/// # Errors
/// Nobody knows the name, or nobody could be asked in time.
pub fn look_up(host: &str, limit: TimeLimit) -> Result<Vec<IpAddr>, NoAnswer> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let name = host.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let hosts = fs::read("/etc/hosts").unwrap_or_default();
    let found = in_hosts(&String::from_utf8_lossy(&hosts), name);
    if !found.is_empty() {
        return Ok(found);
    }
    if name == "localhost" || name.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let text = fs::read("/etc/resolv.conf").unwrap_or_default();
    Resolver::read(&String::from_utf8_lossy(&text)).look_up(host, limit)
}

/// What /etc/hosts says of this name.
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    sorted::sort_by_key(&mut found, IpAddr::is_ipv6);
    found
}

/// What /etc/resolv.conf says.
#[derive(PartialEq, Eq, Debug)]
struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Resolver {
    fn read(text: &str) -> Resolver {
        let mut all = Resolver {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if all.servers.len() < SERVERS_MAX => {
                    // A zone (fe80::1%eth0) is not understood; the others will do.
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    all.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                // The last one counts.
                Some("search" | "domain") => all.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|word| all.option(word)),
                Some(_) | None => {}
            }
        }
        if all.servers.is_empty() {
            all.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
        }
        all
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(value))) = word.split_once(':').map(|(name, value)| (name, value.parse::<u32>()))
        else {
            return;
        };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order.
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(absolute) = host.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{}", domain.trim_end_matches('.')));
        let mut all: Vec<String> = searched.collect();
        match host.matches('.').count() >= self.ndots {
            true => all.insert(0, host.to_owned()),
            false => all.push(host.to_owned()),
        }
        all
    }

    fn look_up(&self, host: &str, limit: TimeLimit) -> Result<Vec<IpAddr>, NoAnswer> {
        let mut trouble = None;
        for name in self.candidates(host) {
            match self.ask_all(&name, limit) {
                Ok(found) if !found.is_empty() => return Ok(found),
                Ok(_) => {}
                Err(why) => trouble = Some(why),
            }
            limit.left()?;
        }
        Err(trouble.unwrap_or_else(|| NoAnswer::Got(format!("no address of {host}: the name is not known"))))
    }

    /// Asks the servers in turn until one knows whether the name exists.
    fn ask_all(&self, name: &str, limit: TimeLimit) -> Result<Vec<IpAddr>, NoAnswer> {
        let mut trouble = NoAnswer::Got(format!("no address of {name}: no name server"));
        for _ in 0..self.attempts {
            for server in &self.servers {
                let wait = self.timeout.min(limit.left()?);
                match ask(*server, name, TimeLimit::of(wait)) {
                    Ok(found) => return Ok(found),
                    Err(why) => {
                        trouble = NoAnswer::Got(format!("no address of {name}: name server {server}: {why}"));
                    }
                }
            }
        }
        Err(trouble)
    }
}

/// Asks one server for the name's IPv4 and IPv6 addresses, both at once.
fn ask(server: SocketAddr, name: &str, limit: TimeLimit) -> Result<Vec<IpAddr>, NoAnswer> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    // Connected, so that only this server can answer, and its refusal is heard.
    socket.connect(server)?;
    // Any two numbers will do: a new socket has a new port, and nothing is kept.
    let id = (clock::now().as_nanos() >> 4) as u16;
    let kinds = [(id, TYPE::A), (id.wrapping_add(1), TYPE::AAAA)];
    for (id, kind) in kinds {
        socket.send(&question(id, name, kind)?)?;
    }
    let mut found = Vec::new();
    let mut waiting: Vec<u16> = kinds.iter().map(|(id, _)| *id).collect();
    let mut buffer = [0; ANSWER_MAX];
    while !waiting.is_empty() {
        socket.set_read_timeout(Some(limit.left()?))?;
        let count = match socket.recv(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // One of the two is enough: some servers are silent about IPv6.
            Err(_) if !found.is_empty() => break,
            result => result.map_err(|error| limit.explain(error))?,
        };
        let Ok(answer) = Packet::parse(&buffer[..count]) else { continue };
        let is_ours = answer.has_flags(PacketFlag::RESPONSE) && waiting.contains(&answer.id());
        if !is_ours {
            continue;
        }
        waiting.retain(|id| *id != answer.id());
        match answer.rcode() {
            RCODE::NoError => found.extend(answer.answers.iter().filter_map(|record| match &record.rdata {
                RData::A(a) => Some(IpAddr::from(Ipv4Addr::from(a.address))),
                RData::AAAA(a) => Some(IpAddr::from(Ipv6Addr::from(a.address))),
                _ => None,
            })),
            RCODE::NameError => return Ok(Vec::new()),
            code => return Err(NoAnswer::Got(format!("it says {code:?}"))),
        }
    }
    sorted::sort_by_key(&mut found, IpAddr::is_ipv6);
    Ok(found)
}

fn question(id: u16, name: &str, kind: TYPE) -> Result<Vec<u8>, NoAnswer> {
    let wrong = |error| NoAnswer::Got(format!("{name:?} is no host name: {error}"));
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(wrong)?;
    packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, AAAA};
    use std::thread;

    #[test]
    fn hosts_are_read_as_the_manual_says() {
        let text =
            "# a comment\n127.0.0.1 localhost\n::1 localhost db\n10.0.0.2\tdb Db.local # db3\nbroken db\n";
        assert_eq!(in_hosts(text, "db"), ["10.0.0.2".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(in_hosts(text, "db.local").len(), 1);
        assert!(in_hosts(text, "db3").is_empty());
    }

    #[test]
    fn resolv_conf_is_read_as_the_manual_says() {
        let text = "; docker\nsearch old\nnameserver 127.0.0.11\nnameserver fe80::1%eth0\nsearch a.example b.example.\n\
                    options ndots:2 timeout:1 edns0\nnameserver ::1\n";
        let resolver = Resolver::read(text);
        assert_eq!(resolver.servers, ["127.0.0.11:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
        assert_eq!((resolver.ndots, resolver.timeout, resolver.attempts), (2, Duration::from_secs(1), 2));
        assert_eq!(resolver.candidates("db"), ["db.a.example", "db.b.example", "db"]);
        assert_eq!(resolver.candidates("db.c.d")[0], "db.c.d");
        assert_eq!(resolver.candidates("db."), ["db"]);
        assert_eq!(Resolver::read("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    /// A name server that knows one name.
    fn server(knows: &'static str) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                let query = Packet::parse(&buffer[..count]).unwrap();
                let mut reply = Packet::new_reply(query.id());
                let question = &query.questions[0];
                let name = Name::new(knows).unwrap();
                if question.qname == name {
                    let data = match question.qtype == TYPE::A.into() {
                        true => RData::A(A { address: Ipv4Addr::new(192, 0, 2, 1).into() }),
                        false => RData::AAAA(AAAA { address: Ipv6Addr::LOCALHOST.into() }),
                    };
                    reply.answers.push(ResourceRecord::new(name, CLASS::IN, 10, data));
                } else {
                    *reply.rcode_mut() = RCODE::NameError;
                }
                socket.send_to(&reply.build_bytes_vec().unwrap(), from).unwrap();
            }
        });
        address
    }

    fn resolver(servers: Vec<SocketAddr>) -> Resolver {
        Resolver { servers, search: vec!["example".into()], ..Resolver::read("options timeout:1") }
    }

    #[test]
    fn a_name_server_is_asked_with_each_search_domain() {
        let resolver = resolver(vec![server("db.example")]);
        let found = resolver.look_up("db", TimeLimit::of(Duration::from_secs(10))).unwrap();
        assert_eq!(found, ["192.0.2.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        let unknown = resolver.look_up("mail", TimeLimit::of(Duration::from_secs(10))).unwrap_err();
        assert_eq!(unknown.to_string(), "no address of mail: the name is not known");
    }

    #[test]
    fn a_name_server_that_refuses_or_is_silent_is_passed_over() {
        let refused = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let servers = vec![refused, silent.local_addr().unwrap(), server("db.example")];
        let found = resolver(servers).look_up("db", TimeLimit::of(Duration::from_secs(10))).unwrap();
        assert_eq!(found.len(), 2);
        let silent = resolver(vec![silent.local_addr().unwrap()]);
        let why = silent.look_up("db", TimeLimit::of(Duration::from_millis(50))).unwrap_err();
        assert!(why.to_string().contains("no answer in"), "{why}");
    }
}
