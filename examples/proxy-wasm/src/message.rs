//! Requests and responses as filters see them, and as hyper does.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::abi::Fields;

type Failure = Box<dyn Error + Send + Sync>;

/// Fields that say how a message is transferred, which is the matter of each connection.
const OF_CONNECTIONS: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// A request or a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// A response of the proxy's own.
    pub(crate) fn text(status: StatusCode, text: &str) -> Self {
        let mut fields = Fields::default();
        fields.add(b":status", status.as_str().as_bytes());
        fields.add(b"content-type", b"text/plain");
        Self { fields, body: text.as_bytes().to_vec() }
    }

    /// Reads a request, with a body of at most so many bytes.
    pub(crate) async fn of_request<B>(request: Request<B>, max_body_bytes: usize) -> Result<Self, Failure>
    where
        B: Body<Data: Send, Error: Into<Failure>>,
    {
        let (head, body) = request.into_parts();
        let mut fields = Fields::default();
        let host = head.headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
        let authority = head.uri.authority().map_or(host, |authority| authority.as_str().as_bytes());
        fields.add(b":authority", authority);
        fields.add(b":path", head.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
        fields.add(b":method", head.method.as_str().as_bytes());
        fields.add(b":scheme", b"http");
        Self::collect(fields, &head.headers, body, max_body_bytes).await
    }

    /// Reads a response, with a body of at most so many bytes.
    pub(crate) async fn of_response<B>(response: Response<B>, max_body_bytes: usize) -> Result<Self, Failure>
    where
        B: Body<Data: Send, Error: Into<Failure>>,
    {
        let (head, body) = response.into_parts();
        let mut fields = Fields::default();
        fields.add(b":status", head.status.as_str().as_bytes());
        Self::collect(fields, &head.headers, body, max_body_bytes).await
    }

    async fn collect<B>(mut fields: Fields, headers: &HeaderMap, body: B, max: usize) -> Result<Self, Failure>
    where
        B: Body<Data: Send, Error: Into<Failure>>,
    {
        for (name, value) in headers.iter().filter(|(name, _)| *name != HOST) {
            fields.add(name.as_str().as_bytes(), value.as_bytes());
        }
        let body = Limited::new(body, max).collect().await?.to_bytes().to_vec();
        Ok(Self { fields, body })
    }

    fn pseudo(&self, name: &str) -> Result<&[u8], Failure> {
        self.fields.get(name.as_bytes()).ok_or_else(|| format!("a message without {name}").into())
    }

    /// The fields that are sent.
    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.fields.0.iter().filter(|(name, _)| !name.starts_with(b":")) {
            let name = HeaderName::from_bytes(name)?;
            if !OF_CONNECTIONS.contains(&name.as_str()) {
                headers.try_append(name, HeaderValue::from_bytes(value)?)?;
            }
        }
        headers.try_insert(CONTENT_LENGTH, self.body.len().into())?;
        Ok(headers)
    }

    fn into_request(self) -> Result<Request<Full<Bytes>>, Failure> {
        let mut headers = self.headers()?;
        headers.try_insert(HOST, HeaderValue::from_bytes(self.pseudo(":authority")?)?)?;
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::from_bytes(self.pseudo(":method")?)?;
        *request.uri_mut() = Uri::try_from(self.pseudo(":path")?)?;
        *request.headers_mut() = headers;
        *request.body_mut() = Full::new(self.body.into());
        Ok(request)
    }

    /// The response for the client, where this is one.
    pub(crate) fn into_response(self) -> Result<Response<Full<Bytes>>, Failure> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_bytes(self.pseudo(":status")?)?;
        if response.status().is_informational() {
            return Err("the status of an answer is at least 200".into());
        }
        *response.headers_mut() = self.headers()?;
        *response.body_mut() = Full::new(self.body.into());
        Ok(response)
    }

    /// Sends the request to a server, on a connection of its own: the response.
    pub(crate) async fn send(self, server: &str, timeout: Duration, max_body_bytes: usize) -> Result<Self, Failure> {
        let request = self.into_request()?;
        let exchange = async {
            let stream = TcpStream::connect(server).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // The connection ends with this exchange, however that ends.
            let mut connections = JoinSet::new();
            connections.spawn(connection);
            Self::of_response(sender.send_request(request).await?, max_body_bytes).await
        };
        tokio::time::timeout(timeout, exchange).await?
    }
}
