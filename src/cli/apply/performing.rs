//! Doing what the plan says, through the API.

use std::path::Path;

use anyhow::{Context, anyhow};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::plan::{Act, Kind, PARENT_REF, Step};
use super::{FileFault, dependencies};
use crate::cli::client::{Client, Request, segment};
use crate::cli::monitors::bulk::{self, BulkOutcome};
use crate::cli::{checks, files, maintenances, monitors, pages, print};

/// What was done, and why no more was.
pub(super) struct Performed {
    pub(super) steps: Vec<Step>,
    pub(super) stopped_by: Option<Stopped>,
}

pub(super) enum Stopped {
    /// The watchdog refuses what the file says.
    Faults(Vec<FileFault>),
    Error(anyhow::Error),
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}

pub(super) async fn perform(client: &Client, steps: Vec<Step>, secrets_to: Option<&Path>) -> Performed {
    let mut performing = Performing { client, secrets_to, done: vec![] };
    let stopped_by = performing.all(steps).await.err();
    Performed { steps: performing.done, stopped_by }
}

/// Lets the watchdog judge all that would be sent, and write nothing.
pub(super) async fn rehearse(client: &Client, steps: &[Step]) -> Result<(), Stopped> {
    let is_sent = |step: &&Step| !matches!(step.act, Act::Delete { .. });
    let (together, others): (Vec<&Step>, Vec<&Step>) =
        steps.iter().filter(is_sent).partition(|step| step.kind.is_written_together());
    let makes_something =
        steps.iter().any(|step| step.act == Act::Create && !matches!(step.kind, Kind::Maintenance | Kind::Dependency));
    let mut found = vec![];
    for step in others {
        // What names something that the same run makes is judged when it is written.
        if step.kind == Kind::Maintenance && makes_something {
            continue;
        }
        let path = match (step.kind, &step.act) {
            (Kind::Maintenance, Act::Create) => maintenances::PATH.to_owned(),
            (Kind::Heartbeat, Act::Create) => "/api/v1/heartbeats".to_owned(),
            (Kind::Page, Act::Create) => pages::PATH.to_owned(),
            (kind, _) => format!("/api/v1/{}/{}", kind.section(), segment(&step.name)),
        };
        let method = if step.act == Act::Create { Method::POST } else { Method::PATCH };
        let body = Some(step.fields.clone().into());
        let (status, answer) = client.ask(method, &format!("{path}?dry_run=true"), body).await?;
        if status.is_success() && status != StatusCode::NO_CONTENT {
            return Err(anyhow!(
                "{} writes what it is asked to judge: its komainu is older than this one",
                client.whom()
            )
            .into());
        }
        if !status.is_success() {
            let faults = faults(step, &answer);
            if faults.is_empty() {
                return Err(client.explain(status, &answer).context(step.name.clone()).into());
            }
            found.extend(faults);
        }
    }
    // A home may fit only once its node bears the labels that the same file gives it.
    let are_judged = !steps.iter().any(|step| step.kind == Kind::Node);
    for (kind, path) in [(Kind::Monitor, monitors::PATH), (Kind::Check, checks::PATH)] {
        let is_judged = |step: &&Step| step.kind == kind && (are_judged || kind != Kind::Monitor);
        let judged: Vec<&Step> = together.iter().copied().filter(is_judged).collect();
        let items: Vec<_> = judged.iter().map(|step| step.fields.clone()).collect();
        if let BulkOutcome::Refused(faults) = bulk::rehearse(client, path, &items).await? {
            let placed =
                faults.iter().filter_map(|one| Some(fault(judged.get(one.item)?, &one.field, one.message.clone())));
            found.extend(placed);
        }
    }
    found.extend(dependencies::rehearse(client, steps).await?);
    found.sort_by_key(|fault| fault.line);
    if found.is_empty() { Ok(()) } else { Err(Stopped::Faults(found)) }
}

struct Performing<'a> {
    client: &'a Client,
    secrets_to: Option<&'a Path>,
    done: Vec<Step>,
}

