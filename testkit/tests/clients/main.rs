//! Client libraries that nobody here wrote, against the real program.
//!
//! Each library gets the same scenario: everything that a program on it does in a day, then a TCP reset, a resume, and what
//! it missed. The server's public gateway address is a proxy, so that IDENTIFY and RESUME both run through what breaks.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod directory;
mod discordjs;
mod home;
mod house;
mod scenario;
mod twilight;

/// The scenario for each library that has a driver in a folder of `clients`.
macro_rules! libraries {
    ($($library:ident)*) => {$(
        mod $library {
            use super::scenario;

            #[tokio::test]
            async fn a_day_of_a_bot() {
                scenario::a_day(stringify!($library)).await;
            }

            #[tokio::test]
            async fn a_reset_is_resumed() {
                scenario::a_reset_is_resumed(stringify!($library)).await;
            }

            #[tokio::test]
            async fn restarts_and_the_end() {
                scenario::restarts_and_the_end(stringify!($library)).await;
            }

            #[tokio::test]
            async fn a_limit_is_waited_out() {
                scenario::a_limit_is_waited_out(stringify!($library)).await;
            }
        }
    )*};
}

/// Each runs the same test functions on its own driver.
mod each {
    use super::scenario;

    libraries! { discordjs discordpy oceanic }
}
