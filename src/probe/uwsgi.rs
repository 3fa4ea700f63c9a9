//! A GET as uWSGI's own protocol packs it: what nginx sends with `uwsgi_pass`.
//!
//! Four bytes (modifier 0, the length of the rest in little endian, modifier 0), then
//! pairs of strings, each with its length in two bytes. The answer is that of HTTP.
//! Source: the uWSGI documentation, "The uwsgi Protocol".

use super::address::Address;
use super::http::{Status, status_line};
use super::{NoAnswer, TimeLimit};

/// Asks for this path and says what the server answers.
///
/// # Errors
/// There is no status line within the time.
pub fn get(address: &Address, host: &str, path: &str, limit: TimeLimit) -> Result<Status, NoAnswer> {
    let port = match address {
        Address::Tcp(_, port) => port.to_string(),
        Address::Unix(_) => "80".into(),
    };
    let packet = packet(host, &port, path)
        .ok_or_else(|| NoAnswer::Got("the path is too long for the uwsgi protocol".into()))?;
    let mut connection = address.connect(limit)?;
    connection.send(&packet, limit)?;
    status_line(&mut connection, limit)
}

/// The request; `None` if it does not fit into 64 KiB.
fn packet(host: &str, port: &str, uri: &str) -> Option<Vec<u8>> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let variables = [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", uri),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", ""),
        ("SERVER_NAME", host),
        ("SERVER_PORT", port),
        ("SERVER_PROTOCOL", "HTTP/1.0"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_HOST", host),
        ("HTTP_USER_AGENT", "minisup"),
    ];
    let mut body = Vec::new();
    for text in variables.iter().flat_map(|(name, value)| [name, value]) {
        body.extend(u16::try_from(text.len()).ok()?.to_le_bytes());
        body.extend(text.as_bytes());
    }
    let [low, high] = u16::try_from(body.len()).ok()?.to_le_bytes();
    Some([&[0, low, high, 0], body.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_says_its_own_length() {
        let packet = packet("localhost", "80", "/healthz?deep=1").unwrap();
        assert_eq!(packet[0], 0);
        assert_eq!(usize::from(u16::from_le_bytes([packet[1], packet[2]])), packet.len() - 4);
        let text = String::from_utf8_lossy(&packet);
        for part in
            ["\u{9}\0PATH_INFO\u{8}\0/healthz", "\u{c}\0QUERY_STRING\u{6}\0deep=1", "\u{b}\0SCRIPT_NAME\0\0"]
        {
            assert!(text.contains(part), "{part:?}");
        }
        assert!(super::packet("localhost", "80", &"x".repeat(70_000)).is_none());
    }
}
