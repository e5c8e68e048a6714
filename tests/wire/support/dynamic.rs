//! Calls of any method of the contract, by its descriptor: for tests that are about all methods, those of tomorrow included.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use http::uri::PathAndQuery;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, OneofDescriptor,
    ReflectMessage, Value,
};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// The package of the contract.
const PACKAGE: &str = "roster.v1";

/// The contract as the server's descriptor set describes it.
pub(crate) struct Contract {
    pool: DescriptorPool,
}

impl Contract {
    pub(crate) fn load() -> Self {
        Self::from_pool(DescriptorPool::decode(roster::grpc::DESCRIPTOR_SET).unwrap())
    }

    /// The contract as somebody else has read it.
    pub(crate) fn from_pool(pool: DescriptorPool) -> Self {
        Self { pool }
    }

    /// Every method of every service of the contract, by service and then in its order.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let services = self.pool.services().filter(|service| service.package_name() == PACKAGE);
        let mut services: Vec<_> = services.collect();
        // The files come in the order of their imports, which means nothing.
        services.sort_by_key(|service| service.name().to_owned());
        services.iter().flat_map(|service| service.methods().map(Method).collect::<Vec<_>>()).collect()
    }

    /// What the contract documents of each reason that a refusal can have, by its name without prefix.
    pub(crate) fn reasons(&self) -> BTreeMap<String, Documented> {
        let reasons = self.pool.get_enum_by_name("roster.v1.ErrorReason").unwrap();
        let read = |value: prost_reflect::EnumValueDescriptor| {
            let name = value.name().trim_start_matches("ERROR_REASON_").to_owned();
            let text = comment(value.parent_enum().parent_file_descriptor_proto(), value.path());
            (name, Documented::read(&text))
        };
        reasons.values().filter(|value| value.number() != 0).map(read).collect()
    }
}

/// What a reason's comment says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Documented {
    /// The status code, such as `NOT_FOUND`: the comment's first word.
    pub(crate) code: String,
    /// The names of the facts in its `Example:`.
    pub(crate) facts: BTreeSet<String>,
}

impl Documented {
    fn read(text: &str) -> Self {
        let (code, rest) = text.split_once(". ").unwrap_or_else(|| panic!("no code in front of: {text}"));
        let (_, example) = rest.split_once("Example: `").unwrap_or_else(|| panic!("no example: {text}"));
        let example = example.strip_suffix("`.").unwrap_or_else(|| panic!("the example is not the end: {text}"));
        let facts: BTreeMap<String, String> =
            serde_json::from_str(example).unwrap_or_else(|why| panic!("{why}: {text}"));
        Self { code: code.to_owned(), facts: facts.into_keys().collect() }
    }
}

/// Who may call a method, as its option says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) public: bool,
    pub(crate) scope: String,
    pub(crate) permission: String,
    pub(crate) self_field: String,
    pub(crate) signed_in: bool,
    pub(crate) names_actor: bool,
}

/// A method of the contract.
#[derive(Clone)]
pub(crate) struct Method(MethodDescriptor);

impl Method {
    /// Such as `UserService/GetUser`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.0.parent_service().name(), self.0.name())
    }

    /// Such as `roster.v1.UserService`.
    pub(crate) fn service(&self) -> String {
        self.0.parent_service().full_name().to_owned()
    }

    /// Such as `/roster.v1.UserService/GetUser`.
    pub(crate) fn path(&self) -> String {
        format!("/{}/{}", self.service(), self.0.name())
    }

    /// The request message.
    pub(crate) fn input(&self) -> MessageDescriptor {
        self.0.input()
    }

    /// The response message.
    pub(crate) fn output(&self) -> MessageDescriptor {
        self.0.output()
    }

    /// The names of all fields of the request, those of the messages in it included.
    pub(crate) fn field_names(&self) -> BTreeSet<String> {
        let (mut names, mut messages) = (BTreeSet::new(), vec![self.input()]);
        while let Some(message) = messages.pop() {
            for field in message.fields() {
                names.insert(field.name().to_owned());
                if let Kind::Message(inner) = field.kind()
                    && is_ours(&inner)
                {
                    messages.push(inner);
                }
            }
        }
        names
    }

    /// Who may call it.
    pub(crate) fn rule(&self) -> Rule {
        let option = self.0.parent_pool().get_extension_by_name("roster.v1.access").unwrap();
        let options = self.0.options();
        let rule = options.get_extension(&option);
        let rule = rule.as_message().unwrap();
        let text = |name: &str| rule.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        Rule {
            public: rule.get_field_by_name("public").unwrap().as_bool().unwrap(),
            scope: text("scope"),
            permission: text("permission"),
            self_field: text("self_field"),
            signed_in: rule.get_field_by_name("signed_in").unwrap().as_bool().unwrap(),
            names_actor: rule.get_field_by_name("names_actor").unwrap().as_bool().unwrap(),
        }
    }

    /// Calls it. The answer is the whole of the server's, and so is the status.
    pub(crate) async fn call(
        &self,
        channel: Channel,
        metadata: MetadataMap,
        message: &DynamicMessage,
    ) -> Result<DynamicMessage, Status> {
        let mut request = Request::new(message.encode_to_vec());
        *request.metadata_mut() = metadata;
        let answer = match (self.0.is_client_streaming(), self.0.is_server_streaming()) {
            (true, _) => first_of_both(channel, &self.path(), request).await?,
            (false, true) => first_of_stream(channel, &self.path(), request).await?,
            (false, false) => unary(channel, &self.path(), request).await?,
        };
        Ok(DynamicMessage::decode(self.0.output(), answer.as_slice()).expect("an answer of the declared type"))
    }
}

