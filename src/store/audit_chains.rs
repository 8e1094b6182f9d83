//! Finds out whether the audit log of a store is still all there, and as it was written.

use super::{AuditStore, StoreError};
use crate::domain::audit_chain::{ChainFault, ChainHead};

/// Entries that are read at once.
const ROWS_AT_ONCE: u32 = 1000;

/// A chain that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedChain {
    /// As far as it holds.
    pub head: ChainHead,
    pub fault: Option<ChainFault>,
}

/// Follows every chain from its first entry. `known` are ends that were noted elsewhere at an earlier time: they must still be
/// what they were, or the log was written anew.
pub async fn follow_chains(
    store: &dyn AuditStore,
    known: &[ChainHead],
) -> Result<Vec<FollowedChain>, StoreError> {
    let mut heads = store.audit_heads().await?;
    for lost in known {
        if heads.iter().all(|head| head.chain != lost.chain) {
            heads.push(ChainHead::start(lost.chain));
        }
    }
    let mut followed = Vec::new();
    for written in heads {
        let known: Vec<&ChainHead> = known.iter().filter(|known| known.chain == written.chain).collect();
        followed.push(follow(store, written, &known).await?);
    }
    Ok(followed)
}

async fn follow(
    store: &dyn AuditStore,
    written: ChainHead,
    known: &[&ChainHead],
) -> Result<FollowedChain, StoreError> {
    let mut head = ChainHead::start(written.chain);
    loop {
        let rows = store.audit_rows(written.chain, head.number, ROWS_AT_ONCE).await?;
        for row in &rows {
            let next = head.followed_by(row).and_then(|next| agrees(next, known));
            match next {
                Ok(next) => head = next,
                Err(fault) => return Ok(FollowedChain { head, fault: Some(fault) }),
            }
        }
        if rows.len() < ROWS_AT_ONCE as usize {
            break;
        }
    }
    // The log may have grown since its end was read, but never shrunk.
    let most = known.iter().map(|known| known.number).chain([written.number]).max().unwrap_or_default();
    let short = head.number < most;
    let fault = short.then_some(ChainFault::CutOff { written: most, last: head.number });
    Ok(FollowedChain { head, fault: fault.or(unnoted(head, written)) })
}

/// Entries of which no end is noted, though the end is noted with every entry.
fn unnoted(head: ChainHead, written: ChainHead) -> Option<ChainFault> {
    (written.number == 0 && head.number > 0).then_some(ChainFault::CutOff { written: 0, last: head.number })
}

fn agrees(head: ChainHead, known: &[&ChainHead]) -> Result<ChainHead, ChainFault> {
    match known.iter().find(|known| known.number == head.number) {
        Some(known) if known.seal != head.seal => Err(ChainFault::Rewritten(head.number)),
        Some(_) | None => Ok(head),
    }
}
