//! Which size the video has: from the table, or fitted to the picture.

use super::VideoRequest;
use super::fault::{BadRequest, RequestFault};
use super::resolve::SourceImage;
use crate::domain::model::Capabilities;
use crate::domain::size::{AspectRatio, Resolution, Size};
use crate::domain::video::ImageFit;

/// A row and a column of the table, and the size in pixels.
pub(super) struct Shape {
    /// Of the row's widest format if it is adaptive.
    pub(super) size: Size,
    pub(super) resolution: Resolution,
    /// `None` for an adaptive size.
    pub(super) aspect_ratio: Option<AspectRatio>,
    /// `None` without a picture.
    pub(super) adaptive_resolution: Option<bool>,
    /// `None` without a picture or with an adaptive size.
    pub(super) image_fit: Option<ImageFit>,
}

/// The row that a request names by `resolution` or `size`, before any model is known; wrong names count as none.
pub(super) fn wanted_resolution(request: &VideoRequest) -> Option<Resolution> {
    let named = request.resolution.as_deref().and_then(resolution_named);
    let size = request.size.as_deref().and_then(|text| text.parse::<Size>().ok());
    named.or_else(|| {
        Resolution::ALL.into_iter().find(|row| size.is_some_and(|size| column_of(*row, size).is_some()))
    })
}

/// Applies the rules of `size`, `resolution`, `aspect_ratio`, `adaptive_resolution` and `image_fit`.
pub(super) fn shape(
    request: &VideoRequest,
    capabilities: &Capabilities,
    with_image: bool,
) -> Result<Shape, BadRequest> {
    let table = from_size(request, capabilities)?;
    agree(table, request)?;
    let resolution = resolution(request, capabilities)?;
    let aspect_ratio = aspect_ratio(request, capabilities)?;
    let explicit = table.is_some() || aspect_ratio.is_some();
    let resolution = table.map(|(row, _)| row).or(resolution).unwrap_or(capabilities.best_resolution);
    let column = table.map(|(_, column)| column).or(aspect_ratio);
    if !with_image {
        without_image(request)?;
        return Ok(fixed(resolution, column, None));
    }
    let adaptive = request.adaptive_resolution.unwrap_or(!explicit);
    if adaptive && explicit {
        let message = "an adaptive size cannot be combined with `size` or `aspect_ratio`";
        return Err(BadRequest::value("adaptive_resolution", message));
    }
    let fit = image_fit(request)?;
    if !adaptive {
        return Ok(fixed(resolution, column, Some(fit)));
    }
    let size = resolution.size(AspectRatio::Wide);
    Ok(Shape { size, resolution, aspect_ratio: None, adaptive_resolution: Some(true), image_fit: None })
}

/// The size of a video that takes the shape of its picture.
pub(super) fn adapted(resolution: Resolution, image: SourceImage) -> Result<Size, BadRequest> {
    resolution.size(AspectRatio::Wide).fitted_to(image.width, image.height).map_err(|_| {
        BadRequest::new(RequestFault::ImageAspect, "image", "the picture is too long and thin for this model")
    })
}

fn fixed(resolution: Resolution, column: Option<AspectRatio>, fit: Option<ImageFit>) -> Shape {
    let column = column.unwrap_or(AspectRatio::Wide);
    Shape {
        size: resolution.size(column),
        resolution,
        aspect_ratio: Some(column),
        adaptive_resolution: fit.map(|_| false),
        image_fit: fit,
    }
}

fn from_size(
    request: &VideoRequest,
    capabilities: &Capabilities,
) -> Result<Option<(Resolution, AspectRatio)>, BadRequest> {
    let Some(text) = &request.size else { return Ok(None) };
    let entry = text.parse::<Size>().ok().and_then(|size| {
        let rows = capabilities.resolutions.iter();
        rows.copied().find_map(|row| column_of(row, size).map(|column| (row, column)))
    });
    match entry.filter(|(_, column)| capabilities.aspect_ratios.contains(column)) {
        Some(entry) => Ok(Some(entry)),
        None => {
            let sizes = capabilities.sizes().map(|size| size.to_string()).collect::<Vec<_>>().join(", ");
            Err(BadRequest::value("size", format!("the size must be one of {sizes}")))
        }
    }
}

fn resolution(request: &VideoRequest, capabilities: &Capabilities) -> Result<Option<Resolution>, BadRequest> {
    let Some(text) = &request.resolution else { return Ok(None) };
    let offered = |row: &Resolution| capabilities.resolutions.contains(row);
    resolution_named(text).filter(offered).map(Some).ok_or_else(|| {
        let names = capabilities.resolutions.iter().map(|row| row.as_str()).collect::<Vec<_>>().join(", ");
        BadRequest::value("resolution", format!("the resolution must be one of {names}"))
    })
}

fn aspect_ratio(
    request: &VideoRequest,
    capabilities: &Capabilities,
) -> Result<Option<AspectRatio>, BadRequest> {
    let Some(text) = &request.aspect_ratio else { return Ok(None) };
    let offered = |column: &AspectRatio| capabilities.aspect_ratios.contains(column);
    column_named(text).filter(offered).map(Some).ok_or_else(|| {
        let names =
            capabilities.aspect_ratios.iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ");
        BadRequest::value("aspect_ratio", format!("the aspect ratio must be one of {names}"))
    })
}

/// A wrong name contradicts nothing: it is refused as what it is.
fn agree(table: Option<(Resolution, AspectRatio)>, request: &VideoRequest) -> Result<(), BadRequest> {
    let Some((row, column)) = table else { return Ok(()) };
    let resolution = request.resolution.as_deref().and_then(resolution_named);
    let aspect_ratio = request.aspect_ratio.as_deref().and_then(column_named);
    if resolution.is_some_and(|wanted| wanted != row) || aspect_ratio.is_some_and(|wanted| wanted != column) {
        let message = "`size` does not agree with `resolution` or `aspect_ratio`; give the size alone";
        return Err(BadRequest::value("size", message));
    }
    Ok(())
}

fn without_image(request: &VideoRequest) -> Result<(), BadRequest> {
    let fields = [
        ("adaptive_resolution", request.adaptive_resolution.is_some()),
        ("image_fit", request.image_fit.is_some()),
    ];
    match fields.into_iter().find(|(_, given)| *given) {
        Some((param, _)) => Err(BadRequest::unsupported(
            param,
            format!("`{param}` needs a picture; this makes a video from text"),
        )),
        None => Ok(()),
    }
}

fn image_fit(request: &VideoRequest) -> Result<ImageFit, BadRequest> {
    match request.image_fit.as_deref() {
        None | Some("crop") => Ok(ImageFit::Crop),
        Some("pad") => Ok(ImageFit::Pad),
        Some("stretch") => Ok(ImageFit::Stretch),
        Some(_) => Err(BadRequest::value("image_fit", "the image fit must be one of crop, pad, stretch")),
    }
}

fn column_of(row: Resolution, size: Size) -> Option<AspectRatio> {
    AspectRatio::ALL.into_iter().find(|column| row.size(*column) == size)
}

fn column_named(text: &str) -> Option<AspectRatio> {
    AspectRatio::ALL.into_iter().find(|column| column.as_str() == text)
}

fn resolution_named(text: &str) -> Option<Resolution> {
    Resolution::ALL.into_iter().find(|row| row.as_str() == text)
}
