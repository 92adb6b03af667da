//! The API's description: OpenAPI 3.1, generated from the handlers' types, and what holds for all operations alike.

mod rules;

use utoipa::Number;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, SchemaType};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, Object, OpenApi, OpenApiBuilder, Ref,
    RefOr, Response, ResponseBuilder, Schema, SchemaFormat, Type,
};

use crate::kit::limits::{FREE, RIGHT};

/// Refusals that operations share: the status, its component's name, what it means.
const SHARED: [(&str, &str, &str); 8] = [
    ("401", "Unauthorized", "There is no valid token"),
    ("403", "Forbidden", "The caller's role may not, or the API key lacks the scope"),
    ("408", "RequestTimeout", "The body did not arrive in time"),
    ("413", "PayloadTooLarge", "The body is too long"),
    ("422", "UnprocessableEntity", "The request does not parse, lacks a field, or has a wrong type"),
    ("429", "TooManyRequests", "Too often; `Retry-After` says when to come again"),
    ("500", "InternalServerError", "A failure of the server's"),
    ("503", "ServiceUnavailable", "The server is busy or stopping"),
];

/// How surfaces shape their refusals.
#[derive(Clone, Copy)]
enum Shape {
    /// `{"detail": …}`.
    FastApi,
    /// RFC 9457.
    Problem,
}

impl Shape {
    fn of(path: &str) -> Self {
        if path.starts_with("/api/v1/") { Self::Problem } else { Self::FastApi }
    }

    /// A shared refusal's name among the components.
    fn name(self, name: &str) -> String {
        match self {
            Self::FastApi => name.to_owned(),
            Self::Problem => format!("native.{name}"),
        }
    }

    fn response(self, status: &str, description: &str) -> Response {
        let (kind, schema) = match self {
            Self::FastApi if status == "422" => ("application/json", "ValidationErrorBody"),
            Self::FastApi => ("application/json", "ErrorBody"),
            Self::Problem => ("application/problem+json", "native.Problem"),
        };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
        let mut response = ResponseBuilder::new().description(description).content(kind, content).build();
        add_headers(status, &mut response);
        response
    }
}

/// What every part of the description shares.
pub fn frame() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Parlor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "An AI chatbot backend that serves several HTTP surfaces (\"dialects\") over one core: an account made in one works in all, \
             and a conversation begun in one can be continued in any other that its owner can reach.",
        ))
        .license(Some(license))
        .build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT or API key").build();
    let token =
        ApiKeyValue::with_description("token", "The same, for WebSockets of browsers, which cannot set headers.");
    let components = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .security_scheme("token", SecurityScheme::ApiKey(ApiKey::Query(token)))
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Says of every operation what no handler has to say: who may call it, by its right; the refusals that come from what stands before the
/// handlers; the headers; how events stream; and what the formats mean that fields name. What a handler says itself stays.
pub fn complete(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        let methods = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in methods.into_iter().flatten() {
            complete_operation(path, operation);
        }
    }
    let components = description.components.get_or_insert_with(Components::default);
    components.schemas.values_mut().for_each(rules::spell_out);
    for (status, name, description) in SHARED {
        for shape in [Shape::FastApi, Shape::Problem] {
            components.responses.insert(shape.name(name), shape.response(status, description).into());
        }
    }
}

fn complete_operation(path: &str, operation: &mut Operation) {
    let right = operation.extensions.as_ref().and_then(|all| all.get(RIGHT)).and_then(|right| right.as_str());
    let is_public = right == Some("public");
    let is_socket = operation.responses.responses.contains_key("101");
    let mut ways = Vec::new();
    if right == Some("guest-or-token") {
        ways.push(SecurityRequirement::default());
    }
    if !is_public {
        ways.push(SecurityRequirement::new("bearer", [""; 0]));
    }
    if is_socket {
        ways.push(SecurityRequirement::new("token", [""; 0]));
    }
    operation.security = (!ways.is_empty()).then_some(ways);

    let mut has_path_parameter = false;
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            has_path_parameter |= parameter.parameter_in == ParameterIn::Path;
            complete_parameter(parameter);
        }
    }
    let is_free = FREE.contains(&path);
    let has_body = operation.request_body.is_some();
    for (status, name, _) in SHARED {
        let applies = match status {
            "401" | "403" => !is_public,
            "408" | "413" => has_body,
            "422" => has_body || has_path_parameter,
            "500" | "503" => !is_public || has_body,
            _ => !is_free,
        };
        if applies {
            let shared = || Ref::from_response_name(Shape::of(path).name(name)).into();
            operation.responses.responses.entry(status.to_owned()).or_insert_with(shared);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            add_headers(status, response);
            join_events(response);
        }
    }
}

