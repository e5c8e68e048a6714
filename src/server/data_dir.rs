//! What the program keeps by itself: the generated key and the operator's first key, readable by nobody else.

use std::{fs, io::Write, path::Path};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::{App, operators::bootstrap},
    config::{DatabaseConfig, OPERATOR_KEY_FILE},
    platform::{entropy::Entropy, keyring::Keyring},
    server::StartError,
};

/// The file of the data directory that holds the generated key.
const SECRET_KEY_FILE: &str = "secret-key";

/// Makes sure that the data directory is there.
pub(super) fn ensure(data_dir: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data_dir).map_err(|error| trouble(data_dir, &error))
}

/// The keys: those that were given, or the one that the first start generated.
pub(super) fn keyring(given: Option<&SecretString>, data_dir: &Path, entropy: &Entropy) -> Result<Keyring, StartError> {
    let text = match given {
        Some(text) => text.expose_secret().to_owned(),
        None => generated(&data_dir.join(SECRET_KEY_FILE), entropy)?,
    };
    Keyring::parse(&text).map_err(|error| StartError::Installation(format!("ROSTER_SECRET_KEY: {error}")))
}

fn generated(file: &Path, entropy: &Entropy) -> Result<String, StartError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = Keyring::generate(entropy);
            write_private(file, &text)?;
            Ok(text)
        }
        Err(error) => Err(trouble(file, &error)),
    }
}

/// Creates the operator's key on an empty embedded database, and leaves it in the data directory. On a shared database nobody's data directory is the right one,
/// and that of a container is gone with it: there the log names the command that makes a key.
pub(super) async fn first_key(app: &App, database: &DatabaseConfig) -> Result<Option<SecretString>, StartError> {
    if database.is_postgres() {
        if !bootstrap::has_accounts(app).await? {
            tracing::warn!(
                "there is no service account, and so nobody may call: `roster admin bootstrap-key` makes an operator key"
            );
        }
        return Ok(None);
    }
    let Some(token) = bootstrap::first_key(app, app.clock.now()).await? else {
        return Ok(None);
    };
    let file = database.data_dir.join(OPERATOR_KEY_FILE);
    // A key of an earlier database is of no use any more.
    match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(trouble(&file, &error)),
        _ => write_private(&file, token.expose())?,
    }
    tracing::info!(file = %file.display(), "made an operator, whose key stands in a file");
    Ok(Some(SecretString::from(token.expose())))
}

/// Writes a new file that only this user can read; one that exists is not touched.
fn write_private(file: &Path, text: &str) -> Result<(), StartError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || -> std::io::Result<()> {
        let mut opened = options.open(file)?;
        opened.write_all(text.as_bytes())?;
        opened.write_all(b"\n")?;
        opened.sync_all()
    };
    write().map_err(|error| trouble(file, &error))
}

fn trouble(path: &Path, error: &std::io::Error) -> StartError {
    StartError::Installation(format!("{}: {error}", path.display()))
}
