//! A stand-in for grpcurl, so that the tour of the README can be run where Go programs are not at hand.
//!
//! It takes those of grpcurl's arguments that the README uses, and prints what grpcurl prints. As grpcurl, it knows nothing of the
//! contract: it asks the server by reflection and works on dynamic messages, so that a service that is missing from the reflection,
//! or a detail of an error that is, shows in the tour.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor};
use prost_types::FileDescriptorProto;
use serde_json::value::RawValue;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{FileDescriptorResponse, ServerReflectionRequest};

/// The environment variable that makes this program grpcurl.
pub(crate) const SWITCH: &str = "ROSTER_TEST_GRPCURL";

/// What grpcurl adds to a status code to make its exit code.
const EXIT_OFFSET: i32 = 64;

/// How the program ends when it does not succeed: what it says, and its exit code.
struct Failure(String, u8);

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text, 1)
    }
}

/// Does what the command line asks for.
pub(crate) fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starting tokio");
    match runtime.block_on(run(std::env::args().skip(1))) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(Failure(text, code)) => {
            eprintln!("{text}");
            ExitCode::from(code)
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn print(text: &str) {
    println!("{text}");
}

async fn run(arguments: impl Iterator<Item = String>) -> Result<String, Failure> {
    let arguments = Arguments::parse(arguments)?;
    let channel = Endpoint::from_shared(format!("http://{}", arguments.address)).map_err(text)?;
    let channel = channel.connect().await.map_err(text)?;
    let mut server = Server { channel, headers: arguments.headers.clone(), pool: DescriptorPool::new() };
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => Ok(server.services().await?.join("\n")),
        ["list", service] => server.methods(service).await,
        ["describe", symbol] => server.describe(symbol).await,
        [method] => server.call(method, arguments.data.as_deref()).await,
        _ => Err("Too many arguments.".to_owned().into()),
    }
}

#[derive(Default)]
struct Arguments {
    headers: MetadataMap,
    data: Option<String>,
    address: String,
    words: Vec<String>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut plaintext = false;
        while let Some(word) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("flag needs an argument: {word}"));
            match word.as_str() {
                "-plaintext" => plaintext = true,
                "-d" => arguments.data = Some(value()?),
                "-H" => arguments.add_header(&value()?)?,
                flag if flag.starts_with('-') => return Err(format!("flag provided but not defined: {flag}")),
                _ if arguments.address.is_empty() => arguments.address = word,
                _ => arguments.words.push(word),
            }
        }
        if !plaintext || arguments.address.is_empty() || arguments.words.is_empty() {
            return Err(
                "usage: grpcurl -plaintext [-H header] [-d json|@] address (list [service] | describe symbol | method)"
                    .to_owned(),
            );
        }
        Ok(arguments)
    }

    fn add_header(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once(':').ok_or_else(|| format!("not a header: {text}"))?;
        let name: AsciiMetadataKey = name.trim().parse().map_err(|_| format!("not a header's name: {name}"))?;
        let value = value.trim().parse().map_err(|_| "not a header's value".to_owned())?;
        self.headers.append(name, value);
        Ok(())
    }
}

/// A server, and what it has told about itself so far.
struct Server {
    channel: Channel,
    headers: MetadataMap,
    pool: DescriptorPool,
}

impl Server {
    async fn call(&mut self, method: &str, data: Option<&str>) -> Result<String, Failure> {
        let (service, name) = method.rsplit_once(['/', '.']).ok_or_else(|| format!("not a method: {method}"))?;
        self.learn_symbol(service).await?;
        let service = self.pool.get_service_by_name(service).ok_or_else(|| format!("not a service: {service}"))?;
        let found = service.methods().find(|candidate| candidate.name() == name);
        let found = found
            .ok_or_else(|| format!("service {:?} does not include a method named {name:?}", service.full_name()))?;
        if found.is_client_streaming() || found.is_server_streaming() {
            return Err(format!("{method} is a stream, which this stand-in does not know").into());
        }
        let message = parse(found.input(), data)?;
        let path = format!("/{}/{name}", service.full_name());
        match self.unary(&path, message, found.output()).await {
            Ok(answer) => Ok(pretty(&answer)?),
            Err(status) => {
                let code = u8::try_from(EXIT_OFFSET + status.code() as i32).unwrap_or(1);
                Err(Failure(self.show(&status).await?, code))
            }
        }
    }

