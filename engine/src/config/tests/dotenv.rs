use crate::config::dotenv::parse;

fn value(line: &str) -> Option<String> {
    let read = parse(&format!("{line}\nAFTER=yes\n"));
    assert_eq!(read.pairs.last().unwrap().0, "AFTER", "{line}");
    read.pairs.into_iter().find(|(name, _)| name == "A").map(|(_, value)| value)
}

#[test]
fn values_are_read_as_other_readers_do() {
    for (line, expected) in [
        ("A=b", "b"),
        ("export A = b ", "b"),
        ("A=path/to/certificate  # Optional", "path/to/certificate"),
        ("A=p#w", "p#w"),
        ("A=abcd efgh ijkl", "abcd efgh ijkl"),
        ("A=pa$$word$HOME${HOME}", "pa$$word$HOME${HOME}"),
        ("A='it is # \\n \"so\"' # really", "it is # \\n \"so\""),
        ("A=\"one\\ntwo \\\"x\\\" \\d\"", "one\ntwo \"x\" \\d"),
        ("A=\"line one\nline two\"", "line one\nline two"),
        ("A=0123", "0123"),
        ("A=x=y", "x=y"),
        ("A=", ""),
        ("A=# nothing", ""),
        ("A=b\r", "b"),
        ("A=\"b\"\r", "b"),
        ("\u{feff}A=b", "b"),
    ] {
        assert_eq!(value(line).as_deref(), Some(expected), "{line:?}");
    }
    assert_eq!(value("# A=b"), None);
    assert_eq!(value("A"), None);
}

#[test]
fn of_two_assignments_the_last_counts_later_lines_follow_and_bad_ones_are_counted() {
    let read = parse("A=1\n\nno assignment\nB='open\nC=\"x\ny\" z\nA B=1\nD=4");
    assert_eq!(read.bad_lines, [3, 4, 5, 6, 7]);
    let names: Vec<_> = read.pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["A", "D"]);
}
