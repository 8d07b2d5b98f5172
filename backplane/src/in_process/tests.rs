//! The in-process adapter: what can be seen only with its clock and its bounds in hand.
