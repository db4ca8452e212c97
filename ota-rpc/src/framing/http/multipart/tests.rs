//! Forms, whole and in pieces, good and bad.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=------------------------d74496d66958873e";

/// What curl sends for `-F commit_timeout=300 -F filedata=@fw.zip -F after=1`.
fn form(file: &[u8]) -> Vec<u8> {
    let mut form = b"--------------------------d74496d66958873e\r\n\
        Content-Disposition: form-data; name=\"commit_timeout\"\r\n\r\n300\r\n\
        --------------------------d74496d66958873e\r\n\
        Content-Disposition: form-data; name=\"filedata\"; filename=\"fw.zip\"\r\n\
        Content-Type: application/zip\r\n\r\n"
        .to_vec();
    form.extend_from_slice(file);
    form.extend_from_slice(
        b"\r\n--------------------------d74496d66958873e\r\n\
        Content-Disposition: form-data; name=\"after\"\r\n\r\n1\r\n\
        --------------------------d74496d66958873e--\r\n",
    );
    form
}

/// All that a form says; the file in one piece.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    fields: Vec<(String, String)>,
    files: Vec<Vec<u8>>,
    whole: bool,
    ended: bool,
}

fn read<'i>(
    content_type: &str,
    pieces: impl IntoIterator<Item = &'i [u8]>,
) -> Result<Read, MultipartError> {
    let mut form = Multipart::new(content_type)?;
    let mut read = Read::default();
    for mut piece in pieces {
        while let Some(part) = form.next(&mut piece)? {
            match part {
                Part::FileStart => read.files.push(Vec::new()),
                Part::File(data) => {
                    assert!(!data.is_empty());
                    read.files.last_mut().unwrap().extend_from_slice(data);
                }
                Part::FileEnd => read.whole = true,
                Part::Field { name, value } => {
                    read.fields.push((name.to_string(), value.to_string()));
                }
                Part::End => read.ended = true,
            }
        }
    }
    assert_eq!(read.ended, form.has_ended());
    Ok(read)
}

fn expected(file: &[u8]) -> Read {
    let field = |name: &str, value: &str| (name.to_string(), value.to_string());
    Read {
        fields: [field("commit_timeout", "300"), field("after", "1")].to_vec(),
        files: [file.to_vec()].to_vec(),
        whole: true,
        ended: true,
    }
}

#[test]
fn a_form_is_read_wherever_it_is_split() {
    // Parts of delimiters, and what looks like the end of one.
    let file = b"\r\n----\r\r\n-----------------------------d74496d66958873\r\n--\r";
    let form = form(file);
    for at in 0..=form.len() {
        let (first, second) = form.split_at(at);
        assert_eq!(read(TYPE, [first, second]), Ok(expected(file)), "{at}");
    }
    assert_eq!(read(TYPE, form.chunks(1)), Ok(expected(file)));
}

#[test]
fn the_file_is_not_copied() {
    let form = form(b"0123456789");
    let mut parser = Multipart::new(TYPE).unwrap();
    let mut input = &form[..];
    let mut file = None;
    while let Some(part) = parser.next(&mut input).unwrap() {
        if let Part::File(data) = part {
            file = Some(data.as_ptr_range());
        }
    }
    assert!(form.as_ptr_range().contains(&file.unwrap().start));
    assert!(size_of::<Multipart>() < 600);
}

#[test]
fn a_form_that_breaks_off_has_not_ended() {
    let form = form(b"file");
    let end = form.len() - 2;
    for at in 0..end {
        assert!(!read(TYPE, [&form[..at]]).unwrap().ended, "{at}");
    }
    assert!(read(TYPE, [&form[..end]]).unwrap().ended, "without a line end");
}

#[test]
fn forms_of_other_clients_are_read() {
    let head = "Content-Disposition: form-data; ";
    for (body, fields, files) in [
        // Something before and after, spaces behind a delimiter, no heads, lines without CR.
        (format!("hello\r\n--b \t\r\n{head}name=x\r\n\r\ny\r\n--b--bye\r\n--b"), 1, 0),
        ("--b\r\n\r\nnothing\r\n--b--".to_string(), 0, 0),
        (format!("--b\n{head}name=\"x\"\n\ny\r\n--b--"), 1, 0),
        // A browser with no file chosen, and one whose name is not ASCII.
        (format!("--b\r\n{head}name=f; filename=\"\"\r\n\r\n\r\n--b--"), 0, 0),
        (format!("--b\r\n{head}name=f; filename=\"é;\\\"=.zip\"\r\n\r\n\r\n--b--"), 0, 1),
        (format!("--b\r\n{head}filename*=UTF-8''x\r\n\r\n\r\n--b--"), 0, 1),
        ("--b\r\ncontent-disposition:form-data;NAME=x\r\n\r\n\r\n--b--".to_string(), 1, 0),
        // No file by a name that just looks so.
        (format!("--b\r\n{head}name=\"x; filename=y\"\r\n\r\n\r\n--b--"), 1, 0),
        (format!("--b\r\nX-{head}filename=y\r\n\r\n\r\n--b--"), 0, 0),
        ("--b--".to_string(), 0, 0),
    ] {
        let read = read("Multipart/Form-Data;charset=x; boundary=\"b\"", [body.as_bytes()]);
        let read = read.unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!((read.fields.len(), read.files.len()), (fields, files), "{body}");
        assert!(read.ended);
    }
}

