//! Filters of a proxy, with the Rust SDK of the Proxy-Wasm project. The configuration says which one an instance is:
//! `greet`, `redact`, `ask`, or `stamp TEXT`.

use std::time::Duration;

use log::info;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root(Role::Greet)));
}}

#[derive(Clone)]
enum Role {
    /// Logs header fields, and answers `/greeting` itself.
    Greet,
    /// Keeps bodies with the word "secret" from clients.
    Redact,
    /// Lets a request pass when the server `judge` answers with "yes".
    Ask,
    /// Adds a header field with this value to responses.
    Stamp(String),
}

struct Root(Role);

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        self.0 = match text.split_once(' ').unwrap_or((&text, "")) {
            ("greet", "") => Role::Greet,
            ("redact", "") => Role::Redact,
            ("ask", "") => Role::Ask,
            ("stamp", value) => Role::Stamp(value.to_owned()),
            _ => return false,
        };
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter { id, role: self.0.clone() }))
    }
}

struct Filter {
    id: u32,
    role: Role,
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        match self.role {
            Role::Greet => self.greet(),
            Role::Ask => {
                let path = self.get_http_request_header(":path").unwrap_or_default();
                let headers = vec![(":method", "GET"), (":path", &path), (":authority", "judge")];
                if self.dispatch_http_call("judge", headers, None, vec![], Duration::from_secs(5)).is_err() {
                    self.send_http_response(500, vec![], Some(b"there is no judge\n"));
                }
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Role::Stamp(value) = &self.role {
            self.add_http_response_header("x-stamp", value);
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, len: usize, is_end: bool) -> Action {
        if !matches!(self.role, Role::Redact) {
            return Action::Continue;
        }
        if !is_end {
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, len).unwrap_or_default();
        if body.windows(6).any(|word| word == b"secret") {
            self.set_http_response_body(0, len, format!("{len} bytes are not for you\n").as_bytes());
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        info!("{}: over", self.id);
    }
}

impl Filter {
    fn greet(&self) -> Action {
        for (name, value) in self.get_http_request_headers() {
            info!("{}: {name}: {value}", self.id);
        }
        if self.get_http_request_header(":path").as_deref() != Some("/greeting") {
            return Action::Continue;
        }
        self.send_http_response(200, vec![("x-greeter", "a filter")], Some(b"good day\n"));
        Action::Pause
    }
}

impl Context for Filter {
    fn on_http_call_response(&mut self, _: u32, _: usize, len: usize, _: usize) {
        if self.get_http_call_response_body(0, len).is_some_and(|body| body.starts_with(b"yes")) {
            self.resume_http_request();
        } else {
            self.send_http_response(403, vec![], Some(b"the judge says no\n"));
        }
    }
}
