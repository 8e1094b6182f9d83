//! The ways to hand over a picture, told apart by form. Nothing is decoded or fetched here.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::Value;

use super::fields::{Fields, Node, inside, wrong_type};
use super::upload::Upload;
use crate::api::errors::{ApiError, ErrorCode};
use crate::domain::request::{BadRequest, MAX_URL_BYTES, RequestFault};

/// Base64 as browsers and tools write it, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A picture as handed over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ImageInput {
    /// The bytes themselves, out of a data URL.
    Bytes(Bytes),
    /// A file part.
    Upload(Upload),
    /// An `http` or `https` URL.
    Url(String),
    /// An id of an uploaded file, unchecked.
    File(String),
}

/// What a bare string may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Nothing: only a file or an object is taken.
    Strict,
    /// A data URL, an URL or a file id.
    Lenient,
}

/// Takes the picture under `name`, together with the path of the value that holds it.
pub(crate) fn take_image(
    fields: &mut Fields,
    name: &str,
    naming: Naming,
) -> Result<Option<(String, ImageInput)>, ApiError> {
    let wanted = "a file, or an object with `image_url` or `file_id`";
    match fields.single(name)? {
        None => Ok(None),
        Some(Node::File(upload)) => Ok(Some((name.to_owned(), ImageInput::Upload(upload)))),
        Some(Node::Object(members)) => {
            let input = from_object(name, Fields::new(members))?;
            Ok(Some(input))
        }
        Some(Node::Text(text) | Node::Typed(Value::String(text))) if naming == Naming::Lenient => {
            let input = if text.starts_with("file_") || text.starts_with("file-") {
                ImageInput::File(text)
            } else {
                from_url(name, text)?
            };
            Ok(Some((name.to_owned(), input)))
        }
        Some(_) => Err(wrong_type(name, wanted).into()),
    }
}

fn from_object(name: &str, mut members: Fields) -> Result<(String, ImageInput), ApiError> {
    let url = members.text("image_url").map_err(|bad| inside(name, bad))?;
    let file = members.text("file_id").map_err(|bad| inside(name, bad))?;
    members.finish().map_err(|bad| inside(name, bad))?;
    match (url, file) {
        (Some(url), None) => {
            let path = format!("{name}.image_url");
            let input = from_url(&path, url)?;
            Ok((path, input))
        }
        (None, Some(file)) => Ok((format!("{name}.file_id"), ImageInput::File(file))),
        (None, None) | (Some(_), Some(_)) => Err(ApiError::invalid_value(
            name,
            format!("give `{name}` exactly one of `image_url` and `file_id`"),
        )),
    }
}

fn from_url(path: &str, url: String) -> Result<ImageInput, ApiError> {
    if let Some((scheme, data)) = url.split_once(':')
        && scheme.eq_ignore_ascii_case("data")
    {
        return data_url(path, data).map(ImageInput::Bytes);
    }
    if url.len() > MAX_URL_BYTES {
        let message = format!("a URL has at most {MAX_URL_BYTES} bytes");
        return Err(BadRequest::new(RequestFault::TooLong, path, message).into());
    }
    match url.split_once(':') {
        Some(("http" | "https", _)) => Ok(ImageInput::Url(url)),
        Some(_) => {
            Err(ApiError::new(ErrorCode::ImageUrlNotAllowed, "only http and https URLs are fetched")
                .about(path))
        }
        None => {
            let message = "a picture is a data URL, an https URL or a file id";
            Err(ApiError::invalid_value(path, message))
        }
    }
}

/// `image/…;base64,…`
fn data_url(path: &str, data: &str) -> Result<Bytes, ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidImage, message).about(path);
    let (media, payload) = data.split_once(',').ok_or_else(|| invalid("the data URL has no data"))?;
    if !media.starts_with("image/") || !media.ends_with(";base64") {
        return Err(invalid("a picture's data URL starts with `data:image/…;base64,`"));
    }
    BASE64.decode(payload).map(Bytes::from).map_err(|_| invalid("the data URL is not valid base64"))
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn taken(body: &str, naming: Naming) -> Result<Option<(String, ImageInput)>, String> {
        let mut fields = json::decode(body.as_bytes()).unwrap();
        take_image(&mut fields, "image", naming).map_err(|error| {
            let body = error.body().error;
            format!("{} {}", body.code.unwrap(), body.param.unwrap())
        })
    }

    #[test]
    fn every_form_is_told_apart() {
        let bytes = |path: &str| Ok(Some((path.to_owned(), ImageInput::Bytes(Bytes::from_static(b"hi")))));
        assert_eq!(taken(r#"{"image":"data:image/png;base64,aGk="}"#, Naming::Lenient), bytes("image"));
        assert_eq!(taken(r#"{"image":"data:image/png;base64,aGk"}"#, Naming::Lenient), bytes("image"));
        assert_eq!(taken(r#"{"image":"DATA:image/png;base64,aGk"}"#, Naming::Lenient), bytes("image"));
        assert_eq!(
            taken(r#"{"image":{"image_url":"data:image/png;base64,aGk="}}"#, Naming::Strict),
            bytes("image.image_url")
        );
        let file = ImageInput::File("file_1".to_owned());
        assert_eq!(taken(r#"{"image":"file_1"}"#, Naming::Lenient), Ok(Some(("image".to_owned(), file))));
        assert_eq!(taken(r#"{"image":null}"#, Naming::Strict), Ok(None));
    }

    #[test]
    fn every_mistake_names_code_and_field() {
        for (body, naming, expected) in [
            (r#"{"image":"data:image/png;base64,aGk="}"#, Naming::Strict, "invalid_type image"),
            (r#"{"image":5}"#, Naming::Lenient, "invalid_type image"),
            (r#"{"image":"file:///etc/passwd"}"#, Naming::Lenient, "image_url_not_allowed image"),
            (r#"{"image":"lake.jpg"}"#, Naming::Lenient, "invalid_value image"),
            (r#"{"image":"data:image/png;base64,#"}"#, Naming::Lenient, "invalid_image image"),
            (r#"{"image":{"file_id":"a","image_url":"b"}}"#, Naming::Strict, "invalid_value image"),
            (r#"{"image":{}}"#, Naming::Strict, "invalid_value image"),
            (r#"{"image":{"url":"x"}}"#, Naming::Strict, "unknown_parameter image.url"),
            (r#"{"image":{"file_id":5}}"#, Naming::Strict, "invalid_type image.file_id"),
        ] {
            assert_eq!(taken(body, naming), Err(expected.to_owned()), "{body}");
        }
    }
}
