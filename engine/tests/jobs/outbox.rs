//! What MongoDB is told, by a server that speaks its protocol.

#[cfg(feature = "mongodb")]
mod mongo {
    use std::net::SocketAddr;
    use std::time::Duration;

    use mongodb::bson::{Bson, Document, doc};
    use mongodb::{Client, Database};
    use parlor_engine::app::Caller;
    use parlor_engine::app::chat::{OnFailure, SendMessage};
    use parlor_engine::domain::{Clock, ConversationId, GuestRealm};
    use parlor_engine::store::MessageRow;
    use secrecy::SecretString;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    use crate::kit::{Fixture, until};

    /// A way to the server that can be cut and mended.
    struct Line {
        address: SocketAddr,
        server: SocketAddr,
        connections: Option<JoinSet<()>>,
    }

    impl Line {
        async fn new(server: SocketAddr) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            Self { address, server, connections: None }
        }

        async fn mend(&mut self) {
            let listener = TcpListener::bind(self.address).await.unwrap();
            let server = self.server;
            let mut connections = JoinSet::new();
            connections.spawn(async move {
                let mut open = JoinSet::new();
                loop {
                    let (mut near, _) = listener.accept().await.unwrap();
                    open.spawn(async move {
                        let Ok(mut far) = TcpStream::connect(server).await else { return };
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    });
                }
            });
            self.connections = Some(connections);
        }