    async fn unary(
        &self,
        path: &str,
        message: DynamicMessage,
        output: MessageDescriptor,
    ) -> Result<DynamicMessage, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().map_err(|_| Status::internal("the path is none"))?;
        let answer = client.unary(self.request(message), path, Dynamic(output)).await?;
        Ok(answer.into_inner())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }

    /// A status as grpcurl shows it.
    async fn show(&mut self, status: &Status) -> Result<String, String> {
        let mut shown = format!("ERROR:\n  Code: {:?}\n  Message: {}", status.code(), status.message());
        let details = tonic_types::pb::Status::decode(status.details()).map_err(text)?.details;
        if !details.is_empty() {
            shown.push_str("\n  Details:");
        }
        for (index, detail) in details.iter().enumerate() {
            let line = self.show_detail(&detail.type_url, &detail.value).await?;
            shown.push_str(&format!("\n  {})\t{line}", index + 1));
        }
        Ok(shown)
    }

    /// One line, its fields sorted by name, those inside them in the order of their numbers.
    async fn show_detail(&mut self, type_url: &str, value: &[u8]) -> Result<String, String> {
        let name = type_url.rsplit('/').next().unwrap_or(type_url);
        let unknown = |why: String| format!("the detail {name} cannot be read by reflection: {why}");
        self.learn_symbol(name).await.map_err(unknown)?;
        let descriptor = self.message(name)?;
        let message = DynamicMessage::decode(descriptor, value).map_err(text)?;
        let json = serde_json::to_string(&message).map_err(text)?;
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&json).map_err(text)?;
        fields.insert("@type".to_owned(), serde_json::value::to_raw_value(type_url).map_err(text)?);
        Ok(escaped(&serde_json::to_string(&fields).map_err(text)?))
    }

    async fn methods(&mut self, service: &str) -> Result<String, Failure> {
        self.learn_symbol(service).await?;
        let found = self.pool.get_service_by_name(service).ok_or_else(|| format!("not a service: {service}"))?;
        let mut names: Vec<String> = found.methods().map(|method| method.full_name().to_owned()).collect();
        names.sort();
        Ok(names.join("\n"))
    }

    async fn describe(&mut self, symbol: &str) -> Result<String, Failure> {
        self.learn_symbol(symbol).await?;
        Ok(describe(&self.message(symbol)?))
    }

    fn message(&self, name: &str) -> Result<MessageDescriptor, String> {
        self.pool.get_message_by_name(name).ok_or_else(|| format!("not a message: {name}"))
    }

    async fn services(&self) -> Result<Vec<String>, String> {
        match self.ask(MessageRequest::ListServices(String::new())).await? {
            MessageResponse::ListServicesResponse(list) => {
                let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
                names.sort();
                Ok(names)
            }
            other => Err(format!("not a list of services: {other:?}")),
        }
    }

    /// Learns the file that declares a symbol, with everything that it imports.
    async fn learn_symbol(&mut self, symbol: &str) -> Result<(), String> {
        let mut wanted = vec![self.files(MessageRequest::FileContainingSymbol(symbol.to_owned())).await?];
        // A file can be taken in when what it imports has been: those still missing go on top of it.
        while let Some((file, encoded)) = wanted.last() {
            let missing = file.dependency.iter().find(|name| self.pool.get_file_by_name(name).is_none());
            match missing {
                Some(name) => wanted.push(self.files(MessageRequest::FileByFilename(name.clone())).await?),
                None => {
                    if self.pool.get_file_by_name(file.name()).is_none() {
                        self.pool.decode_file_descriptor_proto(encoded.as_slice()).map_err(text)?;
                    }
                    wanted.pop();
                }
            }
        }
        Ok(())
    }

    /// The first file of an answer, decoded and as it came.
    async fn files(&self, question: MessageRequest) -> Result<(FileDescriptorProto, Vec<u8>), String> {
        let answer = self.ask(question).await?;
        let MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }) = answer else {
            return Err(format!("not a file: {answer:?}"));
        };
        let encoded = file_descriptor_proto.into_iter().next().ok_or("an answer without a file")?;
        let file = FileDescriptorProto::decode(encoded.as_slice()).map_err(text)?;
        Ok((file, encoded))
    }

    async fn ask(&self, question: MessageRequest) -> Result<MessageResponse, String> {
        let question = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut client = ServerReflectionClient::new(self.channel.clone());
        let request = self.request(tokio_stream::once(question));
        let mut answers = client.server_reflection_info(request).await.map_err(text)?.into_inner();
        let answer = answers.message().await.map_err(text)?.and_then(|answer| answer.message_response);
        match answer.ok_or("the server reflects nothing")? {
            MessageResponse::ErrorResponse(error) => Err(error.error_message),
            answer => Ok(answer),
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The request: the data of the command line, standard input for `@`, nothing for nothing.
fn parse(descriptor: MessageDescriptor, data: Option<&str>) -> Result<DynamicMessage, String> {
    let mut json = data.unwrap_or_default().to_owned();
    if json == "@" {
        json.clear();
        std::io::stdin().read_to_string(&mut json).map_err(text)?;
    }
    if json.trim().is_empty() {
        return Ok(DynamicMessage::new(descriptor));
    }
    let mut reader = serde_json::Deserializer::from_str(&json);
    let message = DynamicMessage::deserialize(descriptor, &mut reader)
        .map_err(|error| format!("error getting request data: {error}"))?;
    reader.end().map_err(text)?;
    Ok(message)
}

fn pretty(message: &DynamicMessage) -> Result<String, String> {
    let json = serde_json::to_string_pretty(message).map_err(text)?;
    // An empty message is three lines.
    Ok(if json == "{}" { "{\n  \n}".to_owned() } else { escaped(&json) })
}

/// Go's JSON keeps these out of HTML; they only occur inside strings.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A message without options and nested declarations, as its source text.
fn describe(message: &MessageDescriptor) -> String {
    let mut lines = vec![format!("{} is a message:", message.full_name())];
    lines.extend(comment(message, message.path(), ""));
    lines.push(format!("message {} {{", message.name()));
    for field in message.fields() {
        lines.extend(comment(message, field.path(), "  "));
        let label = if field.is_list() { "repeated " } else { "" };
        let kind = match field.kind() {
            Kind::Message(inner) => format!(".{}", inner.full_name()),
            Kind::Enum(inner) => format!(".{}", inner.full_name()),
            scalar => format!("{scalar:?}").to_lowercase(),
        };
        lines.push(format!("  {label}{kind} {} = {};", field.name(), field.number()));
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

/// The comment that stands before the declaration at a path of the file.
fn comment(message: &MessageDescriptor, path: &[i32], indent: &str) -> Vec<String> {
    let file = message.parent_file_descriptor_proto();
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let found = locations.into_iter().find(|location| location.path == path);
    let comment = found.map(|location| location.leading_comments()).unwrap_or_default();
    comment.lines().map(|line| format!("{indent}//{line}")).collect()
}

/// Messages that are known by their descriptor only.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
