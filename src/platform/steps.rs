//! Long work on the runtime's threads, in short steps.

/// Items between two yields: a few tens of microseconds.
const STEP: usize = 32;

/// Converts items one by one, and lets others onto the thread every few: while a page of a thousand rows is made, a check does not wait for its end (ab_54).
pub async fn in_steps<T, U>(items: Vec<T>, mut convert: impl FnMut(T) -> U) -> Vec<U> {
    let mut converted = Vec::with_capacity(items.len());
    for item in items {
        if converted.len() % STEP == STEP - 1 {
            tokio::task::yield_now().await;
        }
        converted.push(convert(item));
    }
    converted
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[tokio::test]
    async fn ab_54_others_get_their_turn_while_a_page_is_made() {
        let others = Rc::new(Cell::new(0));
        let local = tokio::task::LocalSet::new();
        let seen = others.clone();
        local.spawn_local(async move {
            loop {
                seen.set(seen.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let page = local.run_until(in_steps((0..1000).collect(), |row: i32| row * 2)).await;
        assert_eq!((page.len(), page.last()), (1000, Some(&1998)));
        assert!(others.get() >= 1000 / STEP, "{}", others.get());
    }
}
