//! Counts the statements of each call, where they are sent: round trips are what a call costs most, and a number that grows tells of it before anybody feels it.

use std::cell::Cell;

tokio::task_local! {
    static COUNT: Cell<u64>;
}

/// Runs a call, and answers with how many statements it has sent.
pub async fn counted<T>(call: impl Future<Output = T>) -> (T, u64) {
    COUNT
        .scope(Cell::new(0), async move {
            let answer = call.await;
            (answer, COUNT.with(Cell::get))
        })
        .await
}

/// Notes so many statements of the call that runs; outside of a call nobody counts.
pub fn note(statements: u64) {
    // Where there is no call.
    let _ = COUNT.try_with(|count| count.set(count.get() + statements));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_call_counts_its_own() {
        note(1);
        let call = |own: u64| {
            counted(async move {
                note(own);
                tokio::task::yield_now().await;
                note(1);
            })
        };
        let (((), one), ((), other)) = tokio::join!(call(1), call(5));
        assert_eq!((one, other), (2, 6));
    }
}
