use super::*;

#[test]
fn each_source_wins_over_the_weaker_ones() {
    let mut sources = sources();
    let port = |sources: &Sources| (load(sources).server.port, shown(sources, "server.port").1);
    assert_eq!(port(&sources), (8000, "default".to_owned()));
    sources.file = with_file("server.port = 1").file;
    assert_eq!(port(&sources), (1, "parlor.toml".to_owned()));
    sources.dotenv = Some(source(".env", "PORT=2"));
    assert_eq!(port(&sources), (2, ".env PORT".to_owned()));
    sources.env = env(&[("PORT", "3")]);
    assert_eq!(port(&sources), (3, "environment PORT".to_owned()));
    sources.flags.insert("server.port".to_owned(), "4".to_owned());
    assert_eq!(port(&sources), (4, "flag".to_owned()));
}

#[test]
fn another_name_in_a_weaker_source_contradicts_nobody() {
    let mut sources = with_dotenv("JWT_SECRET=Another-secret.of_32_characters!xyz9");
    sources.env = env(&[("SECRET_KEY", SECRET)]);
    assert_eq!(shown(&sources, "security.secret_key").1, "environment SECRET_KEY");
}

#[test]
fn an_empty_value_counts_as_unset() {
    let mut sources = with_dotenv("PORT=2\nOPENAI_API_KEY=");
    sources.env = env(&[("PORT", " "), ("DATABASE_URL", ""), ("CORS_ORIGINS", "")]);
    let settings = load(&sources);
    assert_eq!(settings.server.port, 2);
    assert_eq!(settings.server.cors_origins, ["http://localhost:3000"]);
    assert!(settings.providers.openai.api_key.is_none());
}

#[test]
fn variables_of_other_programs_are_ignored() {
    load(&Sources {
        env: env(&[("PATH", "/bin"), ("AI_SERVICES__OPEN_ROUTER_API_KEY_x", "a b")]),
        ..with_dotenv("POSTGRES_PASSWORD=hunter2\nexport LANG\n")
    });
}

#[test]
fn a_generated_secret_serves_only_while_none_is_set() {
    let generated = Some((SECRET.to_owned(), "data/secret_key".to_owned()));
    let mut sources = Sources { generated_secret: generated, ..Sources::default() };
    assert!(!Settings::peek(&sources).secret_is_set);
    let (value, source) = shown(&sources, "security.secret_key");
    assert_eq!((value.as_str(), source.as_str()), ("[redacted]", "generated: data/secret_key"));
    sources.env = env(&[("SECRET_KEY", "Own-secret.of_more_than_32_chars!xyz9")]);
    assert!(Settings::peek(&sources).secret_is_set);
    assert_eq!(shown(&sources, "security.secret_key").1, "environment SECRET_KEY");
}

#[test]
fn a_peek_tells_the_data_folder_even_of_a_broken_configuration() {
    let peek = Settings::peek(&with_env(&[("DATA_DIR", "/srv/parlor"), ("PORT", "x")]));
    assert_eq!(peek.data_dir, PathBuf::from("/srv/parlor"));
}

#[test]
fn a_named_file_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.toml");
    let errors = Sources::ambient(Some(&path)).unwrap_err();
    assert!(errors.to_string().contains("other.toml: cannot be read"), "{errors}");
    std::fs::write(&path, "server.port = 9").unwrap();
    let sources = Sources::ambient(Some(&path)).unwrap();
    assert_eq!(sources.file.unwrap().text, "server.port = 9");
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(Sources::ambient(Some(&path)).is_err());
}
