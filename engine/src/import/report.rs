//! What an import says in the end. No text of people's: ids and reasons.

/// Examples of a note.
const EXAMPLES: usize = 5;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Accounts that people sign in to.
    pub accounts: Counts,
    /// Guests who were met, each once.
    pub guests: u64,
    /// Conversations.
    pub conversations: Counts,
    /// Messages.
    pub messages: Counts,
    /// Conversations that could not keep their ids.
    pub renamed: u64,
    /// What was left out or changed, and why.
    pub notes: Vec<Note>,
    /// Tables that were not read.
    pub left_alone: Vec<String>,
}

/// How many of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Brought in.
    pub added: u64,
    /// There since an earlier run.
    pub known: u64,
    /// Left out.
    pub skipped: u64,
}

/// Something to know, with how often it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What.
    pub what: &'static str,
    /// How often.
    pub count: u64,
    /// The ids there of the first of them.
    pub examples: Vec<String>,
}

impl ImportReport {
    pub(super) fn note(&mut self, what: &'static str, example: &str) {
        let note = match self.notes.iter_mut().find(|note| note.what == what) {
            Some(note) => note,
            None => {
                self.notes.push(Note { what, count: 0, examples: Vec::new() });
                let last = self.notes.len() - 1;
                &mut self.notes[last]
            }
        };
        note.count += 1;
        if note.examples.len() < EXAMPLES {
            note.examples.push(example.to_owned());
        }
    }
}