/// A parameter is text or is not there: it is never null. Ids have one form, wherever they stand in a path.
fn complete_parameter(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema else { return };
    if let SchemaType::Array(kinds) = &mut object.schema_type {
        kinds.retain(|kind| *kind != Type::Null);
        if let [kind] = &kinds[..] {
            object.schema_type = SchemaType::Type(kind.clone());
        }
    }
    if parameter.name == "Last-Event-ID" {
        object.format = None;
        object.maximum = Some(Number::UInt(usize::MAX));
    }
    let is_text = object.schema_type == SchemaType::Type(Type::String);
    let format = match parameter.name.as_str() {
        "Idempotency-Key" => "key",
        "conversation_id" | "message_id" | "share_id" if is_text && parameter.parameter_in == ParameterIn::Path => "id",
        _ => "",
    };
    if !format.is_empty() {
        object.format = Some(SchemaFormat::Custom(format.to_owned()));
    }
    if let Some(schema) = &mut parameter.schema {
        rules::spell_out(schema);
    }
}

/// Handlers name each kind of event by a content type of its own; on the wire there is one, and its schema is that of an event.
fn join_events(response: &mut Response) {
    let (events, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut response.content).into_iter().partition(|(kind, _)| kind.starts_with("text/event-stream"));
    response.content.extend(others);
    let payloads = events.into_iter().filter_map(|(_, event)| match event {
        RefOr::T(event) => event.schema,
        RefOr::Ref(_) => None,
    });
    let payloads: Vec<_> = payloads.collect();
    if payloads.is_empty() {
        return;
    }
    let mut data = Object::with_type(Type::String);
    data.description = Some("JSON; which, the event's name says".to_owned());
    "application/json".clone_into(&mut data.content_media_type);
    let payload = payloads.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).build();
    data.content_schema = Some(Box::new(RefOr::T(Schema::AnyOf(payload))));
    let mut id = Object::with_type(Type::String);
    id.description = Some("Counts up from 1 within the message".to_owned());
    let mut name = Object::with_type(Type::String);
    name.enum_values = Some(["start", "chunk", "done", "error"].map(Into::into).to_vec());
    let mut event = Object::with_type(Type::Object);
    event.description = Some("One event; the stream is a row of them, and of comments that keep it alive".to_owned());
    for (field, schema) in [("event", name), ("data", data), ("id", id)] {
        event.properties.insert(field.to_owned(), RefOr::T(Schema::Object(schema)));
    }
    event.required = vec!["event".to_owned(), "data".to_owned()];
    let stream = ContentBuilder::new().schema(Some(Schema::Object(event))).build();
    response.content.insert("text/event-stream".to_owned(), stream.into());
}

/// The headers that go with a status, whatever the operation.
fn add_headers(status: &str, response: &mut Response) {
    let text = |description: &str| described(Type::String, description);
    let mut add = |name: &str, header: Header| {
        response.headers.entry(name.to_owned()).or_insert_with(|| header.into());
    };
    add("X-Request-Id", text("The request's id: the caller's own, where it sent a sane one"));
    match status {
        "401" => add("WWW-Authenticate", text("`Bearer`")),
        "429" => {
            add("Retry-After", described(Type::Integer, "Seconds until the next request is let in"));
            add("RateLimit", text("The limit that was hit: `\"policy\";r=0;t=seconds`"));
            add("RateLimit-Policy", text("Its policy: `\"policy\";q=requests;w=seconds`"));
        }
        "503" => add("Retry-After", described(Type::Integer, "Seconds after which to try again")),
        _ => {}
    }
}

fn described(kind: Type, description: &str) -> Header {
    let mut header = Header::new(Object::with_type(kind));
    header.description = Some(description.to_owned());
    header
}
