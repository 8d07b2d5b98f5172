//! Waiting for what no event tells of.

use std::time::Duration;

/// Asks again and again until there is an answer, and gives it.
///
/// # Panics
/// When there is none after a minute, which is far more than a busy machine needs.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("not within a minute: {what}"))
}

const EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_asks_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = until("three", async || {
            asked += 1;
            (asked == 3).then_some("three")
        });
        assert_eq!(answer.await, "three");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "not within a minute: nothing")]
    async fn it_does_not_ask_for_ever() {
        until::<()>("nothing", async || None).await;
    }
}
