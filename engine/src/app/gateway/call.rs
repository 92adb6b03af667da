//! One metered call of a provider: it has a place among those under way, and ends with its bill.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::keeping::Keeping;
use crate::app::{AppError, Reservation, Spent};
use crate::domain::{LedgerKind, TokenUsage};

/// A call under way.
pub(super) struct Call {
    pub(super) reservation: Reservation,
    pub(super) kind: LedgerKind,
    pub(super) provider: String,
    pub(super) model: String,
    /// About how many tokens were sent.
    pub(super) prompt_tokens: u64,
    /// What other targets came to, which this one goes on from.
    pub(super) earlier: Vec<Spent>,
    /// What is said in it, where it is stored.
    pub(super) keeping: Option<Box<Keeping>>,
    /// Held while it runs: there are only so many.
    pub(super) place: OwnedSemaphorePermit,
}

/// What a call came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bill {
    /// What the provider counted.
    pub(super) usage: Option<TokenUsage>,
    /// Bytes of text that came, for when it did not.
    pub(super) said_bytes: u64,
    /// What the provider says that it cost, in millionths of a US dollar.
    pub(super) cost_micros: Option<u64>,
}

/// A bill on its way into the database. Ready when it is there, with the tokens that it names; dropped, it gets there all the same.
pub(super) struct Settling(BoxFuture<'static, Result<TokenUsage, AppError>>);

impl Call {
    /// Stores the bill.
    pub(super) fn settle(mut self, bill: Bill) -> Settling {
        self.add(bill);
        let Self { mut reservation, kind, earlier: spent, keeping, place, .. } = self;
        reservation.keep(|now| keeping?.call(now));
        let usage = spent.iter().fold(TokenUsage::default(), |sum, spent| TokenUsage {
            prompt_tokens: sum.prompt_tokens + spent.usage.prompt_tokens,
            completion_tokens: sum.completion_tokens + spent.usage.completion_tokens,
            cached_tokens: sum.cached_tokens + spent.usage.cached_tokens,
        });
        reservation.unless_settled(kind, spent.clone());
        let settling = async move {
            let settled = reservation.settle(kind, spent).await;
            drop(place);
            settled.map(|()| usage)
        };
        Settling(settling.boxed())
    }

    /// Tells what is said, where that is kept.
    pub(super) fn hear(&mut self, tell: impl FnOnce(&mut Keeping)) {
        if let Some(keeping) = &mut self.keeping {
            tell(keeping);
        }
    }

    /// Whoever goes away before the answer is whole pays for what was read.
    pub(super) fn expect_reading(&mut self) {
        let read = self.spent(Bill::default());
        self.reservation.unless_settled(self.kind, vec![read]);
    }

    /// The provider has broken its protocol, or reports an error: there is no bill but for attempts before.
    pub(super) async fn forgive(self) -> Result<(), AppError> {
        self.reservation.settle(self.kind, Vec::new()).await
    }

    /// Another target goes on with the answer; what has come so far has its own price.
    pub(super) fn go_on(&mut self, bill: Bill, provider: String, model: String) {
        self.add(bill);
        (self.provider, self.model) = (provider, model);
    }

    fn add(&mut self, bill: Bill) {
        let spent = self.spent(bill);
        self.earlier.push(spent);
    }

    fn spent(&self, bill: Bill) -> Spent {
        Spent {
            provider: self.provider.clone(),
            model: self.model.clone(),
            usage: bill.usage.unwrap_or_else(|| TokenUsage::new(self.prompt_tokens, bill.said_bytes.div_ceil(4))),
            is_estimated: bill.usage.is_none(),
            provider_cost: bill.cost_micros,
        }
    }

    /// Nobody waits for the end any more: what came is billed.
    pub(super) fn abandon(self, bill: Bill) {
        drop(self.settle(bill));
    }
}

impl Future for Settling {
    type Output = Result<TokenUsage, AppError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(cx)
    }
}
