//! One server per database.

use crate::kit::chat;
use crate::support::Setup;

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() {
    let mut server = Setup::new().start();
    let database = server.database_path();
    for _ in 0..2 {
        // On an address that nobody has: a second server that gets past the lock ends all the same.
        let second = server.run(&["serve", "--host", "192.0.2.1"]);
        assert_eq!(second.status.code(), Some(1));
        let told = String::from_utf8(second.stderr).unwrap();
        let told: Vec<_> = told.lines().filter(|line| line.starts_with("parlor: ")).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("in use by another Parlor process") && told[0].contains("chatbot.db"), "{told:?}");
    }
    assert_eq!(chat(&server, "Still there?").await.unwrap().0, 200);
    // The lock of a server that was killed is no obstacle.
    server.kill();
    assert!(database.with_file_name("chatbot.db.lock").exists());
    server.restart();
    assert_eq!(chat(&server, "And now?").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_command_runs_beside_the_server() {
    let server = Setup::new().start();
    assert_eq!(server.run(&["migrate"]).status.code(), Some(0));
    assert_eq!(server.run(&["db", "show"]).status.code(), Some(0));
    assert_eq!(chat(&server, "Hello").await.unwrap().0, 200);
}
