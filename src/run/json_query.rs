//! Monitors of type `json-query`: an HTTP run, and a value found in its body that must compare as expected.
//!
//! Rules and words are those of Uptime Kuma 2.5.3, `evaluateJsonQuery` in `src/util.ts`: a query in `JSONata`, its outcome
//! and the expected value compared as texts, or as numbers where the operator asks for an order.

use std::fmt::Write as _;

use jsonata_core::Expression;
use jsonata_core::evaluator::EvaluatorOptions;
use jsonata_core::value::JValue;
use komainu_watchdogs::check::{Failure as Cause, Trouble};
use serde::{Deserialize, Serialize};

use super::RunResult;
use super::failure::Failure;
use super::http::{Clients, HttpAnswer, Wanted, fetch};
use super::json::{self, Script};
use super::queries::Queries;
use crate::store::monitors::MonitorSpec;

/// A query that takes longer is a mistake in it; a thread is busy meanwhile.
const EVALUATION_MS: u64 = 1_000;

/// More than any answer that is monitored holds; a query may ask for `[1..1000000000]`.
const SEQUENCE_MOST: usize = 1_000_000;

/// Deep enough for recursion over any answer, and within a thread's stack.
const DEPTH_MOST: usize = 1_000;

/// A query and what is expected of its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Query {
    /// In `JSONata`; empty: the whole answer.
    pub path: String,
    /// How the outcome is compared.
    pub operator: String,
    /// What the result is compared with.
    pub expected: Option<String>,
}

/// What a comparison found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Compared {
    /// It is as expected.
    pub passes: bool,
    /// The outcome, as text.
    pub found: String,
}

/// Asks once and compares.
pub(super) async fn run(clients: &Clients, queries: &Queries, monitor: &MonitorSpec) -> Result<RunResult, Failure> {
    let mut answer = fetch(clients, monitor, Wanted::Body).await?;
    if answer.is_cut {
        let most = clients.keeps().body / 1_024;
        return Err(Failure::lacking(
            Trouble::Unsupported,
            format!("the answer is longer than {most} KiB, and more is not kept here for a query"),
        ));
    }
    let query = Query {
        path: monitor.json_path.clone().unwrap_or_default(),
        operator: monitor.json_path_operator.clone().unwrap_or_else(|| "null".to_owned()),
        expected: monitor.expected_value.clone(),
    };
    let body = std::mem::take(&mut answer.body);
    let compared = answer.room.unless_taken(queries.ask(&body, &query)).await;
    let compared = compared.map_err(|failure| Failure { ping_ms: Some(answer.ping_ms), ..failure })?;
    drop(body);
    judge(&answer, &query, compared, monitor.retry_only_on_status_code_failure)
}

fn judge(
    answer: &HttpAnswer,
    query: &Query,
    compared: Result<Compared, String>,
    is_mismatch_final: bool,
) -> Result<RunResult, Failure> {
    let failure = |msg: String, is_final| Failure {
        ping_ms: Some(answer.ping_ms),
        response: answer.response.clone(),
        is_final,
        ..Failure::found(Cause::Content, msg)
    };
    let compared = compared.map_err(|msg| failure(msg, false))?;
    let expected = query.expected.as_deref().unwrap_or("null");
    let comparison = format!("(comparing {} {} {expected})", compared.found, query.operator);
    if !compared.passes {
        return Err(failure(format!("JSON query does not pass {comparison}"), is_mismatch_final));
    }
    let result = RunResult::up(format!("JSON query passes {comparison}"), answer.ping_ms);
    Ok(RunResult { response: answer.response.clone(), ..result })
}

/// Evaluates within this process, whatever it costs. The error is what the monitor's message says.
pub fn evaluate(body: &str, query: &Query) -> Result<Compared, String> {
    let mut response = as_kuma_parses(body).map_or_else(|| JValue::String(body.into()), value_of);
    compare(&mut response, query).map_err(|msg| {
        let shown = if response.is_undefined() { "undefined".to_owned() } else { as_json(&response) };
        format!("Error evaluating JSON query: {msg}. Response from server was: {}", shortened(&shown))
    })
}