#[test]
fn what_is_no_form_is_refused() {
    use MultipartError::*;
    for content_type in [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=\"a\u{7}\"",
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=\"",
    ] {
        assert_eq!(Multipart::new(content_type).err(), Some(NotAForm), "{content_type}");
    }
    let head = "Content-Disposition: form-data; ";
    let file = format!("--b\r\n{head}filename=x\r\n\r\n\r\n");
    for (body, error) in [
        ("--bc\r\n".to_string(), BadDelimiter),
        ("--b-\r\n".to_string(), BadDelimiter),
        (format!("--b\r\n{head}name\r\n"), BadDisposition),
        (format!("--b\r\n{head}filename=\"x\r\n"), BadDisposition),
        (format!("{file}{file}"), SecondFile),
    ] {
        let result = read("multipart/form-data; boundary=b", [body.as_bytes()]);
        assert_eq!(result, Err(error), "{body}");
    }
}

/// Each limit is met, and passed by one.
#[test]
fn the_limits_of_forms() {
    use MultipartError::*;
    let with_boundary = |len: usize| {
        let boundary = "b".repeat(len);
        read(&format!("multipart/form-data; boundary={boundary}"), []).map(drop)
    };
    assert_eq!(with_boundary(MAX_BOUNDARY_BYTES), Ok(()));
    assert_eq!(with_boundary(MAX_BOUNDARY_BYTES + 1), Err(NotAForm));
    let body = |body: String| read("multipart/form-data; boundary=b", [body.as_bytes()]).map(drop);
    // The CR of a line counts.
    let line = |len: usize| body(format!("--b\r\n{}\r\n", "x".repeat(len - 1)));
    assert_eq!(line(MAX_PART_LINE_BYTES), Ok(()));
    assert_eq!(line(MAX_PART_LINE_BYTES + 1), Err(LineTooLong));
    let lines = |number| body(format!("--b\r\n{}\r\n", "x\r\n".repeat(number)));
    assert_eq!(lines(MAX_PART_LINES), Ok(()));
    assert_eq!(lines(MAX_PART_LINES + 1), Err(TooManyLines));
    let parts = |number| body("--b\r\n\r\n\r\n".repeat(number));
    assert_eq!(parts(MAX_PARTS), Ok(()));
    assert_eq!(parts(MAX_PARTS + 1), Err(TooManyParts));
    let head = "--b\r\nContent-Disposition: form-data; name=";
    let field = |len| body(format!("{head}x\r\n\r\n{}", "y".repeat(len)));
    assert_eq!(field(MAX_FIELD_BYTES), Ok(()));
    assert_eq!(field(MAX_FIELD_BYTES + 1), Err(FieldTooLong));
    let field = format!("{head}x\r\n\r\n{}\r\n-\r\n--b", "y".repeat(MAX_FIELD_BYTES - 2));
    assert_eq!(body(field), Err(FieldTooLong), "what looks like a delimiter counts");
    // A name that is too long is as good as none.
    let long = format!("{head}{}\r\n\r\ny\r\n--b--", "x".repeat(MAX_FIELD_BYTES + 1));
    let read = read("multipart/form-data; boundary=b", [long.as_bytes()]).unwrap();
    assert_eq!((read.fields.len(), read.ended), (0, true));
}

proptest! {
    #[test]
    fn any_file_comes_whole_in_any_pieces(
        file in prop::collection::vec(prop::sample::select(b"\r\n-d7x".to_vec()), 0..60),
        sizes in prop::collection::vec(1..40usize, 1..20),
    ) {
        let form = form(&file);
        let mut rest = &form[..];
        let pieces = sizes.iter().cycle().map_while(|size| {
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(read(TYPE, pieces), Ok(expected(&file)));
    }

    #[test]
    fn anything_is_the_same_in_any_pieces(
        words in prop::collection::vec(prop::sample::select(std::vec![
            "--b", "\r\n", "\r\n--b", "--", "-", "Content-Disposition: form-data; ", "name=x",
            "name=\"", "; filename=y", ":", "x", "\u{e9}", "\r", "\n", " ",
        ]), 0..30),
        size in 1..9usize,
    ) {
        let body = words.concat();
        let content_type = "multipart/form-data; boundary=b";
        let whole = read(content_type, [body.as_bytes()]);
        prop_assert_eq!(read(content_type, body.as_bytes().chunks(size)), whole);
    }
}
