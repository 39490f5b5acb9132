//! A component of the world `wasi:http/proxy` that does what the path of a request says. It is the library of a crate with
//! `crate-type = ["cdylib"]`, which depends on the crate `wasi` 0.14.7, built with
//!
//! ```text
//! cargo build --release --target wasm32-wasip2    # opt-level = "s", lto = true, panic = "abort", strip = true
//! ```

use wasi::exports::http::incoming_handler::Guest;
use wasi::http::types::*;
use wasi::io::streams::StreamError;

struct Component;
wasi::http::proxy::export!(Component);

fn body_of(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut all = Vec::new();
    loop {
        match stream.blocking_read(65536) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(e) => panic!("{e:?}"),
        }
    }
    drop(stream);
    IncomingBody::finish(body);
    all
}

fn respond(out: ResponseOutparam, status: u16, fields: &[(&str, &str)], body: &[u8]) {
    let headers = Fields::new();
    for (name, value) in fields {
        headers.append(&(*name).to_owned(), &value.as_bytes().to_vec()).unwrap();
    }
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).unwrap();
    let outgoing = response.body().unwrap();
    ResponseOutparam::set(out, Ok(response));
    let stream = outgoing.write().unwrap();
    for chunk in body.chunks(4096) {
        stream.blocking_write_and_flush(chunk).unwrap();
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).unwrap();
}

/// A request of its own, to the address that the header `x-to` names, by https where that begins with `https://`.
fn fetch(to: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let secret = to.strip_prefix("https://");
    let (scheme, authority) = secret.map_or((Scheme::Http, to), |authority| (Scheme::Https, authority));
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some("/hello")).unwrap();
    let future = wasi::http::outgoing_handler::handle(request, None)?;
    future.subscribe().block();
    let response = future.get().unwrap().unwrap()?;
    let status = response.status();
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut all = Vec::new();
    while let Ok(bytes) = stream.blocking_read(4096) {
        all.extend(bytes);
    }
    Ok((status, all))
}

/// The number behind the question mark.
fn number_of(path: &str) -> usize {
    path.split('?').nth(1).unwrap().parse().unwrap()
}

fn outgoing(length: &str) -> OutgoingRequest {
    let headers = Fields::new();
    headers.append(&"content-length".to_owned(), &length.as_bytes().to_vec()).unwrap();
    OutgoingRequest::new(headers)
}

/// Bodies whose streams take turns: each ends when the descriptor of its stream has become that of another one.
fn interleave(request: &IncomingRequest) {
    let mut last: Option<(OutgoingBody, OutgoingRequest)> = None;
    for _ in 0..500 {
        let request = outgoing("3");
        let body = request.body().unwrap();
        let stream = body.write().unwrap();
        stream.blocking_write_and_flush(b"abc").unwrap();
        if let Some((last, _request)) = last {
            OutgoingBody::finish(last, None).unwrap();
        }
        drop(stream);
        last = Some((body, request));
    }
    let incoming = request.consume().unwrap();
    drop(incoming.stream().unwrap());
    let request = outgoing("0");
    let output = request.body().unwrap();
    let stream = output.write().unwrap();
    IncomingBody::finish(incoming);
    drop(stream);
    OutgoingBody::finish(output, None).unwrap();
}