/// `response` becomes the query's outcome, also where that cannot be compared.
fn compare(response: &mut JValue, query: &Query) -> Result<Compared, String> {
    if !query.path.is_empty() {
        *response = query_value(&query.path, response)?;
    }
    let found = match &*response {
        JValue::Null | JValue::Undefined => {
            return Err("Empty or undefined response. Check query syntax and response structure".to_owned());
        }
        JValue::Array(_) => return Err(array_refused(&as_json(response))),
        JValue::Object(_) => return Err(kind_refused("object")),
        JValue::Lambda(_) | JValue::Builtin { .. } | JValue::Regex { .. } => return Err(kind_refused("function")),
        JValue::String(text) => text.to_string(),
        JValue::Number(number) => json::number_text(*number),
        JValue::Bool(flag) => flag.to_string(),
    };
    let comparison = match query.operator.as_str() {
        ">" => Comparison::Order(f64::gt),
        ">=" => Comparison::Order(f64::ge),
        "<" => Comparison::Order(f64::lt),
        "<=" => Comparison::Order(f64::le),
        "!=" => Comparison::Texts("$.value != $.expected"),
        "==" => Comparison::Texts("$.value = $.expected"),
        "contains" => Comparison::Texts("$contains($.value, $.expected)"),
        other => return Err(format!("Invalid condition {other}")),
    };
    let Some(expected) = &query.expected else { return Err("no expected value is configured".to_owned()) };
    let expression = match comparison {
        Comparison::Order(holds) => {
            let passes = holds(&number_of(&found)?, &number_of(expected)?);
            return Ok(Compared { passes, found });
        }
        Comparison::Texts(expression) => expression,
    };
    let sides = JValue::from(serde_json::json!({ "value": found, "expected": expected }));
    match query_value(expression, &sides)? {
        JValue::Bool(passes) => Ok(Compared { passes, found }),
        JValue::Null
        | JValue::Undefined
        | JValue::Number(_)
        | JValue::String(_)
        | JValue::Array(_)
        | JValue::Object(_)
        | JValue::Lambda(_)
        | JValue::Builtin { .. }
        | JValue::Regex { .. } => {
            Err("Query evaluation returned undefined. Check query syntax and the structure of the response data"
                .to_owned())
        }
    }
}

fn query_value(expression: &str, data: &JValue) -> Result<JValue, String> {
    let options = EvaluatorOptions {
        timeout_ms: Some(EVALUATION_MS),
        max_stack_depth: Some(DEPTH_MOST),
        max_sequence_length: Some(SEQUENCE_MOST),
        ..EvaluatorOptions::default()
    };
    let compiled =
        Expression::compile_with_options(expression, options).map_err(|error| words_of(&error.to_string()))?;
    compiled.evaluate(data).map_err(|error| words_of(&error.to_string()))
}

/// How an outcome is held against what is expected.
enum Comparison {
    /// Both sides are compared as numbers.
    Order(fn(&f64, &f64) -> bool),
    /// As texts, in `JSONata`.
    Texts(&'static str),
}

/// `JSONata`'s `$number` of a text, by the letter: no blanks, no `Infinity`; hexadecimal, octal and binary digits count.
fn number_of(text: &str) -> Result<f64, String> {
    let of_base = |prefixes: [&str; 2], base| {
        let digits = prefixes.into_iter().find_map(|prefix| text.strip_prefix(prefix))?;
        u32::from_str_radix(digits, base).ok().map(f64::from)
    };
    let number = of_base(["0x", "0X"], 16)
        .or_else(|| of_base(["0o", "0O"], 8))
        .or_else(|| of_base(["0b", "0B"], 2))
        .or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite() && is_decimal(text)));
    number.ok_or_else(|| format!("Unable to cast value to a number: {}", json::text_json(text)))
}