impl Performing<'_> {
    async fn all(&mut self, steps: Vec<Step>) -> Result<(), Stopped> {
        let (deletions, rest): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step.act, Act::Delete { .. }));
        let (monitors, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| step.kind == Kind::Monitor);
        let (checks, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| step.kind == Kind::Check);
        let (dependencies, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| step.kind == Kind::Dependency);
        let (public, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| step.kind == Kind::Page);
        let (windows, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| step.kind == Kind::Maintenance);
        let (nodes, heartbeats): (Vec<_>, Vec<_>) = rest.into_iter().partition(|step| step.kind == Kind::Node);
        for step in nodes {
            let path = format!("/api/v1/nodes/{}", segment(&step.name));
            self.one(Method::PATCH, &path, step).await?;
        }
        self.together(monitors::PATH, monitors).await?;
        self.together(checks::PATH, checks).await?;
        for step in heartbeats {
            self.heartbeat(step).await?;
        }
        for step in public {
            self.page(step).await?;
        }
        let faults = dependencies::write(self.client, &dependencies).await?;
        if !faults.is_empty() {
            return Err(Stopped::Faults(faults));
        }
        self.done.extend(dependencies);
        for step in windows {
            let (method, path) = match &step.act {
                Act::Create => (Method::POST, maintenances::PATH.to_owned()),
                Act::Change | Act::Compare | Act::Delete { .. } => (Method::PATCH, maintenances::of(&step.name)),
            };
            self.one(method, &path, step).await?;
        }
        for step in deletions {
            self.delete(step).await?;
        }
        Ok(())
    }

    async fn one(&mut self, method: Method, path: &str, step: Step) -> Result<Value, Stopped> {
        let (status, answer) = self.client.ask(method, path, Some(step.fields.clone().into())).await?;
        if !status.is_success() {
            let faults = faults(&step, &answer);
            let error = || Stopped::Error(self.client.explain(status, &answer).context(step.name.clone()));
            return Err(if faults.is_empty() { error() } else { Stopped::Faults(faults) });
        }
        self.done.push(step);
        Ok(answer)
    }

    /// One request for all, also for monitors whose group it makes.
    async fn together(&mut self, path: &str, steps: Vec<Step>) -> Result<(), Stopped> {
        if steps.is_empty() {
            return Ok(());
        }
        let items: Vec<_> = steps.iter().map(|step| step.fields.clone()).collect();
        let done = match bulk::upsert(self.client, path, &items).await? {
            BulkOutcome::Done(done) => done,
            BulkOutcome::Refused(found) => return Err(Stopped::Faults(placed(&steps, &found))),
        };
        for (mut step, done) in steps.into_iter().zip(done) {
            // The watchdog knows what it wrote, and compares what is not shown.
            step.act = match done.act {
                bulk::Act::Created => Act::Create,
                bulk::Act::Updated => Act::Change,
                bulk::Act::Unchanged => continue,
            };
            self.done.push(step);
        }
        Ok(())
    }

    async fn page(&mut self, step: Step) -> Result<(), Stopped> {
        let (method, path) = match &step.act {
            Act::Create => (Method::POST, pages::PATH.to_owned()),
            Act::Change | Act::Compare | Act::Delete { .. } => (Method::PATCH, pages::of(&step.name)),
        };
        self.one(method, &path, step).await.map(|_| ())
    }

    async fn heartbeat(&mut self, step: Step) -> Result<(), Stopped> {
        let (name, is_new) = (step.name.clone(), step.act == Act::Create);
        let path = "/api/v1/heartbeats";
        if !is_new {
            return self.one(Method::PATCH, &format!("{path}/{}", segment(&name)), step).await.map(|_| ());
        }
        let made = self.one(Method::POST, path, step).await?;
        let secret = made.get("secret").and_then(Value::as_str).unwrap_or_default();
        match self.secrets_to {
            Some(folder) => {
                std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                files::write_secret(&folder.join(&name), secret).with_context(|| {
                    format!("{name} was made; `komainu heartbeats rotate {name}` makes another secret")
                })?;
            }
            // A pipeline's log is read by many.
            None => print::complaint(format!(
                "the secret of {name} is not printed here: `komainu heartbeats rotate {name} --overlap 0s` prints a new one"
            )),
        }
        Ok(())
    }

    /// Only what is still the set's, and still as it was read.
    async fn delete(&mut self, step: Step) -> Result<(), Stopped> {
        let path = match &step.act {
            Act::Delete { id: Some(id) } if step.kind == Kind::Monitor => format!("{}/{id}", monitors::PATH),
            Act::Delete { .. } | Act::Create | Act::Change | Act::Compare => {
                format!("/api/v1/{}/{}", step.kind.section(), segment(&step.name))
            }
        };
        let read = self.client.send(Request { path: &path, ..Request::default() }).await?;
        if read.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let tag = read.etag.as_deref();
        let request = Request { method: Method::DELETE, path: &path, if_match: tag, ..Request::default() };
        let answer = self.client.send(request).await?;
        if answer.status == StatusCode::PRECONDITION_FAILED {
            let words = "somebody changed it just now, so it was not deleted; run it again";
            return Err(anyhow!("{} {}: {words}", step.kind.word(), step.name).into());
        }
        if !answer.status.is_success() && answer.status != StatusCode::NOT_FOUND {
            return Err(self.client.explain(answer.status, &answer.body).context(step.name.clone()).into());
        }
        self.done.push(step);
        Ok(())
    }
}

/// What the watchdog refused of one, by the line in the file.
fn faults(step: &Step, problem: &Value) -> Vec<FileFault> {
    let errors = problem.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |error: &Value, name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    errors.iter().map(|error| fault(step, &text(error, "field"), text(error, "message"))).collect()
}

fn placed(steps: &[Step], found: &[bulk::ItemFault]) -> Vec<FileFault> {
    let found = found.iter().filter_map(|one| Some(fault(steps.get(one.item)?, &one.field, one.message.clone())));
    found.collect()
}

pub(super) fn fault(step: &Step, field: &str, message: String) -> FileFault {
    // A file knows one name for both.
    let field = if field == PARENT_REF { "parent" } else { field };
    let line = step.entry.as_ref().map_or(1, |entry| entry.line_of(field));
    let path = format!("{}.{}.{field}", step.kind.section(), step.name);
    FileFault::new(line, path.trim_end_matches('.'), message)
}