/// Requests that nobody answers: how many were begun, and why the next one was not.
fn many(to: &str, count: usize) -> String {
    let begin = || {
        let request = OutgoingRequest::new(Fields::new());
        request.set_scheme(Some(&Scheme::Http)).unwrap();
        request.set_authority(Some(to)).unwrap();
        wasi::http::outgoing_handler::handle(request, None)
    };
    let begun: Vec<_> = (0..count).map(|_| begin()).collect();
    let refused: Vec<_> = begun.iter().filter_map(|begun| begun.as_ref().err()).collect();
    format!("{} {:?}", count - refused.len(), refused.first())
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.split('?').next().unwrap() {
            "/hello" => respond(out, 200, &[("content-type", "text/plain")], b"Hello, world!\n"),
            "/exact" => respond(out, 200, &[("content-length", "5")], b"exact"),
            "/about" => {
                let headers = request.headers();
                let mut text = format!("{:?} {:?} {:?}\n", request.method(), request.scheme(), path);
                let mut entries = headers.entries();
                entries.sort();
                for (name, value) in entries.iter().filter(|(name, _)| name.starts_with("x-")) {
                    text += &format!("{name}: {}\n", String::from_utf8_lossy(value));
                }
                // They are the request's: nobody changes them.
                text += &format!("{:?}\n", headers.set(&"x-a".to_owned(), &[b"b".to_vec()]));
                text += &format!("host is there: {}\n", headers.has(&"host".to_owned()));
                let own = Fields::new();
                text += &format!("{:?}\n", own.append(&"connection".to_owned(), &b"close".to_vec()));
                text += &format!("{:?}\n", own.append(&"bad name".to_owned(), &b"x".to_vec()));
                respond(out, 203, &[("x-kind", "about"), ("x-kind", "again")], text.as_bytes());
            }
            "/echo" => {
                let body = body_of(&request);
                respond(out, 200, &[], &body);
            }
            "/stream" => {
                // What comes goes out at once.
                let response = OutgoingResponse::new(Fields::new());
                let outgoing = response.body().unwrap();
                ResponseOutparam::set(out, Ok(response));
                let body = request.consume().unwrap();
                let input = body.stream().unwrap();
                let output = outgoing.write().unwrap();
                let pollable = input.subscribe();
                loop {
                    pollable.block();
                    match input.read(4096) {
                        Ok(bytes) => output.blocking_write_and_flush(&bytes).unwrap(),
                        Err(_) => break,
                    }
                }
                drop((pollable, input, output));
                let trailers = Fields::new();
                trailers.append(&"x-trailer".to_owned(), &b"yes".to_vec()).unwrap();
                OutgoingBody::finish(outgoing, Some(trailers)).unwrap();
            }
            "/endless" => {
                let response = OutgoingResponse::new(Fields::new());
                let outgoing = response.body().unwrap();
                ResponseOutparam::set(out, Ok(response));
                let output = outgoing.write().unwrap();
                while output.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
            }
            "/short" => {
                let headers = Fields::new();
                headers.append(&"content-length".to_owned(), &b"10".to_vec()).unwrap();
                let response = OutgoingResponse::new(headers);
                let outgoing = response.body().unwrap();
                ResponseOutparam::set(out, Ok(response));
                let stream = outgoing.write().unwrap();
                stream.blocking_write_and_flush(b"four").unwrap();
                drop(stream);
                eprintln!("finish: {:?}", OutgoingBody::finish(outgoing, None).is_err());
            }
            "/trap" => core::arch::wasm32::unreachable(),
            "/half" => {
                let response = OutgoingResponse::new(Fields::new());
                let outgoing = response.body().unwrap();
                ResponseOutparam::set(out, Ok(response));
                let stream = outgoing.write().unwrap();
                stream.blocking_write_and_flush(b"half").unwrap();
                core::arch::wasm32::unreachable()
            }
            "/loop" => loop {
                core::hint::black_box(0);
            },
            "/sleep" => wasi::clocks::monotonic_clock::subscribe_duration(3_600_000_000_000).block(),
            "/allocate" => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1u8; 1 << 20]);
                    core::hint::black_box(&all);
                }
            }
            // What the server keeps for a guest, and not the guest's own memory.
            "/fields" => {
                let fields = Fields::new();
                loop {
                    fields.append(&"x-large".to_owned(), &vec![b'x'; 1 << 16]).unwrap();
                }
            }
            "/names" => {
                let fields = Fields::new();
                for i in 0.. {
                    fields.append(&format!("x-{i}"), &Vec::new()).unwrap();
                }
            }
            "/objects" => {
                let mut all = Vec::new();
                loop {
                    all.push(Fields::new());
                }
            }
            // Sockets of the server.
            "/bodies" => {
                let requests: Vec<_> = (0..number_of(&path)).map(|_| outgoing("0")).collect();
                let bodies: Vec<_> = requests.iter().map(|request| request.body().unwrap()).collect();
                respond(out, 200, &[], b"so many\n");
                drop(bodies);
            }
            "/many" => {
                let to = request.headers().get(&"x-to".to_owned());
                let text = many(std::str::from_utf8(&to[0]).unwrap(), number_of(&path));
                respond(out, 200, &[], text.as_bytes());
            }
            "/interleaved" => {
                interleave(&request);
                respond(out, 200, &[], b"interleaved\n");
            }
            "/trailers" => {
                let body = request.consume().unwrap();
                let stream = body.stream().unwrap();
                while stream.blocking_read(4096).is_ok() {}
                drop(stream);
                let trailers = IncomingBody::finish(body).get().unwrap().unwrap();
                let text = format!("{:?}", trailers.map(|trailers| trailers.map(|fields| fields.entries())));
                respond(out, 200, &[], text.as_bytes());
            }
            // The instance keeps the stream, and never ends the body.
            "/keep" => {
                let response = OutgoingResponse::new(Fields::new());
                let outgoing = response.body().unwrap();
                ResponseOutparam::set(out, Ok(response));
                let stream = outgoing.write().unwrap();
                stream.blocking_write_and_flush(b"kept").unwrap();
                std::mem::forget((stream, outgoing));
            }
            "/nothing" => {}
            "/error" => ResponseOutparam::set(out, Err(ErrorCode::InternalError(Some("no".to_owned())))),
            "/fetch" => {
                let to = request.headers().get(&"x-to".to_owned());
                let to = String::from_utf8(to[0].clone()).unwrap();
                match fetch(&to) {
                    Ok((status, body)) => respond(out, status, &[], &body),
                    Err(error) => respond(out, 502, &[], format!("{error:?}").as_bytes()),
                }
            }
            _ => respond(out, 404, &[], b"no such path\n"),
        }
    }
}