/// Digits, a point within them, an exponent; Rust reads more than that.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(number, rest)| (number, Some(rest)));
    let number = number.strip_prefix('-').unwrap_or(number);
    let is_number = match number.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(number),
    };
    is_number && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Without the kind of error and its code, which `JSONata` keeps beside the message.
fn words_of(error: &str) -> String {
    let is_code = |head: &str| {
        let mut characters = head.chars();
        characters.next().is_some_and(|first| first.is_ascii_uppercase())
            && characters.all(|next| next.is_ascii_digit())
    };
    let mut words = error;
    while let Some((head, rest)) = words.split_once(": ")
        && (matches!(head, "Type error" | "Runtime error" | "Reference error" | "Evaluation error" | "Parse error")
            || is_code(head))
    {
        words = rest;
    }
    // In the words of the library that Kuma uses.
    match words.strip_prefix("Cannot convert '").and_then(|rest| rest.strip_suffix("' to number")) {
        Some(text) => format!("Unable to cast value to a number: {}", json::text_json(text)),
        None => words.to_owned(),
    }
}

/// Axios parses what reads as JSON, and Kuma parses what comes of that once more, as text: a text that holds JSON is that
/// JSON, and so is a list of one.
fn as_kuma_parses(body: &str) -> Option<Script> {
    let parsed = json::parse(body).ok()?;
    let again = match &parsed {
        Script::Text(_) | Script::List(_) => json::parse(&parsed.to_text()).ok(),
        Script::Null | Script::Bool(_) | Script::Number(_) | Script::Object(_) => None,
    };
    Some(again.unwrap_or(parsed))
}

/// What `JSONata` is asked of.
fn value_of(value: Script) -> JValue {
    match value {
        Script::Null => JValue::Null,
        Script::Bool(flag) => JValue::Bool(flag),
        Script::Number(number) => JValue::Number(number),
        Script::Text(text) => JValue::String(text.to_text().into()),
        Script::List(items) => JValue::array(items.into_iter().map(value_of).collect()),
        Script::Object(entries) => {
            JValue::object(entries.into_iter().map(|(key, value)| (key.to_text(), value_of(value))).collect())
        }
    }
}

fn as_json(value: &JValue) -> String {
    value.to_json_string().unwrap_or_default()
}

fn array_refused(json: &str) -> String {
    let (head, is_cut) = cut(json, 25);
    let mut shown = head.to_owned();
    if is_cut {
        let _ = write!(shown, "...]");
    }
    format!(
        "JSON query returned the array {shown}, but a primitive value is required. Modify your query to return a single \
         value via [0] to get the first element or use an aggregation like $count(), $sum() or $boolean()."
    )
}

fn kind_refused(kind: &str) -> String {
    format!(
        "The post-JSON query evaluated response from the server is of type {kind}, which cannot be directly compared to \
         the expected value"
    )
}

fn shortened(json: &str) -> String {
    let (_, is_long) = cut(json, 50);
    if is_long { format!("{}\u{2026} (truncated)", cut(json, 100).0) } else { json.to_owned() }
}

