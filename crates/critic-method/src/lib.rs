//! The procedures of Critic-RM on the contracts.