        async fn cut(&mut self) {
            if let Some(mut connections) = self.connections.take() {
                connections.shutdown().await;
            }
        }
    }

    struct Told {
        fixture: Fixture,
        line: Line,
        database: Database,
        caller: Caller,
    }

    /// A whole number, however wide the server gives it back.
    fn int(document: &Document, field: &str) -> Option<i64> {
        match document.get(field)? {
            Bson::Int32(number) => Some(i64::from(*number)),
            Bson::Int64(number) => Some(*number),
            _ => None,
        }
    }

    async fn start() -> Told {
        let uri =
            std::env::var("PARLOR_TEST_MONGO_URI").expect("PARLOR_TEST_MONGO_URI is not set: see scripts/services");
        let server: SocketAddr = uri.trim_start_matches("mongodb://").trim_end_matches('/').parse().unwrap();
        let line = Line::new(server).await;
        let name = format!("parlor_test_{:016x}", rand::random::<u64>());
        let through = format!("mongodb://{}/{name}?serverSelectionTimeoutMS=500&directConnection=true", line.address);
        let fixture = Fixture::at(Clock::System, |settings| {
            settings.shared.mongo_uri = Some(SecretString::from(through));
            settings.database.has_outbox = true;
        })
        .await;
        drop(rustls::crypto::ring::default_provider().install_default());
        let database = Client::with_uri_str(&uri).await.unwrap().database(&name);
        let caller = fixture.app.guest(GuestRealm::Classic, "alice").await.unwrap();
        Told { fixture, line, database, caller }
    }

    impl Told {
        /// A message and its whole answer.
        async fn say(&self, caller: &Caller, to: Option<ConversationId>, text: &str) -> ConversationId {
            let message = SendMessage {
                attachments: Vec::new(),
                client_id: None,
                conversation_id: to,
                text: text.to_owned(),
                model: None,
                language: None,
                idempotency_key: None,
                stream: true,
                on_failure: OnFailure::Fail,
            };
            let turn = self.fixture.app.send_message(caller, message).await.unwrap();
            turn.ending().await;
            turn.conversation_id
        }

        async fn documents(&self, collection: &str, filter: Document) -> Vec<Document> {
            let command = doc! { "find": collection, "filter": filter, "batchSize": 1_000 };
            let answer = self.database.run_command(command).await.unwrap();
            let batch = answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
            batch.iter().map(|document| document.as_document().unwrap().clone()).collect()
        }

        async fn until_documents(&self, collection: &str, filter: Document, count: usize) -> Vec<Document> {
            until(async || Some(self.documents(collection, filter.clone()).await).filter(|found| found.len() == count))
                .await
        }

        async fn until_told(&self) {
            until(async || {
                let now = self.fixture.clock.now();
                let state = self.fixture.app.db().outbox_state(now).await.unwrap();
                state.oldest.is_none().then_some(())
            })
            .await;
        }
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MONGO_URI"]
    async fn a_finished_turn_is_there_with_what_was_said_and_as_an_event_without() {
        let mut told = start().await;
        told.line.mend().await;
        let worker = told.fixture.worker(Vec::new());
        let conversation = told.say(&told.caller, None, "Grüße 🙂").await;
        let turn = told.until_documents("turns", doc! {}, 1).await.remove(0);
        assert_eq!(int(&turn, "conversation_id"), Some(conversation.get()));
        assert_eq!(int(&turn, "account_id"), Some(told.caller.id().get()));
        assert_eq!(turn.get_document("question").unwrap().get_str("content").unwrap(), "Grüße 🙂");
        let (_, stored): (_, Vec<MessageRow>) = told
            .fixture
            .app
            .db()
            .conversation_and_messages_of_owner(conversation, told.caller.id(), 9)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(turn.get_document("answer").unwrap().get_str("content").unwrap(), stored[1].message.content);
        assert_eq!(turn.get_str("state").unwrap(), "complete");
        assert!(int(turn.get_document("usage").unwrap(), "total_tokens") > Some(0));
        assert!(turn.get_datetime("ended_at").unwrap() >= turn.get_datetime("started_at").unwrap());
        let event = told.until_documents("events", doc! { "event": "turn_finished" }, 1).await.remove(0);
        let id = int(&turn, "_id").unwrap();
        assert_eq!(int(&event, "turn_id"), Some(id));
        assert_eq!(event.get_str("_id").unwrap(), format!("turn:{id}"));
        assert!(!event.to_string().contains("Grüße"));
        worker.drain(Duration::ZERO).await;
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MONGO_URI"]
    async fn what_happened_during_an_outage_is_there_after_it_and_once() {
        let mut told = start().await;
        let worker = told.fixture.worker(Vec::new());
        let conversation = told.say(&told.caller, None, "turn 0").await;
        for n in 1..20 {
            // MongoDB comes and goes.
            match n % 5 {
                1 => told.line.mend().await,
                4 => told.line.cut().await,
                _ => {}
            }
            told.say(&told.caller, Some(conversation), &format!("turn {n}")).await;
        }
        told.line.cut().await;
        told.say(&told.caller, Some(conversation), "turn 20").await;
        told.line.mend().await;
        let mut turns = told.until_documents("turns", doc! {}, 21).await;
        turns.sort_by_key(|turn| int(turn, "_id"));
        told.until_told().await;
        let said = |turn: &Document| turn.get_document("question").unwrap().get_str("content").unwrap().to_owned();
        let expected: Vec<String> = (0..=20).map(|n| format!("turn {n}")).collect();
        assert_eq!(turns.iter().map(said).collect::<Vec<_>>(), expected);
        assert_eq!(told.documents("events", doc! { "event": "turn_finished" }).await.len(), 21);
        assert_eq!(told.fixture.value::<i64>("SELECT COUNT(*) FROM outbox").await, 0);
        worker.drain(Duration::ZERO).await;
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MONGO_URI"]
    async fn two_workers_tell_each_thing_once() {
        let mut told = start().await;
        told.line.mend().await;
        let workers = [told.fixture.worker(Vec::new()), told.fixture.worker(Vec::new())];
        for n in 0..10 {
            told.say(&told.caller, None, &format!("turn {n}")).await;
        }
        told.until_documents("turns", doc! {}, 10).await;
        told.until_documents("events", doc! { "event": "turn_finished" }, 10).await;
        for worker in workers {
            worker.drain(Duration::ZERO).await;
        }
        assert_eq!(told.fixture.value::<i64>("SELECT COUNT(*) FROM leases").await, 0, "the right to tell was given up");
    }

    #[tokio::test]
    #[ignore = "needs PARLOR_TEST_MONGO_URI"]
    async fn what_is_deleted_here_is_deleted_there_and_an_erased_account_leaves_no_trail() {
        let mut told = start().await;
        told.line.mend().await;
        let worker = told.fixture.worker(Vec::new());
        let kept = told.say(&told.caller, None, "alice stays").await;
        let bob = told.fixture.app.guest(GuestRealm::Classic, "bob").await.unwrap();
        let deleted = told.say(&told.caller, None, "alice deletes").await;
        told.say(&bob, None, "bob goes").await;
        told.until_documents("turns", doc! {}, 3).await;
        told.fixture.app.delete_conversation(&told.caller, deleted).await.unwrap();
        told.fixture.app.db().delete_account(bob.id(), told.fixture.clock.now()).await.unwrap();
        let left = told.until_documents("turns", doc! {}, 1).await.remove(0);
        assert_eq!(int(&left, "conversation_id"), Some(kept.get()));
        told.until_documents("events", doc! { "event": "account_erased" }, 1).await;
        let events = told.documents("events", doc! { "event": "turn_finished" }).await;
        let accounts: Vec<Option<i64>> = events.iter().map(|event| int(event, "account_id")).collect();
        assert_eq!(accounts.iter().filter(|id| **id == Some(told.caller.id().get())).count(), 2);
        let nobody: Vec<_> = events.iter().filter(|event| event.get("account_id").is_none()).collect();
        assert_eq!(nobody.len(), 1, "an event stays for its numbers");
        assert_eq!((nobody[0].get("conversation_id"), nobody[0].get("message_id")), (None, None));
        assert!(int(nobody[0], "completion_tokens") > Some(0));
        // What was still on its way then is erased a second time.
        assert_eq!(told.fixture.value::<i64>("SELECT COUNT(*) FROM outbox").await, 1);
        worker.drain(Duration::ZERO).await;
    }
}
