//! Opens what comes next while what came first is being sent.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, future::BoxFuture, ready, stream::BoxStream, stream::FuturesOrdered};

/// The most parts that are opened ahead, however small they are …
const MAX_AHEAD: usize = 16;
/// … and how much they may weigh together: what they hold in memory, in bytes.
const MAX_WEIGHT: u64 = 1 << 20;

/// A part that is open, or why it could not be opened.
type Opened<T, E> = Result<BoxStream<'static, Result<T, E>>, E>;

/// A part of a stream before it is opened.
pub(super) struct Part<T, E> {
    /// How many bytes it may hold in memory once it is open.
    pub(super) weight: u64,
    /// Opens it.
    pub(super) open: BoxFuture<'static, Opened<T, E>>,
}

/// The parts, one after the other; ends with the first error.
///
/// At least one part is opened ahead, and many if they are small: where each one costs a round trip, that is what makes a list of
/// small parts quick.
pub(super) struct Ahead<I, T, E> {
    rest: I,
    opening: FuturesOrdered<BoxFuture<'static, Opened<T, E>>>,
    opened: VecDeque<Opened<T, E>>,
    /// Of what is opening and opened, in order.
    weights: VecDeque<u64>,
    weight: u64,
    current: Option<BoxStream<'static, Result<T, E>>>,
}

impl<I: Iterator<Item = Part<T, E>>, T, E> Ahead<I, T, E> {
    pub(super) fn new(parts: I) -> Self {
        Self {
            rest: parts,
            opening: FuturesOrdered::new(),
            opened: VecDeque::new(),
            weights: VecDeque::new(),
            weight: 0,
            current: None,
        }
    }

    fn begin_more(&mut self) {
        while self.weights.is_empty() || self.weights.len() < MAX_AHEAD && self.weight < MAX_WEIGHT {
            let Some(part) = self.rest.next() else { return };
            self.weights.push_back(part.weight);
            self.weight += part.weight;
            self.opening.push_back(part.open);
        }
    }
}

impl<I: Iterator<Item = Part<T, E>> + Unpin, T, E> Stream for Ahead<I, T, E>
where
    Self: Unpin,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            this.begin_more();
            // Also while a part is being sent: else the next ones would stand still.
            while let Poll::Ready(Some(opened)) = this.opening.poll_next_unpin(context) {
                this.opened.push_back(opened);
            }
            if let Some(current) = &mut this.current {
                match ready!(current.poll_next_unpin(context)) {
                    Some(item) => return Poll::Ready(Some(item)),
                    None => this.current = None,
                }
                continue;
            }
            let Some(opened) = this.opened.pop_front() else {
                return if this.opening.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            this.weight -= this.weights.pop_front().unwrap_or(0);
            match opened {
                Ok(stream) => this.current = Some(stream),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::{FutureExt, TryStreamExt, stream};

    use super::*;

    /// Parts of two items each, and how many of them were opened.
    fn parts(count: usize, weight: u64) -> (impl Iterator<Item = Part<usize, usize>> + Unpin, Arc<AtomicUsize>) {
        let opened = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&opened);
        let parts = (0..count).map(move |n| {
            let counter = Arc::clone(&counter);
            let open = async move {
                counter.fetch_add(1, Ordering::Relaxed);
                // As an answer that takes a while.
                tokio::task::yield_now().await;
                if n == 7 { Err(n) } else { Ok(stream::iter([Ok(2 * n), Ok(2 * n + 1)]).boxed()) }
            };
            Part { weight, open: open.boxed() }
        });
        (parts, opened)
    }

    #[tokio::test]
    async fn order_is_kept_and_an_error_comes_in_its_place() {
        for weight in [1, MAX_WEIGHT / 2, 10 * MAX_WEIGHT] {
            let (few, _) = parts(7, weight);
            assert_eq!(Ahead::new(few).try_collect::<Vec<_>>().await, Ok((0..14).collect()));
            let (more, _) = parts(20, weight);
            let mut seen = Vec::new();
            let ended = Ahead::new(more).try_for_each(|item| {
                seen.push(item);
                async { Ok(()) }
            });
            assert_eq!((ended.await, seen), (Err(7), (0..14).collect()));
        }
        let (none, _) = parts(0, 1);
        assert_eq!(Ahead::new(none).try_collect::<Vec<_>>().await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn as_many_are_opened_as_memory_allows() {
        // The part that is being sent, and those ahead of it.
        for (weight, expected) in [(1, 1 + MAX_AHEAD), (MAX_WEIGHT / 2, 3), (MAX_WEIGHT, 2), (10 * MAX_WEIGHT, 2)] {
            let (parts, opened) = parts(100, weight);
            let mut ahead = Ahead::new(parts.filter(|_| true));
            ahead.next().await;
            ahead.next().await;
            assert_eq!(opened.load(Ordering::Relaxed), expected, "{weight}");
        }
    }
}
