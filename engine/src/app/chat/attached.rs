//! What goes with messages, put before a model: pictures for those that see, short texts, and a line for everything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::{App, AppError};
use crate::domain::{AccountId, File, FileId, is_web_picture, listed_beneath};
use crate::providers::{ChatMessage, Image};
use crate::store::ContextMessage;

/// Texts of files that go with one request, in bytes.
const TEXTS_MAX: u64 = 64 * 1024;
/// Files held for requests that have not been answered yet, in KiB.
const HELD_KIB: usize = 256 * 1024;
/// How long a request waits for room for its files.
const ROOM_WAIT: Duration = Duration::from_secs(30);

/// Room for the files of all requests on their way.
#[derive(Debug, Clone)]
pub(in crate::app) struct FileRoom(Arc<Semaphore>);

impl Default for FileRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_KIB)))
    }
}

/// A thread as a provider gets it.
pub(super) struct Spoken {
    pub(super) messages: Vec<ChatMessage>,
    /// To be held while the messages are.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// What becomes of one attachment.
enum Shown {
    /// Only the line is shown.
    Line(String),
    /// So is the picture on the web.
    WebPicture(String),
    /// So is the file's content.
    Content(String, File),
}

/// What may still be put before the model.
struct Budget {
    sees: bool,
    images: usize,
    image_bytes: u64,
    text_bytes: u64,
}

impl App {
    /// Puts a thread of that owner's, oldest message first, into the form in which the model of that name is asked. The newest pictures and
    /// texts go with it, as far as the settings let them. Reads files, so it is for outside of any transaction.
    ///
    /// # Errors
    /// [`AppError::Overloaded`] when there is no room for the files for too long; what the database says. A content that cannot be read is
    /// told to the model, and is no error.
    pub(super) async fn spoken(
        &self,
        owner: AccountId,
        model: &str,
        thread: Vec<ContextMessage>,
    ) -> Result<Spoken, AppError> {
        if thread.iter().all(|message| message.attachments.as_slice().is_empty()) {
            let messages = thread.into_iter().map(|message| ChatMessage::text(message.role, message.content));
            return Ok(Spoken { messages: messages.collect(), room: None });
        }
        let files = self.attached_files(owner, &thread).await?;
        let chat = &self.settings.chat;
        let mut budget = Budget {
            sees: self.providers.may_see(model),
            images: chat.images,
            image_bytes: chat.image_bytes as u64,
            text_bytes: TEXTS_MAX,
        };
        let mut shown: Vec<Vec<Shown>> = Vec::with_capacity(thread.len());
        for message in thread.iter().rev() {
            let addresses = message.attachments.as_slice().iter();
            shown.push(addresses.map(|address| budget.show(address, &files)).collect());
        }
        shown.reverse();
        let (contents, room) = self.contents(&shown).await?;
        let messages = thread.into_iter().zip(shown);
        let messages = messages.map(|(message, shown)| put_together(message, shown, &contents)).collect();
        Ok(Spoken { messages, room })
    }

    async fn attached_files(
        &self,
        owner: AccountId,
        thread: &[ContextMessage],
    ) -> Result<HashMap<FileId, File>, AppError> {
        let ids: Vec<FileId> = thread.iter().flat_map(|message| message.attachments.files()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let files = self.db.files_of_owner_by_id(ids, owner).await?;
        Ok(files.into_iter().map(|file| (file.id, file)).collect())
    }

    /// The contents that are shown, each read once, and the room that they take. What cannot be read is left out.
    async fn contents(
        &self,
        shown: &[Vec<Shown>],
    ) -> Result<(HashMap<FileId, Bytes>, Option<OwnedSemaphorePermit>), AppError> {
        let mut files: Vec<&File> = Vec::new();
        for shown in shown.iter().flatten() {
            if let Shown::Content(_, file) = shown
                && !files.iter().any(|known| known.id == file.id)
            {
                files.push(file);
            }
        }
        let kib = files.iter().map(|file| file.bytes.div_ceil(1024)).sum::<u64>();
        if kib == 0 {
            return Ok((HashMap::new(), None));
        }
        let wanted = Arc::clone(&self.file_room.0).acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX));
        let room = tokio::time::timeout(ROOM_WAIT, wanted).await.map_err(|_| AppError::Overloaded)?;
        let mut contents = HashMap::with_capacity(files.len());
        for file in files {
            match self.blobs.read_whole(&file.hash, usize::try_from(file.bytes).unwrap_or(usize::MAX)).await {
                Ok(Some(content)) => drop(contents.insert(file.id, content)),
                Ok(None) => tracing::warn!(file = %file.id, "the content of a file is not in the store"),
                Err(error) => tracing::warn!(%error, file = %file.id, "the content of a file could not be read"),
            }
        }
        Ok((contents, room.ok()))
    }
}

impl Budget {
    fn show(&mut self, address: &str, files: &HashMap<FileId, File>) -> Shown {
        let Some(id) = FileId::of_address(address) else {
            if self.sees && self.images > 0 && is_web_picture(address) {
                self.images -= 1;
                return Shown::WebPicture(address.to_owned());
            }
            return Shown::Line(address.to_owned());
        };
        let Some(file) = files.get(&id) else { return Shown::Line("a file that has been deleted".to_owned()) };
        let line = format!("{} ({})", file.name.as_str(), file.media_type);
        if file.media_type.is_image() {
            if !self.sees {
                return Shown::Line(format!("{line}: a picture, which this model cannot see"));
            }
            if self.images == 0 || file.bytes > self.image_bytes {
                return Shown::Line(format!("{line}: a picture, left out since there are too many"));
            }
            self.images -= 1;
            self.image_bytes -= file.bytes;
            return Shown::Content(line, file.clone());
        }
        if file.is_shown_text() && file.bytes <= self.text_bytes {
            self.text_bytes -= file.bytes;
            return Shown::Content(line, file.clone());
        }
        Shown::Line(format!("{line}: its content is not shown"))
    }
}

fn put_together(message: ContextMessage, shown: Vec<Shown>, contents: &HashMap<FileId, Bytes>) -> ChatMessage {
    let (mut lines, mut images, mut texts) = (Vec::with_capacity(shown.len()), Vec::new(), String::new());
    for shown in shown {
        match shown {
            Shown::Line(line) => lines.push(line),
            Shown::WebPicture(address) => {
                lines.push(address.clone());
                images.push(Image::Url(address));
            }
            Shown::Content(line, file) => match contents.get(&file.id) {
                None => lines.push(format!("{line}: its content cannot be read now")),
                Some(content) if file.media_type.is_image() => {
                    lines.push(line);
                    let media_type = file.media_type.as_str().to_owned();
                    images.push(Image::Bytes { media_type, data: content.clone() });
                }
                Some(content) => {
                    lines.push(line);
                    let name = file.name.as_str();
                    let text = String::from_utf8_lossy(content);
                    texts.push_str(&format!("\n\n--- {name} ---\n{}\n--- end of {name} ---", text.trim_end()));
                }
            },
        }
    }
    let content = listed_beneath(&message.content, &lines) + &texts;
    ChatMessage { images, ..ChatMessage::text(message.role, content) }
}
