//! What follows from the kind of an operation: the refusals that all of its kind share, its scope in words, and an id that
//! is unique in the document.

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Header, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder, Schema, Type};
use utoipa::openapi::{ObjectBuilder, path::Paths};

use super::KEY;
use crate::store::apikeys::Scope;

const PROBLEM: &str = "Problem";
const PROBLEM_TYPE: &str = "application/problem+json";

pub(super) fn complete(document: &mut OpenApi) {
    for (path, method, operation) in operations(&mut document.paths) {
        name(operation, method, path);
        refuse(operation, path);
        retype(operation);
    }
}

/// Every operation with its path and method.
fn operations(paths: &mut Paths) -> impl Iterator<Item = (&str, &'static str, &mut Operation)> {
    paths.paths.iter_mut().flat_map(|(path, item)| {
        let PathItem { get, put, post, delete, head, patch, .. } = item;
        let all = [("get", get), ("put", put), ("post", post), ("delete", delete), ("head", head), ("patch", patch)];
        all.into_iter().filter_map(|(method, operation)| Some((path.as_str(), method, operation.as_mut()?)))
    })
}

/// Handlers of different resources are called alike; method and path are unique.
fn name(operation: &mut Operation, method: &str, path: &str) {
    let words = path.trim_start_matches("/api/").split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    operation.operation_id = Some(format!("{method}_{words}"));
    if let Some(scope) = scope(operation) {
        let is_optional =
            operation.security.iter().flatten().any(|required| *required == SecurityRequirement::default());
        let words = if is_optional {
            format!("Needs no key; a caller with one of scope `{}` is shown more.", scope.as_str())
        } else {
            format!("Needs a key with scope `{}`.", scope.as_str())
        };
        let said = operation.description.take().filter(|text| !text.is_empty());
        operation.description = Some(said.map_or(words.clone(), |text| format!("{text}\n\n{words}")));
    }
}

fn scope(operation: &Operation) -> Option<Scope> {
    let required = operation.security.as_deref()?;
    let all = [Scope::Read, Scope::Write, Scope::Admin];
    all.into_iter().find(|scope| required.contains(&SecurityRequirement::new(KEY, [scope.as_str()])))
}

fn refuse(operation: &mut Operation, path: &str) {
    let parameters = operation.parameters.iter().flatten();
    let places = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(&parameter.parameter_in),
        RefOr::Ref(_) => None,
    });
    let has_query = places.into_iter().any(|place| *place == ParameterIn::Query);
    let has_body = operation.request_body.is_some();
    let scope = scope(operation);
    let reasons = [
        (has_query || has_body || scope.is_some(), "400", "Malformed, or a field is wrong; `errors` names each"),
        (scope.is_some(), "401", "No key, or one that is unknown"),
        (scope.is_some_and(|scope| scope > Scope::Read), "403", "The key's scope is too small"),
        (path.contains('{') && scope.is_some(), "404", "There is no such thing"),
        (has_body, "413", "The body is over its limit"),
        (scope.is_some(), "429", "Too many requests with this key, or too many unknown keys from this address"),
        (scope.is_some(), "503", "The database cannot be reached or cannot do it now; nothing was changed"),
    ];
    for (_, code, words) in reasons.into_iter().filter(|(applies, ..)| *applies) {
        let answers = &mut operation.responses.responses;
        answers.entry(code.to_owned()).or_insert_with(|| RefOr::T(problem(code, words)));
    }
}

fn problem(code: &str, words: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(PROBLEM)));
    let answer = ResponseBuilder::new().description(words).content(PROBLEM_TYPE, content);
    match code {
        "429" | "503" => answer.header("retry-after", seconds()).build(),
        _ => answer.build(),
    }
}

fn seconds() -> Header {
    let whole = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let mut header = Header::new(Schema::Object(whole.build()));
    header.description = Some("Seconds until it is worth trying again".to_owned());
    header
}

/// A handler that says `body = Problem` means a problem, which has a media type of its own.
fn retype(operation: &mut Operation) {
    for answer in operation.responses.responses.values_mut() {
        let RefOr::T(answer) = answer else { continue };
        let is_problem = |content: &RefOr<Content>| match content {
            RefOr::T(content) => content.schema == Some(Ref::from_schema_name(PROBLEM).into()),
            RefOr::Ref(_) => false,
        };
        let content = std::mem::take(&mut answer.content);
        let retyped = content.into_iter().map(|(kind, content)| {
            if is_problem(&content) { (PROBLEM_TYPE.to_owned(), content) } else { (kind, content) }
        });
        answer.content = retyped.collect();
    }
}
