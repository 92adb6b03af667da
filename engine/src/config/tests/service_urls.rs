//! URLs of Redis and MongoDB, and the certificates that Redis' is checked against.

use super::*;

#[test]
fn every_spelling_of_a_redis_is_understood() {
    for url in [
        "redis://cache",
        "redis://cache.example:6380/3",
        "rediss://ann:p%40ss%2F@cache.example/",
        "REDIS://:secret@[::1]:6379/0",
        "redis://127.0.0.1:6379/0/",
    ] {
        load(&with_env(&[("REDIS_URL", url)]));
    }
}

#[test]
fn a_redis_url_that_cannot_work_is_told_without_its_password() {
    for (url, why) in [
        ("redis://:hunter2@:notaport", "redis://user:password@host:port/number"),
        ("redis://:hunter2@cache:70000", "redis://user:password@host:port/number"),
        ("redis://:hun/ter2@cache", "percent-encoded"),
        ("redis://:hunter2@cache/abc", "the number of a database"),
        ("redis://:hunter2@cache/-1", "the number of a database"),
        ("redis:///1", "redis://user:password@host:port/number"),
        ("redis://:hunter2@cache?protocol=9", "redis://user:password@host:port/number"),
        ("redis://:hun#ter2@cache", "percent-encoded"),
        ("rediss://:hunter2@cache#insecure", "without #insecure"),
        ("redis+unix:///hunter2.sock", "redis://user:password@host:port/number"),
        ("cache:6379", "redis://user:password@host:port/number"),
    ] {
        let problem = problem(&with_env(&[("REDIS_URL", url)]));
        assert!(problem.starts_with("shared.redis_url (environment REDIS_URL): expected "), "{problem}");
        assert!(problem.contains(why) && !problem.contains("hunter2"), "{url}: {problem}");
    }
}

#[test]
fn certificates_of_a_redis_that_are_not_there_or_none_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, text) in [
        ("empty.pem", ""),
        ("words.pem", "no certificate at all\n"),
        ("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"),
        ("no-der.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = |url: &str, name: &str| with_env(&[("REDIS_URL", url), ("REDIS_SSL_CA", &path(name))]);
    for (name, why) in [
        ("none.pem", "cannot be read"),
        ("", "cannot be read"),
        ("empty.pem", "holds no certificate in PEM"),
        ("words.pem", "holds no certificate in PEM"),
        ("broken.pem", "is no file in PEM"),
        ("no-der.pem", "holds a certificate that cannot be used"),
    ] {
        let problem = problem(&file("rediss://cache", name));
        assert!(problem.starts_with("shared.redis_ssl_ca (environment REDIS_SSL_CA): "), "{problem}");
        assert!(problem.contains(why), "{name}: {problem}");
    }
    load(&file("redis://cache", "none.pem"));
}

#[cfg(feature = "mongodb")]
#[test]
fn a_mongodb_uri_that_cannot_work_is_told_without_its_password() {
    for uri in [
        "mongodb://u:hunter2@",
        "mongodb://u:hun@/ter2@h",
        "mongodb://u:hunter2@h:notaport",
        "mongodb://u:hunter2@h/?notAnOption=hunter2",
        "mongodb+srv://u:hunter2@h:27017",
        "mongodb://",
        "postgresql://u:hunter2@h",
    ] {
        let problem = problem(&with_env(&[("MONGO_URI", uri)]));
        assert!(problem.starts_with("shared.mongo_uri (environment MONGO_URI): expected mongodb://"), "{problem}");
        assert!(!problem.contains("hunter2") && problem.contains("percent-encoded"), "{uri}: {problem}");
    }
    for uri in
        ["mongodb://h", "mongodb+srv://u:p%40@h/chat?retryWrites=true&w=majority", "mongodb://a:1,b:2/?replicaSet=r"]
    {
        load(&with_env(&[("MONGO_URI", uri)]));
    }
}

#[cfg(not(feature = "mongodb"))]
#[test]
fn a_program_without_mongodb_refuses_its_uri() {
    assert!(problem(&with_env(&[("MONGO_URI", "mongodb://h")])).contains("built without MongoDB"));
}
