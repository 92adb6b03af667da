//! A fake mail server: SMTP (RFC 5321) over a real socket, with AUTH PLAIN and LOGIN (RFC 4954), that keeps what it is given and
//! refuses when told to.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const MAX_CONNECTIONS: usize = 64;
const MAX_MAILS: usize = 1024;
const MAX_LINE: usize = 4096;
const MAX_MAIL_BYTES: usize = 1 << 20;
const SILENCE: Duration = Duration::from_secs(60);

/// A mail as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The address in `MAIL FROM`.
    pub from: String,
    /// The addresses in `RCPT TO`.
    pub to: Vec<String>,
    /// Headers and body, without the dots that SMTP doubles; lines end in `\n`.
    pub data: String,
    /// Whom the client signed in as.
    pub user: Option<String>,
}

impl ReceivedMail {
    /// The data as a reader sees it where it is written in quoted-printable (RFC 2045, section 6.7): ASCII characters put back, lines joined.
    #[must_use]
    pub fn readable(&self) -> String {
        let joined = self.data.replace("=\n", "");
        let mut parts = joined.split('=');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii);
            match code {
                Some(byte) => {
                    text.push(char::from(byte));
                    text.push_str(&part[2..]);
                }
                None => {
                    text.push('=');
                    text.push_str(part);
                }
            }
        }
        text
    }
}

#[derive(Debug, Default)]
struct State {
    mails: VecDeque<ReceivedMail>,
    /// Replies to the next recipients instead of 250.
    refusals: VecDeque<u16>,
    refused: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// When set, a client has to sign in so.
    login: Option<(String, String)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running fake mail server. Dropping it closes its socket and every connection.
#[derive(Debug)]
pub struct FakeSmtp {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl FakeSmtp {
    /// Starts on a free port of 127.0.0.1, open to everybody.
    ///
    /// # Panics
    /// When the loopback has no free port.
    #[expect(clippy::expect_used, reason = "a test without its mail server cannot go on")]
    pub async fn start() -> Self {
        Self::bind(None).await.expect("a free port on 127.0.0.1")
    }

    /// As [`FakeSmtp::start`], but a client has to sign in with that name and password.
    ///
    /// # Panics
    /// When the loopback has no free port.
    #[expect(clippy::expect_used, reason = "a test without its mail server cannot go on")]
    pub async fn start_with_login(user: &str, password: &str) -> Self {
        Self::bind(Some((user.to_owned(), password.to_owned()))).await.expect("a free port on 127.0.0.1")
    }

    async fn bind(login: Option<(String, String)>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { state: Mutex::default(), login });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `smtp://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The mails taken so far, oldest first, at most 1024.
    #[must_use]
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.shared.state().mails.iter().cloned().collect()
    }

    /// Answers the next recipients with these codes: 451 asks to come again, 550 is final.
    pub fn refuse(&self, codes: &[u16]) {
        self.shared.state().refusals.extend(codes.iter().copied().take(MAX_MAILS));
    }

    /// Recipients refused so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.state().refused
    }
}

impl Drop for FakeSmtp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // How a connection ends is its client's business.
            let _ = Conversation { stream: BufReader::new(socket), shared }.hold().await;
        });
    }
}

struct Conversation {
    stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
}

impl Conversation {
    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let chunk = tokio::time::timeout(SILENCE, self.stream.fill_buf()).await??;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(chunk.len(), |at| at + 1);
            line.extend_from_slice(&chunk[..taken]);
            self.stream.consume(taken);
            if line.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if end.is_some() {
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
        }
    }

    async fn hold(mut self) -> io::Result<()> {
        self.say("220 fake.example ESMTP").await?;
        let (mut user, mut from, mut to) = (None, None, Vec::new());
        loop {
            let line = self.line().await?;
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let signed_in = self.shared.login.is_none() || user.is_some();
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.say("250-fake.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN").await?,
                "HELO" => self.say("250 fake.example").await?,
                "AUTH" => {
                    user = self.sign_in(rest).await?;
                    let reply = if user.is_some() { "235 Welcome" } else { "535 Wrong name or password" };
                    self.say(reply).await?;
                }
                "MAIL" if !signed_in => self.say("530 Sign in first").await?,
                "MAIL" => {
                    from = Some(address(rest));
                    to.clear();
                    self.say("250 OK").await?;
                }
                "RCPT" if from.is_some() => match self.refusal() {
                    Some(code) => self.say(&format!("{code} Refused for {}", address(rest))).await?,
                    None => {
                        to.push(address(rest));
                        self.say("250 OK").await?;
                    }
                },
                "DATA" if !to.is_empty() => {
                    self.say("354 End with a dot").await?;
                    let data = self.data().await?;
                    let mail = ReceivedMail {
                        from: from.take().unwrap_or_default(),
                        to: std::mem::take(&mut to),
                        data,
                        user: user.clone(),
                    };
                    self.keep(mail);
                    self.say("250 Taken").await?;
                }
                "RSET" => {
                    (from, to) = (None, Vec::new());
                    self.say("250 OK").await?;
                }
                "NOOP" => self.say("250 OK").await?,
                "QUIT" => return self.say("221 Bye").await,
                "RCPT" | "DATA" => self.say("503 Not now").await?,
                _ => self.say("502 Unknown").await?,
            }
        }
    }

    fn refusal(&self) -> Option<u16> {
        let mut state = self.shared.state();
        let code = state.refusals.pop_front()?;
        state.refused += 1;
        Some(code)
    }

    fn keep(&self, mail: ReceivedMail) {
        let mut state = self.shared.state();
        state.mails.push_back(mail);
        if state.mails.len() > MAX_MAILS {
            state.mails.pop_front();
        }
    }

    /// Lines up to the lone dot.
    async fn data(&mut self) -> io::Result<String> {
        let mut data = String::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return Ok(data);
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push('\n');
            if data.len() > MAX_MAIL_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Whom the client signs in as, when its password is right.
    async fn sign_in(&mut self, how: &str) -> io::Result<Option<String>> {
        let (mechanism, initial) = how.split_once(' ').unwrap_or((how, ""));
        let (user, password) = if mechanism.eq_ignore_ascii_case("PLAIN") {
            let said = if initial.is_empty() { self.ask("").await? } else { initial.to_owned() };
            let text = decoded(&said);
            let mut parts = text.split('\0').skip(1).map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        } else {
            let user = if initial.is_empty() { self.ask("Username:").await? } else { initial.to_owned() };
            (decoded(&user), decoded(&self.ask("Password:").await?))
        };
        let is_right = self.shared.login.as_ref().is_none_or(|known| *known == (user.clone(), password));
        Ok(is_right.then_some(user))
    }

    async fn ask(&mut self, question: &str) -> io::Result<String> {
        self.say(&format!("334 {}", STANDARD.encode(question))).await?;
        self.line().await
    }
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&STANDARD.decode(text).unwrap_or_default()).into_owned()
}

/// What stands between `<` and `>`.
fn address(text: &str) -> String {
    let after = text.split_once('<').map_or(text, |(_, after)| after);
    after.split_once('>').map_or(after, |(address, _)| address).to_owned()
}
