//! `roster admin import`: people of another system, out of a file of JSON Lines, in batches that are repeated until they are answered.
//!
//! Nothing is kept beside the file: which import it is follows from its content, and the server knows whom that import has brought. Starting the same command
//! again goes on where it ended, however it ended. In memory is one batch.

mod lines;
mod person;
mod progress;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use prost::Message;
use serde::Serialize;
use tokio::{sync::mpsc, task::block_in_place};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use uuid::Uuid;

use self::{
    lines::{Line, Lines},
    person::Flaw,
    progress::{Counts, Outcome, Progress},
};
use super::{Done, Operator, sentence};
use crate::{
    config::ImportArgs,
    grpc::pb::{
        ImportOutcome, ImportUsersRequest, ImportUsersResponse, ImportedUser, RefusedUser, UserToImport,
        user_service_client::UserServiceClient,
    },
    platform::{Stopwatch, clock::Clock, entropy::Entropy},
};

/// Octets of a batch at the most. A server takes 256 KiB unless it is told otherwise.
const MAX_BATCH_BYTES: usize = 200 * 1024;
/// How long a batch may take before the connection counts as broken.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// The first wait before a batch is repeated, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A line that was refused, as the report tells it.
#[derive(Serialize)]
struct RefusedLine {
    line: u64,
    reason: String,
    message: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Flaw>,
}

/// A line whose person has an account.
#[derive(Serialize)]
struct ImportedLine {
    line: u64,
    user_id: String,
    outcome: Outcome,
}

/// Where the people come from.
struct Source {
    reader: Box<dyn BufRead + Send>,
    /// Octets in all, where that is known.
    length: Option<u64>,
    /// Which import they are, where that follows from them.
    import_id: Option<Uuid>,
}

/// Imports a file.
///
/// # Errors
/// A sentence for the operator, where the import could not be brought to its end.
pub(super) async fn run(
    operator: &Operator,
    arguments: &ImportArgs,
    out: &mut (impl Write + Send),
) -> Result<Done, String> {
    let source = block_in_place(|| open(&arguments.file))?;
    let made = || Entropy::system().uuid(Clock::system().now());
    let import_id = arguments.import_id.or(source.import_id).unwrap_or_else(made);
    let mut progress = Progress::begin(import_id, source.length);
    let mut report: Box<dyn Write + Send + '_> = match &arguments.report {
        Some(path) => Box::new(BufWriter::new(create(path)?)),
        None => Box::new(out),
    };
    let mut ids = arguments.ids.as_deref().map(create).transpose()?.map(BufWriter::new);
    let mut link = Link { operator, open: None, retry_for: arguments.retry_for };
    let mut lines = Lines::of(source.reader);
    let mut counts = Counts::default();
    loop {
        let (users, mut refused, over) = block_in_place(|| gather(&mut lines, arguments.batch_size))?;
        if !users.is_empty() {
            let batch =
                ImportUsersRequest { import_id: import_id.to_string(), users, validate_only: arguments.validate_only };
            let answer = link.deliver(&batch).await?;
            refused.extend(answer.refused.into_iter().map(RefusedLine::from));
            refused.sort_by_key(|refused| refused.line);
            for line in answer.users.into_iter().map(ImportedLine::from) {
                counts.add(line.outcome);
                if let Some(ids) = &mut ids {
                    write_json(ids, &line)?;
                }
            }
        }
        for refused in &refused {
            write_json(&mut report, refused)?;
            counts.refused += 1;
        }
        // What was told is told also where this process ends in the next moment.
        report.flush().map_err(|error| error.to_string())?;
        ids.as_mut().map_or(Ok(()), Write::flush).map_err(|error| error.to_string())?;
        progress.show(lines.bytes(), lines.number(), &counts);
        if over {
            break;
        }
    }
    progress.end(lines.number(), &counts, arguments.validate_only);
    Ok(match counts.refused {
        0 => Done::All,
        _ => Done::SomeRefused,
    })
}

/// The next people, at most as many as a batch takes; the lines between them that are refused here; and whether that was all.
fn gather(
    lines: &mut Lines<Box<dyn BufRead + Send>>,
    most: u16,
) -> Result<(Vec<UserToImport>, Vec<RefusedLine>, bool), String> {
    let (mut users, mut refused, mut bytes) = (Vec::new(), Vec::new(), 0);
    while users.len() < usize::from(most) && bytes < MAX_BATCH_BYTES {
        let Some(line) = lines.next().map_err(|error| format!("the file cannot be read: {error}"))? else {
            return Ok((users, refused, true));
        };
        let number = lines.number();
        let read = match line {
            Line::Blank => continue,
            Line::Text(text) => person::read(&text, i64::try_from(number - 1).unwrap_or(i64::MAX)),
            Line::Unreadable(why) => Err(vec![Flaw::of("", why)]),
        };
        match read {
            Ok(user) => {
                bytes += user.encoded_len() + 8;
                users.push(user);
            }
            Err(violations) => refused.push(RefusedLine {
                line: number,
                reason: "INVALID_REQUEST".to_owned(),
                message: "The line does not say a person as it has to.".to_owned(),
                metadata: BTreeMap::new(),
                violations,
            }),
        }
    }
    Ok((users, refused, false))
}

