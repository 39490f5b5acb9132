//! Requests and answers as CGI programs know them.
//!
//! Source: RFC 3875. Variables say what the request is, its body is standard input; the answer's header fields, an empty
//! line and its body are standard output.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

/// A request.
pub(crate) struct Question {
    /// Names and values of variables.
    pub variables: Vec<(String, String)>,
    pub body: Bytes,
}

impl Question {
    /// The request with this head for a tenant; `rest` is what follows its name in the path.
    pub(crate) fn new(head: &Parts, tenant: &str, rest: &str, body: Bytes) -> Self {
        let mut variables = vec![
            ("GATEWAY_INTERFACE".to_owned(), "CGI/1.1".to_owned()),
            ("REQUEST_METHOD".to_owned(), head.method.to_string()),
            ("SCRIPT_NAME".to_owned(), format!("/{tenant}")),
            ("PATH_INFO".to_owned(), rest.to_owned()),
            ("QUERY_STRING".to_owned(), head.uri.query().unwrap_or_default().to_owned()),
            ("SERVER_PROTOCOL".to_owned(), format!("{:?}", head.version)),
            ("CONTENT_LENGTH".to_owned(), body.len().to_string()),
        ];
        for (name, value) in &head.headers {
            let Ok(value) = value.to_str() else { continue };
            let name = name.as_str().to_uppercase().replace('-', "_");
            variables.push(match name.as_str() {
                "CONTENT_LENGTH" => continue,
                "CONTENT_TYPE" => (name, value.to_owned()),
                // What a library of the guest's would take for its proxy, see https://httpoxy.org.
                "PROXY" => continue,
                name => (format!("HTTP_{name}"), value.to_owned()),
            });
        }
        // No variable holds a NUL, and of several with one name the guest may see any.
        variables.retain(|(_, value)| !value.contains('\0'));
        Self { variables, body }
    }
}

/// The answer that a program has written; `None` where it is none.
pub(crate) fn answer(output: &[u8]) -> Option<Response<Full<Bytes>>> {
    let mut rest = output;
    let mut answer = Response::new(());
    let mut is_empty = true;
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        is_empty = false;
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            // A number and, perhaps, words.
            let code = value.get(..3)?;
            *answer.status_mut() = StatusCode::from_bytes(code).ok().filter(|status| status.as_u16() >= 200)?;
            continue;
        }
        let name = HeaderName::from_bytes(name).ok().filter(|name| !belongs_to_server(name))?;
        answer.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    if is_empty {
        return None;
    }
    answer.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain"));
    Some(answer.map(|()| Full::new(Bytes::copy_from_slice(rest))))
}

/// Whether a field says how the answer is transferred, which is not the program's to decide.
fn belongs_to_server(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH
        || ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]
            .contains(&name.as_str())
}
