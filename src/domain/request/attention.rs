//! Which deployed variant of a model runs: attention, its sparsity, and the number format of the linear layers.

use super::VideoRequest;
use super::catalog::DeployedModel;
use super::fault::{BadRequest, RequestFault};
use crate::domain::model::Capabilities;
use crate::domain::video::AttentionType;

/// The chosen variant.
pub(super) struct Variant {
    pub(super) attention: AttentionType,
    /// `None` with dense attention.
    pub(super) sla_topk: Option<f64>,
    pub(super) quant_linear: bool,
}

/// Applies the rules of `attention_type`, `sla_topk` and `quant_linear`.
pub(super) fn variant(request: &VideoRequest, model: &DeployedModel) -> Result<Variant, BadRequest> {
    let attention = attention_type(request, &model.capabilities)?;
    Ok(Variant {
        attention,
        sla_topk: sla_topk(request, &model.capabilities, attention)?,
        quant_linear: quant_linear(request, model)?,
    })
}

fn attention_type(request: &VideoRequest, capabilities: &Capabilities) -> Result<AttentionType, BadRequest> {
    let wanted = match request.attention_type.as_deref() {
        None => return Ok(capabilities.default_attention_type),
        Some("original") => AttentionType::Original,
        Some("sla") => AttentionType::Sla,
        Some("sagesla") => AttentionType::SageSla,
        Some(_) => {
            let message = "the attention type must be one of sagesla, sla, original";
            return Err(BadRequest::value("attention_type", message));
        }
    };
    if capabilities.attention_types.contains(&wanted) {
        return Ok(wanted);
    }
    let message = format!("this model is not deployed with `{}` attention", wanted.as_str());
    Err(BadRequest::new(RequestFault::Variant, "attention_type", message))
}

fn sla_topk(
    request: &VideoRequest,
    capabilities: &Capabilities,
    attention: AttentionType,
) -> Result<Option<f64>, BadRequest> {
    if attention == AttentionType::Original {
        return match request.sla_topk {
            Some(_) => Err(BadRequest::value("sla_topk", "`sla_topk` does not go with `original` attention")),
            None => Ok(None),
        };
    }
    let topk = request.sla_topk.unwrap_or(capabilities.default_sla_topk);
    if (0.01..=1.0).contains(&topk) {
        return Ok(Some(topk));
    }
    Err(BadRequest::value("sla_topk", format!("the share of key blocks must be 0.01 to 1, not {topk}")))
}

fn quant_linear(request: &VideoRequest, model: &DeployedModel) -> Result<bool, BadRequest> {
    match request.quant_linear {
        None => Ok(model.quant_linear.first().copied().unwrap_or(false)),
        Some(wanted) if model.quant_linear.contains(&wanted) => Ok(wanted),
        Some(wanted) => {
            let message = format!("this model is not deployed with `quant_linear` = {wanted}");
            Err(BadRequest::new(RequestFault::Variant, "quant_linear", message))
        }
    }
}