/// Calls any path that answers with a stream; the answer is the first message, or an empty one where none comes.
async fn first_of_stream(channel: Channel, path: &str, request: Request<Vec<u8>>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let mut stream = client.server_streaming(request, path, Bytes).await?.into_inner();
    Ok(stream.message().await?.unwrap_or_default())
}

/// The same for a path that takes a stream as well: it gets one message.
async fn first_of_both(channel: Channel, path: &str, request: Request<Vec<u8>>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let request = request.map(|message| futures_util::stream::iter([message]));
    let mut stream = client.streaming(request, path, Bytes).await?.into_inner();
    Ok(stream.message().await?.unwrap_or_default())
}

/// Calls any path with any bytes.
pub(crate) async fn unary(channel: Channel, path: &str, request: Request<Vec<u8>>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    Ok(client.unary(request, path, Bytes).await?.into_inner())
}

/// Takes messages as they are on the wire.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// Whether a message is one of ours, whose fields are looked into. What the well-known types mean is known.
pub(crate) fn is_ours(message: &MessageDescriptor) -> bool {
    message.package_name() == PACKAGE && !message.is_map_entry()
}

/// A field somewhere in a request: a path of fields, each with an index where it is repeated. Shown as error details name it, such as
/// `checks[0].user_id`.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    parents: Vec<(FieldDescriptor, Option<usize>)>,
    /// The field itself.
    pub(crate) field: FieldDescriptor,
}

impl Place {
    /// Every field of the message and of those of our messages in it that it holds: of a repeated one, the first.
    pub(crate) fn all_in(message: &DynamicMessage) -> Vec<Self> {
        let mut places = Vec::new();
        collect(message, &[], &mut places);
        places
    }

    /// Puts a value there; messages on the way there come into being.
    pub(crate) fn set(&self, message: &mut DynamicMessage, value: Value) {
        self.within(message).set_field(&self.field, value);
    }

    /// Takes what is there away.
    pub(crate) fn clear(&self, message: &mut DynamicMessage) {
        self.within(message).clear_field(&self.field);
    }

    /// The message that the field belongs to.
    fn within<'m>(&self, message: &'m mut DynamicMessage) -> &'m mut DynamicMessage {
        let mut inner = message;
        for (field, index) in &self.parents {
            let value = inner.get_field_mut(field);
            let value = match index {
                Some(index) => &mut value.as_list_mut().unwrap()[*index],
                None => value,
            };
            inner = value.as_message_mut().unwrap();
        }
        inner
    }

    /// Whether something is there.
    pub(crate) fn is_in(&self, message: &DynamicMessage) -> bool {
        self.within(&mut message.clone()).has_field(&self.field)
    }

    /// What is there.
    pub(crate) fn get(&self, message: &DynamicMessage) -> Value {
        self.within(&mut message.clone()).get_field(&self.field).into_owned()
    }

    /// The same place with another last name, as for the `oneof` that the field belongs to.
    pub(crate) fn beside(&self, name: &str) -> String {
        let own = self.to_string();
        let prefix = own.strip_suffix(self.field.name()).unwrap();
        format!("{prefix}{name}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (field, index) in &self.parents {
            match index {
                Some(index) => write!(f, "{}[{index}].", field.name())?,
                None => write!(f, "{}.", field.name())?,
            }
        }
        f.write_str(self.field.name())
    }
}

fn collect(message: &DynamicMessage, parents: &[(FieldDescriptor, Option<usize>)], places: &mut Vec<Place>) {
    for field in message.descriptor().fields() {
        places.push(Place { parents: parents.to_vec(), field: field.clone() });
        let ours = matches!(field.kind(), Kind::Message(inner) if is_ours(&inner));
        if !ours || !message.has_field(&field) {
            continue;
        }
        let value = message.get_field(&field);
        let index = field.is_list().then_some(0);
        let inner = index.map_or(value.as_message(), |index| value.as_list().unwrap()[index].as_message());
        let deeper = [parents, &[(field.clone(), index)]].concat();
        collect(inner.unwrap(), &deeper, places);
    }
}

/// The comment of a field.
pub(crate) fn field_comment(field: &FieldDescriptor) -> String {
    comment(field.parent_message().parent_file_descriptor_proto(), field.path())
}

/// The comment of a `oneof`.
pub(crate) fn oneof_comment(oneof: &OneofDescriptor) -> String {
    comment(oneof.parent_message().parent_file_descriptor_proto(), oneof.path())
}

/// The comment in front of a declaration, as one line.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let info = file.source_code_info.as_ref().expect("a descriptor set with source info");
    let location = info.location.iter().find(|location| location.path == path);
    let text = location.map_or("", |location| location.leading_comments());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
