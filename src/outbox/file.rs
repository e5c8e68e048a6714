//! Mail as `.eml` files, for machines without a mail server.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{fs, io::AsyncWriteExt};

use super::{
    mail::Email,
    outcome::{Accepted, DeliveryError},
};

/// A directory that takes messages. Each becomes `<row id>.eml`, complete from the moment it has that name; a message that is
/// delivered twice replaces itself.
#[derive(Clone, Debug)]
pub(crate) struct MailDirectory {
    path: PathBuf,
}

impl MailDirectory {
    /// Mail goes to `mail/` of the data directory; it is created with the first message.
    #[must_use]
    pub(crate) fn in_data_directory(data: &Path) -> Self {
        Self { path: data.join("mail") }
    }

    pub(super) async fn deliver(&self, email: &Email) -> Result<Accepted, DeliveryError> {
        let path = self.path.join(format!("{}.eml", email.id));
        self.write(&path, email)
            .await
            .map_err(|error| DeliveryError::Transient(format!("cannot write {}: {error}", path.display())))?;
        tracing::info!(path = %path.display(), "wrote mail");
        Ok(Accepted { reply: path.display().to_string() })
    }

    async fn write(&self, path: &Path, email: &Email) -> io::Result<()> {
        fs::create_dir_all(&self.path).await?;
        let unfinished = path.with_extension("tmp");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        // The mail holds a usable token.
        #[cfg(unix)]
        options.mode(0o600);
        let mut file = options.open(&unfinished).await?;
        file.write_all(email.bytes()).await?;
        file.sync_all().await?;
        drop(file);
        fs::rename(&unfinished, path).await
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::outbox::mail::{Sender, templates::Rendered};

    fn email() -> Result<Email, String> {
        let words = Rendered { subject: "s".into(), text: "t".into(), html: "h".into() };
        let sender = Sender::parse("roster@example.com").map_err(|error| error.to_string())?;
        sender.compose(Uuid::nil(), "bob@example.org", &words, DateTime::UNIX_EPOCH).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_message_becomes_one_file_that_only_the_owner_reads() -> Result<(), Box<dyn std::error::Error>> {
        let data = tempfile::tempdir()?;
        let directory = MailDirectory::in_data_directory(data.path());
        let email = email()?;
        for _ in 0..2 {
            directory.deliver(&email).await?;
        }
        let names: Vec<_> =
            std::fs::read_dir(data.path().join("mail"))?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        assert_eq!(names, ["00000000-0000-0000-0000-000000000000.eml"]);
        let path = directory.path.join("00000000-0000-0000-0000-000000000000.eml");
        assert_eq!(std::fs::read(&path)?, email.bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_written_is_a_passing_trouble() -> Result<(), Box<dyn std::error::Error>> {
        let data = tempfile::tempdir()?;
        std::fs::write(data.path().join("mail"), "a file in the way")?;
        let refused = MailDirectory::in_data_directory(data.path()).deliver(&email()?).await;
        assert!(matches!(refused, Err(DeliveryError::Transient(_))), "{refused:?}");
        Ok(())
    }
}