/// The stream to the server, made again where it broke.
struct Link<'a> {
    operator: &'a Operator,
    open: Option<(mpsc::Sender<ImportUsersRequest>, Streaming<ImportUsersResponse>)>,
    retry_for: Duration,
}

impl Link<'_> {
    /// The answer to a batch, which is sent until it comes.
    async fn deliver(&mut self, batch: &ImportUsersRequest) -> Result<ImportUsersResponse, String> {
        let (since, mut wait) = (Stopwatch::start(), FIRST_WAIT);
        loop {
            let status = match self.attempt(batch).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            self.open = None;
            if !passes(&status) || since.elapsed() + wait > self.retry_for {
                return Err(sentence(status));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn attempt(&mut self, batch: &ImportUsersRequest) -> Result<ImportUsersResponse, Status> {
        let broken = || Status::unavailable("the server has ended the stream");
        let (sender, answers) = match &mut self.open {
            Some(open) => open,
            none => {
                let (sender, batches) = mpsc::channel(1);
                let request = self.operator.request(ReceiverStream::new(batches));
                let mut client = UserServiceClient::new(self.operator.channel.clone());
                let opened = tokio::time::timeout(ANSWER_PATIENCE, client.import_users(request)).await;
                let answers = opened.map_err(|_| broken())??.into_inner();
                none.insert((sender, answers))
            }
        };
        sender.send(batch.clone()).await.map_err(|_| broken())?;
        let answer = tokio::time::timeout(ANSWER_PATIENCE, answers.message()).await;
        answer.map_err(|_| broken())??.ok_or_else(broken)
    }
}

/// Whether a failure says that the batch may be sent again: the connection broke, or the server says so.
fn passes(status: &Status) -> bool {
    match status.get_error_details().error_info() {
        Some(info) => {
            ["DATABASE_UNAVAILABLE", "CONFLICT", "OVERLOADED", "DEADLINE_EXCEEDED"].contains(&info.reason.as_str())
        }
        None => matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded
        ),
    }
}

impl From<RefusedUser> for RefusedLine {
    fn from(refused: RefusedUser) -> Self {
        let reason = refused.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned();
        let violations = refused.violations.into_iter();
        Self {
            line: line_of(refused.index),
            reason,
            message: refused.message,
            metadata: refused.metadata.into_iter().collect(),
            violations: violations.map(|one| Flaw::of(&one.field, one.description)).collect(),
        }
    }
}

impl From<ImportedUser> for ImportedLine {
    fn from(user: ImportedUser) -> Self {
        Self {
            line: line_of(user.index),
            outcome: match user.outcome() {
                ImportOutcome::AlreadyImported => Outcome::AlreadyImported,
                _ => Outcome::Created,
            },
            user_id: user.user_id,
        }
    }
}

/// Lines are counted from one, places from zero.
fn line_of(index: i64) -> u64 {
    u64::try_from(index).unwrap_or_default() + 1
}

fn open(path: &Path) -> Result<Source, String> {
    if path.as_os_str() == "-" {
        return Ok(Source { reader: Box::new(BufReader::new(io::stdin())), length: None, import_id: None });
    }
    let told = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(told)?;
    let about = file.metadata().map_err(told)?;
    // Of a pipe, the content cannot be looked at twice.
    let import_id = match about.is_file() {
        true => Some(fingerprint(&mut file).map_err(told)?),
        false => None,
    };
    if about.is_file() {
        file = File::open(path).map_err(told)?;
    }
    Ok(Source { reader: Box::new(BufReader::new(file)), length: import_id.map(|_| about.len()), import_id })
}

/// An id that follows from a content: its SHA-256 as far as a UUID of version 8 has room for it (RFC 9562, section 5.8).
fn fingerprint(file: &mut File) -> io::Result<Uuid> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => break,
            Some(octets) => context.update(octets),
        }
    }
    let octets = context.finish().as_ref().first_chunk().copied().unwrap_or_default();
    Ok(uuid::Builder::from_custom_bytes(octets).into_uuid())
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_json(to: &mut impl Write, what: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string(what).map_err(|error| error.to_string())?;
    writeln!(to, "{text}").map_err(|error| error.to_string())
}