/// The first so many characters, and whether that left out any.
fn cut(text: &str, most: usize) -> (&str, bool) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (text.get(..end).unwrap_or(text), true),
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::room::HeldRoom;

    const BODY: &str = r#"{"status": "ok", "load": 0.75, "jobs": [{"name": "a", "left": 3}, {"name": "b", "left": 4}],
        "none": null, "on": true}"#;

    #[test]
    fn a_value_is_found_and_compared() {
        for (path, operator, expected, found) in [
            ("status", "==", "ok", "ok"),
            ("status", "!=", "down", "ok"),
            ("status", "contains", "o", "ok"),
            ("load", "<", "1", "0.75"),
            ("jobs[name='b'].left", ">=", "4", "4"),
            ("$sum(jobs.left)", ">", "6.5", "7"),
            ("$count(jobs)", "<=", "2", "2"),
            ("on", "==", "true", "true"),
            ("$uppercase(status)", "==", "OK", "OK"),
            ("$match(status, /o./).match", "==", "ok", "ok"),
        ] {
            let compared = evaluate(BODY, &query(path, operator, expected)).expect(path);
            assert_eq!((compared.passes, compared.found.as_str()), (true, found), "{path}");
        }
        assert!(!evaluate(BODY, &query("load", ">", "1")).unwrap().passes);
    }

    #[test]
    fn without_a_path_the_whole_answer_is_compared() {
        assert!(evaluate("pong", &query("", "==", "pong")).unwrap().passes);
        assert!(evaluate("17", &query("", ">", "9")).unwrap().passes);
        assert!(evaluate("\"17\"", &query("", ">", "9")).unwrap().passes);
        assert!(evaluate("[17]", &query("$", ">", "9")).unwrap().passes);
    }

    #[test]
    fn what_cannot_be_compared_is_told_in_kumas_words() {
        let told = |path: &str, operator: &str| evaluate(BODY, &query(path, operator, "1")).unwrap_err();
        assert_eq!(
            told("nowhere", "=="),
            "Error evaluating JSON query: Empty or undefined response. Check query syntax and response structure. \
             Response from server was: undefined"
        );
        assert!(told("none", "==").ends_with("Response from server was: null"));
        assert_eq!(
            told("jobs", "=="),
            "Error evaluating JSON query: JSON query returned the array [{\"name\":\"a\",\"left\":3},{\"...], but a primitive \
             value is required. Modify your query to return a single value via [0] to get the first element or use an \
             aggregation like $count(), $sum() or $boolean().. Response from server was: \
             [{\"name\":\"a\",\"left\":3},{\"name\":\"b\",\"left\":4}]"
        );
        assert!(told("jobs[0]", "==").contains("is of type object, which cannot be directly compared"));
        assert!(told("status", "=~").contains("Invalid condition =~"));
        assert!(
            told("status", ">").starts_with("Error evaluating JSON query: Unable to cast value to a number: \"ok\""),
            "{}",
            told("status", ">")
        );
        assert!(told("status[", "==").starts_with("Error evaluating JSON query: "));
    }

    #[test]
    fn a_query_without_end_is_ended() {
        let endless = "($again := function($n) { $again($n + 1) }; $again(0))";
        assert!(evaluate("{}", &query(endless, "==", "1")).is_err());
        assert!(evaluate("{}", &query("$count([1..1000000000])", "==", "1")).is_err());
    }

    #[test]
    fn an_answer_that_is_nested_beyond_reason_is_a_text() {
        let deep = "[".repeat(100_000);
        assert!(evaluate(&deep, &query("$length($)", "==", "100000")).unwrap().passes);
    }

    #[test]
    fn a_wrong_value_says_what_was_compared_and_is_final_where_the_monitor_says_so() {
        let answer = HttpAnswer {
            summary: "200 - OK".to_owned(),
            body: String::new(),
            ping_ms: 12,
            response: None,
            is_cut: false,
            has_text: false,
            room: HeldRoom::none(),
        };
        let query = query("status", "==", "ok");
        let mismatch = |is_final| {
            let compared = Compared { passes: false, found: "bad".to_owned() };
            judge(&answer, &query, Ok(compared), is_final).unwrap_err()
        };
        assert_eq!(mismatch(false).msg, "JSON query does not pass (comparing bad == ok)");
        assert_eq!((mismatch(false).is_final, mismatch(true).is_final), (false, true));
        assert!(!judge(&answer, &query, Err("no".to_owned()), true).unwrap_err().is_final);
        let right = judge(&answer, &query, Ok(Compared { passes: true, found: "ok".to_owned() }), true).unwrap();
        assert_eq!(right.msg, "JSON query passes (comparing ok == ok)");
    }

    fn query(path: &str, operator: &str, expected: &str) -> Query {
        Query { path: path.to_owned(), operator: operator.to_owned(), expected: Some(expected.to_owned()) }
    }
}
