//! The two grammars in which answers come as streams.

use bytes::Bytes;

use super::events::EventScanner;
use super::scan::{Scanned, Scanner};
use crate::domain::TokenUsage;
use crate::providers::ProviderError;

/// Reads along in one of them.
pub(super) enum Reading {
    /// Of chat completions.
    Chunks(Scanner),
    /// Of responses.
    Events(Box<EventScanner>),
}

impl Reading {
    pub(super) fn feed(&mut self, piece: Bytes) -> Scanned {
        match self {
            Self::Chunks(scanner) => scanner.feed(piece),
            Self::Events(scanner) => scanner.feed(piece),
        }
    }

    pub(super) fn end(&mut self) -> Scanned {
        match self {
            Self::Chunks(scanner) => scanner.end(),
            Self::Events(scanner) => scanner.end(),
        }
    }

    pub(super) fn usage(&self) -> Option<TokenUsage> {
        match self {
            Self::Chunks(scanner) => scanner.usage(),
            Self::Events(scanner) => scanner.usage(),
        }
    }

    pub(super) fn cost_micros(&self) -> Option<u64> {
        match self {
            Self::Chunks(scanner) => scanner.cost_micros(),
            Self::Events(_) => None,
        }
    }

    pub(super) fn failure(&mut self) -> ProviderError {
        match self {
            Self::Chunks(scanner) => scanner.failure(),
            Self::Events(scanner) => scanner.failure(),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Chunks(scanner) => scanner.is_finished(),
            Self::Events(scanner) => scanner.is_finished(),
        }
    }

    pub(super) fn said_bytes(&self) -> u64 {
        match self {
            Self::Chunks(scanner) => scanner.said_bytes(),
            Self::Events(scanner) => scanner.said_bytes(),
        }
    }

    /// What is handed on once the bill has been stored.
    pub(super) fn take_last(&mut self) -> Option<Bytes> {
        match self {
            Self::Chunks(_) => None,
            Self::Events(scanner) => scanner.take_last(),
        }
    }

    /// How many of a response's events have been handed on.
    pub(super) fn told(&self) -> u64 {
        match self {
            Self::Chunks(_) => 0,
            Self::Events(scanner) => scanner.told(),
        }
    }
}
