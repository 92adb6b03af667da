//! Files, and the contents that are left without one.

use parlor_engine::domain::{AccountId, ContentHash, File, FileId, FileName, MediaType};
use parlor_engine::store::{FilePlace, FileQuota, StoreError};

use crate::kit::{Fixture, at, on_every_database};

on_every_database!(
    a_file_is_its_owners_alone,
    files_are_listed_newest_first_from_a_place_on,
    what_has_no_room_is_not_stored,
    a_content_is_left_over_when_its_last_file_goes,
    an_erased_account_leaves_its_contents_over,
    an_id_that_is_taken_is_told,
);

const ROOM: FileQuota = FileQuota { files: 3, bytes: 100 };

fn hash(digit: char) -> ContentHash {
    ContentHash::parse(&digit.to_string().repeat(64)).unwrap()
}

fn file(id: i64, content: char) -> File {
    File {
        id: FileId::new(id).unwrap(),
        hash: hash(content),
        name: FileName::parse("a.txt").unwrap(),
        media_type: MediaType::stored("text/plain".to_owned()),
        bytes: 40,
        created_at: at(id),
    }
}

async fn store(fixture: &Fixture, owner: AccountId, file: File) -> bool {
    assert!(fixture.db.note_leftover(file.hash.clone(), at(1)).await.unwrap());
    fixture.db.insert_file_of_owner(owner, file, ROOM).await.unwrap()
}

async fn a_file_is_its_owners_alone(fixture: Fixture) {
    let (anna, ben) = (fixture.account("a@example.com").await.id, fixture.account("b@example.com").await.id);
    assert!(store(&fixture, anna, file(1, 'a')).await);
    assert_eq!(fixture.db.file_of_owner(file(1, 'a').id, anna).await.unwrap(), Some(file(1, 'a')));
    assert_eq!(fixture.db.file_of_owner(file(1, 'a').id, ben).await.unwrap(), None);
    let ids = || (1..=40).map(|id| FileId::new(id).unwrap()).collect::<Vec<_>>();
    assert_eq!(fixture.db.files_of_owner_by_id(ids(), anna).await.unwrap(), [file(1, 'a')]);
    assert_eq!(fixture.db.files_of_owner_by_id(ids(), ben).await.unwrap(), []);
    assert_eq!(fixture.db.delete_file_of_owner(file(1, 'a').id, ben, at(2)).await.unwrap(), None);
    assert!(fixture.db.file_of_owner(file(1, 'a').id, anna).await.unwrap().is_some());
}

async fn files_are_listed_newest_first_from_a_place_on(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    for id in [1, 2] {
        store(&fixture, owner, file(id, 'a')).await;
    }
    let list = |after, limit| fixture.db.files_of_owner(owner, after, limit);
    assert_eq!(list(None, 9).await.unwrap(), [file(2, 'a'), file(1, 'a')]);
    assert_eq!(list(None, 1).await.unwrap(), [file(2, 'a')]);
    let after = FilePlace { created_at: at(2).micros(), id: 2 };
    assert_eq!(list(Some(after), 9).await.unwrap(), [file(1, 'a')]);
}

async fn what_has_no_room_is_not_stored(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    assert!(store(&fixture, owner, file(1, 'a')).await);
    assert!(store(&fixture, owner, file(2, 'a')).await);
    assert!(!store(&fixture, owner, file(3, 'b')).await, "120 bytes of 100");
    assert_eq!(fixture.db.leftovers(None, at(1_000), 9).await.unwrap(), [hash('b')]);
    let room = FileQuota { files: 2, bytes: 1_000 };
    assert!(!fixture.db.has_room_for_file(owner, 1, room).await.unwrap(), "three files of two");
}

async fn a_content_is_left_over_when_its_last_file_goes(fixture: Fixture) {
    let (anna, ben) = (fixture.account("a@example.com").await.id, fixture.account("b@example.com").await.id);
    store(&fixture, anna, file(1, 'a')).await;
    store(&fixture, ben, file(2, 'a')).await;
    assert_eq!(fixture.db.leftovers(None, at(1_000), 9).await.unwrap(), []);
    assert!(fixture.db.delete_file_of_owner(file(1, 'a').id, anna, at(3)).await.unwrap().is_some());
    assert_eq!(fixture.db.leftovers(None, at(1_000), 9).await.unwrap(), []);
    assert!(fixture.db.is_content_in_use(hash('a')).await.unwrap());
    assert!(fixture.db.delete_file_of_owner(file(2, 'a').id, ben, at(3)).await.unwrap().is_some());
    assert_eq!(fixture.db.leftovers(None, at(1_000), 9).await.unwrap(), [hash('a')]);
    assert!(!fixture.db.is_content_in_use(hash('a')).await.unwrap());
    assert!(fixture.db.take_leftover(hash('a')).await.unwrap());
    fixture.db.forget_leftover(hash('a')).await.unwrap();
    assert_eq!(fixture.db.leftovers(None, at(1_000), 9).await.unwrap(), []);
}

async fn an_erased_account_leaves_its_contents_over(fixture: Fixture) {
    let (anna, ben) = (fixture.account("a@example.com").await.id, fixture.account("b@example.com").await.id);
    store(&fixture, anna, file(1, 'a')).await;
    store(&fixture, anna, file(2, 'b')).await;
    store(&fixture, ben, file(3, 'b')).await;
    fixture.db.delete_account(anna, at(5)).await.unwrap();
    assert_eq!(fixture.db.leftovers(None, at(1_000), 9).await.unwrap(), [hash('a'), hash('b')]);
    assert_eq!(fixture.db.leftovers(Some(hash('a')), at(1_000), 9).await.unwrap(), [hash('b')]);
    assert!(!fixture.db.is_content_in_use(hash('a')).await.unwrap());
    assert!(fixture.db.is_content_in_use(hash('b')).await.unwrap());
}

async fn an_id_that_is_taken_is_told(fixture: Fixture) {
    let owner = fixture.account("a@example.com").await.id;
    store(&fixture, owner, file(1, 'a')).await;
    let again = fixture.db.insert_file_of_owner(owner, file(1, 'b'), ROOM).await;
    assert!(matches!(again, Err(StoreError::Duplicate)), "{again:?}");
}
