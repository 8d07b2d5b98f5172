//! The machine on its own: rows for each rule, and a property over arbitrary schedules.
